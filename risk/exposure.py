"""What the account holds and what it could come to hold: positions, and reservations for everything that may still trade.

A reservation is taken when an order is approved and follows the order's own quantities from then on: what a fill executed
moves from the reservation to the position in one event, never earlier and never twice. Sums per symbol are kept by difference,
so a decision costs the same with one position as with a thousand.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from core.contracts import (
    ExecType,
    OrderIntent,
    OrderStateChanged,
    OrderType,
    PositionSnapshot,
    Side,
    TimeInForce,
)
from core.money import ZERO

__all__ = ["NOTHING", "Exposure", "ExposureState", "PendingReplace", "Reservation", "SymbolExposure", "reservation_of"]

_IN_DOUBT, _LOST, _PENDING_REPLACE = "in_doubt", "lost", "pending_replace"
_REPLACE_ANSWERS = (ExecType.REPLACED, ExecType.REPLACE_REJECTED)


class PendingReplace(msgspec.Struct, frozen=True, gc=False):
    """The quantity an approved replace asks for. `is_seen` once the ledger has shown it as under way."""

    order_qty: Decimal
    is_seen: bool = False


class Reservation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One order that may still trade: its confirmed terms, what it has executed, and `working_qty`, the most it may yet execute.

    `order_type` and `time_in_force` are None for an order that risk did not approve itself. `revision` counts approved replaces.
    """

    strategy_id: str
    symbol: str
    side: Side
    order_qty: Decimal
    working_qty: Decimal
    leaves_qty: Decimal
    order_type: OrderType | None = None
    time_in_force: TimeInForce | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    cum_qty: Decimal = ZERO
    revision: int = 0
    pending: PendingReplace | None = None
    in_doubt: bool = False
    has_ended: bool = False
    reduce_only: bool = False


class SymbolExposure(msgspec.Struct, omit_defaults=True):
    """One symbol of the account. `owners` holds every owner's part of `position_qty` that is not zero, `buying` and `selling` every
    owner's part of the working quantities."""

    position_qty: Decimal = ZERO
    working_buy_qty: Decimal = ZERO
    working_sell_qty: Decimal = ZERO
    in_doubt: int = 0
    owners: dict[str, Decimal] = msgspec.field(default_factory=dict)
    buying: dict[str, Decimal] = msgspec.field(default_factory=dict)
    selling: dict[str, Decimal] = msgspec.field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether the symbol is held or worked."""
        return bool(self.owners or self.working_buy_qty or self.working_sell_qty)

    @property
    def worst_qty(self) -> Decimal:
        """The largest position on either side that could come of what is held and working."""
        return max(self.position_qty + self.working_buy_qty, self.working_sell_qty - self.position_qty)

    def copy(self) -> SymbolExposure:
        """An independent copy."""
        return replace(self, owners=dict(self.owners), buying=dict(self.buying), selling=dict(self.selling))


class ExposureState(msgspec.Struct, frozen=True):
    """The whole of it: symbols that are held or worked, and reservations by the intent that asked for the order."""

    symbols: dict[str, SymbolExposure] = msgspec.field(default_factory=dict)
    reservations: dict[str, Reservation] = msgspec.field(default_factory=dict)


NOTHING = SymbolExposure()
"""What every symbol has that is neither held nor worked. Never changed."""


class Exposure:
    """Positions and reservations of the account.

    Invariants: per symbol and side the working quantity is the sum of its reservations; the position is the sum of its owners;
    only symbols that are held or worked have a row, so their number is the number of open positions.
    """

    def __init__(self) -> None:
        self.symbols: dict[str, SymbolExposure] = {}
        self.reservations: dict[str, Reservation] = {}

    def of(self, symbol: str) -> SymbolExposure:
        """The exposure of a symbol; for reading only."""
        return self.symbols.get(symbol, NOTHING)

    def open_positions_with(self, symbol: str) -> int:
        """How many symbols are held or worked, this one counted."""
        return len(self.symbols) + (symbol not in self.symbols)

    def reserve(self, intent_id: str, reservation: Reservation) -> None:
        """Count an approved order."""
        self._put(intent_id, reservation)

    def reserve_replace(self, intent_id: str, order_qty: Decimal) -> None:
        """Count an approved replace of this intent's order: the larger of both quantities until it is answered."""
        known = self.reservations[intent_id]
        working = max(known.working_qty, order_qty - known.cum_qty)
        self._put(intent_id, replace(known, pending=PendingReplace(order_qty), working_qty=working, revision=known.revision + 1))

    def on_order(self, event: OrderStateChanged) -> None:
        """Book one event of the ledger: its position, and what the order may still execute."""
        key = event.intent_id or event.client_order_id
        known = self.reservations.get(key)
        after = _after(known or _found(event), event)
        if after is not None or known is not None:
            self._put(key, after)
        self.on_position(event.position)

    def on_position(self, snapshot: PositionSnapshot) -> None:
        """Book one owner's part of a position."""
        row = self._row(snapshot.symbol)
        row.position_qty += snapshot.position_qty - row.owners.pop(snapshot.strategy_id, ZERO)
        if snapshot.position_qty:
            row.owners[snapshot.strategy_id] = snapshot.position_qty
        self._tidy(snapshot.symbol, row)

    def snapshot(self) -> ExposureState:
        """The whole state."""
        return ExposureState({symbol: row.copy() for symbol, row in self.symbols.items()}, dict(self.reservations))

    def restore(self, state: ExposureState) -> None:
        """Become the exposure that gave this state."""
        self.symbols = {symbol: row.copy() for symbol, row in state.symbols.items()}
        self.reservations = dict(state.reservations)

    def _row(self, symbol: str) -> SymbolExposure:
        row = self.symbols.get(symbol)
        if row is None:
            row = self.symbols[symbol] = SymbolExposure()
        return row

    def _tidy(self, symbol: str, row: SymbolExposure) -> None:
        if not (row.is_open or row.in_doubt):
            del self.symbols[symbol]

    def _put(self, intent_id: str, after: Reservation | None) -> None:
        """Exchange a reservation, and the symbol's sums by the difference."""
        before = self.reservations.get(intent_id)
        if after is not None:
            self.reservations[intent_id] = after
            self._count(after, 1)
        if before is not None:
            if after is None:
                del self.reservations[intent_id]
            self._tidy(before.symbol, self._count(before, -1))

    def _count(self, reservation: Reservation, sign: int) -> SymbolExposure:
        row, owner, working_qty = self._row(reservation.symbol), reservation.strategy_id, sign * reservation.working_qty
        if reservation.side is Side.BUY:
            row.working_buy_qty += working_qty
            parts = row.buying
        else:
            row.working_sell_qty += working_qty
            parts = row.selling
        part = parts.pop(owner, ZERO) + working_qty
        if part:
            parts[owner] = part
        row.in_doubt += sign * reservation.in_doubt
        return row


