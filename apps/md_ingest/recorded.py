"""Recorded bars from a Parquet or CSV file, or the bundled ones. What a file must hold: core/bar_table.py."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import polars as pl

from core.bar_table import PRICES, bar_feed
from core.bars import BarFeed
from core.errors import ConfigError
from core.settings import Settings

__all__ = ["BUNDLED", "recorded_feed"]

BUNDLED = "bundled"

_BUNDLED_PACKAGE = "bokeh_sampledata"
_BUNDLED_NAMES = {"Ticker": "symbol", "Date": "ts", "Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume"}
# The bundled prices are as traded, its volumes are not. No ledger here books a split yet, so on these days a holder would lose
# half of everything: prices before a 2:1 split are halved, as its volumes already are doubled.
_BUNDLED_SPLITS = (("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18"))


def recorded_feed(settings: Settings) -> BarFeed:
    """The bars of the file `feed.path`, of the suite's symbols when it names any, at most `feed.rows_max` of them."""
    name, raw = _bundled() if settings.feed.path == BUNDLED else (settings.feed.path, _read(settings.feed.path))
    return bar_feed(name, raw, settings)


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
    return BUNDLED, raw.with_columns(pl.col(PRICES).cast(pl.Float64) * factor)
