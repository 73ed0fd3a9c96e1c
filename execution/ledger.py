"""The double-entry ledger: every change of cash or position is one transaction whose postings sum to zero per asset.

An execution moves two assets at once. In the currency, cash pays (or receives) the notional and the counterparty receives
it; in the symbol's own units the owner's position grows by what the counterparty gives up. A fee moves between cash and
`fees` in whatever asset it was taken. An opening balance comes out of `equity`. A bust is the same postings with the other
sign, so nothing is ever edited or deleted.

Accounts are `cash:{asset}`, `position:{symbol}:{owner}`, `counterparty`, `fees:{asset}` and `equity:opening`. The hot state
holds what is asked for all the time (cash per asset, position per symbol and owner); the transactions go to the archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from enum import StrEnum

import msgspec

from core.contracts import Side
from core.instrument import Instrument
from core.money import ZERO
from core.order import Execution

__all__ = ["FLAT", "Booking", "Ledger", "LedgerState", "Position", "Posting", "Transaction", "TransactionKind", "decode_transaction"]

_AVG_PLACES = Decimal("1E-12")
_UNIT = Decimal(1)
_CASH = "cash:"
# No message may carry a larger amount (core/money.py).
_AMOUNT_END = Decimal("1E15")
# A quantised average may need more digits than the default context holds; it must never be a reason to stop booking.
_WIDE = Context(prec=64)
_encoder = msgspec.json.Encoder()


class TransactionKind(StrEnum):
    """What a transaction books."""

    OPENING = "opening"
    FILL = "fill"
    REVERSAL = "reversal"


class Posting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One side of an entry: `amount` more (negative: less) of `asset` in `account`."""

    account: str
    asset: str
    amount: Decimal


class Transaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One balanced entry, and the execution it books. `key` begins with its number, so that a missing one is visible.

    A REVERSAL carries the opposite `side` and the negative `fee` of what it undoes, so that for every kind cash moves by
    `-side.sign * notional` in `currency` and by `-fee` in `fee_asset`, and the position by `side.sign * last_qty`.
    """

    key: str
    kind: TransactionKind
    now_ns: int
    postings: tuple[Posting, ...]
    owner: str = ""
    client_order_id: str = ""
    exec_id: str = ""
    symbol: str = ""
    side: Side | None = None
    last_qty: Decimal = ZERO
    last_price: Decimal = ZERO
    fee: Decimal = ZERO
    fee_asset: str = ""
    currency: str = ""
    notional: Decimal = ZERO

    @property
    def assets(self) -> tuple[str, ...]:
        """The assets whose cash this moved."""
        return (self.currency,) if not self.fee or self.fee_asset == self.currency else (self.currency, self.fee_asset)

    def encode(self) -> bytes:
        """The archive row's data."""
        return _encoder.encode(self)


_transactions = msgspec.json.Decoder(Transaction)


def decode_transaction(data: bytes) -> Transaction:
    """The transaction an archive row of kind `txn` holds."""
    return _transactions.decode(data)


