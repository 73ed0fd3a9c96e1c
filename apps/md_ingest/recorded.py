"""Recorded bars from a Parquet or CSV file, checked as a whole before the first one is used.

Columns: `symbol`, `ts`, `open`, `high`, `low`, `close`, `volume`; others are ignored. `ts` may be a date, a datetime, ISO 8601
text or an epoch number whose unit (s, ms, us, ns) its magnitude tells; without a zone it is UTC. It marks the *opening* of an
intraday bar. A daily bar's `ts` names a session: midnight UTC means that calendar date, any other moment the New York day it
lies in. The timeframe is the smallest distance between two bars of one symbol. Rows may come in any order.

Every row must be a bar as `core.contracts.Bar` defines it. Nothing is repaired: a wrong row is an error that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import polars as pl

from apps.md_ingest.bars import DAILY, NS_PER_DAY, TIMEFRAMES, BarColumns, BarFeed, Span, session_span
from core.errors import ConfigError
from core.exchange_time import NS_PER_SECOND, wall_clock
from core.settings import Settings

__all__ = ["BUNDLED", "COLUMNS", "recorded_feed"]

BUNDLED = "bundled"
COLUMNS = ("symbol", "ts", "open", "high", "low", "close", "volume")
"""What a file must hold; the order does not matter."""

_PRICES = ("open", "high", "low", "close")
_NUMBERS = (*_PRICES, "volume")
_SHOWN_MAX = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_US = timedelta(microseconds=1)
_NS_PER_US = 1_000
_TS_US_MIN = 86_400 * 10**6
_TS_US_MAX = (datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH) // _US
# So many distances of a symbol tell its timeframe; fewer may be those of a share that is seldom traded.
_GAPS_ENOUGH = 20
# Distances of daily bars vary with daylight saving and early closes; what is a week apart is no day.
_ALLOWED_TIMEFRAMES = f"allowed are {', '.join(TIMEFRAMES)}"
_DAILY_GAP_NS = (20 * 3_600 * NS_PER_SECOND, 6 * NS_PER_DAY)

_BUNDLED_PACKAGE = "bokeh_sampledata"
_BUNDLED_NAMES = {"Ticker": "symbol", "Date": "ts", "Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
# The bundled prices are as traded, its volumes are not. No ledger here books a split yet, so on these days a holder would lose
# half of everything: prices before a 2:1 split are halved, as its volumes already are doubled.
_BUNDLED_SPLITS = (("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18"))


def recorded_feed(settings: Settings) -> BarFeed:
    """The bars of the file `feed.path`, of the suite's symbols when it names any, at most `feed.rows_max` of them."""
    name, raw = _bundled() if settings.feed.path == BUNDLED else (settings.feed.path, _read(settings.feed.path))
    if missing := [column for column in COLUMNS if column not in raw.columns]:
        raise ConfigError(f"{name}: column {', '.join(missing)} is missing, it holds {', '.join(raw.columns) or 'none'}; required are {', '.join(COLUMNS)}")
    if raw.is_empty():
        raise ConfigError(f"{name}: holds no row, at least one bar is required")
    bars = _parsed(raw)
    _refuse(name, _wrong_rows(raw, bars))
    _refuse(name, _missing_symbols(bars, settings))
    timeframe = _timeframe(name, bars, settings.feed.timeframe)
    timed = _timed(bars, timeframe, settings)
    _refuse(name, _repeated_rows(timed))
    if settings.symbols:
        timed = timed.filter(pl.col("symbol").is_in(settings.symbols))
    return BarFeed(timeframe, _columns(timed, settings.feed.rows_max))


# Reading.


def _read(path: str) -> pl.DataFrame:
    """The file as it is: typed columns of a Parquet file, the text of a CSV file."""
    if not path:
        raise ConfigError(f"feed.path: empty, a .parquet or .csv file or `{BUNDLED}` is required")
    try:
        if path.endswith(".parquet"):
            return pl.read_parquet(path)
        if path.endswith((".csv", ".csv.gz")):
            return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    raise ConfigError(f"{path}: unknown kind of file, .parquet, .csv or .csv.gz is required")


def _bundled() -> tuple[str, pl.DataFrame]:
    """Thirteen years of daily bars of five US stocks, straight from the package's folder: importing it would bring pandas along."""
    spec = find_spec(_BUNDLED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"feed.path: `{BUNDLED}` needs the package {_BUNDLED_PACKAGE}, which is not installed")
    raw = _read(str(Path(spec.submodule_search_locations[0]) / "_data" / "stocks.csv.gz")).rename(_BUNDLED_NAMES, strict=False)
    factor = pl.lit(1.0)
    for symbol, day in _BUNDLED_SPLITS:
        factor = factor * pl.when((pl.col("symbol") == symbol) & (pl.col("ts") < day)).then(0.5).otherwise(1.0)
    return BUNDLED, raw.with_columns(pl.col(_PRICES).cast(pl.Float64) * factor)


# Understanding.


