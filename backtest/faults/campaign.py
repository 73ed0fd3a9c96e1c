"""Many seeds of the order-lifecycle campaign: what happened in them, which failed, and what a failure comes down to."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from functools import partial

import msgspec

from backtest.faults.exhaustive import run_point
from backtest.faults.lifecycle import LifecycleReport, run_lifecycle
from backtest.faults.schedule import Fault
from backtest.faults.shrink import shrink
from core.settings import Settings

__all__ = ["CampaignReport", "FailureReport", "joined", "run_again", "run_points", "run_seeds", "shrunk"]

_COLLECT_EVERY = 25


class CampaignReport(msgspec.Struct):
    """Seeds that were run, what happened in them by kind, how many events that was, and the reports of those that failed."""

    seeds: int = 0
    events: int = 0
    healed_ms_max: int = 0
    seen: dict[str, int] = msgspec.field(default_factory=dict)
    failed: list[LifecycleReport] = msgspec.field(default_factory=list)


class FailureReport(msgspec.Struct, frozen=True):
    """One failure, ready to be told again: `faults` is the smallest schedule that still breaks, `problems` and `lines` are what it gives.

    `is_point` says that it is a point of the short scenario.
    """

    seed: int
    is_point: bool
    config_hash: str
    problems: tuple[str, ...]
    faults: tuple[Fault, ...]
    faults_before: int
    replay: str
    lines: tuple[str, ...]


def run_seeds(shipped: Settings, seeds: Sequence[int], without: Collection[str] = (), failures_max: int = 0) -> CampaignReport:
    """Run these seeds, at most until so many have failed (0: all of them)."""
    return _run([partial(run_lifecycle, shipped, seed, without=without) for seed in seeds], failures_max)


def _run(runs: Sequence[Callable[[], LifecycleReport]], failures_max: int) -> CampaignReport:
    report = CampaignReport()
    # A run makes many values and few cycles: the collector is asked now and then instead of all the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for k, run in enumerate(runs, 1):
            _add(report, run())
            if k % _COLLECT_EVERY == 0:
                gc.collect()
            if failures_max and len(report.failed) >= failures_max:
                break
    finally:
        if was_enabled:
            gc.enable()
    return report


def joined(reports: Sequence[CampaignReport]) -> CampaignReport:
    """Several parts of a campaign as one."""
    whole = CampaignReport()
    for part in reports:
        whole.seeds += part.seeds
        whole.events += part.events
        whole.healed_ms_max = max(whole.healed_ms_max, part.healed_ms_max)
        whole.failed += part.failed
        for kind, count in part.seen.items():
            whole.seen[kind] = whole.seen.get(kind, 0) + count
    whole.failed.sort(key=lambda failed: failed.seed)
    return whole


def run_points(shipped: Settings, seed: int, points: Sequence[tuple[Fault, ...]], failures_max: int = 0) -> CampaignReport:
    """Run these points of the short scenario."""
    return _run([partial(run_point, shipped, seed, faults) for faults in points], failures_max)


def run_again(shipped: Settings, seed: int, faults: Sequence[Fault], *, is_point: bool) -> LifecycleReport:
    """A run with exactly these misfortunes."""
    return run_point(shipped, seed, faults) if is_point else run_lifecycle(shipped, seed, script=faults)


def shrunk(shipped: Settings, config_hash: str, report: LifecycleReport, replay: str, *, is_point: bool) -> FailureReport:
    """What a failure comes down to: the same invariant broken by as few misfortunes as possible."""
    wanted = _kind_of(report)

    def fails(faults: Sequence[Fault]) -> bool:
        return _kind_of(run_again(shipped, report.seed, faults, is_point=is_point)) == wanted

    needed = shrink(report.faults, fails)
    again = run_again(shipped, report.seed, needed, is_point=is_point)
    return FailureReport(report.seed, is_point, config_hash, again.problems or report.problems, tuple(needed), len(report.faults), replay, again.lines or report.lines)


def _kind_of(report: LifecycleReport) -> str:
    """The first problem's invariant: a shrunk schedule must break the same one, not just any."""
    return report.problems[0].partition(":")[0] if report.problems else ""


def _add(report: CampaignReport, one: LifecycleReport) -> None:
    report.seeds += 1
    report.events += one.events
    report.healed_ms_max = max(report.healed_ms_max, one.healed_ms)
    for kind, count in one.seen.items():
        report.seen[kind] = report.seen.get(kind, 0) + count
    if one.problems:
        report.failed.append(one)
