"""Adjustments that stand for executions we were not told of, until we are.

What the venue held as of an event contains every execution up to that event. So one that is told later and happened by then is in the
adjustment already: it is booked to its order, and the adjustment gives way by exactly as much, in position and in cash. One that
happened afterwards is news and adds to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from core.contracts import Side, VenueReport
from core.instrument import Instrument
from core.money import ZERO
from core.order import Execution

__all__ = ["ADJUSTMENT", "Adjustment", "Adjustments", "Change"]

ADJUSTMENT = "_adjustment"
"""The reserved owner of what was adopted from the venue."""


class Adjustment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """So much of a symbol (or asset) was adopted: the venue had it after its event `cursor`, at `as_of_ns`. `price` is what a unit was taken at."""

    amount: Decimal
    cursor: int
    as_of_ns: int
    price: Decimal = ZERO

    def covers(self, report: VenueReport) -> bool:
        """Whether an execution had happened when this was true. The venue's own numbering decides; clocks only where there is none."""
        if report.cursor and self.cursor:
            return report.cursor <= self.cursor
        return report.occurred_ns <= self.as_of_ns


class Change(msgspec.Struct, frozen=True, gc=False):
    """So much of a symbol (`is_cash`: of an asset) is to be booked to the adjustment that was true at `as_of_ns`."""

    name: str
    amount: Decimal
    price: Decimal
    as_of_ns: int
    is_cash: bool = False


class Adjustments:
    """The adjustments that executions may still replace, by symbol and by asset.

    Invariant: an adjustment plus the executions that have replaced part of it is what was adopted.
    """

    def __init__(self, positions: dict[str, Adjustment] | None = None, cash: dict[str, Adjustment] | None = None) -> None:
        self.positions = dict(positions or {})
        self.cash = dict(cash or {})

    @property
    def is_open(self) -> bool:
        """Whether there is anything an execution could replace."""
        return bool(self.positions or self.cash)

    def adopt_position(self, symbol: str, qty: Decimal, price: Decimal, cursor: int, as_of_ns: int) -> Change:
        """The venue holds `qty` more than was booked as of this event."""
        self.positions[symbol] = Adjustment(self._amount(self.positions, symbol) + qty, cursor, as_of_ns, price)
        return Change(symbol, qty, price, as_of_ns)

    def adopt_cash(self, asset: str, amount: Decimal, cursor: int, as_of_ns: int) -> Change:
        """The venue has `amount` more of an asset than was booked as of this event."""
        self.cash[asset] = Adjustment(self._amount(self.cash, asset) + amount, cursor, as_of_ns)
        return Change(asset, amount, ZERO, as_of_ns, True)

    def replaced_by(self, report: VenueReport, side: Side, instrument: Instrument, done: Iterable[Execution]) -> Sequence[Change]:
        """What gives way to these executions of one report, position and cash each by what they moved."""
        changes: list[Change] = []
        for execution in done:
            self._give_way(changes, self.positions, report, instrument.symbol, side.sign * execution.qty, is_cash=False)
            paid = side.sign * instrument.notional(execution.qty, execution.price)
            self._give_way(changes, self.cash, report, instrument.currency, -paid, is_cash=True)
            if execution.fee:
                self._give_way(changes, self.cash, report, execution.fee_asset or instrument.currency, -execution.fee, is_cash=True)
        return changes

    def _give_way(self, changes: list[Change], among: dict[str, Adjustment], report: VenueReport, name: str, amount: Decimal, *, is_cash: bool) -> None:
        known = among.get(name)
        if known is None or not amount or not known.covers(report):
            return
        among[name] = msgspec.structs.replace(known, amount=known.amount - amount)
        changes.append(Change(name, -amount, known.price, known.as_of_ns, is_cash))

    def _amount(self, among: dict[str, Adjustment], name: str) -> Decimal:
        known = among.get(name)
        return ZERO if known is None else known.amount
