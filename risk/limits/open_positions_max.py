"""The most symbols that may be held or worked at once."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies when, with the order, more symbols than the limit would be held or worked."""
    count, allowed = case.open_positions, case.limits.open_positions_max
    if count <= allowed:
        return None
    return deny(DenialCode.OPEN_POSITIONS_MAX, open_positions=count, open_positions_max=allowed)
