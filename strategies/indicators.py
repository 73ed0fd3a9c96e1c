"""Indicators that compute the same number from a stream as from a batch, to the last bit.

An indicator is a msgspec struct (so a strategy's checkpoint can hold it) with an `update` that takes one datum. The batch
functions below are independent spellings that tests compare with; nothing standardises over a whole series.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import fsum, isfinite

import msgspec

from core.contracts import Bar

__all__ = ["SessionVwap", "Sma", "session_vwap_batch", "sma_batch", "typical_price"]


class Sma(msgspec.Struct):
    """Simple moving average of the last `length` values.

    The window is summed anew with `fsum`: exact rounding, so the value depends on the window alone and never on what
    came before it (a running sum drifts).
    """

    length: int
    values: list[float] = msgspec.field(default_factory=list)

    def update(self, value: float) -> float | None:
        """Take one value; the average, or None while fewer than `length` were seen."""
        self.values.append(value)
        if len(self.values) > self.length:
            del self.values[0]
        return self.value

    @property
    def value(self) -> float | None:
        """The average, or None while warming up."""
        return fsum(self.values) / self.length if len(self.values) == self.length else None


class SessionVwap(msgspec.Struct):
    """Volume-weighted average of typical prices since the session began (`session` is the caller's name for it)."""

    session: int = -1
    bars: int = 0
    price_volume: float = 0.0
    volume: float = 0.0

    def update(self, session: int, bar: Bar) -> float | None:
        """Take one bar of a session; a new session starts from nothing."""
        if session != self.session:
            self.session, self.bars, self.price_volume, self.volume = session, 0, 0.0, 0.0
        self.bars += 1
        self.price_volume += typical_price(bar) * bar.volume
        self.volume += bar.volume
        return self.value

    @property
    def value(self) -> float | None:
        """The average, or None when nothing traded or the sums are not usable."""
        if not self.volume > 0.0:
            return None
        value = self.price_volume / self.volume
        return value if isfinite(value) and value > 0.0 else None


def typical_price(bar: Bar) -> float:
    """(high + low + close) / 3."""
    return (bar.high + bar.low + bar.close) / 3.0


def sma_batch(values: Sequence[float], length: int) -> list[float | None]:
    """The average of every trailing window of `values`."""
    return [None if i + 1 < length else fsum(values[i + 1 - length : i + 1]) / length for i in range(len(values))]


def session_vwap_batch(bars: Sequence[Bar]) -> list[float | None]:
    """The running VWAP of bars of one session."""
    price_volumes = accumulate(typical_price(bar) * bar.volume for bar in bars)
    volumes = accumulate(bar.volume for bar in bars)
    return [pv / volume if volume > 0.0 else None for pv, volume in zip(price_volumes, volumes, strict=True)]
