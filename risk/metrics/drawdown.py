"""The deepest fall of an equity curve."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from risk.metrics.samples import samples_of

__all__ = ["Drawdown", "max_drawdown"]


class Drawdown(NamedTuple):
    """`depth` is the fraction lost from the peak (0.2 is a fifth); `peak`, `trough` and `recovery` are positions in the curve.

    `recovery` is the first point at or above the peak again, None while there is none. A curve that never falls has depth 0.
    """

    depth: float
    peak: int
    trough: int
    recovery: int | None


def max_drawdown(equity: npt.ArrayLike) -> Drawdown:
    """The deepest fall from a peak of an equity curve in money, all of it above zero; the first one of several equal ones."""
    curve = samples_of("equity", equity, 1)
    if curve.min() <= 0:
        raise ValueError(f"equity: {curve.min():g} is not allowed, a share of nothing cannot be lost: equity must be above 0")
    peaks = np.maximum.accumulate(curve)
    falls = 1 - curve / peaks
    trough = int(falls.argmax())
    peak = int(np.argmax(curve[: trough + 1] == peaks[trough]))
    later = np.flatnonzero(curve[trough:] >= peaks[trough])
    recovery = trough + int(later[0]) if later.size and falls[trough] else None
    return Drawdown(float(falls[trough]), peak, trough, recovery)
