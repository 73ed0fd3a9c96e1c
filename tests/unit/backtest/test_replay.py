"""A kept run, read again."""

from __future__ import annotations

from pathlib import Path

import pytest

import backtest
from backtest.artifacts import find_run, read_said
from backtest.config import BacktestConfig, default_settings
from backtest.replay import Filter, told
from core.errors import ConfigError
from core.settings import Settings
from tests.support.bar_tables import Restless, a_table


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two symbols over two days, some of whose orders are denied."""
    results = tmp_path_factory.mktemp("runs")
    settings = Settings.model_validate(default_settings().model_dump() | {"limits": {"order_qty_max": 2, "position_qty_max": 9}})
    folder = backtest.run(Restless, a_table(500, ("ALFA", "BRVO")), BacktestConfig(results=results, settings=settings)).folder
    assert folder is not None
    return folder


def test_everything_is_told_in_order_when_nothing_is_filtered(kept: Path) -> None:
    """As many lines as there are in the file, in time."""
    lines = list(told(read_said(kept), Filter()))
    assert len(lines) == len((kept / "decision_events.jsonl").read_text().splitlines())
    assert [line.when for line in lines] == sorted(line.when for line in lines)


def test_only_what_is_wanted_is_told_when_filtered(kept: Path) -> None:
    """Symbol, day, errors and limit each narrow it down."""
    said = list(read_said(kept))
    everything = len(list(told(said, Filter())))
    of_alfa = list(told(said, Filter(symbol="ALFA")))
    assert 0 < len(of_alfa) < everything
    assert not any("BRVO" in line.text for line in of_alfa)
    days = [len(list(told(said, Filter(day=day)))) for day in ("2024-03-04", "2024-03-05")]
    assert all(days) and sum(days) < everything + 1
    errors = list(told(said, Filter(errors_only=True)))
    assert errors and all(line.text.startswith(("DENIED", "alert", "order")) for line in errors)
    assert any("ORDER_QTY_MAX" in line.text for line in errors)
    assert len(list(told(said, Filter(limit=3)))) == 3
    with pytest.raises(ConfigError, match="is no day"):
        told(said, Filter(day="monday"))


def test_run_is_found_when_its_name_is_begun(kept: Path) -> None:
    """A unique beginning names it; an unknown one is an error."""
    assert find_run(kept.parent, kept.name) == kept
    assert find_run(kept.parent, kept.name[:10]) == kept
    for name in ("nothing", "../x"):
        with pytest.raises(ConfigError):
            find_run(kept.parent, name)
