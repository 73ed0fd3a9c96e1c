"""Bars in columns, and the feed they make: rows become messages only when they are asked for.

A daily bar belongs to a session, not to a span of 24 hours: it opens at 09:30 New York and nobody may see it before the
session closes (16:00, 13:00 on early closes). Around-the-clock instruments have the UTC day.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import repeat
from typing import NamedTuple

from core.contracts import Bar
from core.exchange_time import NS_PER_SECOND, SESSION_OPEN_SECOND, at_wall_clock_ns, session_close_second
from core.feed import FeedStep, bar_row

__all__ = ["DAILY", "NS_PER_DAY", "TIMEFRAMES", "BarColumns", "BarFeed", "Span", "session_span"]

NS_PER_DAY = 86_400 * NS_PER_SECOND
DAILY = "1d"
TIMEFRAMES: dict[str, int] = {
    "1s": NS_PER_SECOND,
    "5s": 5 * NS_PER_SECOND,
    "1m": 60 * NS_PER_SECOND,
    "5m": 300 * NS_PER_SECOND,
    "15m": 900 * NS_PER_SECOND,
    "30m": 1_800 * NS_PER_SECOND,
    "1h": 3_600 * NS_PER_SECOND,
    "4h": 14_400 * NS_PER_SECOND,
    DAILY: NS_PER_DAY,
}
"""Nanoseconds of each timeframe that bars may have, by the name topics carry."""

_ALWAYS_OPEN = "24/7"
_EPOCH_DAY = 719_163  # date(1970, 1, 1).toordinal()


class Span(NamedTuple):
    """When a bar opens and closes, ns UTC."""

    open_ns: int
    close_ns: int


@cache
def session_span(day: int, session: str) -> Span:
    """The trading session of a calendar day (`date.toordinal`): XNYS hours in New York, or the UTC day when `session` is 24/7."""
    if session == _ALWAYS_OPEN:
        midnight_ns = (day - _EPOCH_DAY) * NS_PER_DAY
        return Span(midnight_ns, midnight_ns + NS_PER_DAY)
    return Span(at_wall_clock_ns(day, SESSION_OPEN_SECOND), at_wall_clock_ns(day, session_close_second(day)))


class BarColumns(NamedTuple):
    """Bars of one timeframe as equally long columns, in the order of (`close_ns`, `symbol`).

    Arrays of machine numbers (`array('q')`, `array('d')`) hold a long history in 56 bytes a bar.
    """

    symbol: Sequence[str]
    open_ns: Sequence[int]
    close_ns: Sequence[int]
    open: Sequence[float]
    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]
    volume: Sequence[float]


class BarFeed:
    """The feed of some bars, at least one: one step per closing instant."""

    def __init__(self, timeframe: str, columns: BarColumns) -> None:
        self._timeframe = timeframe
        self._columns = columns
        self._symbols = tuple(sorted(set(columns.symbol)))
        self._bounds = _bounds(columns.close_ns)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that occur, sorted."""
        return self._symbols

    @property
    def timeframe(self) -> str:
        """The timeframe of the bars."""
        return self._timeframe

    @property
    def columns(self) -> BarColumns:
        """The bars as they are held; for reading only."""
        return self._columns

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def rows(self, first: int, end: int) -> BarFeed:
        """The feed of the bars from row `first` up to, not with, row `end`; at least one must be left."""
        c = self._columns
        kept = slice(first, end)
        columns = BarColumns(c.symbol[kept], c.open_ns[kept], c.close_ns[kept], c.open[kept], c.high[kept], c.low[kept], c.close[kept], c.volume[kept])
        return BarFeed(self._timeframe, columns)

    def step(self, k: int) -> FeedStep:
        """Step `k`; IndexError beyond the end."""
        if not 0 <= k < len(self):
            raise IndexError(f"feed step {k}: there are {len(self)} steps")
        first, end = self._bounds[k], self._bounds[k + 1]
        rows = zip(*(column[first:end] for column in self._columns), strict=True)
        return FeedStep(self._columns.close_ns[first], tuple(bar_row(_bar(self._timeframe, *row)) for row in rows))

    def instants(self) -> Iterator[tuple[Bar, ...]]:
        """The bars of every step in turn, made one step at a time."""
        bars = map(_bar, repeat(self._timeframe), *self._columns)
        if len(self) == len(self._columns.close_ns):
            return zip(bars)
        return self._groups(bars)

    def _groups(self, bars: Iterator[Bar]) -> Iterator[tuple[Bar, ...]]:
        group: list[Bar] = []
        for bar in bars:
            if group and bar.close_ns != group[0].close_ns:
                yield tuple(group)
                group = []
            group.append(bar)
        yield tuple(group)


def _bounds(close_ns: Sequence[int]) -> array[int]:
    """The row at which each step begins, and behind them the number of rows."""
    bounds, before = array("q"), None
    for row, now in enumerate(close_ns):
        if now != before:
            bounds.append(row)
            before = now
    bounds.append(len(close_ns))
    return bounds


def _bar(timeframe: str, symbol: str, open_ns: int, close_ns: int, open_: float, high: float, low: float, close: float, volume: float) -> Bar:
    return Bar(symbol=symbol, timeframe=timeframe, open_ns=open_ns, close_ns=close_ns, open=open_, high=high, low=low, close=close, volume=volume)
