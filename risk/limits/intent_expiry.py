"""Control 16, the strategy's own deadline: after `expires_ns` a wish is never sent, whatever it is for."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import Case
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: Case) -> Denial | None:
    """Denies an intent whose deadline has passed."""
    if case.now_ns <= case.intent.expires_ns:
        return None
    return deny(DenialCode.INTENT_STALE, expires_ns=case.intent.expires_ns, now_ns=case.now_ns)
