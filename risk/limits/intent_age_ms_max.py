"""Control 16, the age of a wish: new risk is taken on fresh decisions only."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import NS_PER_MS, OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies an intent older than the limit, or one dated after now."""
    age_ns, allowed_ms = case.now_ns - case.intent.created_ns, case.limits.intent_age_ms_max
    if age_ns < 0:
        return deny(DenialCode.INTENT_FROM_FUTURE, created_ns=case.intent.created_ns, now_ns=case.now_ns)
    if age_ns <= allowed_ms * NS_PER_MS:
        return None
    return deny(DenialCode.INTENT_STALE, intent_age_ms=age_ns / NS_PER_MS, intent_age_ms_max=allowed_ms)
