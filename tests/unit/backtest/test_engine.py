"""`backtest.run`: what it takes, what it gives, and what it must never do."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

import backtest
from apps.runtime.settings_loader import load_settings
from backtest.config import BacktestConfig, default_settings
from backtest.result import BacktestResult
from backtest.subject import Leg
from core.contracts import Bar
from core.errors import ConfigError
from core.settings import Settings
from strategies.sma_cross import SmaCross, SmaCrossParams, SmaCrossState
from strategies.strategy import Context
from tests.support.bar_tables import BarCounter, QuickCross, Restless, a_table, decisions_before

_FAST = {"fast": 3, "slow": 8}


def _run(strategy: Any = "sma_cross", table: pl.DataFrame | None = None, **changes: Any) -> BacktestResult:
    changes = {"results": None, "params": _FAST if strategy in ("sma_cross", QuickCross) else {}} | changes
    return backtest.run(strategy, a_table() if table is None else table, BacktestConfig(**changes))


def _limited(**limits: Any) -> Settings:
    return Settings.model_validate(default_settings().model_dump() | {"limits": limits})


def test_shipped_configuration_is_the_default_one(tmp_path: Path) -> None:
    """`njord backtest` and `backtest.run` begin with the same settings."""
    assert default_settings() == load_settings(environment="backtest").settings


def test_nothing_is_traded_when_a_limit_is_below_the_order() -> None:
    """Risk is on: every entry is denied, counted, and named."""
    result = _run(settings=_limited(position_qty_max=5, order_qty_max=5), params=_FAST | {"order_qty": 10})
    assert (result.summary.fills, result.summary.orders) == (0, 0)
    assert result.summary.denied == result.summary.intents > 5
    assert result.summary.denials["POSITION_QTY_MAX"] == result.summary.intents
    assert result.summary.final_equity == result.summary.opening_equity


def test_every_bar_is_seen_when_a_strategy_counts() -> None:
    """No bar is skipped because nothing happens in it."""
    BarCounter.seen = 0
    result = _run(BarCounter, a_table(300, ("ALFA", "BRVO")))
    assert BarCounter.seen == result.summary.bars == 600


@pytest.mark.parametrize("strategy", ["sma_cross", "vwap_reversion", Restless])
def test_earlier_decisions_stand_when_the_data_end_sooner(strategy: Any) -> None:
    """What comes later cannot have been known: cut anywhere, everything decided before the cut is the same."""
    table = a_table(420)
    whole = _run(strategy, table)
    for k in (60, 233):
        cut = _run(strategy, table, rows=k)
        end_ns = cut.summary.last_ns + 1
        assert decisions_before(cut.said, end_ns) == decisions_before(whole.said, end_ns)
    assert whole.summary.intents > 3


def test_fill_is_at_the_next_open_when_an_order_is_a_market_order() -> None:
    """Decided on a close, filled at the earliest on the bar after it."""
    table = a_table()
    opens = dict(zip(table["ts"].dt.timestamp("ms").to_list(), table["open"].to_list(), strict=True))
    result = _run(table=table, profile="idealistic", rows=385)
    decided = {decision.intent.intent_id: decision.decided_ns for decision in result.decisions}
    assert len(result.fills) > 10
    for fill in result.fills:
        assert fill.occurred_ns > decided[fill.intent_id]
        assert float(fill.last_price) == opens[decided[fill.intent_id] // 1_000_000]


def test_same_run_comes_out_when_a_strategy_is_a_name_a_class_or_an_instance() -> None:
    """Three ways to say the same; an instance is used up by no run."""
    instance = QuickCross(SmaCrossParams(fast=3, slow=8), ("ALFA",), SmaCrossState())
    runs = [_run(), _run(QuickCross), _run(instance), _run(instance)]
    assert len({run.summary.final_equity for run in runs}) == 1
    assert [run.summary.fills for run in runs] == [runs[0].summary.fills] * 4
    assert runs[2].said == runs[3].said


def test_several_strategies_share_one_account_when_they_are_legs() -> None:
    """Each trades its own symbols, and all is in one ledger."""
    legs = [Leg("sma_cross", ("ALFA",), _FAST), Leg(QuickCross, ("BRVO",), _FAST)]
    result = _run(legs, a_table(400, ("ALFA", "BRVO", "CHRL")))
    assert {(fill.strategy_id, fill.symbol) for fill in result.fills} == {("sma_cross", "ALFA"), ("QuickCross", "BRVO")}


def test_equity_is_the_ledgers_when_a_run_is_over() -> None:
    """Cash and positions of the curve end where the double-entry ledger ends."""
    table = a_table(360)
    result = _run(params=_FAST | {"allow_short": True}, table=table)
    last_close = table["close"][-1]
    held = float(result.summary.positions.get("ALFA", Decimal(0)))
    assert result.equity.cash[-1] == pytest.approx(float(result.summary.final_cash), abs=1e-6)
    assert result.summary.final_equity == pytest.approx(float(result.summary.final_cash) + held * last_close, abs=1e-6)
    assert held
    assert len(result.equity.ts_ns) == 360
    assert result.summary.fees == sum((fill.fee for fill in result.fills), Decimal(0)) > 0


class Faulty(SmaCross):
    """Raises on its fiftieth bar."""

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Nothing until it raises."""
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 50:
            raise ZeroDivisionError("by design")


