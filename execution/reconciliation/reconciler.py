"""The OMS's half of reconciliation: holds each statement of the venue's against the books, and says what follows.

    orders       the venue's view of an order that was booked otherwise is a fact like any other and is folded; an order that is not ours
                 is registered EXTERNAL; one that the venue shows no more is asked after by the broker
    positions,   at a start, within the thresholds, or by a person's command, the venue is right: adopted as an adjustment as of its event,
    cash         which the executions it stands for replace when they come. In between a difference is told, watched, and stops risk
                 when it lasts

Nothing here is guessed: a statement is compared with exactly what had been reported before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from core import topics
from core.contracts import BreakKind as Kind
from core.contracts import (
    ReconciliationBreak,
    ReconciliationReport,
    ReconciliationVerdict,
    Severity,
    StatementSubject,
    VenueReport,
    VenueStatement,
)
from core.errors import ReconciliationError
from core.instrument import Instrument
from core.machine import Archive
from core.money import ZERO
from core.order import Execution, Order
from core.settings import Settings
from execution.hot_orders import HotOrders
from execution.ledger import Ledger, Transaction
from execution.oms_reporter import Reporter
from execution.reconciliation.adjustments import ADJUSTMENT, Adjustment, Adjustments, Change
from execution.reconciliation.breaks import BreakBook, BreakState, require_startable
from execution.reconciliation.diff import cash_breaks, order_break, position_breaks
from execution.reconciliation.external import name_of
from execution.venues.sessions import day_end_ns

__all__ = ["Reconciler", "ReconcilerState"]

_TOPIC = topics.RECON_REPORT.name()
_HOLDINGS = frozenset({StatementSubject.POSITIONS, StatementSubject.BALANCES})
_RECONCILIATION = "RECONCILIATION"
_ALARMS = frozenset({Kind.MISSING_BROKER, Kind.EXTRA_ORDER})


class ReconcilerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Differences and adjustments, why a start-up waits ('': it does not), which subjects an operator (`actor`) wants adopted next, since
    when a strategy that holds nothing overnight has held what (symbol|owner → ns UTC), and what a person has to look at."""

    breaks: BreakState = BreakState()
    positions: dict[str, Adjustment] = msgspec.field(default_factory=dict)
    cash: dict[str, Adjustment] = msgspec.field(default_factory=dict)
    halted: str = ""
    adopting: tuple[StatementSubject, ...] = ()
    actor: str = ""
    held_since: dict[str, int] = msgspec.field(default_factory=dict)
    errors: tuple[str, ...] = ()


