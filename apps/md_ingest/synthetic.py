"""A seeded market that never existed: the same bars for the same seed on every machine, with something to trade in them.

Each symbol's price is pulled back to a slowly wandering fair value, and now and then a shock drives it away, so that mean
reversion and trend following both find their moments. Sessions are XNYS hours on weekdays; this market has no holidays.

Of `random.Random` only `random()` itself is promised to stay the same between Python versions, and only the four basic
operations and the square root are the same on every processor, so nothing else is used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice
from math import sqrt
from random import Random
from typing import NamedTuple

from apps.md_ingest.bars import DAILY, TIMEFRAMES, BarColumns, BarFeed, session_span
from core.settings import Settings

__all__ = ["synthetic_feed"]

_FIRST_DAY = date(2024, 1, 2).toordinal()
_SESSION = "XNYS"
_NS_PER_MINUTE = TIMEFRAMES["1m"]
_WEEKDAYS = 5

# Per square root of a minute, relative to the price: about 1.5 % a day, which is an ordinary share.
_NOISE = 0.0014
_FAIR_VALUE_NOISE = 0.0003
_WICK = 0.0005
_OVERNIGHT_NOISE = 0.006
_PULL_PER_MINUTE = 0.02
_SHOCK = 0.008
_SHOCK_PROBABILITY = 0.005
_PRICE_CENTS_MIN = 100.0


class _Slot(NamedTuple):
    """One bar's time: when, how many minutes, and how far the session has come at its end (0 to 1)."""

    open_ns: int
    close_ns: int
    minutes: float
    progress: float
    is_first: bool


class _Candle(NamedTuple):
    open: float
    high: float
    low: float
    close: float
    volume: float


def synthetic_feed(settings: Settings) -> BarFeed:
    """`feed.synthetic_steps` bars of every symbol. A bar depends on seed, symbol, timeframe and step alone."""
    feed = settings.feed
    symbols = sorted(settings.symbols)
    slots = list(islice(_slots(feed.timeframe), feed.synthetic_steps))
    steps = list(zip(*(_candles(feed.seed, symbol, slots) for symbol in symbols), strict=True))
    candles = [candle for step in steps for candle in step]
    return BarFeed(
        feed.timeframe,
        BarColumns(
            symbols * len(slots),
            [slot.open_ns for slot in slots for _ in symbols],
            [slot.close_ns for slot in slots for _ in symbols],
            *([float(candle[column]) for candle in candles] for column in range(len(_Candle._fields))),
        ),
    )


def _slots(timeframe: str) -> Iterator[_Slot]:
    """The bars' times, for ever; a timeframe that does not divide the session ends it with a shorter bar."""
    day = _FIRST_DAY
    while True:
        if date.fromordinal(day).weekday() < _WEEKDAYS:
            begin, end = session_span(day, _SESSION)
            length = end - begin if timeframe == DAILY else TIMEFRAMES[timeframe]
            for open_ns in range(begin, end, length):
                close_ns = min(open_ns + length, end)
                yield _Slot(open_ns, close_ns, (close_ns - open_ns) / _NS_PER_MINUTE, (close_ns - begin) / (end - begin), open_ns == begin)
        day += 1


def _candles(seed: int, symbol: str, slots: list[_Slot]) -> Iterator[_Candle]:
    """One symbol's bars, prices on the cent grid."""
    draw = Random(f"{seed}:{symbol}")
    fair = price = 2_000 + 18_000 * draw.random()
    turnover = 1_000 + 4_000 * draw.random()
    for slot in slots:
        spread = sqrt(slot.minutes)
        overnight, drift, step, shock = _noise(draw), _noise(draw), _noise(draw), _noise(draw)
        is_shock = draw.random() < _SHOCK_PROBABILITY
        fair = max(_PRICE_CENTS_MIN, fair * (1 + _FAIR_VALUE_NOISE * spread * drift))
        opened = price * (1 + _OVERNIGHT_NOISE * overnight) if slot.is_first else price
        pulled = opened + (fair - opened) * min(1.0, _PULL_PER_MINUTE * slot.minutes)
        price = max(_PRICE_CENTS_MIN, pulled + opened * (_NOISE * spread * step + (_SHOCK * shock if is_shock else 0.0)))
        wick = _WICK * spread * opened
        high = max(opened, price) + wick * draw.random()
        low = max(_PRICE_CENTS_MIN, min(opened, price) - wick * draw.random())
        # Trading is busiest when the session opens and closes.
        bustle = 1 + 2 * (2 * slot.progress - 1) * (2 * slot.progress - 1)
        volume = 1 + int(turnover * slot.minutes * bustle * (0.5 + draw.random()))
        yield _Candle(round(opened) / 100, round(high) / 100, round(low) / 100, round(price) / 100, volume)


def _noise(draw: Random) -> float:
    """Something like a normal variable: mean 0, standard deviation 1/2, never beyond 3/2."""
    return draw.random() + draw.random() + draw.random() - 1.5
