"""Control 7, the largest quantity of one order."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies a quantity above the limit; of a replace, the quantity it asks for."""
    order, allowed = case.order, case.limits.order_qty_max
    if order.order_qty <= allowed:
        return None
    return deny(DenialCode.ORDER_QTY_MAX, order_qty=order.order_qty, order_qty_max=allowed)
