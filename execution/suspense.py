"""Executions that no order of ours explains: kept as orders of the reserved owner `_suspense` until a person has looked.

Such an order is folded like any other, so that a repeat, a correction or a bust of an unexplained execution is understood
by the same rules as of an explained one.
"""

from __future__ import annotations

from core.contracts import ExecType, OrderType, Side, TimeInForce, VenueReport
from core.order import Order, Origin, new_order
from core.order.executions import execution_of

__all__ = ["SUSPENSE", "contradiction", "execution_key", "is_execution", "stranger_key", "suspense_key", "suspense_order"]

SUSPENSE = "_suspense"
_AMENDMENTS = (ExecType.TRADE_CORRECT, ExecType.TRADE_CANCEL)


def contradiction(order: Order, report: VenueReport) -> str:
    """Why a report cannot be about this order although it names it; '' when it can."""
    origin = order.origin
    if report.symbol and report.symbol != origin.symbol:
        return f"{report.exec_type} names symbol {report.symbol}, the order is in {origin.symbol}"
    if report.side is not None and report.side is not origin.side:
        return f"{report.exec_type} says {report.side}, the order is a {origin.side}"
    return ""


def is_execution(report: VenueReport) -> bool:
    """Whether a report changes what is held."""
    return report.exec_type in _AMENDMENTS or (report.exec_type is ExecType.TRADE and report.last_qty > 0)


def suspense_key(report: VenueReport) -> str:
    """The archive key of the suspense order a report belongs to. A side is part of it: not every venue names its orders."""
    return f"{report.venue}|{report.account}|{report.symbol}|{report.venue_order_id}|{report.side or ''}"


def execution_key(report: VenueReport) -> str:
    """The archive key of one unexplained execution: (venue, account, symbol, venue order id, exec id)."""
    return f"{report.venue}|{report.account}|{report.symbol}|{execution_of(report).key}"


def stranger_key(report: VenueReport) -> str:
    """The archive key of an order at the venue that we never sent."""
    return f"{report.venue}|{report.account}|{report.venue_order_id or report.client_order_id}"


def suspense_order(report: VenueReport, side: Side, now_ns: int) -> Order:
    """An order that stands in for the unknown one behind an execution."""
    origin = Origin(
        client_order_id=report.client_order_id,
        intent_id="",
        strategy_id=SUSPENSE,
        account=report.account,
        venue=report.venue,
        symbol=report.symbol,
        side=side,
        order_type=report.order_type or OrderType.MARKET,
        time_in_force=report.time_in_force or TimeInForce.GTC,
        created_ns=now_ns,
        external=True,
    )
    return new_order(origin, report.order_qty or report.last_qty, report.limit_price, report.stop_price)
