"""Recorded feeds: what a file means in time, and the words a wrong one is refused with."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from apps.md_ingest.feed import open_feed
from core.contracts import Bar
from core.errors import ConfigError
from core.feed import Feed
from core.settings import Settings

_HEADER = "symbol,ts,open,high,low,close,volume"


def _settings(path: Path | str, timeframe: str = "1d", **feed: Any) -> Settings:
    return Settings.model_validate(
        {"environment": "test", "feed": {"kind": "recorded", "path": str(path), "timeframe": timeframe, **feed}, "instruments": {"default": {}, "BTC": {"session": "24/7"}}}
    )


def _csv(folder: Path, *rows: str, header: str = _HEADER) -> Path:
    path = folder / "bars.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def _row(symbol: str = "IBM", ts: object = "2013-03-01", prices: str = "10,12,9,11", volume: object = 100) -> str:
    return f"{symbol},{ts},{prices},{volume}"


def _open(path: Path, *rows: str, **feed: Any) -> Feed:
    return open_feed(_settings(_csv(path, *rows), **feed))


def _problems(path: Path, *rows: str, **feed: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        _open(path, *rows, **feed)
    return tuple(problem.removeprefix(f"{path / 'bars.csv'} ").removeprefix(f"{path / 'bars.csv'}: ") for problem in caught.value.problems)


def _bars(feed: Feed) -> list[Bar]:
    return [row.body for k in range(len(feed)) for row in feed.step(k).rows if isinstance(row.body, Bar)]


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


# What a file means.


def test_steps_hold_what_closes_together_when_rows_are_unsorted(tmp_path: Path) -> None:
    """Rows are grouped by closing instant, in time, and sorted by symbol within."""
    feed = _open(tmp_path, _row("MSFT", "2013-03-04"), _row("IBM", "2013-03-04"), _row("IBM", "2013-03-01"))
    assert [[row.topic for row in feed.step(k).rows] for k in range(len(feed))] == [["md.bars.1d.IBM"], ["md.bars.1d.IBM", "md.bars.1d.MSFT"]]
    assert feed.symbols == ("IBM", "MSFT")
    assert feed.step(0).close_ns < feed.step(1).close_ns


def test_row_becomes_the_bar_it_says_when_read(tmp_path: Path) -> None:
    """Every column arrives in its field."""
    (bar,) = _bars(_open(tmp_path, _row(prices="10.5,12.25,9.125,11", volume="1234.5")))
    assert (bar.symbol, bar.timeframe, bar.open, bar.high, bar.low, bar.close, bar.volume) == ("IBM", "1d", 10.5, 12.25, 9.125, 11.0, 1234.5)


@pytest.mark.parametrize(
    ("day", "opened", "closed"),
    [
        ("2013-03-01", "2013-03-01 14:30:00", "2013-03-01 21:00:00"),
        ("2013-07-01", "2013-07-01 13:30:00", "2013-07-01 20:00:00"),
        ("2013-11-29", "2013-11-29 14:30:00", "2013-11-29 18:00:00"),
    ],
)
def test_daily_bar_is_visible_when_its_session_closes(tmp_path: Path, day: str, opened: str, closed: str) -> None:
    """A date means that day's session in New York: winter, summer, and an early close."""
    (bar,) = _bars(_open(tmp_path, _row(ts=day)))
    assert (_utc(bar.open_ns), _utc(bar.visible_ns)) == (opened, closed)


@pytest.mark.parametrize(
    "ts", ["2013-03-01", "2013-03-01T00:00:00Z", "2013-03-01T05:00:00Z", "2013-03-01T09:30:00-05:00", "2013-03-01 21:00:00", "20130301", "1362096000", "1362096000000"]
)
def test_daily_bar_means_the_same_session_when_its_time_is_spelled_otherwise(tmp_path: Path, ts: str) -> None:
    """Midnight UTC is the date; any other moment is the New York day it lies in."""
    (bar,) = _bars(_open(tmp_path, _row(ts=ts)))
    assert _utc(bar.close_ns) == "2013-03-01 21:00:00"


