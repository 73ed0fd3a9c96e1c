"""A fixed part of the equity at risk per trade, and the smaller of several opinions."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from core.money import ZERO

__all__ = ["composite", "fixed_fractional"]


def fixed_fractional(equity: Decimal, risk_fraction: Decimal, entry_price: Decimal, stop_price: Decimal | None, multiplier: Decimal = Decimal(1)) -> Decimal | None:
    """The quantity that loses `risk_fraction` of the equity between entry and stop: risk / (|entry - stop| x multiplier).

    None without a stop, or with one at the entry: then nobody can say what is at risk. Example: 100,000 at 1 % with an entry at 50
    and a stop at 48 is 1,000 / 2 = 500 units.
    """
    if not 0 < risk_fraction <= 1:
        raise ValueError(f"risk_fraction: {risk_fraction} is not allowed, it must be above 0 and at most 1")
    if entry_price <= 0 or multiplier <= 0:
        raise ValueError(f"entry_price and multiplier: {entry_price} and {multiplier} are not allowed, they must be above 0")
    if stop_price is None or stop_price == entry_price or equity <= 0:
        return None
    return equity * risk_fraction / (abs(entry_price - stop_price) * multiplier)


def composite(sizes: Iterable[Decimal | None]) -> Decimal | None:
    """The smallest of several sizes, never below zero; None when one of them has no evidence, or when there are none."""
    found = list(sizes)
    known = [size for size in found if size is not None]
    return max(min(known), ZERO) if known and len(known) == len(found) else None
