"""Control 15, the same intent twice: an intent id is decided once, for ever.

The stream repeats nothing, so an id that comes again was sent again. With other content it is two wishes under one name.
"""

from __future__ import annotations

from core.contracts import Denial
from risk.case import Case
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: Case) -> Denial | None:
    """Denies an intent id that has a decision."""
    decided = case.decided
    if decided is None:
        return None
    if decided.content_hash == case.content_hash:
        return deny(DenialCode.DUPLICATE_INTENT, intent_id=case.intent.intent_id, first_verdict=decided.verdict)
    return deny(DenialCode.INTENT_ID_REUSED, intent_id=case.intent.intent_id, first_content=decided.content_hash, content=case.content_hash)
