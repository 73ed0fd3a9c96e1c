"""Control 1, the trading state an operator set: ACTIVE, REDUCING or HALTED."""

from __future__ import annotations

from core.contracts import Denial, TradingState
from risk.case import Case
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: Case) -> Denial | None:
    """Denies everything while HALTED, and what does not reduce while REDUCING."""
    state = case.situation.trading_state
    if state is TradingState.ACTIVE or (state is TradingState.REDUCING and case.reduces):
        return None
    code = DenialCode.TRADING_HALTED if state is TradingState.HALTED else DenialCode.REDUCING_ONLY
    return deny(code, reason=case.situation.trading_reason or "none given")
