"""`njord simulate`: what happened is counted, a failing seed is shrunk, written down and named with the command that shows it again."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from apps.cli import simulate
from apps.cli.simulate import Wish
from backtest.faults import campaign
from backtest.faults.delivery import DeliveryReport
from backtest.faults.lifecycle import LifecycleReport
from backtest.faults.schedule import Fault
from core.settings import Settings

GUILTY, INNOCENT = Fault("drop", 3), Fault("cut", 1)


def _run(wish: Wish, as_json: bool, results: Path) -> tuple[int, str]:
    stream = io.StringIO()
    return simulate.run_simulation(wish, as_json, results, Console(file=stream, width=200)), stream.getvalue()


def _report(seed: int, problems: tuple[str, ...], faults: Iterable[Fault], seen: dict[str, int]) -> LifecycleReport:
    return LifecycleReport(seed=seed, problems=problems, seen=seen, faults=tuple(faults), events=10, healed_ms=5, trace_hash="h", lines=("the last line",) if problems else ())


def _fails_at(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign in which one seed breaks an invariant, for one of two faults."""

    def run(shipped: Settings, now: int, *, script: Collection[Fault] | None = None, without: Collection[str] = ()) -> LifecycleReport:
        faults = (INNOCENT, GUILTY) if script is None else tuple(script)
        is_broken = now == seed and GUILTY in faults
        return _report(now, ("I1: execution [lost]",) if is_broken else (), faults, {"drop": 2})

    monkeypatch.setattr(campaign, "run_lifecycle", run)


def test_exit_code_is_one_when_a_seed_breaks_an_invariant(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With what broke, what it comes down to, and how to see it again, as a table and as JSON."""
    _fails_at(6, monkeypatch)
    code, text = _run(Wish(first=5, seeds=3), False, tmp_path)
    assert code == 1
    assert "3 seeds from 5: 1 failed" in text
    assert f"seed 6: I1: execution [lost]\n  by 1 of 2 faults: drop (3)\n  again: njord simulate --replay {tmp_path}/lifecycle-6.json" in text
    assert _run(Wish(first=5, seeds=3), True, tmp_path)[0] == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["first"], told["seeds"], told["seen"], told["failed"]) == (5, 3, {"drop": 6}, [6])
    written = msgspec.json.decode((tmp_path / "lifecycle-6.json").read_bytes(), type=campaign.FailureReport)
    assert (written.faults, written.lines, written.problems) == ((GUILTY,), ("the last line",), ("I1: execution [lost]",))
    assert written.config_hash


def test_campaign_stops_when_as_many_seeds_failed_as_wished(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What hunts one failure need not run on."""
    _fails_at(6, monkeypatch)
    assert _run(Wish(first=5, seeds=300, failures_max=1), True, tmp_path)[0] == 1
    assert json.loads(capsys.readouterr().out)["seeds"] == 2


def test_campaign_is_red_when_something_never_happened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A thousand green seeds in which nobody ever died prove nothing about dying."""
    _fails_at(-1, monkeypatch)
    monkeypatch.setattr(simulate, "SEEDS_ENOUGH", 3)
    code, text = _run(Wish(first=5, seeds=3), False, tmp_path)
    assert code == 1
    assert "RED: this never happened in 3 seeds: duplicate," in text
    assert _run(Wish(first=5, seeds=3, without=("crash",)), False, tmp_path)[0] == 0


def test_seeds_that_failed_once_come_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """When a campaign starts at the first seed."""
    _fails_at(284, monkeypatch)
    assert _run(Wish(first=0, seeds=2, failures_max=1), True, tmp_path)[0] == 1
    assert json.loads(capsys.readouterr().out)["failed"] == [284]


def _link_fails_at(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(now: int) -> DeliveryReport:
        return DeliveryReport(now, ("message 3 [lost]",) if now == seed else (), {"kills": 2}, 120, 0)

    monkeypatch.setattr(simulate, "run_delivery", run)


def test_link_campaign_names_the_seed_that_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With what broke and how to see it again, as a table and as JSON."""
    _link_fails_at(6, monkeypatch)
    code, text = _run(Wish("delivery", 5, 3), False, tmp_path)
    assert code == 1
    assert "3 seeds from 5: 1 failed" in text
    assert "seed 6: message 3 [lost]\n  again: njord simulate --campaign delivery --first 6 --seeds 1" in text
    assert _run(Wish("delivery", 5, 3), True, tmp_path)[0] == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["first"], told["seeds"], told["seen"], [report["seed"] for report in told["failed"]]) == (5, 3, {"kills": 6}, [6])