def test_summary_says_so_when_a_strategy_raises() -> None:
    """The run goes on, and nobody takes it for a result."""
    result = _run(Faulty)
    assert "ZeroDivisionError: by design" in result.summary.quarantined["Faulty"]
    assert result.summary.bars == 400


# Kept runs.


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_artifacts_are_identical_when_a_run_is_repeated(tmp_path: Path) -> None:
    """To the byte, in the same process; nothing in them tells how long it took."""
    first = _run(results=tmp_path / "a").folder
    second = _run(results=tmp_path / "b").folder
    assert first is not None and second is not None
    assert _bytes_of(first) == _bytes_of(second)
    assert set(_bytes_of(first)) == {"manifest.json", "summary.json", "data_quality.json", "decision_events.jsonl", "orders.jsonl", "trades.jsonl", "equity.parquet"}


def test_artifacts_are_identical_when_hashes_are_seeded_otherwise(tmp_path: Path) -> None:
    """No order of a set or a dict of hashes reaches a decision or a file."""
    code = (
        "import sys, backtest; from pathlib import Path; from backtest import BacktestConfig; from tests.support.bar_tables import Restless, a_table;"
        "backtest.run(Restless, a_table(200, ('ALFA', 'BRVO')), BacktestConfig(results=Path(sys.argv[1])))"
    )
    found = []
    for seed in ("0", "4711"):
        folder = tmp_path / seed
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=os.environ | {"PYTHONHASHSEED": seed}, cwd=Path(__file__).resolve().parents[3])
        (run,) = folder.iterdir()
        found.append((run.name, _bytes_of(run)))
    assert found[0] == found[1]


def test_run_is_read_when_it_is_kept_already(tmp_path: Path) -> None:
    """The same code, configuration and data have one result; any other parameter has another run."""
    first, again = _run(results=tmp_path), _run(results=tmp_path)
    assert (first.is_cached, again.is_cached) == (False, True)
    assert (again.summary, again.said) == (first.summary, first.said)
    assert again.equity.equity.tolist() == first.equity.equity.tolist()
    assert not _run(results=tmp_path, cache=False).is_cached
    others = [_run(results=tmp_path, params={"fast": 4, "slow": 8}), _run(results=tmp_path, rows=399), _run(results=tmp_path, seed=9), _run(results=tmp_path, profile="stressed")]
    assert len({run.run_id for run in [first, *others]}) == 5
    assert not any(run.is_cached for run in others)


