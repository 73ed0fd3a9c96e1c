"""Value at risk and its conditional: exact to a full sort, with worked examples for every method."""

from __future__ import annotations

from decimal import Decimal
from math import ceil, exp, inf, nan, pi, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk.metrics import conditional_value_at_risk, value_at_risk, var_cvar
from risk.metrics.tail import Method

_METHODS: tuple[Method, ...] = ("historical", "parametric", "cornish_fisher", "monte_carlo")


def _normal_sample(count: int = 4_001) -> list[float]:
    """The quantiles of a normal with mean 0.001 and deviation 0.02, evenly spaced: a sample without chance in it."""
    normal = NormalDist(0.001, 0.02)
    return [normal.inv_cdf((k + 0.5) / count) for k in range(count)]


def test_the_worst_returns_are_counted_when_the_tail_is_whole() -> None:
    """Of a hundred returns from -0.50 to 0.49 the five worst are the tail at 95 %: the fifth is -0.46, their mean -0.48."""
    returns = [k / 100 for k in range(49, -51, -1)]
    assert var_cvar(returns, 0.95) == pytest.approx((0.46, 0.48))


def test_the_edge_counts_in_part_when_the_tail_is_not_whole() -> None:
    """Thirty returns at 95 % have a tail of one and a half: the worst whole, the second with its half (Acerbi and Tasche)."""
    returns = [-0.10, -0.04] + [0.01] * 28
    assert var_cvar(returns, 0.95) == pytest.approx((0.04, (0.10 + 0.5 * 0.04) / 1.5))


@settings(max_examples=40)
@given(
    returns=st.lists(st.floats(-0.9, 0.9), min_size=100, max_size=400),
    confidence=st.sampled_from([0.9, 0.95, 0.975, 0.99]),
)
def test_the_selection_is_exact_to_a_full_sort(returns: list[float], confidence: float) -> None:
    """Whatever the returns, ties included: the selected edge is the sorted one, the mean is that of the sorted tail."""
    ordered = sorted(returns)
    covered = (1 - Decimal(str(confidence))) * len(returns)
    k = ceil(covered)
    mean = (sum(ordered[: k - 1]) + ordered[k - 1] * float(covered - k + 1)) / float(covered)
    found = var_cvar(returns, confidence)
    assert found.var == -ordered[k - 1]
    assert found.cvar == pytest.approx(-mean, abs=1e-12)
    assert found.cvar >= found.var


def test_the_number_of_worst_returns_is_no_victim_of_binary_fractions() -> None:
    """(1 - 0.95) x 1000 is fifty, not fifty and a bit: the edge is the fiftieth."""
    returns = [-k / 1000 for k in range(1000)]
    assert value_at_risk(returns, 0.95) == 0.95
    assert value_at_risk(returns, 0.99) == 0.99


def test_the_normals_own_quantile_is_found_when_the_sample_is_normal() -> None:
    """Parametric: 1.645 deviations below the mean, and the density over the tail for its mean."""
    normal, sample = NormalDist(0.001, 0.02), _normal_sample()
    deviation = float(np.std(sample, ddof=1))
    z = NormalDist().inv_cdf(0.05)
    hazard = exp(-z * z / 2) / sqrt(2 * pi) / 0.05
    found = var_cvar(sample, 0.95, "parametric")
    assert found.var == pytest.approx(-(0.001 + deviation * z))
    assert found.cvar == pytest.approx(-0.001 + deviation * hazard)
    assert found.var == pytest.approx(-normal.inv_cdf(0.05), rel=1e-3)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("method", _METHODS)
def test_all_methods_agree_when_the_sample_is_normal(method: Method, confidence: float) -> None:
    """They differ in what they assume about tails, and here the assumption of each is true."""
    found = var_cvar(_normal_sample(), confidence, method)
    expected = var_cvar(_normal_sample(), confidence, "parametric")
    assert found == pytest.approx(expected, rel=0.03)