def _parsed(raw: pl.DataFrame) -> pl.DataFrame:
    """Rows numbered from 1 with `symbol`, `ts_us` and numbers; what cannot be understood is null."""
    return raw.select(
        pl.int_range(1, pl.len() + 1).alias("row"),
        pl.col("symbol").cast(pl.String).str.strip_chars().fill_null(""),
        _microseconds(raw["ts"]).alias("ts_us"),
        *(_number(raw[name]).alias(name) for name in _NUMBERS),
    )


def _number(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Float64, strict=False) if column.dtype.is_numeric() or column.dtype == pl.String else pl.Series(values=[None] * len(column), dtype=pl.Float64)


def _microseconds(column: pl.Series) -> pl.Series:
    """Moments as microseconds since 1970 UTC, null where there is none."""
    if column.dtype in (pl.Date, pl.Datetime):
        found = column.cast(pl.Datetime("us")).dt.timestamp("us") if column.dtype == pl.Date else column.dt.timestamp("us")
    elif column.dtype == pl.String:
        text = column.str.strip_chars()
        numbers = text.cast(pl.Int64, strict=False)
        found = _epoch_us(numbers) if numbers.null_count() == 0 else pl.Series(values=[_iso_us(value) for value in text], dtype=pl.Int64)
    elif column.dtype.is_numeric():
        found = _epoch_us(column.cast(pl.Int64, strict=False))
    else:
        found = pl.Series(values=[None] * len(column), dtype=pl.Int64)
    return pl.select(pl.when(found.is_between(_TS_US_MIN, _TS_US_MAX)).then(found)).to_series()


def _iso_us(text: str | None) -> int | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _US


def _epoch_us(numbers: pl.Series) -> pl.Series:
    """Epoch numbers of one unit; 20130301 is a date (as seconds it would be a day of 1970)."""
    present = numbers.drop_nulls()
    low, high = (int(present.min()), int(present.max())) if len(present) else (0, 0)  # type: ignore[arg-type]
    if low >= 19_700_101 and high <= 21_991_231:
        return pl.Series(values=[None if value is None else _iso_us(str(value)) for value in numbers], dtype=pl.Int64)
    if high < 10**11:
        return numbers * 10**6
    if high < 10**14:
        return numbers * 1_000
    return numbers if high < 10**17 else numbers // _NS_PER_US


# Checking.


class _Wrong(NamedTuple):
    """Rows with one kind of problem: where, what stands there, what is allowed."""

    column: str
    rows: list[int]
    given: list[str]
    allowed: str


def _refuse(name: str, problems: Iterator[_Wrong | str]) -> None:
    """ConfigError with the first rows of every kind of problem and how many there are; nothing when there is none."""
    lines = [line for problem in problems for line in _lines(name, problem)]
    if lines:
        raise ConfigError(*lines)


def _lines(name: str, problem: _Wrong | str) -> Iterator[str]:
    if isinstance(problem, str):
        yield f"{name}: {problem}"
        return
    for row, given in zip(problem.rows[:_SHOWN_MAX], problem.given, strict=False):
        yield f"{name} row {row} column {problem.column}: {given}, {problem.allowed}"
    more = len(problem.rows) - _SHOWN_MAX
    if more > 0:
        yield f"{name} column {problem.column}: {more} more such rows, {len(problem.rows)} in all"


def _wrong_rows(raw: pl.DataFrame, bars: pl.DataFrame) -> Iterator[_Wrong | str]:
    """Every row that is no bar, by what is wrong with it."""
    is_price = {name: pl.col(name).is_finite().fill_null(value=False) & (pl.col(name) > 0) for name in _PRICES}
    are_prices = pl.all_horizontal(*is_price.values())
    is_size = pl.col("volume").is_finite().fill_null(value=False) & (pl.col("volume") >= 0)
    checks = (
        ("symbol", pl.col("symbol").str.contains(r"^[^\s|]+$"), "a name without blanks and `|` is required"),
        ("ts", pl.col("ts_us").is_not_null(), "a date, a time (ISO 8601) or epoch s, ms, us or ns between 1970 and 2200 is required"),
        *((name, good, "a finite number above 0 is required") for name, good in is_price.items()),
        ("volume", is_size, "a finite number of at least 0 is required"),
        ("high", ~are_prices | (pl.col("high") >= pl.col("low")), "at least `low` is required"),
        *(
            (name, ~are_prices | (pl.col("high") < pl.col("low")) | pl.col(name).is_between(pl.col("low"), pl.col("high")), "a price from `low` to `high` is required")
            for name in ("open", "close")
        ),
    )
    for column, is_good, allowed in checks:
        rows = bars.filter(~is_good)["row"].to_list()
        if rows:
            yield _Wrong(column, rows, [_shown(raw[row - 1, column]) for row in rows[:_SHOWN_MAX]], allowed)


def _shown(value: object) -> str:
    return "nothing" if value is None or value == "" else repr(value) if isinstance(value, str) else str(value)


