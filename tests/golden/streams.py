"""What each shipped strategy asks for on a synthetic market, as the lines of its golden file.

The market is made of integers alone, so it is the same on every machine: a slow wave, a fast one, and noise from a
multiplicative generator. Every order is answered at once, at the price of the bar after the one it was asked on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from core.contracts import Bar
from core.exchange_time import session_close_second
from tests.support.builders import settings_with
from tests.support.strategy_floor import Floor, new_york

__all__ = ["STREAMS", "golden_path", "intent_lines"]

_SYMBOLS = ("ALFA", "BRVO")
_MINUTE = 60


def golden_path(kind: str) -> Path:
    """The golden file of a kind."""
    return Path(__file__).parent / f"intents-{kind}.jsonl"


def intent_lines(kind: str, restart_every: int = 0) -> list[str]:
    """The intents of a kind on its market, one JSON line each; with a restart from the snapshot after so many bars."""
    bars, params = STREAMS[kind]
    floor = Floor(settings_with(feed={"symbols": list(_SYMBOLS)}, strategies={"trend": {"kind": kind, "symbols": list(_SYMBOLS), "params": params}}), now_ns=0)
    floor.start()
    for k, bar in enumerate(bars()):
        # What the bar before left working meets this one's price first, as it would at a venue.
        floor.now_ns = max(floor.now_ns, bar.close_ns)
        floor.trade(bar.close, bar.symbol)
        floor.show(bar)
        if restart_every and k % restart_every == 0:
            floor.restart()
    return [msgspec.json.encode(intent).decode() for intent in floor.intents]


def _noise(seed: int) -> Iterator[int]:
    """Numbers from -100 to 100 (Lehmer's generator, modulus 2^31 - 1, multiplier 48271)."""
    value = seed
    while True:
        value = value * 48_271 % 2_147_483_647
        yield value % 201 - 100


def _triangle(k: int, period: int, height: int) -> int:
    """A wave of straight lines between 0 and `height`."""
    half = period // 2
    return height * (half - abs(k % period - half)) // half


def _bar(symbol: str, timeframe: str, close_ns: int, seconds: int, was: int, cents: int, volume: int) -> Bar:
    low, high = min(was, cents) - 2, max(was, cents) + 2
    prices = {"open": was / 100, "high": high / 100, "low": low / 100, "close": cents / 100}
    return Bar(symbol=symbol, timeframe=timeframe, open_ns=close_ns - seconds * 10**9, close_ns=close_ns, volume=float(volume), **prices)


def _daily() -> Iterator[Bar]:
    """Four hundred days of two stocks that swing against each other."""
    noise, was = _noise(7), dict.fromkeys(_SYMBOLS, 10_000)
    for k in range(400):
        day = date(2020, 1, 1) + timedelta(days=k)
        for n, symbol in enumerate(_SYMBOLS):
            cents = 9_000 + _triangle(k + 35 * n, 70 + 20 * n, 2_500) + next(noise)
            yield _bar(symbol, "1d", new_york(day, "16:00"), 86_400, was[symbol], cents, 1_000_000)
            was[symbol] = cents


def _minutes() -> Iterator[Bar]:
    """Four sessions of two stocks, the day after Thanksgiving with its early close among them."""
    noise = _noise(11)
    for day in (date(2024, 11, d) for d in (25, 26, 27, 29)):
        was = dict.fromkeys(_SYMBOLS, 10_000)
        for k in range(1, (session_close_second(day.toordinal()) - 34_200) // _MINUTE + 1):
            for n, symbol in enumerate(_SYMBOLS):
                cents = 10_000 - _triangle(k + 17 * n + day.day, 90, 120) + next(noise) // 10
                yield _bar(symbol, "1m", new_york(day, "09:30", k * _MINUTE), _MINUTE, was[symbol], cents, 5_000 + 10 * next(noise))
                was[symbol] = cents


STREAMS: dict[str, tuple[Callable[[], Iterator[Bar]], dict[str, Any]]] = {
    "sma_cross": (_daily, {"allow_short": True}),
    "vwap_reversion": (_minutes, {"trades_per_day_max": 5, "flat_time": "11:40"}),
}
"""Of each kind, the market it is shown and its parameters."""
