"""Control 17, the largest position of a symbol, long or short.

Judged on what could be, not on what is: position, everything working and in doubt, the larger side of replaces, and the order.
An order through zero is judged where it ends. While a fact of the venue's has taken the other side beyond the limit, nothing
but what reduces it passes.
"""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies when the position could become larger than the limit on either side."""
    worst, opposite, allowed = case.worst_qty, case.opposite_qty, case.limits.position_qty_max
    if worst is None or opposite is None:
        return deny(DenialCode.CANNOT_EVALUATE, control="position_qty_max", missing="position")
    if max(abs(worst), opposite) <= allowed:
        return None
    return deny(DenialCode.POSITION_QTY_MAX, worst_qty=worst, opposite_qty=opposite, position_qty_max=allowed)
