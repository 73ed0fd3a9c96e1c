"""Bars in columns, and the feed they make: rows become messages only when their step is asked for.

A daily bar belongs to a session, not to a span of 24 hours: it opens at 09:30 New York and nobody may see it before the
session closes (16:00, 13:00 on early closes). Around-the-clock instruments have the UTC day.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
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
    """Bars of one timeframe as equally long lists, in the order of (`close_ns`, `symbol`)."""

    symbol: list[str]
    open_ns: list[int]
    close_ns: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class BarFeed:
    """The feed of some bars, at least one: one step per closing instant."""

    def __init__(self, timeframe: str, columns: BarColumns) -> None:
        self._timeframe = timeframe
        self._columns = columns
        self._symbols = tuple(sorted(set(columns.symbol)))
        closes = columns.close_ns
        ends = [row for row, (before, now) in enumerate(pairwise(closes), 1) if now != before]
        self._bounds = [0, *ends, len(closes)]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that occur, sorted."""
        return self._symbols

    @property
    def timeframe(self) -> str:
        """The timeframe of the bars."""
        return self._timeframe

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def step(self, k: int) -> FeedStep:
        """Step `k`; IndexError beyond the end."""
        if not 0 <= k < len(self):
            raise IndexError(f"feed step {k}: there are {len(self)} steps")
        first, end = self._bounds[k], self._bounds[k + 1]
        return FeedStep(self._columns.close_ns[first], tuple(bar_row(self._bar(row)) for row in range(first, end)))

    def _bar(self, row: int) -> Bar:
        c = self._columns
        return Bar(
            symbol=c.symbol[row],
            timeframe=self._timeframe,
            open_ns=c.open_ns[row],
            close_ns=c.close_ns[row],
            open=c.open[row],
            high=c.high[row],
            low=c.low[row],
            close=c.close[row],
            volume=c.volume[row],
        )