def test_daily_bar_is_the_utc_day_when_the_instrument_never_closes(tmp_path: Path) -> None:
    """Around-the-clock instruments have no New York session."""
    (bar,) = _bars(_open(tmp_path, _row("BTC")))
    assert (_utc(bar.open_ns), _utc(bar.close_ns)) == ("2013-03-01 00:00:00", "2013-03-02 00:00:00")


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_epoch_number_is_understood_when_its_unit_is_told_by_magnitude(tmp_path: Path, unit: int) -> None:
    """Seconds, milliseconds, microseconds and nanoseconds are told apart; an intraday `ts` is the bar's opening."""
    first, second = _bars(_open(tmp_path, _row(ts=1_362_148_200 * unit), _row(ts=1_362_148_260 * unit)))
    assert (first.timeframe, _utc(first.open_ns), _utc(first.close_ns)) == ("1m", "2013-03-01 14:30:00", "2013-03-01 14:31:00")
    assert second.open_ns == first.close_ns


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([date(2013, 3, 1), date(2013, 3, 4)]),
        pl.Series([datetime(2013, 3, 1), datetime(2013, 3, 4)]),
        pl.Series([datetime(2013, 3, 1, 14, 30, tzinfo=UTC), datetime(2013, 3, 4, 14, 30, tzinfo=UTC)], dtype=pl.Datetime("ns", "UTC")),
        pl.Series([datetime(2013, 3, 1, 14, 30, tzinfo=UTC), datetime(2013, 3, 4, 14, 30, tzinfo=UTC)]).dt.convert_time_zone("America/New_York"),
        pl.Series(["2013-03-01", "2013-03-04"]),
        pl.Series([1_362_096_000, 1_362_355_200]),
        pl.Series([1_362_096_000.0, 1_362_355_200.0]),
        pl.Series([20130301, 20130304], dtype=pl.Int32),
    ],
)
def test_parquet_means_the_same_when_its_time_has_another_type(tmp_path: Path, column: pl.Series) -> None:
    """Dates, datetimes with and without zone, text and numbers are all understood."""
    path = tmp_path / "bars.parquet"
    pl.DataFrame({"symbol": ["IBM"] * 2, "ts": column, "open": [10] * 2, "high": [12.0] * 2, "low": [9.0] * 2, "close": [11.0] * 2, "volume": [100] * 2}).write_parquet(path)
    assert [_utc(bar.close_ns) for bar in _bars(open_feed(_settings(path)))] == ["2013-03-01 21:00:00", "2013-03-04 21:00:00"]


@pytest.mark.parametrize(
    ("seconds", "timeframe"), [(1, "1s"), (5, "5s"), (60, "1m"), (300, "5m"), (900, "15m"), (1_800, "30m"), (3_600, "1h"), (14_400, "4h"), (86_400, "1d"), (3 * 86_400, "1d")]
)
def test_timeframe_is_the_smallest_distance_when_inferred(tmp_path: Path, seconds: int, timeframe: str) -> None:
    """The data say what they are, whatever is configured."""
    moments = [datetime(2013, 3, 4, 15) + timedelta(seconds=seconds * k) for k in (0, 1, 4)]
    assert _open(tmp_path, *(_row(ts=moment.isoformat()) for moment in moments)).timeframe == timeframe


def test_configured_timeframe_decides_when_every_bar_has_a_gap_after_it(tmp_path: Path) -> None:
    """Minutes of a share that trades every second minute are still minutes, when the settings say so."""
    rows = [_row(ts=f"2013-03-04T15:{minute:02}") for minute in (0, 2, 6)]
    assert _open(tmp_path, *rows, timeframe="1m").timeframe == "1m"
    assert _problems(tmp_path, *rows) == ("bars are at least 0:02:00 apart, which is no timeframe; allowed are 1s, 5s, 1m, 5m, 15m, 30m, 1h, 4h, 1d",)


def test_only_some_symbols_are_replayed_when_named(tmp_path: Path) -> None:
    """`feed.symbols` restricts the feed."""
    rows = [_row("IBM"), _row("MSFT"), _row("AAPL")]
    assert _open(tmp_path, *rows, symbols=["MSFT", "IBM"]).symbols == ("IBM", "MSFT")


def test_feed_ends_early_when_rows_are_bounded(tmp_path: Path) -> None:
    """`rows_max` keeps the first rows in time."""
    feed = _open(tmp_path, *(_row(ts=f"2013-03-0{day}") for day in (7, 6, 5, 4)), rows_max=3)
    assert [_utc(bar.close_ns)[:10] for bar in _bars(feed)] == ["2013-03-04", "2013-03-05", "2013-03-06"]


def test_step_is_refused_when_it_lies_beyond_the_end(tmp_path: Path) -> None:
    """Nobody reads past the end, or from the wrong side."""
    feed = _open(tmp_path, _row())
    for k in (-1, 1):
        with pytest.raises(IndexError, match=f"feed step {k}: there are 1 steps"):
            feed.step(k)


