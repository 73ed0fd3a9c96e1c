"""What is odd about the data of a run is counted, and nothing else is."""

from __future__ import annotations

import polars as pl

from backtest.config import BacktestConfig
from backtest.data_quality import SymbolQuality, quality_of
from backtest.engine import prepare
from tests.support.bar_tables import BarCounter, a_table


def _quality(table: pl.DataFrame) -> SymbolQuality:
    prepared = prepare(BarCounter, table, BacktestConfig(results=None))
    return quality_of(prepared.feed, prepared.settings).symbols["ALFA"]


def _changed(row: int, **values: float) -> pl.DataFrame:
    table = a_table(100).with_row_index()
    return table.with_columns(pl.when(pl.col("index") == row).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()).drop("index")


def test_nothing_is_odd_when_the_table_is_whole() -> None:
    """The zero of every count."""
    found = _quality(a_table(100))
    assert (found.bars, found.gaps, found.missing_bars, found.outliers, found.off_tick, found.no_volume, found.flat) == (100, 0, 0, 0, 0, 0, 0)
    assert not found.is_odd


def test_each_oddity_is_counted_when_it_is_there() -> None:
    """One changed row, one count."""
    spike = _quality(_changed(50, high=150.0, close=150.0))
    assert spike.outliers == 2 and spike.is_odd and spike.worst_return > 0.4
    assert _quality(_changed(50, high=150.005)).off_tick == 1
    assert _quality(_changed(50, volume=0)).no_volume == 1
    assert _quality(_changed(50, open=100.0, high=100.0, low=100.0, close=100.0)).flat == 1


def test_gap_is_counted_when_bars_of_a_day_are_missing() -> None:
    """Nights are no gaps."""
    table = a_table(800).with_row_index()
    assert _quality(table.drop("index")).gaps == 0
    holed = _quality(table.filter(~pl.col("index").is_between(50, 52)).drop("index"))
    assert (holed.gaps, holed.missing_bars) == (1, 3)
