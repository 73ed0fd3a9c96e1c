"""Control 15, the same order twice in a moment: a loop that asks again under a new name."""

from __future__ import annotations

from core.contracts import Denial, OrderIntent
from risk.case import NS_PER_MS, OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies an order of the same strategy, symbol, side, quantity and prices as one allowed less than the window ago."""
    last_ns, window_ms = case.last_allowed_ns, case.limits.duplicate_window_ms
    if last_ns is None or not isinstance(case.intent, OrderIntent) or case.now_ns - last_ns >= window_ms * NS_PER_MS:
        return None
    return deny(DenialCode.DUPLICATE_ORDER, allowed_ms_ago=(case.now_ns - last_ns) / NS_PER_MS, duplicate_window_ms=window_ms)
