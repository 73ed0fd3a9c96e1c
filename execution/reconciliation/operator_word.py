"""How an order ended by the word of a person, when the venue does not say: checked against what is known, told as facts with their evidence.

The venue outranks a person. An execution a person vouched for has a name of its own and is taken back when the venue tells one of that
order: it is replaced, never added to.
"""

from __future__ import annotations

from core.contracts import ExecType, OrderResolution, OrderStatus, ResolveOrder, VenueReport
from core.money import ZERO
from core.order import Amendment, Order
from core.order.executions import tally
from execution.live_orders import Ended, LiveOrder, Stage
from execution.venue_reports import OPERATOR, VenueReports

__all__ = ["RESOLVABLE", "objection", "resolution", "retractions"]

RESOLVABLE = frozenset({Stage.IN_DOUBT, Stage.LOST})
"""Only of these nobody knows how they stand; of every other order the venue has said it, or will."""

_CLOSED_BY = {
    OrderResolution.CANCELLED: (ExecType.CANCELLED, OrderStatus.CANCELLED),
    OrderResolution.REJECTED: (ExecType.REJECTED, OrderStatus.REJECTED),
    OrderResolution.NEVER_REACHED: (ExecType.NEVER_REACHED, None),
}


def objection(command: ResolveOrder, order: LiveOrder | None, ended: Ended | None) -> str:
    """Why a person's word about this order is not taken, or ''."""
    name = command.client_order_id
    if not command.reason.strip():
        return "a reason is required"
    if order is None:
        return f"order {name} ended {ended.end} already" if ended is not None else f"order {name} is not known here"
    if order.stage not in RESOLVABLE:
        return f"order {name} is {order.stage}, the venue's own word on it counts; only an order in doubt or lost is resolved by hand"
    if order.venue_order_id and command.resolution is OrderResolution.NEVER_REACHED:
        return f"the venue has shown order {name} as {order.venue_order_id}, so it was there"
    if order.orig_client_order_id:
        return f"{name} is a replacement of {order.orig_client_order_id}; resolve that order when it is in doubt itself"
    if command.resolution is not OrderResolution.FILLED:
        extra = command.last_qty is not None or command.last_price is not None or command.exec_id
        return "quantity, price and execution id belong to filled alone" if extra else ""
    return _objection_to_fill(command, order)


def _objection_to_fill(command: ResolveOrder, order: LiveOrder) -> str:
    if order.order is None:
        return f"the terms of order {order.client_order_id} are not known here"
    if command.last_price is None or command.last_price <= ZERO:
        return "a filled order needs the price it was filled at"
    if command.last_qty is not None and not ZERO < command.last_qty <= order.order.order_qty:
        return f"quantity {command.last_qty}: above 0 and at most {order.order.order_qty} is required"
    return ""


def resolution(command: ResolveOrder, order: LiveOrder, reports: VenueReports, actor: str, now_ns: int) -> tuple[VenueReport, ...]:
    """The facts a person vouches for. What of a filled order was not executed is over."""
    reason = f"{actor}: {command.reason.strip()}"
    if command.resolution is not OrderResolution.FILLED:
        exec_type, status = _CLOSED_BY[command.resolution]
        return (reports.vouched(order, exec_type, status, reason, now_ns),)
    assert order.order is not None and command.last_price is not None, "an order is only filled by hand with terms and a price"
    qty = command.last_qty or order.order.order_qty
    exec_id = command.exec_id or f"{OPERATOR.lower()}-{order.client_order_id}"
    trade = reports.vouched_fill(order, exec_id, qty, command.last_price, reason, now_ns)
    if qty == order.order.order_qty:
        return (trade,)
    return trade, reports.vouched(order, ExecType.CANCELLED, OrderStatus.CANCELLED, reason, now_ns)


def retractions(order: Order, report: VenueReport) -> tuple[VenueReport, ...]:
    """What takes back the executions that only a person vouched for, now that the venue tells one of this order itself."""
    if report.evidence == OPERATOR or report.exec_type is not ExecType.TRADE:
        return ()
    origin = order.origin
    return tuple(
        VenueReport(
            venue=origin.venue,
            account=origin.account,
            exec_type=ExecType.TRADE_CANCEL,
            symbol=origin.symbol,
            evidence=OPERATOR,
            occurred_ns=report.occurred_ns,
            client_order_id=origin.client_order_id,
            venue_order_id=e.venue_order_id,
            exec_id=f"{e.exec_id}!replaced",
            exec_ref_id=e.exec_id,
            side=origin.side,
        )
        for e in tally(order.executions.values()).live.values()
        if e.evidence == OPERATOR and e.kind is Amendment.TRADE
    )