def test_manifest_names_what_the_run_hangs_on(tmp_path: Path) -> None:
    """Code, configuration, data, seed."""
    folder = _run(results=tmp_path, seed=3).folder
    assert folder is not None
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    assert manifest["seed"] == 3
    assert all(manifest["fingerprint"][name] for name in ("code", "config", "data"))
    assert manifest["settings"]["strategies"]["sma_cross"]["params"] == _FAST


def test_nothing_is_kept_when_no_strategy_can_be_named_by_its_source(tmp_path: Path) -> None:
    """A class without a file could change unnoticed, so its runs are never read from the cache."""
    unsourced = type("Unsourced", (SmaCross,), {"__module__": "nowhere"})
    first = backtest.run(unsourced, a_table(), BacktestConfig(results=tmp_path, params=_FAST))
    again = backtest.run(unsourced, a_table(), BacktestConfig(results=tmp_path, params=_FAST))
    assert not first.is_cached and not again.is_cached


def test_range_is_ordered_when_executions_get_kinder() -> None:
    """The less the venue takes, the more is left: a result is a range and not a point."""
    found = backtest.run_range("sma_cross", a_table(), BacktestConfig(results=None, params=_FAST))
    assert list(found) == ["pessimistic", "neutral", "optimistic"]
    ends = [result.summary.final_equity for result in found.values()]
    assert ends == sorted(ends) and ends[0] < ends[-1]


# Data.


def test_same_run_comes_out_when_data_are_a_frame_a_file_or_a_folder(tmp_path: Path) -> None:
    """Parquet, CSV and a folder hold the same bars as the frame."""
    table = a_table()
    table.write_parquet(tmp_path / "bars.parquet")
    table.write_csv(tmp_path / "bars.csv")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    table.head(200).write_parquet(tmp_path / "folder" / "one.parquet")
    table.tail(200).write_parquet(tmp_path / "folder" / "sub" / "two.parquet")
    found = {
        backtest.run("sma_cross", data, BacktestConfig(results=None, params=_FAST)).run_id
        for data in (table, tmp_path / "bars.parquet", str(tmp_path / "bars.csv"), tmp_path / "folder")
    }
    assert len(found) == 1


def test_columns_may_be_called_otherwise_when_their_meaning_is_plain() -> None:
    """Upper case, `date` for the time, and no symbol where one is named."""
    table = a_table().drop("symbol").rename({"ts": "Date", "open": "Open", "close": "Close"})
    assert _run(table=table, symbols=("ALFA",)).summary.fills == _run().summary.fills
    with pytest.raises(ConfigError, match="exactly one symbol must be named"):
        _run(table=table)


def test_bars_are_cut_when_start_end_or_rows_are_given() -> None:
    """A day as end is included, a time is not passed, and rows count from the start."""
    table = a_table(800)
    assert _run(table=table, end="2024-03-04").summary.bars == 390
    assert _run(table=table, start="2024-03-05", end="2024-03-05T15:00:00+00:00").summary.bars == 30
    assert _run(table=table, start="2024-03-05", rows=7).summary.bars == 7
    with pytest.raises(ConfigError, match="no bar between"):
        _run(table=table, start="2025-01-01")
    with pytest.raises(ConfigError, match="ISO 8601"):
        _run(table=table, start="yesterday")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": "kind"}, "profile: 'kind' is unknown"),
        ({"strategy": "no_such"}, "no_such"),
        ({"strategy": None}, "strategy: none"),
        ({"params": {"fast": 9, "slow": 3}}, "must be less than slow"),
        ({"symbols": ("ZULU",)}, "no bar of ZULU"),
        ({"rows": 0}, "at least 1"),
    ],
)
def test_run_is_refused_when_something_is_wrong(changes: dict[str, Any], said: str) -> None:
    """One clear error before anything runs."""
    with pytest.raises(ConfigError, match=said):
        _run(**changes)
