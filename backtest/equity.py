"""The account's worth over a run, computed once at its end from the executions and the bars.

Equity at an instant is cash plus every position at its last close; an execution of an instant counts in it. It is a measurement, so it is
floats; the ledger's own cash stays exact and is told beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.bars import BarFeed
from core.contracts import FillEvent
from core.errors import ConfigError
from core.settings import Settings

__all__ = ["EquityCurve", "currency_of", "equity_curve"]

Floats = NDArray[np.float64]


class EquityCurve(NamedTuple):
    """One row per instant: when (ns UTC), equity and cash in the account's currency."""

    ts_ns: NDArray[np.int64]
    equity: Floats
    cash: Floats

    @property
    def max_drawdown(self) -> float:
        """The deepest fall below an earlier high, as a fraction of that high; 0 when there was none."""
        highs = np.maximum.accumulate(self.equity)
        return float(np.max(1.0 - self.equity / highs, initial=0.0, where=highs > 0.0))


def currency_of(settings: Settings, symbols: Sequence[str]) -> str:
    """The one currency of these symbols; ConfigError when there are several or the account opens without it."""
    found = sorted({instrument.currency for symbol in symbols if (instrument := settings.instrument(symbol)) is not None})
    if len(found) != 1:
        raise ConfigError(f"instruments: currencies {', '.join(found) or 'none'}, one currency is required in a backtest")
    if found[0] not in settings.account.opening_balances:
        raise ConfigError(f"account.opening_balances: holds no {found[0]}, the currency of {', '.join(symbols)}")
    return found[0]


def equity_curve(feed: BarFeed, fills: Sequence[FillEvent], settings: Settings, currency: str) -> EquityCurve:
    """The curve of a run that began with the opening balance of `currency`."""
    columns = feed.columns
    closes_ns = np.asarray(columns.close_ns, dtype=np.int64)
    ts_ns = closes_ns[np.concatenate(([True], closes_ns[1:] != closes_ns[:-1]))]
    cash = np.full(len(ts_ns), float(settings.account.opening_balances[currency]))
    worth = np.zeros(len(ts_ns))
    by_symbol: dict[str, list[FillEvent]] = {}
    for fill in fills:
        by_symbol.setdefault(fill.symbol, []).append(fill)
    symbols = np.asarray(columns.symbol) if len(feed.symbols) > 1 else None
    closes = np.asarray(columns.close, dtype=np.float64)
    for symbol, own in by_symbol.items():
        instrument = settings.instrument(symbol)
        multiplier = 1.0 if instrument is None else float(instrument.multiplier)
        rows = slice(None) if symbols is None else symbols == symbol
        at = np.searchsorted(ts_ns, np.asarray([fill.occurred_ns for fill in own], dtype=np.int64))
        qty = np.asarray([float(fill.side.sign * fill.last_qty) for fill in own])
        paid = np.asarray([float(fill.side.sign * fill.last_qty * fill.last_price) * multiplier + float(_fee(fill, currency)) for fill in own])
        cash -= _steps(at, paid, len(ts_ns))
        worth += _steps(at, qty, len(ts_ns)) * _last(ts_ns, closes_ns[rows], closes[rows]) * multiplier
    return EquityCurve(ts_ns, cash + worth, cash)


def _fee(fill: FillEvent, currency: str) -> Decimal:
    return fill.fee if fill.fee_asset == currency else Decimal(0)


def _steps(at: NDArray[np.int64], by: Floats, length: int) -> Floats:
    """The running sum of `by`, as it stands at each instant."""
    moves = np.zeros(length)
    np.add.at(moves, np.minimum(at, length - 1), by)
    return np.cumsum(moves)


def _last(ts_ns: NDArray[np.int64], at_ns: NDArray[np.int64], prices: Floats) -> Floats:
    """The last price at each instant, 0 before the first."""
    row = np.searchsorted(at_ns, ts_ns, side="right") - 1
    return np.where(row >= 0, prices[np.maximum(row, 0)], 0.0)
