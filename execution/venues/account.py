"""The venue's own books of one account: cash, positions, and how much more it may take on.

Buying power is the equity-margin simplification: what could be held in the worst case, long or short, valued at the last
price, may not exceed equity (cash plus the value of positions). Short selling is allowed within it; an order that does not
raise the worst case always passes, so an exit is never short of funds. Cash itself may go negative after a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from core.contracts import Side
from core.instrument import Instrument
from core.money import ZERO

__all__ = ["AccountState", "VenueAccount"]


class AccountState(msgspec.Struct, frozen=True):
    """What a snapshot keeps of the books; everything else follows from it. `guesses` stand in for prices not yet printed."""

    balances: dict[str, Decimal]
    positions: dict[str, Decimal]
    marks: dict[str, Decimal]
    guesses: dict[str, Decimal]
    buys: dict[str, Decimal]
    sells: dict[str, Decimal]


class VenueAccount:
    """Balances per currency, signed positions per symbol, and what is working.

    Invariant: exposure and worth per currency are the sums over symbols of what positions, working orders and last prices
    say. They are kept by difference, and only for symbols that changed since they were last asked for; on the price grid
    Decimals make that exact. Positions and working quantities of zero are not kept.
    """

    def __init__(self, instruments: Mapping[str, Instrument], balances: Mapping[str, Decimal]) -> None:
        self._instruments = instruments
        self.restore(AccountState(dict(balances), {}, {}, {}, {}, {}))

    def mark(self, symbol: str, price: Decimal) -> None:
        """The market's last price of a symbol."""
        self.marks[symbol] = price
        if self._guesses:
            self._guesses.pop(symbol, None)
        if symbol in self.positions or symbol in self._buys or symbol in self._sells:
            self._changed[symbol] = None

    def work(self, symbol: str, side: Side, qty: Decimal, order_price: Decimal | None = None) -> None:
        """`qty` more (negative: less) is working on this side. Until the market prints, the highest order price is the symbol's."""
        _add(self._buys if side is Side.BUY else self._sells, symbol, qty)
        if order_price is not None and symbol not in self.marks:
            self._guesses[symbol] = max(order_price, self._guesses.get(symbol, ZERO))
        self._changed[symbol] = None

    def fill(self, instrument: Instrument, side: Side, qty: Decimal, price: Decimal, fee: Decimal) -> None:
        """Book one execution of a working order: position, cash, fee, and that much less is working."""
        symbol, currency = instrument.symbol, instrument.currency
        _add(self.positions, symbol, side.sign * qty)
        self.balances[currency] = self.balances.get(currency, ZERO) - side.sign * instrument.notional(qty, price) - fee
        self.work(symbol, side, -qty)

    def lacks_funds(self, instrument: Instrument, side: Side, qty: Decimal, order_price: Decimal | None) -> str:
        """Why the account cannot carry this much more, or '' when it can. Without a last price the order's own counts."""
        symbol = instrument.symbol
        before, after = self._worst_qty(symbol, ZERO, side), self._worst_qty(symbol, qty, side)
        if after <= before:
            return ""
        price = self.marks.get(symbol, order_price)
        if price is None:
            return "reference_price=None"
        added = instrument.notional(after - before, price)
        exposure, equity = self.exposure(instrument.currency), self.equity(instrument.currency)
        return "" if exposure + added <= equity else f"exposure={exposure}, added={added}, equity={equity}"

    def equity(self, currency: str) -> Decimal:
        """Cash plus the value of positions at their last prices."""
        self._revalue()
        return self.balances.get(currency, ZERO) + self._worth_by_currency.get(currency, ZERO)

    def exposure(self, currency: str) -> Decimal:
        """The value of the largest positions that could come of what is held and working."""
        self._revalue()
        return self._exposure_by_currency.get(currency, ZERO)

    def snapshot(self) -> AccountState:
        """A copy of the books."""
        return AccountState(dict(self.balances), dict(self.positions), dict(self.marks), dict(self._guesses), dict(self._buys), dict(self._sells))

    def restore(self, state: AccountState) -> None:
        """Become the account that gave this state."""
        self.balances = dict(state.balances)
        self.positions = dict(state.positions)
        self.marks = dict(state.marks)
        self._guesses = dict(state.guesses)
        self._buys = dict(state.buys)
        self._sells = dict(state.sells)
        self._exposure: dict[str, Decimal] = {}
        self._worth: dict[str, Decimal] = {}
        self._exposure_by_currency: dict[str, Decimal] = {}
        self._worth_by_currency: dict[str, Decimal] = {}
        self._changed = dict.fromkeys([*self.positions, *self._buys, *self._sells])

    def _worst_qty(self, symbol: str, extra: Decimal, side: Side) -> Decimal:
        """The largest position, either way, that could come of this plus `extra` on `side`."""
        position = self.positions.get(symbol, ZERO)
        buys, sells = self._buys.get(symbol, ZERO), self._sells.get(symbol, ZERO)
        if side is Side.BUY:
            buys += extra
        else:
            sells += extra
        return max(abs(position + buys), abs(position - sells))

    def _revalue(self) -> None:
        """Bring exposure and worth of the symbols that changed up to date."""
        for symbol in self._changed:
            instrument, price = self._instruments[symbol], self.marks.get(symbol, self._guesses.get(symbol, ZERO))
            exposure = instrument.notional(self._worst_qty(symbol, ZERO, Side.BUY), price)
            worth = instrument.notional(self.positions.get(symbol, ZERO), price)
            _add(self._exposure_by_currency, instrument.currency, exposure - self._exposure.get(symbol, ZERO))
            _add(self._worth_by_currency, instrument.currency, worth - self._worth.get(symbol, ZERO))
            self._exposure[symbol], self._worth[symbol] = exposure, worth
        self._changed.clear()


def _add(totals: dict[str, Decimal], key: str, by: Decimal) -> None:
    total = totals.get(key, ZERO) + by
    if total:
        totals[key] = total
    else:
        totals.pop(key, None)
