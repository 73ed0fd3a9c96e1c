"""Control 30, terms that belong together: an order has exactly the prices of its kind. A replace can name one it cannot have."""

from __future__ import annotations

from core.contracts import Denial, OrderIntent
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies a limit or stop price where there is none, and its absence where there is one."""
    # A new order cannot even be written down with the wrong prices; what a replace makes of an order can.
    if isinstance(case.intent, OrderIntent):
        return None
    order = case.order
    if (order.limit_price is not None) is order.order_type.has_limit and (order.stop_price is not None) is order.order_type.has_stop:
        return None
    return deny(DenialCode.ILLEGAL_TERMS, order_type=order.order_type, limit_price=order.limit_price, stop_price=order.stop_price)
