"""How much to order: money turned into a legal quantity of an instrument."""

from __future__ import annotations

from decimal import Decimal

from core.instrument import Instrument
from core.money import ZERO

__all__ = ["legal_qty"]


def legal_qty(instrument: Instrument, notional: Decimal, price: float) -> Decimal:
    """The largest quantity worth at most `notional` at `price` that the instrument takes as an entry; zero when there is none.

    `price` is a measurement: its shortest decimal spelling is what is divided by, and the quantity always rounds down.
    """
    value = Decimal(str(price)) * instrument.multiplier
    qty = instrument.qty_at_or_below(notional / value)
    is_legal = qty > ZERO and not instrument.grid_problems(qty) and not instrument.minimum_problems(qty, qty * value)
    return qty if is_legal else ZERO