def test_bundled_bars_are_valid_and_free_of_splits_when_read() -> None:
    """The shipped recording holds every bar of five stocks, and no price halves overnight at a 2:1 split."""
    feed = open_feed(_settings("bundled"))
    bars = _bars(feed)
    assert (len(bars), len(feed), feed.symbols, feed.timeframe) == (12_154, 3_270, ("AAPL", "FB", "GOOG", "IBM", "MSFT"), "1d")
    closes = {(bar.symbol, _utc(bar.close_ns)[:10]): bar.close for bar in bars}
    for symbol, before, split in (("AAPL", "2000-06-20", "2000-06-21"), ("AAPL", "2005-02-25", "2005-02-28"), ("MSFT", "2003-02-14", "2003-02-18")):
        assert 0.9 < closes[symbol, split] / closes[symbol, before] < 1.12
    assert closes["AAPL", "2013-03-01"] == 430.47
    assert closes["AAPL", "2000-03-01"] == pytest.approx(130.31 / 4)


def test_pandas_stays_out_when_the_bundled_bars_are_read() -> None:
    """The package that holds the bars is not imported: it would bring pandas along and take a second."""
    code = "import sys; from apps.md_ingest.feed import open_feed; from core.settings import Settings; open_feed(Settings(feed={'path': 'bundled'})); print([m for m in ('pandas', 'bokeh', 'bokeh_sampledata', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_loading_takes_no_coffee_break_when_there_are_many_bars(tmp_path: Path) -> None:
    """100,000 bars are loaded within seconds of CPU time: columns, not rows, are worked on."""
    path = tmp_path / "many.parquet"
    count = 50_000
    minutes = pl.datetime_range(datetime(2013, 1, 1), datetime(2013, 1, 1) + timedelta(minutes=count - 1), "1m", eager=True)
    one = pl.DataFrame({"ts": minutes, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0})
    pl.concat([one.with_columns(symbol=pl.lit(symbol)) for symbol in ("A", "B")]).write_parquet(path)
    began = time.process_time()
    feed = open_feed(_settings(path))
    assert len(feed) == count
    assert time.process_time() - began < 3.0


# What is refused.


def test_missing_columns_are_named_when_absent(tmp_path: Path) -> None:
    """The message says what is missing, what is there and what is required."""
    path = _csv(tmp_path, "IBM,1,2", header="symbol,ts,close")
    with pytest.raises(ConfigError) as caught:
        open_feed(_settings(path))
    assert str(caught.value) == f"{path}: column open, high, low, volume is missing, it holds symbol, ts, close; required are {', '.join(_HEADER.split(','))}"


def test_file_is_refused_when_it_holds_no_row(tmp_path: Path) -> None:
    """A header alone is no feed."""
    assert _problems(tmp_path) == ("holds no row, at least one bar is required",)


def test_file_is_refused_when_it_is_empty(tmp_path: Path) -> None:
    """Nothing at all cannot be read."""
    path = tmp_path / "bars.csv"
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be read"):
        open_feed(_settings(path))


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet"])
def test_file_is_refused_when_it_does_not_exist(tmp_path: Path, name: str) -> None:
    """The path stands in the message."""
    with pytest.raises(ConfigError, match=f"{name}: cannot be read"):
        open_feed(_settings(tmp_path / name))


def test_file_is_refused_when_it_is_no_parquet(tmp_path: Path) -> None:
    """A name does not make a Parquet file."""
    path = tmp_path / "bars.parquet"
    path.write_text("hello")
    with pytest.raises(ConfigError, match=r"bars\.parquet: cannot be read"):
        open_feed(_settings(path))


@pytest.mark.parametrize("name", ["bars.xlsx", "bars", "csv"])
def test_file_is_refused_when_its_kind_is_unknown(name: str) -> None:
    """Only what can be read is accepted, by its extension."""
    with pytest.raises(ConfigError, match=r"unknown kind of file, \.parquet, \.csv or \.csv\.gz is required"):
        open_feed(_settings(name))


