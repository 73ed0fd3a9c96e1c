"""The last look before the wire: may this request leave now, on what is true now?

The machine has decided and the decision is committed; between that moment and the wire things may have changed. The node
calls the gate with the kill switch read afresh, and what it refuses is evidence of our own that the venue never saw it.
Only what can add risk is looked at: cancels and questions always pass.
"""

from __future__ import annotations

from typing import assert_never

from core.contracts import Approval, KillSwitchState, KillSwitchStatus, TradingState
from core.node import Gate
from core.settings import Settings
from core.venue import (
    AcknowledgeEvents,
    BrokerOrderReq,
    Cancel,
    FetchFills,
    FetchOpenOrders,
    Lookup,
    NotSent,
    Place,
    Replace,
    Subscribe,
    VenueRequest,
    terms_hash,
)

__all__ = ["build_gate"]


def build_gate(settings: Settings) -> Gate:
    """The gate of this suite's account at its venue."""
    account, venue = settings.account.name, settings.account.venue

    def gate(request: VenueRequest, approval: Approval | None, kill_switch: KillSwitchState, now_ns: int) -> NotSent | None:
        match request:
            case Place(order=order) | Replace(order=order):
                return _order_refusal(order, approval, kill_switch, now_ns, terms_hash(account, venue, order))
            case Cancel() | Lookup() | FetchOpenOrders() | FetchFills() | Subscribe() | AcknowledgeEvents():
                return None
            case _:
                assert_never(request)

    return gate


def _order_refusal(order: BrokerOrderReq, approval: Approval | None, kill_switch: KillSwitchState, now_ns: int, content_hash: str) -> NotSent | None:
    """Why an order may not leave; None lets it through. Unknown is unsafe: an unreadable kill switch refuses what a tripped one might let pass."""
    if approval is None:
        return NotSent(code="NO_APPROVAL")
    if kill_switch.status is KillSwitchStatus.UNREADABLE:
        return NotSent(code="KILL_SWITCH_UNREADABLE", text=kill_switch.reason)
    if kill_switch.status is KillSwitchStatus.TRIPPED and not (approval.reduces and kill_switch.trading_state is TradingState.REDUCING):
        return NotSent(code="KILL_SWITCH", text=f"trading_state={kill_switch.trading_state}, reason={kill_switch.reason}")
    if approval.client_order_id != order.client_order_id:
        return NotSent(code="APPROVAL_MISMATCH", text=f"client_order_id={order.client_order_id}, approved={approval.client_order_id}")
    if approval.content_hash != content_hash:
        return NotSent(code="APPROVAL_MISMATCH", text=f"content_hash={content_hash}, approved={approval.content_hash}")
    if now_ns > approval.expires_ns:
        return NotSent(code="APPROVAL_EXPIRED", text=f"now_ns={now_ns}, expires_ns={approval.expires_ns}")
    return None
