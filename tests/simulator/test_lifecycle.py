"""The order-lifecycle campaign: invariants hold whatever fails, runs repeat themselves, and every misfortune has a switch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from apps.runtime.settings_loader import load_settings
from backtest.faults.coverage import MUST_HAPPEN
from backtest.faults.exhaustive import crash_points, run_point
from backtest.faults.lifecycle import LifecycleReport, run_lifecycle
from backtest.faults.plan import FAULT_KINDS, LIES, no_faults, plan_of
from backtest.faults.regressions import REGRESSIONS
from backtest.faults.schedule import Fault

SHIPPED = load_settings(environment="test").settings
EVERY_POINT = 12


def _failures(reports: list[LifecycleReport]) -> list[tuple[int, str]]:
    return [(report.seed, report.problems[0]) for report in reports if report.problems]


def test_invariants_hold_whatever_fails() -> None:
    """The seeds that failed once, and some more; `make sim-campaign` runs thousands."""
    reports = [run_lifecycle(SHIPPED, seed) for seed in (*REGRESSIONS, *range(60))]
    assert _failures(reports) == []
    assert sum(len(report.faults) for report in reports) > 500


def test_nothing_is_found_when_nothing_goes_wrong() -> None:
    """And the suite does trade."""
    report = run_lifecycle(SHIPPED, 1, script=(), plan=no_faults())
    assert (report.problems, report.faults) == ((), ())
    assert report.seen["order SUBMITTED -> ACCEPTED"] > 3


def test_suite_is_right_when_it_dies_at_any_point() -> None:
    """A sample of the points of the short scenario; `make sim-points` walks through all of them."""
    points = list(crash_points(SHIPPED, 3).values())
    assert len(points) > 400
    reports = [run_point(SHIPPED, 3, faults) for faults in points[::EVERY_POINT]]
    assert _failures(reports) == []
    assert all(report.faults for report in reports)


def test_a_seed_gives_the_same_run_again() -> None:
    """Event by event."""
    for seed in (5, 12):
        assert run_lifecycle(SHIPPED, seed) == run_lifecycle(SHIPPED, seed)


def test_a_seed_gives_the_same_run_under_another_hash_seed() -> None:
    """Nothing hangs on the order of a set."""
    code = "from apps.runtime.settings_loader import load_settings as l\nfrom backtest.faults.lifecycle import run_lifecycle as r\nprint([r(l(environment='test').settings, s).trace_hash for s in (3, 8, 21)])"
    told = {subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout for seed in ("1", "2")}
    assert told == {f"{[run_lifecycle(SHIPPED, seed).trace_hash for seed in (3, 8, 21)]}\n"}


def test_a_script_of_all_its_faults_gives_the_same_run() -> None:
    """So a part of them is a part of that run: what shrinking rests on."""
    for seed in (0, 5):
        drawn = run_lifecycle(SHIPPED, seed)
        told = run_lifecycle(SHIPPED, seed, script=drawn.faults)
        assert drawn.faults
        assert (told.trace_hash, told.faults) == (drawn.trace_hash, drawn.faults)


def test_a_script_leaves_out_what_it_does_not_name() -> None:
    """One of a seed's faults, alone."""
    drawn = run_lifecycle(SHIPPED, 5)
    alone = drawn.faults[0]
    assert run_lifecycle(SHIPPED, 5, script=[alone]).faults == (alone,)
    assert run_lifecycle(SHIPPED, 5, script=[Fault("drop", 10**9)]).faults == ()


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_a_kind_of_fault_is_switched_off_alone(kind: str) -> None:
    """All others go on as they were drawn."""
    for seed in range(40):
        whole, without = _chances(seed, ()), _chances(seed, (kind,))
        assert kind not in {name for name, chance in without.items() if chance}
        dependent = set(LIES) if kind == "lies" else set()
        assert {name: chance for name, chance in whole.items() if name != kind and name not in dependent} == {n: c for n, c in without.items() if n != kind and n not in dependent}


def _chances(seed: int, without: tuple[str, ...]) -> dict[str, float]:
    plan = plan_of(seed, without)
    named = {name: getattr(part, name) for part in (plan.wire, plan.venue, plan.process) for name in part.__struct_fields__}
    return named | {"kill": plan.kill, "death": plan.death} | {name: plan.lies.get(name, 0.0) for name in LIES}


def test_an_unknown_kind_of_fault_is_refused() -> None:
    """Switching off what does not exist would look like switching something off."""
    with pytest.raises(KeyError, match="fault kind 'rain' is not known"):
        plan_of(1, ("rain",))


def test_everything_that_must_happen_happens() -> None:
    """In a few hundred seeds nearly all of the sometimes-ledger; a campaign of a thousand is red without all of it."""
    seen: set[str] = set()
    for seed in range(100, 180):
        seen |= run_lifecycle(SHIPPED, seed).seen.keys()
    missing = [what for what in MUST_HAPPEN if what not in seen]
    assert len(missing) < len(MUST_HAPPEN) // 4, missing
