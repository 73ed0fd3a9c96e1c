"""Long-only portfolios from a covariance matrix alone, without forecasts of returns.

Risk budgeting solves min ½ x'Σx - Σ b ln x by cyclical coordinate descent (Griveau-Billion, Richard and Roncalli 2013, "A fast
algorithm for computing high-dimensional risk parity portfolios"); risk parity is the budget of equal parts (Maillard, Roncalli and
Teïletche 2010). Maximum diversification (Choueifaty and Coignard 2008) is the long-only minimum variance of the correlations,
scaled back by the volatilities, found by the same kind of descent.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import numpy.typing as npt

from risk.metrics.samples import Floats, matrix_of, samples_of

__all__ = ["diversification_ratio", "maximum_diversification_weights", "risk_budget_weights", "risk_contributions", "risk_parity_weights"]

_SWEEPS_MAX = 20_000
_TOLERANCE = 1e-13


def risk_parity_weights(covariance: npt.ArrayLike) -> Floats:
    """Weights above zero at which every asset contributes the same risk, in the order of the matrix."""
    matrix = matrix_of("covariance", covariance)
    return _budgeted(matrix, np.full(len(matrix), 1 / len(matrix)))


def risk_budget_weights(covariance: npt.ArrayLike, budget: npt.ArrayLike) -> Floats:
    """Weights above zero at which each asset contributes its part of the budget; parts above zero, of any sum."""
    matrix = matrix_of("covariance", covariance)
    parts = samples_of("budget", budget, 1)
    if parts.size != len(matrix):
        raise ValueError(f"budget: {parts.size} parts were given for {len(matrix)} assets, one for each is required")
    if parts.min() <= 0:
        raise ValueError(f"budget: part {int(parts.argmin())} is {parts.min():g}, every part must be above 0")
    return _budgeted(matrix, parts / parts.sum())


def maximum_diversification_weights(covariance: npt.ArrayLike) -> Floats:
    """Weights of at least zero with the largest ratio of the assets' weighted volatility to the portfolio's."""
    matrix = matrix_of("covariance", covariance)
    volatilities = np.sqrt(np.diagonal(matrix))
    correlations = matrix / np.outer(volatilities, volatilities)
    x = _settled(np.ones(len(matrix)), correlations, lambda i, others: max(0.0, 1 - others))
    return _normalised(x / volatilities)


def risk_contributions(weights: npt.ArrayLike, covariance: npt.ArrayLike) -> Floats:
    """Each asset's part of the portfolio's volatility; they sum to one."""
    w, matrix, variance = _portfolio(weights, covariance)
    return np.asarray(w * (matrix @ w) / variance, dtype=np.float64)


def diversification_ratio(weights: npt.ArrayLike, covariance: npt.ArrayLike) -> float:
    """The weighted volatility of the assets by the volatility of the portfolio: 1 for a single asset, more for less in common."""
    w, matrix, variance = _portfolio(weights, covariance)
    return float(w @ np.sqrt(np.diagonal(matrix))) / sqrt(variance)


def _portfolio(weights: npt.ArrayLike, covariance: npt.ArrayLike) -> tuple[Floats, Floats, float]:
    """The weights, the matrix, and the portfolio's variance, which is above zero."""
    matrix = matrix_of("covariance", covariance)
    w = samples_of("weights", weights, len(matrix))
    variance = float(w @ matrix @ w)
    if not variance > 0:
        raise ValueError(f"weights: the portfolio's variance is {variance:g}, it must be above 0")
    return w, matrix, variance


def _budgeted(matrix: Floats, budget: Floats) -> Floats:
    """Cyclical coordinate descent in units of volatility, where all variances are one."""
    volatilities = np.sqrt(np.diagonal(matrix))
    correlations = matrix / np.outer(volatilities, volatilities)
    x = _settled(np.sqrt(budget), correlations, lambda i, others: (-others + sqrt(others * others + 4 * float(budget[i]))) / 2)
    return _normalised(x / volatilities)


def _settled(x: Floats, correlations: Floats, best: Callable[[int, float], float]) -> Floats:
    """Each coordinate in turn put where `best` wants it, given what the others pull at it, until nothing moves any more."""
    for _ in range(_SWEEPS_MAX):
        before = x.copy()
        for i in range(x.size):
            x[i] = best(i, float(correlations[i] @ x) - x[i])
        if np.abs(x - before).max() <= _TOLERANCE * np.abs(x).max():
            return x
    raise ValueError("covariance: the descent does not settle, a positive definite matrix is required")


def _normalised(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(), dtype=np.float64)
