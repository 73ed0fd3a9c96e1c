"""How much returns vary, alone and with a market."""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from risk.metrics.samples import samples_of

__all__ = ["beta", "ewma_volatility", "volatility"]


def volatility(returns: npt.ArrayLike, periods_per_year: float | None = None) -> float:
    """The sample standard deviation per period; per year when told how many periods a year has (252 days, 365 for crypto)."""
    found = samples_of("returns", returns, 2)
    return float(found.std(ddof=1)) * _scale(periods_per_year)


def ewma_volatility(returns: npt.ArrayLike, decay: float = 0.94, periods_per_year: float | None = None) -> float:
    """The exponentially weighted volatility of the last period, newest return last, with zero mean.

    RiskMetrics (J.P. Morgan/Reuters 1996) takes a decay of 0.94 for days; the first return starts the recursion.
    """
    if not 0 < decay < 1:
        raise ValueError(f"decay: {decay} is not allowed, it must lie between 0 and 1")
    found = samples_of("returns", returns, 2)
    squares = np.square(found)
    weights = (1 - decay) * decay ** np.arange(found.size - 2, -1, -1, dtype=np.float64)
    variance = float(weights @ squares[1:]) + float(squares[0]) * decay ** (found.size - 1)
    return sqrt(variance) * _scale(periods_per_year)


def beta(returns: npt.ArrayLike, market: npt.ArrayLike) -> float:
    """The slope of returns on the market's returns of the same periods: covariance by the market's variance."""
    ours, theirs = samples_of("returns", returns, 2), samples_of("market", market, 2)
    if ours.size != theirs.size:
        raise ValueError(f"returns and market: {ours.size} and {theirs.size} numbers were given, as many of each are required")
    centred = theirs - theirs.mean()
    variance = float(centred @ centred)
    if not variance:
        raise ValueError("market: all returns are equal, a market that moves is required")
    return float((ours - ours.mean()) @ centred) / variance


def _scale(periods_per_year: float | None) -> float:
    if periods_per_year is None:
        return 1.0
    if not periods_per_year > 0:
        raise ValueError(f"periods_per_year: {periods_per_year} is not allowed, it must be above 0")
    return sqrt(periods_per_year)
