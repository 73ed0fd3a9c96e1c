"""Portfolios from a covariance matrix: the conditions that define each hold, for examples and for any matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.sizing import diversification_ratio, maximum_diversification_weights, risk_budget_weights, risk_contributions, risk_parity_weights

Matrix = npt.NDArray[np.float64]


def _covariance(seed: int, size: int) -> Matrix:
    rng = np.random.Generator(np.random.PCG64(seed))
    factors = rng.normal(size=(size, size + 3))
    return np.asarray(factors @ factors.T / size * np.outer(scale := rng.uniform(0.05, 0.6, size), scale), dtype=np.float64)


def test_risk_parity_is_inverse_volatility_when_nothing_moves_together() -> None:
    """Twenty and ten per cent without correlation: a third and two thirds."""
    assert risk_parity_weights([[0.04, 0.0], [0.0, 0.01]]) == pytest.approx([1 / 3, 2 / 3])


@given(seed=st.integers(0, 2**31), size=st.integers(1, 12))
def test_every_asset_contributes_the_same_risk(seed: int, size: int) -> None:
    """The condition that defines risk parity, on any positive definite matrix."""
    covariance = _covariance(seed, size)
    weights = risk_parity_weights(covariance)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1)
    assert risk_contributions(weights, covariance) == pytest.approx([1 / size] * size, rel=1e-6)


@given(seed=st.integers(0, 2**31), size=st.integers(1, 10))
def test_every_asset_contributes_its_budget(seed: int, size: int) -> None:
    """Parts of any sum; the contributions are in their proportion."""
    covariance = _covariance(seed, size)
    budget = np.random.Generator(np.random.PCG64(seed + 1)).uniform(0.1, 5.0, size)
    weights = risk_budget_weights(covariance, budget)
    assert risk_contributions(weights, covariance) == pytest.approx(budget / budget.sum(), rel=1e-6)


@given(seed=st.integers(0, 2**31), size=st.integers(1, 8))
def test_no_other_portfolio_is_more_diversified(seed: int, size: int) -> None:
    """Held assets are equally correlated with the whole and the others no less: the condition of Choueifaty and Coignard's optimum."""
    covariance = _covariance(seed, size)
    weights = maximum_diversification_weights(covariance)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    with_the_whole = covariance @ weights / np.sqrt(np.diagonal(covariance)) / np.sqrt(weights @ covariance @ weights)
    held = weights > 1e-9
    assert with_the_whole[held] == pytest.approx([1 / diversification_ratio(weights, covariance)] * int(held.sum()), rel=1e-6)
    assert with_the_whole.min() >= 1 / diversification_ratio(weights, covariance) - 1e-7
    for other in np.random.Generator(np.random.PCG64(seed)).dirichlet(np.ones(size), 20):
        assert diversification_ratio(weights, covariance) >= diversification_ratio(other, covariance) - 1e-9


def test_two_assets_diversify_by_inverse_volatility_whatever_their_correlation() -> None:
    """Known in closed form."""
    assert maximum_diversification_weights([[0.04, 0.005], [0.005, 0.01]]) == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: risk_parity_weights([[1.0, 0.0]]), "a square matrix is required"),
        (lambda: risk_parity_weights([[1.0, 0.5], [0.4, 1.0]]), "it is not symmetric"),
        (lambda: risk_parity_weights([[1.0, 0.0], [0.0, 0.0]]), "variance 1 is 0, it must be above 0"),
        (lambda: risk_parity_weights([[float("nan")]]), "no finite number"),
        (lambda: risk_budget_weights([[1.0]], [0.5, 0.5]), "2 parts were given for 1 assets"),
        (lambda: risk_budget_weights([[1.0, 0.0], [0.0, 1.0]], [1.0, 0.0]), "part 1 is 0, every part must be above 0"),
        (lambda: risk_contributions([0.0], [[1.0]]), "the portfolio's variance is 0"),
    ],
)
def test_what_is_no_covariance_is_refused(call: object, problem: str) -> None:
    """With what is wrong with it."""
    assert callable(call)
    with pytest.raises(ValueError, match=problem):
        call()
