"""What a market data feed is made of once it is loaded: time steps, each with everything that becomes visible in it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from core import topics
from core.contracts import Bar, MarketData
from core.machine import FeedRow

__all__ = ["Feed", "FeedStep", "bar_row", "visible_ns"]


class FeedStep(msgspec.Struct, frozen=True):
    """One instant of a feed: the rows that become visible at `close_ns`, sorted by symbol."""

    close_ns: int
    rows: tuple[FeedRow, ...]


class Feed(Protocol):
    """A loaded feed: steps 0, 1, 2, ... in strictly increasing `close_ns`, the same every time they are asked for."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that occur, sorted."""

    @property
    def timeframe(self) -> str:
        """The timeframe of its bars, as topics spell it (`1m`, `1d`)."""

    def __len__(self) -> int:
        """How many steps there are."""

    def step(self, k: int) -> FeedStep:
        """Step `k`; IndexError beyond the end."""


def bar_row(bar: Bar) -> FeedRow:
    """A bar on its topic."""
    return FeedRow(topics.MD_BARS.name(timeframe=bar.timeframe, symbol=bar.symbol), bar)


def visible_ns(datum: MarketData) -> int:
    """The first moment anyone may know this datum."""
    return datum.visible_ns if isinstance(datum, Bar) else datum.exchange_ns
