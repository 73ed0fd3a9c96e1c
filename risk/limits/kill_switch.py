"""Control 1, the kill switch: nothing but cancels passes a tripped switch, and nothing passes one that cannot be read."""

from __future__ import annotations

from core.contracts import Denial, TradingState
from risk.case import Case
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: Case) -> Denial | None:
    """Denies everything while HALTED or unreadable, and what does not reduce while REDUCING."""
    now = case.situation
    if now.kill_state is TradingState.ACTIVE:
        return None
    if not now.is_kill_readable:
        return deny(DenialCode.KILL_SWITCH_UNREADABLE)
    if now.kill_state is TradingState.REDUCING and case.reduces:
        return None
    return deny(DenialCode.KILL_SWITCH, state=now.kill_state, reason=now.kill_reason or "none given")