class Position(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What one owner holds of a symbol: signed quantity, average entry price, and P&L realised before fees."""

    qty: Decimal = ZERO
    avg_price: Decimal = ZERO
    realized_pnl: Decimal = ZERO

    def after(self, qty: Decimal, price: Decimal, multiplier: Decimal) -> Position:
        """The position after a trade of `qty` (signed). Adding moves the average, reducing realises, crossing zero does both."""
        held, total = self.qty, self.qty + qty
        if not held:
            return Position(total, price, self.realized_pnl)
        if (held > 0) is (qty > 0):
            return Position(total, _average(held * self.avg_price + qty * price, total), self.realized_pnl)
        closed = -qty if abs(qty) <= abs(held) else held
        realized = self.realized_pnl + closed * (price - self.avg_price) * multiplier
        if not total:
            return Position(ZERO, ZERO, realized)
        return Position(total, self.avg_price if (total > 0) is (held > 0) else price, realized)

    def without(self, qty: Decimal, price: Decimal, multiplier: Decimal) -> Position:
        """The position as if a trade of `qty` (signed) had not happened, as far as the average still knows.

        Total P&L is exact in every case. What the trade opened leaves at its own cost, what it closed comes back at the
        average; when nothing is left to tell the two apart, it is traded back at its price.
        """
        held, left = self.qty, self.qty - qty
        if held and (held > 0) is not (qty > 0):
            return Position(left, self.avg_price, self.realized_pnl + qty * (price - self.avg_price) * multiplier)
        if abs(held) > abs(qty):
            average = _average(held * self.avg_price - qty * price, left)
            if ZERO < average < _AMOUNT_END:
                return Position(left, average, self.realized_pnl)
        return self.after(-qty, price, multiplier)


FLAT = Position()


class Booking(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose execution it is, and of what."""

    owner: str
    client_order_id: str
    side: Side
    instrument: Instrument
    execution: Execution

    def transaction(self, number: int, kind: TransactionKind, now_ns: int) -> Transaction:
        """The balanced transaction that books this execution, or the one that takes it back."""
        execution, instrument = self.execution, self.instrument
        side, fee = (self.side.opposite, -execution.fee) if kind is TransactionKind.REVERSAL else (self.side, execution.fee)
        notional = instrument.notional(execution.qty, execution.price)
        fee_asset = execution.fee_asset or instrument.currency
        return Transaction(
            key=_key(number, kind, execution.key),
            kind=kind,
            now_ns=now_ns,
            postings=_postings(self.owner, instrument, side.sign * execution.qty, side.sign * notional, fee, fee_asset),
            owner=self.owner,
            client_order_id=self.client_order_id,
            exec_id=execution.exec_id,
            symbol=instrument.symbol,
            side=side,
            last_qty=execution.qty,
            last_price=execution.price,
            fee=fee,
            fee_asset=fee_asset,
            currency=instrument.currency,
            notional=notional,
        )


def _postings(owner: str, instrument: Instrument, qty: Decimal, notional: Decimal, fee: Decimal, fee_asset: str) -> tuple[Posting, ...]:
    symbol, currency = instrument.symbol, instrument.currency
    moved = (
        Posting(_CASH + currency, currency, -notional),
        Posting("counterparty", currency, notional),
        Posting(f"position:{symbol}:{owner}", symbol, qty),
        Posting("counterparty", symbol, -qty),
    )
    return (*moved, Posting(_CASH + fee_asset, fee_asset, -fee), Posting(f"fees:{fee_asset}", fee_asset, fee)) if fee else moved


class LedgerState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The hot part of the ledger: how many transactions there are, cash per asset, positions by symbol and owner."""

    count: int = 0
    is_open: bool = False
    balances: dict[str, Decimal] = msgspec.field(default_factory=dict)
    positions: dict[str, dict[str, Position]] = msgspec.field(default_factory=dict)


class Ledger:
    """Cash and positions of one account.

    Invariants: every transaction it gives sums to zero per asset; `balances[asset]` is the sum of all postings to
    `cash:{asset}`, a position's quantity the sum of all postings to its account; transactions are numbered from 1 without
    holes; it is opened once.
    """

    def __init__(self) -> None:
        self.balances: dict[str, Decimal] = {}
        self.count = 0
        self.is_open = False
        self._positions: dict[str, dict[str, Position]] = {}

    def open(self, balances: Mapping[str, Decimal], now_ns: int) -> list[Transaction]:
        """Post the opening balances; nothing when the ledger was opened before."""
        if self.is_open:
            return []
        self.is_open = True
        return [
            self._paid(
                Transaction(
                    key=_key(self._next_number(), TransactionKind.OPENING, asset),
                    kind=TransactionKind.OPENING,
                    now_ns=now_ns,
                    postings=(Posting(_CASH + asset, asset, amount), Posting("equity:opening", asset, -amount)),
                    currency=asset,
                )
            )
            for asset, amount in balances.items()
        ]

    def book(self, booking: Booking, now_ns: int) -> Transaction:
        """Book an execution."""
        execution, instrument = booking.execution, booking.instrument
        position = self.position(instrument.symbol, booking.owner)
        self._hold(booking, position.after(booking.side.sign * execution.qty, execution.price, instrument.multiplier))
        return self._paid(booking.transaction(self._next_number(), TransactionKind.FILL, now_ns))

    def reverse(self, booking: Booking, now_ns: int) -> Transaction:
        """Take back an execution that was booked and does not count any more."""
        execution, instrument = booking.execution, booking.instrument
        position = self.position(instrument.symbol, booking.owner)
        self._hold(booking, position.without(booking.side.sign * execution.qty, execution.price, instrument.multiplier))
        return self._paid(booking.transaction(self._next_number(), TransactionKind.REVERSAL, now_ns))

    def position(self, symbol: str, owner: str) -> Position:
        """What an owner holds of a symbol."""
        owners = self._positions.get(symbol)
        return FLAT if owners is None else owners.get(owner, FLAT)

    def positions(self) -> list[tuple[str, str, Position]]:
        """Every position that was ever opened, flat ones included: (symbol, owner, position)."""
        return [(symbol, owner, position) for symbol, owners in self._positions.items() for owner, position in owners.items()]

    def account_qty(self, symbol: str) -> Decimal:
        """What the account holds of a symbol: the sum over its owners."""
        return sum((position.qty for position in self._positions.get(symbol, {}).values()), ZERO)

    def snapshot(self) -> LedgerState:
        """The hot state."""
        return LedgerState(self.count, self.is_open, dict(self.balances), {symbol: dict(owners) for symbol, owners in self._positions.items()})

    def restore(self, state: LedgerState) -> None:
        """Become the ledger that gave this state."""
        self.count, self.is_open = state.count, state.is_open
        self.balances = dict(state.balances)
        self._positions = {symbol: dict(owners) for symbol, owners in state.positions.items()}

    def _next_number(self) -> int:
        self.count += 1
        return self.count

    def _hold(self, booking: Booking, position: Position) -> None:
        self._positions.setdefault(booking.instrument.symbol, {})[booking.owner] = position

    def _paid(self, transaction: Transaction) -> Transaction:
        for posting in transaction.postings:
            if posting.account.startswith(_CASH):
                self.balances[posting.asset] = self.balances.get(posting.asset, ZERO) + posting.amount
        return transaction


def _key(number: int, kind: TransactionKind, name: str) -> str:
    return f"{number:012d}|{kind.value}|{name}"


def _average(cost: Decimal, qty: Decimal) -> Decimal:
    """Cost per unit to twelve places, spelled without needless zeros."""
    average = _WIDE.divide(cost, qty).quantize(_AVG_PLACES, context=_WIDE)
    return average.quantize(_UNIT, context=_WIDE) if average == average.to_integral_value() else average.normalize(_WIDE)
