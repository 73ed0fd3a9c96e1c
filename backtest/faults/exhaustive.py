"""The exhaustive mode: one short scenario, and a death at every single point of it, one run for each.

Points are counted by running the scenario once without any misfortune: before each action of each daemon (which stands for after the
action before it as well), inside each commit, and during each recovery that a death there leads to.
"""

from __future__ import annotations

from collections.abc import Iterable

from backtest.faults.lifecycle import LifecycleReport, run_lifecycle
from backtest.faults.plan import no_faults
from backtest.faults.schedule import Fault
from backtest.faults.suite import Workload
from core.settings import Settings
from core.topics import Daemon

__all__ = ["SHORT", "crash_points", "run_point"]

SHORT = Workload(bars=4, wishing_bars=3, activity=1.0)
_KINDS = ("crash", "torn commit", "disk error")


def crash_points(shipped: Settings, seed: int) -> dict[Fault, tuple[Fault, ...]]:
    """Every point of the short scenario, each with the misfortunes of its run: the death, and for a death also one that is followed by another during recovery."""
    asked = run_lifecycle(shipped, seed, workload=SHORT, script=(), plan=no_faults()).asked
    points: dict[Fault, tuple[Fault, ...]] = {}
    for daemon in Daemon:
        for kind in _KINDS:
            name = f"{kind}/{daemon.value}"
            for ordinal in range(1, asked.get(name, 0) + 1):
                death = Fault(name, ordinal)
                # The first recovery of a daemon is its start; the one after the death is the second.
                again = (Fault(f"recovery crash/{daemon.value}", 2),) if ordinal % 3 == 0 else ()
                points[death] = (death, *again)
    return points


def run_point(shipped: Settings, seed: int, faults: Iterable[Fault]) -> LifecycleReport:
    """The short scenario with exactly these misfortunes."""
    return run_lifecycle(shipped, seed, workload=SHORT, script=faults, plan=no_faults())
