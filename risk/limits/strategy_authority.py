"""Control 3, who may add risk: the enabled strategies of the configuration."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies an intent of a strategy that is not configured."""
    if case.intent.strategy_id in case.rules.strategies:
        return None
    return deny(DenialCode.UNKNOWN_STRATEGY, strategy_id=case.intent.strategy_id, known=" ".join(sorted(case.rules.strategies)) or "none")
