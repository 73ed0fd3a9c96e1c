"""`njord simulate`: what happened is counted, a failing seed is named with the command that shows it again."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from apps.cli import simulate
from backtest.faults.delivery import DeliveryReport, run_delivery


def _fails_at(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(now: int) -> DeliveryReport:
        return DeliveryReport(now, ("message 3 [lost]",) if now == seed else (), {"kills": 2}, 120, 0)

    monkeypatch.setattr(simulate, "run_delivery", run)


def _run(first: int, seeds: int, as_json: bool) -> tuple[int, str]:
    stream = io.StringIO()
    return simulate.run_simulation(first, seeds, as_json, Console(file=stream, width=200)), stream.getvalue()


def test_exit_code_is_one_when_a_seed_breaks_a_claim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With what broke and how to see it again, as a table and as JSON."""
    _fails_at(6, monkeypatch)
    code, text = _run(5, 3, False)
    assert code == 1
    assert "3 seeds from 5: 1 failed" in text
    assert "kills" in text
    assert "seed 6: message 3 [lost]\n  again: njord simulate --first 6 --seeds 1" in text
    assert _run(5, 3, True)[0] == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["first"], told["seeds"], told["seen"], [report["seed"] for report in told["failed"]]) == (5, 3, {"kills": 6}, [6])


def test_exit_code_is_zero_when_every_seed_holds(capsys: pytest.CaptureFixture[str]) -> None:
    """The real campaign, a few seeds of it."""
    assert _run(0, 2, True)[0] == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == []
    assert told["seen"] == {kind: sum(run_delivery(seed).seen.get(kind, 0) for seed in (0, 1)) for kind in told["seen"]}
