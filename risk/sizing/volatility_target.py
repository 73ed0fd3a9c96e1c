"""Leverage that keeps the book's volatility where it should be."""

from __future__ import annotations

from math import isfinite

__all__ = ["volatility_target"]


def volatility_target(volatility: float | None, target: float, leverage_max: float = 1.0) -> float | None:
    """The leverage target / volatility, both per the same period, at most `leverage_max`.

    None without a volatility, or with one that is not above zero: a quiet or missing measurement is no licence for any size.
    Example: a target of 10 % a year at a measured 20 % is half the capital.
    """
    if not target > 0 or not leverage_max > 0:
        raise ValueError(f"target and leverage_max: {target} and {leverage_max} are not allowed, they must be above 0")
    if volatility is None or not isfinite(volatility) or volatility <= 0:
        return None
    return min(target / volatility, leverage_max)
