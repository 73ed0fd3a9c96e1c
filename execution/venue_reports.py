"""What the venue says, and what our own attempts came to, as VenueReports. Pure translation: no decision is taken here."""

from __future__ import annotations

from typing import Any

from core.contracts import ExecType, OrderStatus, VenueReport
from core.money import ZERO
from core.venue import BrokerOrderAck, BrokerOrderUpdate, OrderFilled, OrderUpdated
from execution.live_orders import LiveOrder

__all__ = ["GATEWAY", "PUSH", "QUERY", "REPLY", "VenueReports", "exec_type_of", "reason_of"]

GATEWAY, PUSH, QUERY, REPLY = "GATEWAY", "PUSH", "QUERY", "REPLY"

_SAID_BY_STATUS = {
    OrderStatus.ACCEPTED: ExecType.NEW,
    OrderStatus.CANCELLED: ExecType.CANCELLED,
    OrderStatus.REJECTED: ExecType.REJECTED,
    OrderStatus.EXPIRED: ExecType.EXPIRED,
}
_NO_REPLACEMENT = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})


def reason_of(code: str, text: str) -> str:
    """A reason as reports carry it: `CODE: text`."""
    return f"{code}: {text}" if text else code


def exec_type_of(status: OrderStatus, orig_client_order_id: str) -> ExecType:
    """What a venue's view of an order says has happened.

    A live view of a replacement says that it was made. PARTIALLY_FILLED and FILLED are only a status here: executions come
    one by one, and a view must not invent one.
    """
    if orig_client_order_id and status not in _NO_REPLACEMENT:
        return ExecType.REPLACED
    return _SAID_BY_STATUS.get(status, ExecType.ORDER_STATUS)


class VenueReports:
    """Writes the reports of one account at one venue."""

    def __init__(self, account: str, venue: str) -> None:
        self._account = account
        self._venue = venue

    def about(self, order: LiveOrder, exec_type: ExecType, evidence: str, now_ns: int, reason: str = "") -> VenueReport:
        """A fact about an order, or about a replacement as a request."""
        return self._report(
            exec_type,
            order.symbol,
            evidence,
            now_ns,
            client_order_id=order.client_order_id,
            orig_client_order_id=order.orig_client_order_id,
            venue_order_id=order.venue_order_id,
            reject_reason=reason,
        )

    def attempted(self, order: LiveOrder, evidence: str, now_ns: int) -> VenueReport:
        """An order is about to be sent, with its terms."""
        terms = order.order
        assert terms is not None, f"order {order.client_order_id} is sent without terms"
        return self._report(
            ExecType.ATTEMPTED,
            order.symbol,
            evidence,
            now_ns,
            client_order_id=order.client_order_id,
            orig_client_order_id=order.orig_client_order_id,
            side=terms.side,
            order_type=terms.order_type,
            time_in_force=terms.time_in_force,
            order_qty=terms.order_qty,
            limit_price=terms.limit_price,
            stop_price=terms.stop_price,
        )

    def acknowledged(self, order: LiveOrder, ack: BrokerOrderAck) -> VenueReport:
        """The venue took an order."""
        return self._report(
            ExecType.NEW,
            order.symbol,
            REPLY,
            ack.accepted_ns,
            client_order_id=order.client_order_id,
            venue_order_id=ack.venue_order_id,
            status=OrderStatus.ACCEPTED,
        )

    def about_request(self, exec_type: ExecType, symbol: str, evidence: str, now_ns: int, *, request_id: str, order_id: str, reason: str = "", cursor: int = 0) -> VenueReport:
        """A fact about a cancel or replace request: it goes by the request's own id."""
        return self._report(exec_type, symbol, evidence, now_ns, client_order_id=request_id, orig_client_order_id=order_id, reject_reason=reason, cursor=cursor)

    def of_view(self, view: BrokerOrderUpdate, evidence: str, orig_client_order_id: str, cursor: int = 0) -> VenueReport:
        """The venue's whole view of an order."""
        return self._report(
            exec_type_of(view.status, orig_client_order_id),
            view.symbol,
            evidence,
            view.updated_ns,
            client_order_id=view.client_order_id,
            orig_client_order_id=orig_client_order_id,
            venue_order_id=view.venue_order_id,
            side=view.side,
            order_type=view.order_type,
            time_in_force=view.time_in_force,
            order_qty=view.order_qty,
            limit_price=view.limit_price,
            stop_price=view.stop_price,
            status=view.status,
            cum_qty=view.cum_qty,
            leaves_qty=view.leaves_qty,
            reject_reason=view.reject_reason,
            cursor=cursor,
        )

    def of_update(self, event: OrderUpdated) -> VenueReport:
        """A pushed change of an order's state."""
        return self.of_view(event.order, PUSH, event.orig_client_order_id, event.cursor)

    def of_fill(self, event: OrderFilled) -> VenueReport:
        """A pushed execution."""
        fill = event.fill
        return self._report(
            ExecType.TRADE,
            fill.symbol,
            PUSH,
            fill.occurred_ns,
            client_order_id=fill.client_order_id,
            venue_order_id=fill.venue_order_id,
            exec_id=fill.exec_id,
            side=fill.side,
            order_qty=fill.order_qty,
            status=event.status,
            cum_qty=fill.cum_qty,
            leaves_qty=ZERO if event.status.is_terminal else max(fill.order_qty - fill.cum_qty, ZERO),
            last_qty=fill.last_qty,
            last_price=fill.last_price,
            fee=fill.fee,
            fee_asset=fill.fee_asset,
            cursor=event.cursor,
        )

    def _report(self, exec_type: ExecType, symbol: str, evidence: str, occurred_ns: int, **said: Any) -> VenueReport:
        return VenueReport(venue=self._venue, account=self._account, exec_type=exec_type, symbol=symbol, evidence=evidence, occurred_ns=occurred_ns, **said)
