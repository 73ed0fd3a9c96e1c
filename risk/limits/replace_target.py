"""Control 29, what a replace may change: a known order of the same strategy, still alive, with no other replace under way."""

from __future__ import annotations

from core.contracts import Denial, OrderIntent, ReplaceIntent, Verdict
from risk.case import Case
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: Case) -> Denial | None:
    """Denies a replace without a target that it may change."""
    intent, target = case.intent, case.target
    if isinstance(intent, OrderIntent):
        return None
    if target is None or target.has_ended:
        return _without_target(case, intent)
    if target.strategy_id != intent.strategy_id:
        return deny(DenialCode.UNKNOWN_TARGET, target_intent_id=intent.target_intent_id, owner=target.strategy_id)
    if target.order_type is None:
        return deny(DenialCode.UNKNOWN_TARGET, target_intent_id=intent.target_intent_id, approved="never")
    if target.pending is not None:
        return deny(DenialCode.REPLACE_PENDING, target_intent_id=intent.target_intent_id, pending_qty=target.pending.order_qty)
    return None


def _without_target(case: Case, intent: ReplaceIntent) -> Denial:
    decided = case.target_decided
    was_order = case.target is not None or (decided is not None and decided.verdict is Verdict.ALLOWED)
    return deny(DenialCode.TARGET_ENDED if was_order else DenialCode.UNKNOWN_TARGET, target_intent_id=intent.target_intent_id)