class Reconciler:
    """What the books make of the venue's statements.

    Invariants: nothing is adopted beyond the thresholds but by a person's command; what is adopted is a double entry with the moment it
    was true; each cycle ends with one report.
    """

    def __init__(self, settings: Settings, ledger: Ledger, tell: Reporter, instrument_of: Callable[[str], Instrument]) -> None:
        self._settings = settings.reconciliation
        self._day_only = frozenset(name for name, strategy in settings.strategies.items() if strategy.overnight == "never")
        self._ledger = ledger
        self._tell = tell
        self._instrument_of = instrument_of
        self._now_ns = 0
        self.restore(ReconcilerState())

    @property
    def state(self) -> ReconcilerState:
        """The whole state."""
        return ReconcilerState(
            breaks=self._breaks.state,
            positions=dict(self._adjustments.positions),
            cash=dict(self._adjustments.cash),
            halted=self._halted,
            adopting=self._adopting,
            actor=self._actor,
            held_since=dict(self._held_since),
            errors=self._errors,
        )

    def restore(self, state: ReconcilerState) -> None:
        """Become the reconciler that had this state."""
        self._breaks = BreakBook(self._settings)
        self._breaks.state = state.breaks
        self._adjustments = Adjustments(state.positions, state.cash)
        self._halted, self._adopting, self._actor = state.halted, state.adopting, state.actor
        self._held_since = dict(state.held_since)
        self._errors = state.errors

    @property
    def watches_bookings(self) -> bool:
        """Whether executions have to be shown to `on_booked`."""
        return self._adjustments.is_open or bool(self._day_only)

    def sync(self, reason: str, actor: str, now_ns: int) -> str:
        """A person takes the venue's word for positions and cash; the answer."""
        if not reason.strip():
            return "refused: adopting what the venue says needs a reason"
        self._adopting, self._actor = tuple(s for s in StatementSubject if s in _HOLDINGS), f"{actor}: {reason.strip()}"
        self._tell.alert("SyncFromBroker", Severity.WARNING, f"{actor} adopts the venue's positions and cash: {reason.strip()}")
        return "the venue's next word on positions and cash is adopted"

    # What the venue states.

    def on_statement(self, statement: VenueStatement, orders: Callable[[VenueReport], Order | None], hot: HotOrders, now_ns: int) -> Sequence[VenueReport]:
        """Compare; what it gives are the views that have to be folded, because they say what was not booked."""
        self._now_ns = now_ns
        match statement.subject:
            case StatementSubject.OPEN_ORDERS | StatementSubject.CLOSED_ORDERS:
                return self._on_orders(statement, orders, hot)
            case StatementSubject.POSITIONS:
                self._on_positions(statement)
            case StatementSubject.BALANCES:
                self._on_balances(statement)
            case _:
                assert_never(statement.subject)
        return ()

    def _on_orders(self, statement: VenueStatement, orders: Callable[[VenueReport], Order | None], hot: HotOrders) -> Sequence[VenueReport]:
        found: list[ReconciliationBreak] = []
        words: list[VenueReport] = []
        for view in statement.orders:
            if name_of(view) in statement.unsettled:
                continue
            difference = order_break(orders(view), view)
            if difference is not None:
                found.append(difference)
                words.append(view)
        for order_id in statement.missing:
            order = hot.find(order_id)
            if order is not None:
                text = f"local={order.status}, the venue does not show it"
                found.append(ReconciliationBreak(kind=Kind.MISSING_ORDER, name=order_id, symbol=order.origin.symbol, local=order.order_qty, text=text))
        self._note(statement, found, is_adopted=False)
        return words

    def _on_positions(self, statement: VenueStatement) -> None:
        theirs = {p.symbol: p.position_qty for p in statement.positions}
        found = position_breaks(self._ledger.account_positions(), theirs)
        if statement.is_start:
            self._errors = self._overnight(statement.stated_ns)
        is_adopted = self._may_adopt(statement, found)
        if is_adopted:
            prices = {p.symbol: p.avg_price for p in statement.positions}
            for b in found:
                self._adopt(self._adjustments.adopt_position(b.name, (b.broker or ZERO) - (b.local or ZERO), self._price(b.name, prices), statement.cursor, statement.stated_ns))
        self._note(statement, found, is_adopted=is_adopted)

    def _on_balances(self, statement: VenueStatement) -> None:
        theirs = {b.asset: b.total for b in statement.balances}
        found = cash_breaks(self._ledger.balances, theirs, self._settings.cash_tolerance)
        is_adopted = self._may_adopt(statement, found)
        if is_adopted:
            for b in found:
                self._adopt(self._adjustments.adopt_cash(b.name, (b.broker or ZERO) - (b.local or ZERO), statement.cursor, statement.stated_ns))
        self._note(statement, found, is_adopted=is_adopted)

    def _may_adopt(self, statement: VenueStatement, found: Sequence[ReconciliationBreak]) -> bool:
        """Whether what the venue says of holdings is taken: a person said so, or this is a start within the thresholds."""
        if statement.subject in self._adopting:
            self._adopting = tuple(s for s in self._adopting if s is not statement.subject)
            self._halted = ""
            return bool(found)
        if statement.subject is StatementSubject.POSITIONS and (statement.is_start or self._halted):
            self._judge_start(found)
        return bool(found) and statement.is_start and not self._halted

    def _judge_start(self, found: Sequence[ReconciliationBreak]) -> None:
        try:
            require_startable(found, self._settings)
        except ReconciliationError as error:
            if not self._halted:
                self._tell.alert(type(error).__name__, Severity.CRITICAL, f"the start-up waits for a person, entries are not sent: {error}")
            self._halted = str(error)
        else:
            self._halted = ""

    def _adopt(self, change: Change) -> None:
        self._post((change,), actor=self._actor)

    def _price(self, symbol: str, prices: Mapping[str, Decimal]) -> Decimal:
        """What a unit is taken at: by the venue's word, else at what we hold it at."""
        known = prices.get(symbol, ZERO)
        held = (position.avg_price for name, _, position in self._ledger.positions() if name == symbol and position.qty)
        return known or next(held, ZERO)

    def _note(self, statement: VenueStatement, found: Sequence[ReconciliationBreak], *, is_adopted: bool) -> None:
        """Remember and tell the differences. What was told of a difference is told again only when it stops something."""
        known = {(b.kind, b.name) for b in self._breaks.state.found.get(statement.subject, ())}
        for b in self._breaks.update(statement.subject, found, is_adopted=is_adopted):
            is_new = (b.kind, b.name) not in known
            if is_new or b.cycles == self._settings.symbol_cycles:
                severity = Severity.CRITICAL if b.kind in _ALARMS or b.cycles >= self._settings.symbol_cycles else Severity.WARNING
                how = "adopted" if is_adopted else f"found {b.cycles} times in a row"
                self._tell.alert("ReconciliationBreak", severity, f"{b}, {how}, as of event {statement.cursor}")

    def report(self, statement: VenueStatement) -> None:
        """The last statement of a cycle was compared: what it came to."""
        breaks, account_reason = self._breaks.all, self._breaks.account_reason
        reason = self._halted or account_reason
        verdict = _verdict(self._halted, breaks)
        self._tell.publish(
            _TOPIC,
            ReconciliationReport(
                account=statement.account,
                venue=statement.venue,
                cycle=statement.cycle,
                cursor=statement.cursor,
                occurred_ns=statement.stated_ns,
                verdict=verdict,
                is_reconciled=not reason,
                is_start=statement.is_start,
                reason=reason,
                breaks=breaks,
                disarmed_symbols=self._breaks.disarmed_symbols,
                errors=self._errors,
            ),
        )
        self._breaks.forget_adopted()
        if not self._adopting:
            self._actor = ""

    # What is booked.

    def on_booked(self, order: Order, report: VenueReport, done: Sequence[Execution], now_ns: int) -> None:
        """Executions of one report were booked: the adjustment that stood for them gives way, and a strategy that holds nothing overnight is watched."""
        self._now_ns = now_ns
        origin = order.origin
        if self._adjustments.is_open:
            self._post(self._adjustments.replaced_by(report, origin.side, self._instrument_of(origin.symbol), done), exec_id=report.exec_id)
        if origin.strategy_id in self._day_only:
            name = f"{origin.symbol}|{origin.strategy_id}"
            if self._ledger.position(origin.symbol, origin.strategy_id).qty:
                self._held_since[name] = now_ns
            else:
                self._held_since.pop(name, None)

    def _post(self, changes: Sequence[Change], *, exec_id: str = "", actor: str = "") -> None:
        for change in changes:
            if not change.amount:
                continue
            self._archive(self._transaction(change))
            symbol, owner, assets = ("", "", (change.name,)) if change.is_cash else (change.name, ADJUSTMENT, ())
            self._tell.adjusted(ADJUSTMENT.strip("_").upper(), _RECONCILIATION, change.as_of_ns, symbol=symbol, owner=owner, assets=assets, exec_id=exec_id, actor=actor)

    def _transaction(self, change: Change) -> Transaction:
        if change.is_cash:
            return self._ledger.adjust_cash(change.name, change.amount, self._now_ns, change.as_of_ns)
        return self._ledger.adjust_position(self._instrument_of(change.name), ADJUSTMENT, change.amount, change.price, self._now_ns, change.as_of_ns)

    def _archive(self, transaction: Transaction) -> None:
        self._tell.add(Archive("txn", transaction.key, transaction.encode()))

    def _overnight(self, now_ns: int) -> tuple[str, ...]:
        """Positions of strategies that hold nothing overnight, from a session that is over."""
        found = []
        for name, since_ns in sorted(self._held_since.items()):
            symbol, _, owner = name.partition("|")
            if day_end_ns(self._instrument_of(symbol).session, since_ns) <= now_ns:
                qty = self._ledger.position(symbol, owner).qty
                found.append(f"{owner} holds {qty} {symbol} since a session that is over, and may hold nothing overnight")
        for text in found:
            if text not in self._errors:
                self._tell.alert("OvernightPosition", Severity.CRITICAL, text)
        return tuple(found)


def _verdict(halted: str, breaks: Sequence[ReconciliationBreak]) -> ReconciliationVerdict:
    if halted:
        return ReconciliationVerdict.HALTED
    if any(not b.is_adopted for b in breaks):
        return ReconciliationVerdict.BROKEN
    return ReconciliationVerdict.ADOPTED if breaks else ReconciliationVerdict.CLEAN
