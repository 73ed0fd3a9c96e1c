"""Orders to test with, and what is said about them: `told(submitted(), new(), trade(4))`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from core.contracts import ExecType, OrderStatus, OrderType, Side, TimeInForce, VenueReport
from core.order import Order, Origin, fold, new_order
from tests.support.builders import ACCOUNT, NOW, STRATEGY, SYMBOL, VENUE, a_report

__all__ = ["ORDER_ID", "VENUE_ORDER_ID", "a_new_order", "new", "said", "submitted", "told", "trade"]

ORDER_ID, VENUE_ORDER_ID = "t-order", "V1"


def a_new_order(order_qty: str | int = 10, *, limit_price: str | int | None = 100, **changes: Any) -> Order:
    """A PENDING day order to buy ten at 100."""
    values: dict[str, Any] = {
        "client_order_id": ORDER_ID,
        "intent_id": "trend:e:bar:0",
        "strategy_id": STRATEGY,
        "account": ACCOUNT,
        "venue": VENUE,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.DAY,
        "created_ns": NOW,
    } | changes
    return new_order(Origin(**values), Decimal(order_qty), None if limit_price is None else Decimal(limit_price))


def submitted(order_qty: str | int = 10, **changes: Any) -> Order:
    """The same order, its attempt committed."""
    return told(a_new_order(order_qty, **changes), said(ExecType.ATTEMPTED, evidence="GATEWAY"))


def said(exec_type: ExecType, client_order_id: str = ORDER_ID, *, at: int = 0, **changes: Any) -> VenueReport:
    """A report about the order, `at` nanoseconds after now."""
    return a_report(exec_type, **{"client_order_id": client_order_id, "venue_order_id": VENUE_ORDER_ID, "occurred_ns": NOW + at} | changes)


def new(client_order_id: str = ORDER_ID, **changes: Any) -> VenueReport:
    """The venue has the order."""
    return said(ExecType.NEW, client_order_id, **{"status": OrderStatus.ACCEPTED} | changes)


def trade(last_qty: str | int, cum_qty: str | int | None = None, *, exec_id: str = "e1", last_price: str | int = 100, **changes: Any) -> VenueReport:
    """An execution; without a total of the venue's unless one is given."""
    return said(ExecType.TRADE, **{"last_qty": last_qty, "last_price": last_price, "exec_id": exec_id, "cum_qty": cum_qty} | changes)


def told(order: Order, *reports: VenueReport) -> Order:
    """The order after these reports."""
    for report in reports:
        order = fold(order, report).order
    return order
