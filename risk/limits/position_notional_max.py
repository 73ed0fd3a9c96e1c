"""Control 17, the largest value of a position, long or short, judged at the worst like its quantity."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies when the position could become worth more than the limit on either side, and what cannot be valued."""
    worst, opposite, allowed = case.worst_notional, case.opposite_qty, case.limits.position_notional_max
    if worst is None or opposite is None or case.price is None or case.instrument is None:
        return deny(DenialCode.CANNOT_EVALUATE, control="position_notional_max", missing="price" if case.price is None else "value")
    if worst <= allowed and case.instrument.notional(opposite, case.price) <= allowed:
        return None
    return deny(DenialCode.POSITION_NOTIONAL_MAX, worst_notional=worst, opposite_qty=opposite, price=case.price, position_notional_max=allowed)
