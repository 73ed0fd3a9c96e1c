"""`njord simulate` over real runs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from apps.cli import simulate
from apps.cli.simulate import Wish
from backtest.faults import campaign
from backtest.faults.delivery import run_delivery
from backtest.faults.schedule import Fault


def _run(wish: Wish, as_json: bool, results: Path) -> tuple[int, str]:
    stream = io.StringIO()
    return simulate.run_simulation(wish, as_json, results, Console(file=stream, width=200)), stream.getvalue()


def test_failure_that_was_written_down_is_run_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With the misfortunes it came down to, and a word when the configuration is another one by now."""
    stream = io.StringIO()
    failure = campaign.FailureReport(3, False, "another", (), (Fault("drop", 1),), 4, "", ())
    (tmp_path / "f.json").write_bytes(msgspec.json.encode(failure))
    assert simulate.replay_failure(tmp_path / "f.json", True, Console(file=stream, width=200)) == 0
    assert "the configuration is another one by now" in stream.getvalue()
    told = json.loads(capsys.readouterr().out)
    assert (told["seed"], told["problems"], told["faults"]) == (3, [], [["drop", 1]])


def test_one_seed_is_shown_with_its_faults() -> None:
    """And what it came to."""
    stream = io.StringIO()
    assert simulate.show_seed(4, False, Console(file=stream, width=200)) == 0
    assert "fault: " in stream.getvalue()
    assert "seed 4: " in stream.getvalue()


def test_many_processes_give_what_one_gives(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The pieces are the same whoever runs them."""
    monkeypatch.setattr(simulate, "_CHUNK", 2)
    told = []
    for jobs in (1, 2):
        assert _run(Wish(first=40, seeds=4, jobs=jobs), True, tmp_path)[0] == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [t["seen"] for t in told] == [told[0]["seen"]] * 2
    assert told[0]["events"] == told[1]["events"]


def test_link_campaign_is_green_when_every_seed_holds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The real campaign, two seeds of it."""
    assert _run(Wish("delivery", 0, 2), True, tmp_path)[0] == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == []
    assert told["seen"] == {kind: sum(run_delivery(seed).seen.get(kind, 0) for seed in (0, 1)) for kind in told["seen"]}
