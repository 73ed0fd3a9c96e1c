"""`njord backtest` and `njord replay`, from the words typed to the lines printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.cli.main import _run
from tests.support.bar_tables import a_table


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of bars, with a working folder and a home of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "home"))
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "bars.parquet"
    a_table(200, ("ALFA", "BRVO")).write_parquet(path)
    return path


_CROSS = ("--strategy", "sma_cross", "--set", "fast=3", "--set", "slow=8")


def _json_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    told = json.loads(capsys.readouterr().out)
    assert isinstance(told, dict)
    return told


def test_run_is_told_as_json_when_asked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bars, fills, seconds, speed, equity and fees; the second time from the cache."""
    arguments = ["backtest", *_CROSS, "--data", str(data), "--symbols", "ALFA", "--json"]
    assert _run(arguments) == 0
    told = _json_of(capsys)
    assert told["bars"] == 200 and isinstance(told["fills"], int) and told["fills"] > 5
    assert isinstance(told["bars_per_second"], int) and told["bars_per_second"] > 0
    assert {"seconds", "final_equity", "fees", "denials", "run_id"} <= set(told)
    assert _run(arguments) == 0
    assert _json_of(capsys)["is_cached"] is True


def test_settings_and_bounds_reach_the_run_when_given(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dotted key is a setting: below the order's size nothing trades."""
    limits = ["--set", "limits.order_qty_max=3", "--set", "limits.position_qty_max=3", "--set", "order_qty=10"]
    assert _run(["backtest", *_CROSS, *limits, "--data", str(data), "--rows", "300", "--profile", "stressed", "--seed", "5", "--json"]) == 0
    told = _json_of(capsys)
    assert (told["bars"], told["fills"], told["profile"]) == (300, 0, "stressed")
    assert told["denied"] == told["intents"] != 0


def test_run_is_replayed_when_it_was_kept(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text by default, what was said as JSON lines when asked."""
    assert _run(["backtest", *_CROSS, "--data", str(data)]) == 0
    assert "njord replay --run-id sma_cross-" in capsys.readouterr().out
    assert _run(["replay", "--run-id", "sma_cross", "--symbol", "BRVO", "--limit", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("BRVO" in line for line in lines)
    assert _run(["replay", "--run-id", "sma_cross", "--json", "--limit", "5"]) == 0
    assert [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()][:1] == ["Alert.1"]


def test_class_is_found_when_it_is_named_by_its_module(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A strategy need not be registered to be tried."""
    assert _run(["backtest", "--strategy", "tests.support.bar_tables:BarCounter", "--data", str(data), "--json"]) == 0
    assert _json_of(capsys)["strategies"] == ["BarCounter"]


def test_verdict_is_the_exit_code_when_lookahead_is_asked_for(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Clean is 0; doing nothing is not enough evidence, which is 3."""
    assert _run(["lookahead", *_CROSS, "--data", str(data), "--symbols", "ALFA"]) == 0
    assert capsys.readouterr().out.startswith("CLEAN: ")
    assert _run(["lookahead", "--strategy", "tests.support.bar_tables:BarCounter", "--data", str(data), "--rows", "60", "--json"]) == 3
    assert _json_of(capsys)["verdict"] == "NOT_ENOUGH_EVIDENCE"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strategy", "none_such"), "none_such"),
        (("--strategy", "no.module:Class"), "no.module"),
        ((*_CROSS, "--set", "fast"), "KEY=VALUE"),
        ((*_CROSS, "--set", "limits.order_qty_max=-1"), "limits.order_qty_max"),
        ((*_CROSS, "--profile", "kind"), "profile"),
    ],
)
def test_wrong_input_ends_with_one_line_when_it_cannot_be_used(data: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2 and the reason."""
    assert _run(["backtest", "--data", str(data), *arguments]) == 2
    assert said in capsys.readouterr().err
