"""How much of a portfolio stands on how few legs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

__all__ = ["Concentration", "concentration"]


class Concentration(NamedTuple):
    """Of the gross value: the largest share and whose it is, the Herfindahl-Hirschman index (sum of squared shares, between 1/n
    and 1), and `effective`, the number of equal positions that would be as concentrated (the index's inverse)."""

    largest: str
    largest_share: float
    herfindahl: float
    effective: float


def concentration(values: Mapping[str, Decimal]) -> Concentration:
    """Of signed position values by name, long and short; ValueError when nothing is held."""
    sizes = {name: abs(float(value)) for name, value in values.items()}
    gross = sum(sizes.values())
    if not gross > 0:
        raise ValueError("values: nothing is held, at least one position with a value is required")
    shares = {name: size / gross for name, size in sizes.items()}
    largest = max(shares, key=lambda name: shares[name])
    herfindahl = sum(share * share for share in shares.values())
    return Concentration(largest, shares[largest], herfindahl, 1 / herfindahl)