def test_path_is_asked_for_when_empty() -> None:
    """A recorded feed without a path says what to write there."""
    with pytest.raises(ConfigError, match=r"feed\.path: empty, a \.parquet or \.csv file or `bundled` is required"):
        open_feed(_settings(""))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (_row(""), "column symbol: nothing, a name without blanks and `|` is required"),
        (_row("I BM"), "column symbol: 'I BM', a name without blanks and `|` is required"),
        (_row("I|BM"), "column symbol: 'I|BM', a name without blanks and `|` is required"),
        (_row(ts=""), "column ts: nothing, a date, a time (ISO 8601) or epoch s, ms, us or ns between 1970 and 2200 is required"),
        (_row(ts="yesterday"), "column ts: 'yesterday', a date, a time (ISO 8601) or epoch s, ms, us or ns between 1970 and 2200 is required"),
        (_row(ts="1969-12-31"), "column ts: '1969-12-31', a date, a time (ISO 8601) or epoch s, ms, us or ns between 1970 and 2200 is required"),
        (_row(ts="2013-02-30"), "column ts: '2013-02-30', a date, a time (ISO 8601) or epoch s, ms, us or ns between 1970 and 2200 is required"),
        (_row(prices="nan,12,9,11"), "column open: 'nan', a finite number above 0 is required"),
        (_row(prices="10,inf,9,11"), "column high: 'inf', a finite number above 0 is required"),
        (_row(prices="10,12,0,11"), "column low: '0', a finite number above 0 is required"),
        (_row(prices="10,12,-9,11"), "column low: '-9', a finite number above 0 is required"),
        (_row(prices="10,12,9,"), "column close: nothing, a finite number above 0 is required"),
        (_row(prices="10,12,9,eleven"), "column close: 'eleven', a finite number above 0 is required"),
        (_row(volume=-1), "column volume: '-1', a finite number of at least 0 is required"),
        (_row(volume="nan"), "column volume: 'nan', a finite number of at least 0 is required"),
        (_row(prices="10,8,9,10"), "column high: '8', at least `low` is required"),
        (_row(prices="13,12,9,11"), "column open: '13', a price from `low` to `high` is required"),
        (_row(prices="10,12,9,8"), "column close: '8', a price from `low` to `high` is required"),
    ],
)
def test_row_is_refused_when_it_is_no_bar(tmp_path: Path, row: str, problem: str) -> None:
    """The message names row and column, what stands there and what is allowed; rows are counted from 1."""
    assert _problems(tmp_path, _row(ts="2013-02-28"), row) == (f"row 2 {problem}",)


def test_all_kinds_of_problems_are_told_together_when_there_are_many(tmp_path: Path) -> None:
    """The first rows of each kind are named and the rest is counted, so one look at the file mends it."""
    assert _problems(tmp_path, *(_row(ts=f"2013-03-{day:02}", prices="nan,12,9,11", volume=-1 if day == 4 else 5) for day in range(1, 7))) == (
        "row 1 column open: 'nan', a finite number above 0 is required",
        "row 2 column open: 'nan', a finite number above 0 is required",
        "row 3 column open: 'nan', a finite number above 0 is required",
        "column open: 3 more such rows, 6 in all",
        "row 4 column volume: '-1', a finite number of at least 0 is required",
    )


def test_row_is_refused_when_its_symbol_and_time_came_before(tmp_path: Path) -> None:
    """Which of two bars of one time is right cannot be known, also when they spell the day otherwise."""
    assert _problems(tmp_path, _row(ts="2013-03-01"), _row(ts="2013-03-04"), _row(ts="2013-03-01T21:00")) == (
        "row 3 column ts: the time of row 1 again, one bar per symbol and time is allowed",
    )


def test_symbol_is_missed_when_the_file_has_no_bar_of_it(tmp_path: Path) -> None:
    """A strategy would wait for it for ever."""
    assert _problems(tmp_path, _row("IBM"), symbols=["IBM", "TSLA"]) == ("no bar of TSLA, there are bars of IBM",)


def test_symbol_is_missed_when_only_a_strategy_names_it(tmp_path: Path) -> None:
    """Without `feed.symbols` the strategies' symbols are the suite's."""
    settings = _settings(_csv(tmp_path, _row("IBM")))
    trend = Settings.model_validate(settings.model_dump() | {"strategies": {"trend": {"kind": "sma_cross", "symbols": ["IBM", "KO"]}}})
    with pytest.raises(ConfigError, match="no bar of KO, there are bars of IBM"):
        open_feed(trend)


def test_weekly_bars_are_refused_when_given(tmp_path: Path) -> None:
    """Taken for daily ones they would be seen days before they were complete."""
    assert "bars are at least 7 days, 0:00:00 apart" in _problems(tmp_path, _row(ts="2013-03-04"), _row(ts="2013-03-11"))[0]


def test_symbols_of_different_timeframes_are_refused_when_in_one_file(tmp_path: Path) -> None:
    """Five-minute bars among minutes would be seen four minutes early."""
    begin = datetime(2013, 3, 4, 15)
    rows = [_row(symbol, (begin + timedelta(minutes=step * k)).isoformat()) for symbol, step in (("A", 1), ("B", 5)) for k in range(25)]
    assert _problems(tmp_path, *rows) == ("the bars of B are at least 0:05:00 apart, those of other symbols are 1m; one timeframe per file is allowed",)
