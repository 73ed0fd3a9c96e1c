"""Where the bars of a backtest come from: a Polars or pandas frame, a Parquet or CSV file, or a folder of Parquet files.

Column names are taken in any case; the time may be called ts, date, datetime, time or timestamp (in a pandas frame it may also be the
index). Without a column `symbol` all rows are of the one symbol that the configuration names.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from backtest.config import Moment
from core.bars import BarFeed
from core.errors import ConfigError

__all__ = ["DataLike", "PandasFrame", "clipped", "read_table"]

_TIMES = ("ts", "date", "datetime", "time", "timestamp")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@runtime_checkable
class PandasFrame(Protocol):
    """As much of a pandas frame as is needed to read one without importing pandas."""

    @property
    def columns(self) -> Iterable[Any]:
        """Names of the columns."""

    def reset_index(self) -> Any:
        """The frame with its index as columns."""

    def __getitem__(self, name: Any) -> Any:
        """A column."""


DataLike = pl.DataFrame | PandasFrame | str | Path


def read_table(data: DataLike, symbols: tuple[str, ...]) -> tuple[str, pl.DataFrame]:
    """The rows with the columns core/bar_table.py asks for, and what to call them in messages; ConfigError when they cannot be read."""
    if isinstance(data, pl.DataFrame):
        return "data", _named(data, "data", symbols)
    if isinstance(data, str | Path):
        return str(data), _named(_read(Path(data)), str(data), symbols)
    return "data", _named(_of_pandas(data), "data", symbols)


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.is_dir():
            files = sorted(path.rglob("*.parquet"))
            if not files:
                raise ConfigError(f"{path}: holds no .parquet file")
            return pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")
        if path.name.endswith(".parquet"):
            return pl.read_parquet(path)
        if path.name.endswith((".csv", ".csv.gz")):
            return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    raise ConfigError(f"{path}: unknown kind of file, .parquet, .csv, .csv.gz or a folder of .parquet files is required")


def _of_pandas(frame: PandasFrame) -> pl.DataFrame:
    has_time = any(str(name).lower() in _TIMES for name in frame.columns)
    flat = frame if has_time else frame.reset_index()
    columns = {str(name): flat[name] for name in flat.columns}
    found = {name: pl.Series(name, _values(column)) for name, column in columns.items()}
    if not has_time and "index" in found:
        found["ts"] = found.pop("index")
    return pl.DataFrame(found)


def _values(column: Any) -> Any:
    """A column's values; times with a zone as UTC, since an array of machine times has none."""
    if getattr(column.dtype, "tz", None) is not None:
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return column.to_numpy() if column.dtype.kind != "O" else column.tolist()


def _named(raw: pl.DataFrame, name: str, symbols: tuple[str, ...]) -> pl.DataFrame:
    lower = raw.rename({column: column.lower() for column in raw.columns if column != column.lower() and column.lower() not in raw.columns})
    if "ts" not in lower.columns and (time := next((column for column in _TIMES if column in lower.columns), None)):
        lower = lower.rename({time: "ts"})
    if "symbol" not in lower.columns:
        if len(symbols) != 1:
            raise ConfigError(f"{name}: has no column `symbol`, so exactly one symbol must be named for its rows")
        lower = lower.with_columns(pl.lit(symbols[0]).alias("symbol"))
    return lower


def clipped(name: str, feed: BarFeed, start: Moment | None, end: Moment | None, rows_max: int | None = None) -> BarFeed:
    """The bars that close after `start` and no later than `end`, the first `rows_max` of them; ConfigError when none does."""
    closes = feed.columns.close_ns
    first = 0 if start is None else bisect_right(closes, _moment_ns("start", start, is_end=False))
    last = len(closes) if end is None else bisect_right(closes, _moment_ns("end", end, is_end=True))
    if rows_max is not None:
        if rows_max < 1:
            raise ConfigError(f"rows: {rows_max} is not allowed, at least 1 is required")
        last = min(last, first + rows_max)
    if first >= last:
        raise ConfigError(f"{name}: no bar between start {start} and end {end}")
    return feed if (first, last) == (0, len(closes)) else feed.rows(first, last)


def _moment_ns(key: str, moment: Moment, *, is_end: bool) -> int:
    """Nanoseconds of a moment; a day that ends something is over at the next midnight UTC."""
    if isinstance(moment, int):
        return moment
    if isinstance(moment, str):
        try:
            moment = date.fromisoformat(moment) if len(moment) <= len("2013-10-07") else datetime.fromisoformat(moment)
        except ValueError:
            raise ConfigError(f"{key}: {moment!r} is no day and no time, ISO 8601 is required") from None
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(days=is_end)
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1) * 1_000
