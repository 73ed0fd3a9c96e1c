"""What a market data feed is made of once it is loaded: time steps, each with everything that becomes visible in it."""

from __future__ import annotations

import msgspec

from core import topics
from core.contracts import Bar, MarketData
from core.machine import FeedRow

__all__ = ["FeedStep", "bar_row", "visible_ns"]


class FeedStep(msgspec.Struct, frozen=True):
    """One instant of a feed: the rows that become visible at `close_ns`, sorted by symbol."""

    close_ns: int
    rows: tuple[FeedRow, ...]


def bar_row(bar: Bar) -> FeedRow:
    """A bar on its topic."""
    return FeedRow(topics.MD_BARS.name(timeframe=bar.timeframe, symbol=bar.symbol), bar)


def visible_ns(datum: MarketData) -> int:
    """The first moment anyone may know this datum."""
    return datum.visible_ns if isinstance(datum, Bar) else datum.exchange_ns
