"""The last look before the wire: may this request leave now, on what is true now?

The machine has decided and the decision is committed; between that moment and the wire things may have changed. The node
calls the gate with facts looked up afresh, and what it refuses is evidence of our own that the venue never saw it. Only what
can add risk is looked at: cancels and questions always pass. What risk approved as a reduction passes whatever stops entries:
neither the arm lease nor a cap on size may keep a position from being closed.

The caps are computed here once more, from this process's own configuration and not from risk's verdict, so that one wrong
computation, or one process with an old configuration, is not enough to send what the limits forbid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from core.contracts import Approval, KillSwitchState, KillSwitchStatus, Side, TradingState
from core.gate import ArmState, Gate, GateFacts
from core.instrument import Instrument
from core.settings import LimitSettings, Settings
from core.venue import (
    AcknowledgeEvents,
    BrokerOrderReq,
    Cancel,
    FetchBalances,
    FetchClosedOrders,
    FetchFills,
    FetchOpenOrders,
    FetchPositions,
    Lookup,
    NotSent,
    Place,
    Replace,
    Subscribe,
    VenueRequest,
    terms_hash,
)

__all__ = ["ALARMS", "build_gate"]

ALARMS = frozenset(
    {"NO_APPROVAL", "APPROVAL_FORGED", "APPROVAL_MISMATCH", "INTENT_MISMATCH", "PARENT_QTY_MAX", "PARENT_UNKNOWN", "ORDER_QTY_MAX", "ORDER_NOTIONAL_MAX", "UNKNOWN_INSTRUMENT"}
)
"""Refusals at the exit that something before it should have made impossible: a person has to hear of them."""


def build_gate(settings: Settings) -> Gate:
    """The gate of this suite's account at its venue."""
    account, venue, limits = settings.account.name, settings.account.venue, settings.limits
    instruments = {symbol: settings.instrument(symbol) for symbol in settings.symbols}

    def gate(request: VenueRequest, approval: Approval | None, facts: GateFacts, now_ns: int) -> NotSent | None:
        match request:
            case Place(order=order) | Replace(order=order):
                if approval is None:
                    return NotSent(code="NO_APPROVAL")
                refusal = _kill_refusal(approval, facts.kill_switch) or _binding_refusal(order, approval, terms_hash(account, venue, order), facts, now_ns)
                if refusal is not None or approval.reduces:
                    return refusal
                instrument = instruments[order.symbol] if order.symbol in instruments else settings.instrument(order.symbol)
                return _arming_refusal(facts.arming) or _size_refusal(order, approval, limits, instrument)
            case Cancel() | Lookup() | Subscribe() | AcknowledgeEvents():
                return None
            case FetchOpenOrders() | FetchClosedOrders() | FetchFills() | FetchPositions() | FetchBalances():
                return None
            case _:
                assert_never(request)

    return gate


def _kill_refusal(approval: Approval, kill_switch: KillSwitchState) -> NotSent | None:
    """Control 1. Unknown is unsafe: an unreadable kill switch refuses what a tripped one might let pass."""
    if kill_switch.status is KillSwitchStatus.CLEAR:
        return None
    if kill_switch.status is KillSwitchStatus.UNREADABLE:
        return NotSent(code="KILL_SWITCH_UNREADABLE", text=kill_switch.reason)
    if approval.reduces and kill_switch.trading_state is TradingState.REDUCING:
        return None
    return NotSent(code="KILL_SWITCH", text=f"trading_state={kill_switch.trading_state}, reason={kill_switch.reason}")


def _binding_refusal(order: BrokerOrderReq, approval: Approval, content_hash: str, facts: GateFacts, now_ns: int) -> NotSent | None:
    """Control 31: the approval is risk's, for exactly this order, and still good."""
    if not facts.is_genuine:
        return NotSent(code="APPROVAL_FORGED", text=f"approval_id={approval.approval_id}: its seal is not risk's")
    if approval.client_order_id != order.client_order_id:
        return NotSent(code="APPROVAL_MISMATCH", text=f"client_order_id={order.client_order_id}, approved={approval.client_order_id}")
    if approval.content_hash != content_hash:
        return NotSent(code="APPROVAL_MISMATCH", text=f"content_hash={content_hash}, approved={approval.content_hash}")
    if now_ns > approval.expires_ns:
        return NotSent(code="APPROVAL_EXPIRED", text=f"now_ns={now_ns}, expires_ns={approval.expires_ns}")
    return None


def _arming_refusal(arming: ArmState) -> NotSent | None:
    """Control 2: what can add risk leaves an armed account alone."""
    return None if arming.is_armed else NotSent(code="DISARMED", text=arming.reason)


def _size_refusal(order: BrokerOrderReq, approval: Approval, limits: LimitSettings, instrument: Instrument | None) -> NotSent | None:
    """Controls 7 and 8. What cannot be valued is refused."""
    if order.order_qty > limits.order_qty_max:
        return NotSent(code="ORDER_QTY_MAX", text=f"order_qty={order.order_qty}, limit={limits.order_qty_max}")
    if instrument is None:
        return NotSent(code="UNKNOWN_INSTRUMENT", text=f"symbol={order.symbol}")
    if approval.reference_price is None:
        return NotSent(code="NO_REFERENCE_PRICE", text=f"symbol={order.symbol}")
    notional = instrument.notional(order.order_qty, _dearest(order, approval.reference_price))
    if notional > limits.order_notional_max:
        return NotSent(code="ORDER_NOTIONAL_MAX", text=f"order_notional={notional}, limit={limits.order_notional_max}")
    return None


def _dearest(order: BrokerOrderReq, reference_price: Decimal) -> Decimal:
    """What a unit could cost: a buy may pay up to its own price, a sell's own price only makes it smaller."""
    if order.side is Side.SELL:
        return reference_price
    return max(reference_price, order.limit_price or reference_price, order.stop_price or reference_price)