def _missing_symbols(bars: pl.DataFrame, settings: Settings) -> Iterator[str]:
    wanted = set(settings.feed.symbols) | {symbol for strategy in settings.strategies.values() if strategy.enabled for symbol in strategy.symbols}
    held = set(bars["symbol"].unique())
    missing = sorted(wanted - held)
    if not missing and held.isdisjoint(settings.symbols or held):
        missing = sorted(settings.symbols)
    if missing:
        some = sorted(held)
        listed = ", ".join(some[:20]) + (f" and {len(some) - 20} more" if len(some) > 20 else "")
        yield f"no bar of {', '.join(missing)}, there are bars of {listed}"


def _repeated_rows(timed: pl.DataFrame) -> Iterator[_Wrong]:
    """A second bar of one symbol and one time: which one is right cannot be known."""
    repeated = timed.sort("row").with_columns(pl.col("row").first().over("symbol", "close_ns").alias("first")).filter(pl.col("row") != pl.col("first"))
    if not repeated.is_empty():
        given = [f"the time of row {first} again" for first in repeated["first"].head(_SHOWN_MAX)]
        yield _Wrong("ts", repeated["row"].to_list(), given, "one bar per symbol and time is allowed")


# Time.


def _timeframe(name: str, bars: pl.DataFrame, configured: str) -> str:
    """The timeframe the distances tell; `configured` decides when there is no distance, or when bars are missing between all."""
    gaps = bars.sort("symbol", "ts_us").select("symbol", (pl.col("ts_us").diff().over("symbol") * _NS_PER_US).alias("gap")).filter(pl.col("gap") > 0)
    if gaps.is_empty():
        if configured not in TIMEFRAMES:
            raise ConfigError(f"feed.timeframe: {configured!r} is unknown, {_ALLOWED_TIMEFRAMES}")
        return configured
    timeframe = _timeframe_of(name, int(gaps["gap"].min()), configured)  # type: ignore[arg-type]
    for symbol, gap_ns, count in gaps.group_by("symbol").agg(pl.col("gap").min(), pl.len()).sort("symbol").iter_rows():
        if count >= _GAPS_ENOUGH and gap_ns > TIMEFRAMES[timeframe] and timeframe != DAILY and (gap_ns in TIMEFRAMES.values() or gap_ns >= _DAILY_GAP_NS[0]):
            raise ConfigError(f"{name}: the bars of {symbol} are at least {_apart(gap_ns)} apart, those of other symbols are {timeframe}; one timeframe per file is allowed")
    return timeframe


def _timeframe_of(name: str, gap_ns: int, configured: str) -> str:
    if _DAILY_GAP_NS[0] <= gap_ns <= _DAILY_GAP_NS[1]:
        return DAILY
    for timeframe, length in TIMEFRAMES.items():
        if gap_ns == length or (timeframe == configured != DAILY and gap_ns % length == 0):
            return timeframe
    # Taking such bars for shorter ones would show them before they were complete.
    raise ConfigError(f"{name}: bars are at least {_apart(gap_ns)} apart, which is no timeframe; {_ALLOWED_TIMEFRAMES}")


def _apart(gap_ns: int) -> timedelta:
    return timedelta(microseconds=gap_ns / _NS_PER_US)


def _timed(bars: pl.DataFrame, timeframe: str, settings: Settings) -> pl.DataFrame:
    """The bars with `open_ns` and `close_ns`."""
    if timeframe != DAILY:
        ts_ns = pl.col("ts_us") * _NS_PER_US
        return bars.with_columns(ts_ns.alias("open_ns"), (ts_ns + TIMEFRAMES[timeframe]).alias("close_ns"))
    keys = bars.select("symbol", "ts_us").unique()
    sessions = {symbol: _session(symbol, settings) for symbol in keys["symbol"].unique()}
    spans = [_day_span(ts_us * _NS_PER_US, sessions[symbol]) for symbol, ts_us in keys.iter_rows()]
    times = keys.with_columns(
        pl.Series("open_ns", [span.open_ns for span in spans], dtype=pl.Int64),
        pl.Series("close_ns", [span.close_ns for span in spans], dtype=pl.Int64),
    )
    return bars.join(times, on=["symbol", "ts_us"])


def _session(symbol: str, settings: Settings) -> str:
    instrument = settings.instrument(symbol)
    return "XNYS" if instrument is None else instrument.session


def _day_span(ts_ns: int, session: str) -> Span:
    is_date = ts_ns % NS_PER_DAY == 0 or session == "24/7"
    return session_span(_EPOCH_DAY + ts_ns // NS_PER_DAY if is_date else wall_clock(ts_ns).day, session)


def _columns(timed: pl.DataFrame, rows_max: int | None) -> BarColumns:
    ordered = timed.sort("close_ns", "symbol")
    kept = ordered if rows_max is None else ordered.head(rows_max)
    return BarColumns(*(kept[name].to_list() for name in BarColumns._fields))
