"""Control 5, what a venue refuses from anyone: an unknown instrument, a quantity or price off its grid, more than it takes."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies terms that are not legal at the venue, whatever the order is for."""
    order, instrument = case.order, case.instrument
    if instrument is None:
        return deny(DenialCode.UNKNOWN_INSTRUMENT, symbol=order.symbol)
    problems = instrument.grid_problems(order.order_qty, *(price for price in (order.limit_price, order.stop_price) if price is not None))
    return deny(DenialCode.OFF_GRID, symbol=order.symbol, terms="; ".join(problems)) if problems else None
