"""What the data of a run are like. Wrong rows never get this far (core/bar_table.py refuses them by name); here is what is merely odd.

| Check | Counts |
|---|---|
| gaps | distances between two bars of a symbol on one UTC day that are longer than the timeframe |
| outliers | returns more than twenty times the symbol's median absolute return away from zero, with at least 30 returns |
| off_tick | bars with a price that is no multiple of the instrument's tick |
| no_volume | bars in which nothing traded |
| flat | bars whose four prices are one |
"""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.bars import DAILY, NS_PER_DAY, TIMEFRAMES, BarFeed
from core.settings import Settings

__all__ = ["DataQuality", "SymbolQuality", "quality_of"]

_RETURNS_MIN = 30
_OUTLIER = 20.0
_ON_GRID = 1e-6

Floats = NDArray[np.float64]


class SymbolQuality(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol: how many bars, and how many are odd in which way. `worst_return` is the largest move between two closes, as a fraction."""

    bars: int
    gaps: int
    missing_bars: int
    outliers: int
    worst_return: float
    off_tick: int
    no_volume: int
    flat: int

    @property
    def is_odd(self) -> bool:
        """Whether a person should look before believing a result."""
        return bool(self.outliers or self.off_tick)


class DataQuality(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a run: every symbol, and the symbols a person should look at."""

    timeframe: str
    symbols: dict[str, SymbolQuality]
    odd: tuple[str, ...]


def quality_of(feed: BarFeed, settings: Settings) -> DataQuality:
    """The report of a feed."""
    columns = feed.columns
    names = np.asarray(columns.symbol)
    opened, volume = np.asarray(columns.open_ns, dtype=np.int64), np.asarray(columns.volume, dtype=np.float64)
    prices = np.stack([np.asarray(column, dtype=np.float64) for column in (columns.open, columns.high, columns.low, columns.close)])
    found = {}
    for symbol in feed.symbols:
        rows = names == symbol
        instrument = settings.instrument(symbol)
        found[symbol] = _of_symbol(feed.timeframe, opened[rows], prices[:, rows], volume[rows], None if instrument is None else float(instrument.tick))
    return DataQuality(timeframe=feed.timeframe, symbols=found, odd=tuple(symbol for symbol, each in found.items() if each.is_odd))


def _of_symbol(timeframe: str, opened: NDArray[np.int64], prices: Floats, volume: Floats, tick: float | None) -> SymbolQuality:
    gaps, missing = _gaps(timeframe, opened)
    moves = np.abs(np.diff(np.log(prices[3])))
    usual = float(np.median(moves[moves > 0.0])) if np.any(moves > 0.0) else 0.0
    is_outlier = moves > _OUTLIER * usual if len(moves) >= _RETURNS_MIN and usual else np.zeros(len(moves), dtype=bool)
    steps = prices / tick if tick else np.zeros_like(prices)
    return SymbolQuality(
        bars=len(opened),
        gaps=gaps,
        missing_bars=missing,
        outliers=int(is_outlier.sum()),
        worst_return=float(np.expm1(moves.max(initial=0.0))),
        off_tick=int(np.any(np.abs(steps - np.round(steps)) > _ON_GRID, axis=0).sum()),
        no_volume=int((volume == 0.0).sum()),
        flat=int(np.all(prices == prices[0], axis=0).sum()),
    )


def _gaps(timeframe: str, opened: NDArray[np.int64]) -> tuple[int, int]:
    """How many holes there are within days, and how many bars they would hold. Daily bars have their holidays, so none are told."""
    if timeframe == DAILY or len(opened) < 2:
        return 0, 0
    steps = np.diff(opened) // TIMEFRAMES[timeframe]
    is_gap = (steps > 1) & (opened[1:] // NS_PER_DAY == opened[:-1] // NS_PER_DAY)
    return int(is_gap.sum()), int((steps[is_gap] - 1).sum())