def reservation_of(intent: OrderIntent) -> Reservation:
    """What an approved order may execute: all of it."""
    return Reservation(
        strategy_id=intent.strategy_id,
        symbol=intent.symbol,
        side=intent.side,
        order_qty=intent.order_qty,
        working_qty=intent.order_qty,
        leaves_qty=intent.order_qty,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        reduce_only=intent.only_closes,
    )


def _after(known: Reservation, event: OrderStateChanged) -> Reservation | None:
    """The reservation after an event; None when the order can execute nothing more."""
    has_ended = event.new_status.is_terminal
    is_uncertain = _IN_DOUBT in event.facets or _LOST in event.facets
    pending = _still_pending(known.pending, event)
    leaves = ZERO if has_ended else event.leaves_qty
    if is_uncertain:
        leaves = max(leaves, event.order_qty - event.cum_qty)
    working = leaves if pending is None else max(leaves, pending.order_qty - event.cum_qty)
    if has_ended and not working:
        return None
    return replace(
        known,
        order_qty=event.order_qty,
        limit_price=event.limit_price,
        stop_price=event.stop_price,
        cum_qty=event.cum_qty,
        leaves_qty=leaves,
        working_qty=working,
        pending=pending,
        in_doubt=_IN_DOUBT in event.facets,
        has_ended=has_ended,
    )


def _still_pending(pending: PendingReplace | None, event: OrderStateChanged) -> PendingReplace | None:
    """The replace under way after an event, None when it has its answer.

    An event may be older than our approval, so a replace the ledger has not shown yet is not answered by its absence.
    """
    if pending is None or _PENDING_REPLACE in event.facets:
        return None if pending is None else PendingReplace(pending.order_qty, True)
    if pending.is_seen or event.exec_type in _REPLACE_ANSWERS:
        return None
    # Nothing of a replace that the ledger has not taken up can follow the end of its order.
    return None if event.new_status.is_terminal else pending


def _found(event: OrderStateChanged) -> Reservation:
    """An order that risk holds no reservation for: someone else's, or one that had ended and came back."""
    return Reservation(
        strategy_id=event.strategy_id,
        symbol=event.symbol,
        side=event.side,
        order_qty=ZERO,
        working_qty=ZERO,
        leaves_qty=ZERO,
    )
