"""Value at risk and conditional value at risk (expected shortfall), by four methods.

Of n returns the tail at confidence c holds (1 - c)n of them. With k the smallest whole number that covers it, the historical
value at risk is the k-th worst return, and its conditional value at risk the mean over the tail, where the k-th counts with the
part of it that the tail covers (Acerbi and Tasche 2002, "On the coherence of expected shortfall", definition 2.6). Both come from
one selection of the k worst, not from a sort.

The parametric method takes a normal distribution. Cornish and Fisher (1938) bend its quantiles by skewness and excess kurtosis;
the expected shortfall is the mean of those bent quantiles over the tail. Where a worse quantile would be bent into a smaller loss
(Maillard 2012, "A user's guide to the Cornish Fisher expansion", on its domain of validity) the method refuses. Monte Carlo draws from a Student
t with the sample's mean, deviation and kurtosis, so its tails are the sample's and not the normal's.
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil, exp, isfinite, pi, sqrt
from statistics import NormalDist
from typing import Literal, NamedTuple, assert_never

import numpy as np
import numpy.typing as npt

from risk.metrics.samples import Floats, require_finite, row_of, samples_of

__all__ = ["Method", "TailRisk", "conditional_value_at_risk", "value_at_risk", "var_cvar"]

Method = Literal["historical", "parametric", "cornish_fisher", "monte_carlo"]

_DRAWS = 100_000
_SEED = 20_081_015
# A Student t has a fourth moment only above four degrees of freedom, and is a normal in all but name far above that.
_FREEDOM_MIN, _FREEDOM_MAX = 4.05, 200.0
_NORMAL = NormalDist()
# One return in a thousand million lies beyond six deviations: what the expansion does there weighs nothing.
_FAR_END = -6.0


class TailRisk(NamedTuple):
    """Both measures as fractions, losses positive. `cvar` is never below `var`."""

    var: float
    cvar: float


class _Moments(NamedTuple):
    mean: float
    deviation: float
    skewness: float
    excess_kurtosis: float


def value_at_risk(returns: npt.ArrayLike, confidence: float = 0.95, method: Method = "historical") -> float:
    """The loss that is passed in no more than 1 - `confidence` of the periods."""
    return var_cvar(returns, confidence, method).var


def conditional_value_at_risk(returns: npt.ArrayLike, confidence: float = 0.95, method: Method = "historical") -> float:
    """The mean loss in the worst 1 - `confidence` of the periods."""
    return var_cvar(returns, confidence, method).cvar


def var_cvar(returns: npt.ArrayLike, confidence: float = 0.95, method: Method = "historical", *, draws: int = _DRAWS, seed: int = _SEED) -> TailRisk:
    """Both measures of returns per period at a confidence between 0.5 and 1.

    `draws` and `seed` are Monte Carlo's: equal seeds give equal answers. ValueError when the returns cannot carry the answer: a
    tail of less than one return, a sample without deviation, a shape outside Cornish and Fisher's domain.
    """
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence: {confidence} is not allowed, it must lie between 0.5 and 1")
    tail = 1 - Decimal(str(confidence))
    match method:
        case "historical":
            return _historical(row_of("returns", returns, ceil(1 / tail)), tail)
        case "parametric":
            return _of_quantiles(_moments(returns), float(tail), 0.0, 0.0)
        case "cornish_fisher":
            return _cornish_fisher(_moments(returns), float(tail))
        case "monte_carlo":
            return _historical(_student(_moments(returns), draws, seed), tail)
        case _:
            assert_never(method)


def _historical(returns: Floats, tail: Decimal) -> TailRisk:
    covered = tail * returns.size
    k = ceil(covered)
    parted = np.partition(returns, k - 1)
    edge = float(parted[k - 1])
    total = float(parted[: k - 1].sum()) + edge * float(covered - (k - 1))
    # What is no number lies behind all numbers, and so does infinity: the tail and the largest of the rest tell of both.
    if not isfinite(total) or not isfinite(parted[k - 1 :].max()):
        require_finite("returns", returns)
    # Rounding in the last place must not put the mean of the tail above its edge.
    return TailRisk(-edge, max(-total / float(covered), -edge))


def _moments(returns: npt.ArrayLike) -> _Moments:
    found = samples_of("returns", returns, 4)
    mean = float(found.mean())
    centred = found - mean
    deviation = float(np.sqrt(np.square(centred).mean()))
    if deviation <= abs(mean) * 1e-12:
        raise ValueError("returns: all of them are equal, a sample with a deviation is required")
    scaled = centred / deviation
    return _Moments(mean, deviation * sqrt(found.size / (found.size - 1)), float((scaled**3).mean()), float((scaled**4).mean()) - 3.0)


def _cornish_fisher(moments: _Moments, tail: float) -> TailRisk:
    skewness, kurtosis = moments.skewness, moments.excess_kurtosis
    curve, slope, level = kurtosis / 8 - skewness**2 / 6, skewness / 3, 1 - kurtosis / 8 + 5 * skewness**2 / 36
    # The slope of the bent quantiles is a parabola in the normal's: it must stay above zero from the tail's edge to its far end.
    looked_at = [_FAR_END, _NORMAL.inv_cdf(tail)]
    if curve and _FAR_END < (vertex := -slope / (2 * curve)) < looked_at[1]:
        looked_at.append(vertex)
    if min(level + slope * z + curve * z * z for z in looked_at) <= 0:
        raise ValueError(
            f"returns: skewness {skewness:.3g} and excess kurtosis {kurtosis:.3g} lie outside the Cornish-Fisher expansion's domain, the method historical or monte_carlo is required"
        )
    return _of_quantiles(moments, tail, skewness, kurtosis)


def _of_quantiles(moments: _Moments, tail: float, skewness: float, kurtosis: float) -> TailRisk:
    """From the normal's quantile at the tail, bent; and from the means of its powers over the tail, bent the same way."""
    z = _NORMAL.inv_cdf(tail)
    hazard = exp(-z * z / 2) / sqrt(2 * pi) / tail
    means = (-hazard, 1 - z * hazard, -(z * z + 2) * hazard)
    var = -(moments.mean + moments.deviation * _bent(z, z * z, z**3, skewness, kurtosis))
    cvar = -(moments.mean + moments.deviation * _bent(*means, skewness, kurtosis))
    return TailRisk(var, cvar)


def _bent(first: float, second: float, third: float, skewness: float, kurtosis: float) -> float:
    """The Cornish-Fisher expansion in the first three powers of a quantile."""
    return first + (second - 1) * skewness / 6 + (third - 3 * first) * kurtosis / 24 - (2 * third - 5 * first) * skewness**2 / 36


def _student(moments: _Moments, draws: int, seed: int) -> Floats:
    if draws < 1_000:
        raise ValueError(f"draws: {draws} is too few, at least 1000 are required")
    freedom = min(_FREEDOM_MAX, max(_FREEDOM_MIN, 4 + 6 / moments.excess_kurtosis)) if moments.excess_kurtosis > 0 else _FREEDOM_MAX
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_t(freedom, draws)
    return np.asarray(moments.mean + moments.deviation * drawn / sqrt(freedom / (freedom - 2)), dtype=np.float64)