def test_cornish_fisher_bends_quantiles_as_published() -> None:
    """z = -1.6449 with skewness -0.3 and excess kurtosis 0.5 becomes -1.7396 by the expansion's own formula."""
    rng = np.random.Generator(np.random.PCG64(5))
    sample = rng.gamma(30.0, 1.0, 5_000) * -0.01
    centred = sample - sample.mean()
    deviation = centred.std()
    skewness, kurtosis = float(((centred / deviation) ** 3).mean()), float(((centred / deviation) ** 4).mean()) - 3
    z = NormalDist().inv_cdf(0.05)
    bent = z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skewness**2 / 36
    found = var_cvar(sample, 0.95, "cornish_fisher")
    assert found.var == pytest.approx(-(sample.mean() + sample.std(ddof=1) * bent))
    # The mean of the bent quantiles over the tail, by brute force.
    grid = (np.arange(200_000) + 0.5) / 200_000 * 0.05
    zs = np.array([NormalDist().inv_cdf(u) for u in grid[::50]])
    tail = zs + (zs**2 - 1) * skewness / 6 + (zs**3 - 3 * zs) * kurtosis / 24 - (2 * zs**3 - 5 * zs) * skewness**2 / 36
    assert found.cvar == pytest.approx(-(sample.mean() + sample.std(ddof=1) * tail.mean()), rel=2e-3)


def test_cornish_fisher_refuses_when_its_quantiles_would_cross() -> None:
    """One crash among quiet days: the expansion would call a worse quantile a smaller loss, so it gives no number at all."""
    sample = [0.001, -0.001] * 100 + [-0.3]
    with pytest.raises(ValueError, match="outside the Cornish-Fisher expansion's domain"):
        var_cvar(sample, 0.95, "cornish_fisher")


def test_monte_carlo_repeats_itself_and_has_the_samples_tails() -> None:
    """Equal seeds, equal answers; fat tails make the far loss larger than the normal's."""
    sample = np.random.Generator(np.random.PCG64(3)).standard_t(5, 20_000) * 0.01
    assert var_cvar(sample, 0.99, "monte_carlo") == var_cvar(sample, 0.99, "monte_carlo")
    assert var_cvar(sample, 0.99, "monte_carlo") != var_cvar(sample, 0.99, "monte_carlo", seed=1)
    assert conditional_value_at_risk(sample, 0.99, "monte_carlo") > conditional_value_at_risk(sample, 0.99, "parametric")
    assert conditional_value_at_risk(sample, 0.99, "monte_carlo") == pytest.approx(conditional_value_at_risk(sample, 0.99), rel=0.15)


def test_both_measures_come_from_the_same_call() -> None:
    """The two names are the two fields."""
    sample = _normal_sample(500)
    assert (value_at_risk(sample), conditional_value_at_risk(sample)) == tuple(var_cvar(sample))


@pytest.mark.parametrize(
    ("returns", "confidence", "method", "problem"),
    [
        ([0.1] * 19, 0.95, "historical", "19 numbers were given, at least 20 are required"),
        ([0.1] * 99, 0.99, "historical", "99 numbers were given, at least 100 are required"),
        ([0.1, nan] * 20, 0.95, "historical", "number 1 is nan, only finite numbers are allowed"),
        ([0.1, 0.2, -inf] * 20, 0.95, "parametric", "number 2 is -inf"),
        ([[0.1, 0.2]] * 20, 0.95, "historical", "one row of numbers is required"),
        ([0.1] * 50, 0.95, "parametric", "all of them are equal"),
        ([0.1] * 50, 1.0, "historical", "confidence: 1.0 is not allowed"),
        ([0.1] * 50, 0.05, "historical", "confidence: 0.05 is not allowed"),
        ([], 0.95, "monte_carlo", "0 numbers were given"),
    ],
)
def test_what_cannot_carry_an_answer_is_refused(returns: list[float], confidence: float, method: Method, problem: str) -> None:
    """With what was given and what is required: a number from too little would be believed."""
    with pytest.raises(ValueError, match=problem):
        var_cvar(returns, confidence, method)


def test_finite_returns_of_any_size_are_taken() -> None:
    """A check by sums must not mistake large for infinite."""
    assert value_at_risk([1e308] * 19 + [-1e308], 0.95) == 1e308
