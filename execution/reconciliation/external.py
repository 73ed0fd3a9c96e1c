"""Orders at the venue that are not ours: registered as EXTERNAL, shown and counted, never managed.

The reserved owner `_external` holds what they execute. They are folded by the same rules as orders of ours.
"""

from __future__ import annotations

from core.contracts import OrderType, TimeInForce, VenueReport
from core.order import Order, Origin, new_order

__all__ = ["EXTERNAL", "external_order", "name_of"]

EXTERNAL = "_external"


def name_of(report: VenueReport) -> str:
    """What an order goes by in a report: its client order id, or, as not everybody gives one, the venue's."""
    return report.client_order_id or report.venue_order_id


def external_order(report: VenueReport, now_ns: int) -> Order | None:
    """The order that a report shows alive and nobody here knows; None when the report does not say enough to count it, or it has ended."""
    if report.side is None or not report.order_qty or report.status is None or report.status.is_terminal or not name_of(report):
        return None
    origin = Origin(
        client_order_id=name_of(report),
        intent_id="",
        strategy_id=EXTERNAL,
        account=report.account,
        venue=report.venue,
        symbol=report.symbol,
        side=report.side,
        order_type=report.order_type or OrderType.MARKET,
        time_in_force=report.time_in_force or TimeInForce.GTC,
        created_ns=now_ns,
        external=True,
    )
    return new_order(origin, report.order_qty, report.limit_price, report.stop_price)
