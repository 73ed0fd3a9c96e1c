"""What a decision says beside yes or no: the evidence it was based on, and the approval that binds what may be sent."""

from __future__ import annotations

from decimal import Decimal

from core.contracts import Approval, Evidence, Intent
from core.venue import terms_hash
from risk.case import NS_PER_MS, OrderCase, Situation, is_amount
from risk.exposure import SymbolExposure

__all__ = ["approval_of", "evidence_of", "evidence_without_order"]


def evidence_of(case: OrderCase) -> Evidence:
    """Everything the controls looked at, as it was before the order."""
    exposure, quote = case.exposure, case.quote
    return Evidence(
        trading_state=case.situation.effective_state,
        reference_price=quote.price,
        reference_age_ms=None if quote.age_ns is None else quote.age_ns // NS_PER_MS,
        position_qty=_told(exposure.position_qty),
        working_buy_qty=_told(exposure.working_buy_qty),
        working_sell_qty=_told(exposure.working_sell_qty),
        open_positions=case.open_positions,
        order_notional=case.order_notional,
        reduces=case.reduces,
        worst_qty=case.worst_qty,
        worst_notional=case.worst_notional,
        intent_age_ms=(case.now_ns - case.intent.created_ns) // NS_PER_MS,
    )


def evidence_without_order(intent: Intent, situation: Situation, exposure: SymbolExposure | None, now_ns: int) -> Evidence:
    """What there is to say of a cancel, or of a replace whose order is not known."""
    return Evidence(
        trading_state=situation.effective_state,
        position_qty=None if exposure is None else _told(exposure.position_qty),
        working_buy_qty=None if exposure is None else _told(exposure.working_buy_qty),
        working_sell_qty=None if exposure is None else _told(exposure.working_sell_qty),
        intent_age_ms=(now_ns - intent.created_ns) // NS_PER_MS,
    )


def _told(value: Decimal) -> Decimal | None:
    """A sum, None where it is larger than a message may tell; no control passes an entry on such a sum."""
    return value if is_amount(value) else None


def approval_of(case: OrderCase, approval_id: str) -> Approval:
    """Permission to send exactly the order of this case, for as long as the limits say and the wish is good."""
    quote, rules = case.quote, case.rules
    return Approval(
        approval_id=approval_id,
        client_order_id=case.order.client_order_id,
        content_hash=terms_hash(case.account, case.venue, case.order),
        limits_version=rules.limits_version,
        expires_ns=min(case.now_ns + rules.limits.approval_ttl_ms * NS_PER_MS, case.intent.expires_ns),
        reduces=case.reduces,
        reference_price=quote.price,
        reference_age_ms=None if quote.age_ns is None else quote.age_ns // NS_PER_MS,
    )
