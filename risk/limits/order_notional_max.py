"""Control 8, the largest value of one order: quantity x price x multiplier, at the mark or a buy's own dearer price."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies a value above the limit, and any order that cannot be valued."""
    notional, allowed = case.order_notional, case.limits.order_notional_max
    if notional is None:
        return deny(DenialCode.CANNOT_EVALUATE, control="order_notional_max", missing="price" if case.price is None else "value")
    if notional <= allowed:
        return None
    return deny(DenialCode.ORDER_NOTIONAL_MAX, order_notional=notional, order_notional_max=allowed)
