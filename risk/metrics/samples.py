"""Numbers as they come in: one checked array of floats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "matrix_of", "require_finite", "row_of", "samples_of"]

Floats = npt.NDArray[np.float64]


def samples_of(name: str, values: npt.ArrayLike, at_least: int) -> Floats:
    """The values as one row of floats; ValueError for another shape, for too few, and for what is no finite number."""
    found = row_of(name, values, at_least)
    # The sum is finite unless something is not, or is so large that only a second look can tell.
    with np.errstate(over="ignore", invalid="ignore"):
        looks_finite = np.isfinite(found.sum())
    if not looks_finite:
        require_finite(name, found)
    return found


def require_finite(name: str, found: Floats) -> None:
    """ValueError that names the first number that is none."""
    if not np.isfinite(found).all():
        worst = int(np.flatnonzero(~np.isfinite(found))[0])
        raise ValueError(f"{name}: number {worst} is {found[worst]}, only finite numbers are allowed")


def row_of(name: str, values: npt.ArrayLike, at_least: int) -> Floats:
    """The values as one row of floats, not looked at; ValueError for another shape and for too few."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"{name}: an array of shape {found.shape} was given, one row of numbers is required")
    if found.size < at_least:
        raise ValueError(f"{name}: {found.size} numbers were given, at least {at_least} are required")
    return found


def matrix_of(name: str, values: npt.ArrayLike) -> Floats:
    """A covariance matrix: square, symmetric, finite, with variances above zero; else ValueError."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not found.size:
        raise ValueError(f"{name}: an array of shape {found.shape} was given, a square matrix is required")
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: it holds what is no finite number")
    if not np.allclose(found, found.T, rtol=1e-8, atol=0.0):
        raise ValueError(f"{name}: it is not symmetric, a covariance matrix is")
    if (variances := np.diagonal(found)).min() <= 0:
        raise ValueError(f"{name}: variance {int(variances.argmin())} is {variances.min():g}, it must be above 0")
    return found
