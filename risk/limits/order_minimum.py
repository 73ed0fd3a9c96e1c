"""Control 5, the smallest order a venue takes. An exit is never held back for being small: the venue may say no, we do not."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies a quantity or value below the instrument's minimum."""
    order, instrument = case.order, case.instrument
    if instrument is None:
        return deny(DenialCode.CANNOT_EVALUATE, control="order_minimum", missing="instrument")
    if instrument.order_notional_min and case.order_notional is None:
        return deny(DenialCode.CANNOT_EVALUATE, control="order_minimum", missing="price")
    problems = instrument.minimum_problems(order.order_qty, case.order_notional)
    return deny(DenialCode.BELOW_MINIMUM, symbol=order.symbol, terms="; ".join(problems)) if problems else None
