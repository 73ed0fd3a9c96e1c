"""`njord simulate`: seeds of the fault simulator, with what happened in them, and what a failure comes down to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console

from apps.cli.progress import shown_progress
from apps.cli.render import print_table
from apps.runtime.settings_loader import LoadedSettings, load_settings
from backtest.faults.campaign import CampaignReport, FailureReport, joined, run_again, run_points, run_seeds, shrunk
from backtest.faults.coverage import SEEDS_ENOUGH, never_happened
from backtest.faults.delivery import DeliveryReport, run_delivery
from backtest.faults.exhaustive import crash_points
from backtest.faults.lifecycle import LifecycleReport, run_lifecycle
from backtest.faults.regressions import REGRESSIONS
from backtest.faults.schedule import Fault
from core.settings import Settings

__all__ = ["Wish", "cores", "replay_failure", "run_simulation", "show_seed"]

_CHUNK = 20
_SHOWN_MAX = 5


class Wish(NamedTuple):
    """What is to be run: a campaign (lifecycle, points, delivery) over so many seeds from `first` on, by so many processes, without some kinds of fault, at most until
    so many seeds have failed (0: all are run)."""

    campaign: str = "lifecycle"
    first: int = 0
    seeds: int = 200
    jobs: int = 1
    without: tuple[str, ...] = ()
    failures_max: int = 0


def cores() -> int:
    """How many processes this host runs at once."""
    return len(os.sched_getaffinity(0))


def run_simulation(wish: Wish, as_json: bool, results: Path, console: Console) -> int:
    """Run a campaign; a failing seed is shrunk, written under `results`, and printed with what broke and the command that shows it again.

    The order-lifecycle campaign begins with the seeds that failed once. It is red as well when, over many seeds, something never happened
    that it has to prove something about.
    """
    if wish.campaign == "delivery":
        return _run_link_campaign(wish, as_json, console)
    loaded = load_settings(environment="test")
    began = time.monotonic()
    report = _run_parts(wish, _work_of(wish, loaded.settings), console)
    took_s = time.monotonic() - began
    missing = never_happened(report.seen) if wish.campaign == "lifecycle" and report.seeds >= SEEDS_ENOUGH and not wish.without else []
    failures = [_written(loaded, failed, results, wish) for failed in report.failed[:_SHOWN_MAX]]
    if as_json:
        told = {"campaign": wish.campaign, "first": wish.first, "seeds": report.seeds, "events": report.events, "seconds": round(took_s, 1), "seen": report.seen}
        print(msgspec.json.encode(told | {"failed": [f.seed for f in report.failed], "failures": failures, "never_happened": missing}).decode())
        return 1 if report.failed or missing else 0
    title = f"{report.seeds} {_unit(wish)} from {wish.first}: {len(report.failed)} failed; {report.seeds / took_s:.1f} a second, {report.events // max(1, report.seeds)} events each, at rest within {report.healed_ms_max} ms"
    print_table(console, title, ("what happened", "times "), ((kind, str(count)) for kind, count in sorted(report.seen.items())))
    for failure in failures:
        _print_failure(failure, console)
    if missing:
        console.print(f"RED: this never happened in {report.seeds} seeds: {', '.join(missing)}", markup=False, highlight=False, soft_wrap=True)
    return 1 if report.failed or missing else 0


def show_seed(seed: int, as_json: bool, console: Console) -> int:
    """One seed of the order-lifecycle campaign: its misfortunes, the end of its trace, and what broke."""
    return _show(run_lifecycle(load_settings(environment="test").settings, seed), as_json, console)


def replay_failure(file: Path, as_json: bool, console: Console) -> int:
    """The shrunk schedule of a failure that was written down, run again."""
    failure = msgspec.json.decode(file.read_bytes(), type=FailureReport)
    loaded = load_settings(environment="test")
    if loaded.config_hash != failure.config_hash:
        console.print(f"the configuration is another one by now ({loaded.config_hash}, then {failure.config_hash})", markup=False, highlight=False)
    return _show(run_again(loaded.settings, failure.seed, failure.faults, is_point=failure.is_point), as_json, console)


def _show(report: LifecycleReport, as_json: bool, console: Console) -> int:
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        for line in report.lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        for fault in report.faults:
            console.print(f"fault: {fault.kind} ({fault.ordinal})", markup=False, highlight=False)
        told = f"seed {report.seed}: {report.events} events, at rest after {report.healed_ms} ms, trace {report.trace_hash}, {len(report.problems)} problems"
        console.print(told, markup=False, highlight=False)
        for problem in report.problems:
            console.print(problem, markup=False, highlight=False, soft_wrap=True)
    return 1 if report.problems else 0


_Part = Sequence[int] | Sequence[tuple[Fault, ...]]


def _unit(wish: Wish) -> str:
    return "points" if wish.campaign == "points" else "seeds"


def _work_of(wish: Wish, shipped: Settings) -> _Part:
    """Every seed, those that failed once first; or every point of the short scenario."""
    if wish.campaign == "points":
        return list(crash_points(shipped, wish.first).values())
    return [*(seed for seed in REGRESSIONS if wish.first == 0), *range(wish.first, wish.first + wish.seeds)]


def _run_parts(wish: Wish, work: _Part, console: Console) -> CampaignReport:
    """The campaign in pieces, by one process or by many; pieces are the same whoever runs them."""
    parts = [work[start : start + _CHUNK] for start in range(0, len(work), _CHUNK)]
    found: list[CampaignReport] = []
    failed = done = 0
    with shown_progress(console, len(work), wish.campaign, _unit(wish)) as show:
        for part in _each_part(wish, parts):
            found.append(part)
            failed, done = failed + len(part.failed), done + part.seeds
            show(done, f"{failed} failed" if failed else "")
            if wish.failures_max and failed >= wish.failures_max:
                break
    return joined(found)


def _each_part(wish: Wish, parts: Sequence[_Part]) -> Iterator[CampaignReport]:
    jobs = min(wish.jobs, len(parts))
    if jobs <= 1:
        yield from (_run_part(part, wish) for part in parts)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    try:
        for future in [pool.submit(_run_part, list(part), wish) for part in parts]:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _run_part(part: Any, wish: Wish) -> CampaignReport:
    settings = _settings()
    if wish.campaign == "points":
        return run_points(settings, wish.first, part, wish.failures_max)
    return run_seeds(settings, part, wish.without, wish.failures_max)


@cache
def _settings() -> Settings:
    """The shipped configuration, read once by each process."""
    return load_settings(environment="test").settings


def _written(loaded: LoadedSettings, failed: LifecycleReport, results: Path, wish: Wish) -> FailureReport:
    """The failure shrunk, and written where it can be run again from."""
    name = "-".join((str(failed.seed), *(f"{fault.kind.replace('/', '_').replace(' ', '_')}_{fault.ordinal}" for fault in failed.faults if wish.campaign == "points")))
    path = results / f"{wish.campaign}-{name}.json"
    failure = shrunk(loaded.settings, loaded.config_hash, failed, f"njord simulate --replay {path}", is_point=wish.campaign == "points")
    results.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(failure)))
    return failure


def _print_failure(failure: FailureReport, console: Console) -> None:
    lines = [
        f"seed {failure.seed}: {failure.problems[0]}",
        f"  by {len(failure.faults)} of {failure.faults_before} faults: {', '.join(f'{f.kind} ({f.ordinal})' for f in failure.faults)}",
    ]
    for line in (*lines, f"  again: {failure.replay}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _run_link_campaign(wish: Wish, as_json: bool, console: Console) -> int:
    """The delivery campaign: a chain of relays on the same wire."""
    seen: dict[str, int] = {}
    failed: list[DeliveryReport] = []
    with shown_progress(console, wish.seeds, wish.campaign, "seeds") as show:
        for seed in range(wish.first, wish.first + wish.seeds):
            report = run_delivery(seed)
            for kind, count in report.seen.items():
                seen[kind] = seen.get(kind, 0) + count
            if report.problems:
                failed.append(report)
            show(seed + 1 - wish.first, f"{len(failed)} failed" if failed else "")
    if as_json:
        print(msgspec.json.encode({"campaign": wish.campaign, "first": wish.first, "seeds": wish.seeds, "seen": seen, "failed": failed}).decode())
        return 1 if failed else 0
    print_table(console, f"{wish.seeds} seeds from {wish.first}: {len(failed)} failed", ("what happened", "times "), ((kind, str(count)) for kind, count in sorted(seen.items())))
    for report in failed:
        again = f"njord simulate --campaign delivery --first {report.seed} --seeds 1"
        console.print(f"seed {report.seed}: {report.problems[0]}\n  again: {again}", markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0
