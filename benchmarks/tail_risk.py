"""Value at risk and its conditional on a million returns, beside the one selection they need: `python -m benchmarks.tail_risk`.

The floor is `numpy.partition` of the same array; the answer is compared with that of a full sort before anything is timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from risk.metrics import var_cvar

__all__ = ["main"]

_RETURNS = 1_000_000
_TAIL = _RETURNS // 20
_RUNS = 51


def _medians_ms(*calls: Callable[[], object]) -> list[float]:
    """Each call's median, all of them in turn so that what else the machine does meets all alike."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(_RUNS):
        for call, times in zip(calls, found, strict=True):
            began = time.perf_counter()
            call()
            times.append((time.perf_counter() - began) * 1e3)
    return [statistics.median(times) for times in found]


def main() -> int:
    """Print both medians and their ratio; 1 when the answer is not that of a sort."""
    returns = np.random.Generator(np.random.PCG64(1)).standard_t(4, _RETURNS) * 0.01
    ordered = np.sort(returns)
    found = var_cvar(returns, 0.95)
    if found.var != -ordered[_TAIL - 1] or abs(found.cvar + ordered[:_TAIL].mean()) > 1e-15 * _TAIL:
        print(f"var_cvar {found} is not the sorted {-ordered[_TAIL - 1]}, {-ordered[:_TAIL].mean()}")
        return 1
    floor, ours = _medians_ms(lambda: np.partition(returns, _TAIL - 1), lambda: var_cvar(returns, 0.95))
    print(f"var_cvar of {_RETURNS:,} returns: {ours:.2f} ms, numpy.partition {floor:.2f} ms, ratio {ours / floor:.2f} (medians of {_RUNS}); exact to a full sort")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
