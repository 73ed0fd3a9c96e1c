"""What the broker asks its venue to compare the account by, in which order, and when an answer may be believed.

Theory of operation. A cycle asks one thing after the other: the executions first (each is told again, and whoever has booked it knows
it by its key), then open and recently ended orders, then positions and balances. A start asks everything, with executions from some way
before the last event; so does every new connection. A failed question is asked again, and an answer that fails is never an empty one.

An answer says which of the venue's events it shows. It is told on exactly when that event has been told and no later one has, because
then everything it contains, and nothing else, was reported before it on the same stream: so nothing that is under way looks like a
difference. An answer that is ahead waits for its events; one that is behind is asked for anew.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from core.contracts import BalanceSnapshot, PositionSnapshot, ReconciliationReport, Severity, StatementSubject, VenueStatement
from core.ids import request_id
from core.machine import CallVenue, Publish
from core.money import ZERO
from core.settings import Settings
from core.venue import (
    BANNED,
    RATE_LIMITED,
    BalancesFetched,
    FetchBalances,
    FetchClosedOrders,
    FetchFills,
    FetchOpenOrders,
    FetchPositions,
    FillsFetched,
    OrdersFetched,
    PositionsFetched,
    Refused,
    VenueReply,
    VenueRequest,
)
from execution.live_book import CallKind, LiveBook
from execution.live_orders import NS_PER_MS, Ended, Stage, retry_delay_ns
from execution.reconciliation.sightings import Sightings
from execution.throttle import RATE_BACKOFF_NS
from execution.venue_reports import QUERY

__all__ = ["Questions", "QuestionsState", "Step"]

_FILLS_PAGE = 500
_FILLS_BACK_MAX = 1_000
NOT_COMPARED = "the account has not been compared with its venue in this run"

_Statable = OrdersFetched | PositionsFetched | BalancesFetched


class Step(StrEnum):
    """One question of a cycle."""

    FILLS = "FILLS"
    OPEN_ORDERS = "OPEN_ORDERS"
    CLOSED_ORDERS = "CLOSED_ORDERS"
    POSITIONS = "POSITIONS"
    BALANCES = "BALANCES"


_ORDERS = (Step.FILLS, Step.OPEN_ORDERS, Step.CLOSED_ORDERS)
_ALL = tuple(Step)
_SUBJECTS = {
    Step.OPEN_ORDERS: StatementSubject.OPEN_ORDERS,
    Step.CLOSED_ORDERS: StatementSubject.CLOSED_ORDERS,
    Step.POSITIONS: StatementSubject.POSITIONS,
    Step.BALANCES: StatementSubject.BALANCES,
}
_ANSWERS: dict[Step, type[object]] = {
    Step.FILLS: FillsFetched,
    Step.OPEN_ORDERS: OrdersFetched,
    Step.CLOSED_ORDERS: OrdersFetched,
    Step.POSITIONS: PositionsFetched,
    Step.BALANCES: BalancesFetched,
}


class QuestionsState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the cycle under way is (`steps` are still to be answered, none: no cycle), and when the next one is due.

    `known` are the orders that were working at the venue when its open orders were asked for, `held` an answer that waits for the event
    it shows, `ended` the archived ends of orders in it. `fills_cursor` is where the next look at executions begins, `closed_since_ns`
    the one at ended orders. `begun` says that a run has begun; `is_confirmed` that its account was found reconciled by the cycle
    `start_cycle` or a later one; at `alarm_ns` a person is called because it was not. `reason` is why it does not count as reconciled ('': it does).
    """

    begun: bool = False
    is_confirmed: bool = False
    start_cycle: int = 0
    alarm_ns: int | None = None
    cycle: int = 0
    steps: tuple[Step, ...] = ()
    calls: int = 0
    open_call: str = ""
    failures: int = 0
    due_ns: int | None = None
    fills_cursor: int = 0
    closed_since_ns: int = 0
    asked_ns: int = 0
    known: tuple[str, ...] = ()
    held: OrdersFetched | PositionsFetched | BalancesFetched | None = None
    ended: dict[str, Ended] = msgspec.field(default_factory=dict)
    orders_due_ns: int | None = None
    holdings_due_ns: int | None = None
    is_wanted: bool = False
    reason: str = ""


class Questions:
    """The cycles of one account.

    Invariants: at most one question is open; a statement is told only as of the last event that was told; a cycle ends with its last
    statement, or with the connection, and then begins anew.
    """

    def __init__(self, book: LiveBook, sightings: Sightings, settings: Settings) -> None:
        self.state = QuestionsState()
        self._book = book
        self._sightings = sightings
        self._settings = settings.reconciliation
        # The time of a replay stands still while the venue is away: it measures no wait.
        self._measures = settings.runtime.clock == "system"

    def restore(self, state: QuestionsState) -> None:
        """Become the questions that had this state."""
        self.state = state

    @property
    def due_ns(self) -> int | None:
        """When something is to be asked; while a cycle is under way only its own next question counts."""
        state = self.state
        if state.steps:
            return state.due_ns
        times = [t for t in (state.orders_due_ns, state.holdings_due_ns) if t is not None]
        return min(times, default=None)

    @property
    def alarm_ns(self) -> int | None:
        """When a person is called because the start-up has not come to its end."""
        return self.state.alarm_ns

    @property
    def is_holding(self) -> bool:
        """Whether an answer waits for its event."""
        return self.state.held is not None

    def order_ids(self, reply: VenueReply) -> tuple[str, ...]:
        """The orders in an answer that are not live here: their archived ends are needed beside it."""
        if not isinstance(reply, OrdersFetched):
            return ()
        return tuple(view.client_order_id for view in reply.orders if view.client_order_id and view.client_order_id not in self._book.orders)

    # What begins and ends a cycle.

    def begin_run(self) -> None:
        """A new process knows nothing of the venue yet."""
        self.on_lost()
        alarm_ns = self._book.now_ns + self._settings.start_timeout_ms * NS_PER_MS if self._measures else None
        self.state = replace(
            self.state, begun=True, is_confirmed=False, start_cycle=self.state.cycle + 1, alarm_ns=alarm_ns, orders_due_ns=None, holdings_due_ns=None, reason=NOT_COMPARED
        )

    def on_lost(self) -> None:
        """The connection is gone: what was asked on it is void, and the next one asks everything."""
        self.state = replace(self.state, steps=(), open_call="", failures=0, due_ns=None, held=None, ended={}, known=())

    def on_ready(self) -> None:
        """The venue can be asked: compare everything."""
        if self.state.begun:
            fills_from = min(self.state.fills_cursor, self._book.feed.cursor) - self._settings.overlap_events
            self.state = replace(self.state, fills_cursor=max(0, fills_from))
            self._begin(_ALL)

    def on_wanted(self) -> int | None:
        """A person wants everything compared now: the number of the cycle that does; None without a connection."""
        if not self._book.feed.is_ready or not self.state.begun:
            return None
        if self.state.steps:
            self.state = replace(self.state, is_wanted=True)
            return self.state.cycle + 1
        self._begin(_ALL)
        return self.state.cycle

    def on_due(self) -> None:
        """Ask again what failed, or begin the cycle whose time has come; and call a person when the start-up takes too long."""
        now_ns, state = self._book.now_ns, self.state
        if state.alarm_ns is not None and state.alarm_ns <= now_ns:
            self.state = replace(state, alarm_ns=None)
            why = state.reason if self._book.feed.is_connected else f"the venue could not be reached for {self._settings.start_timeout_ms} ms"
            self._book.alert("ReconciliationError", Severity.CRITICAL, f"the start-up of account {self._book.account} waits, entries are not sent: {why}")
        if self.due_ns is None or self.due_ns > now_ns or not self._book.feed.is_ready:
            return
        if self.state.steps:
            self._ask()
            return
        holdings_ns = self.state.holdings_due_ns
        is_all = not self.state.is_confirmed or (holdings_ns is not None and holdings_ns <= now_ns)
        self._begin(_ALL if is_all else _ORDERS)

    def on_report(self, report: ReconciliationReport) -> None:
        """What the OMS made of a cycle."""
        if report.cycle < self.state.start_cycle:
            return
        self.state = replace(self.state, reason="" if report.is_reconciled else report.reason or NOT_COMPARED)
        if report.is_reconciled and not self.state.is_confirmed:
            self.state = replace(self.state, is_confirmed=True, alarm_ns=None)
            self._book.log("info", "reconciled", account=self._book.account, cycle=report.cycle, verdict=report.verdict)

    def _begin(self, steps: tuple[Step, ...]) -> None:
        self.state = replace(self.state, steps=steps, cycle=self.state.cycle + 1, failures=0, is_wanted=False)
        self._ask()

    # One question.

    def _ask(self) -> None:
        """Ask the next question of the cycle, unless the venue wants to hear none."""
        banned_ns = self._book.banned_until_ns
        if banned_ns > self._book.now_ns:
            self.state = replace(self.state, due_ns=banned_ns, open_call="", held=None)
            return
        state = self.state
        calls = state.calls + 1
        call_id = request_id(self._book.account, "reconcile", calls)
        known = tuple(o.client_order_id for o in self._book.orders.values() if o.stage is Stage.WORKING) if state.steps[0] is Step.OPEN_ORDERS else state.known
        self.state = replace(state, calls=calls, open_call=call_id, due_ns=None, held=None, ended={}, known=known, asked_ns=self._book.now_ns)
        self._book.call(CallKind.RECONCILE, "", CallVenue(call_id, self._request(state.steps[0])))

    def _request(self, step: Step) -> VenueRequest:
        match step:
            case Step.FILLS:
                return FetchFills(cursor=max(self.state.fills_cursor, self._book.feed.cursor - _FILLS_BACK_MAX, 0), limit=_FILLS_PAGE)
            case Step.OPEN_ORDERS:
                return FetchOpenOrders()
            case Step.CLOSED_ORDERS:
                return FetchClosedOrders(since_ns=self.state.closed_since_ns)
            case Step.POSITIONS:
                return FetchPositions()
            case Step.BALANCES:
                return FetchBalances()
            case _:
                assert_never(step)

    def on_reply(self, call_id: str, reply: VenueReply, ended: dict[str, Ended]) -> None:
        """The venue answered, or did not. `ended` are the archived ends of the orders it names."""
        if call_id != self.state.open_call or not self.state.steps:
            return
        step = self.state.steps[0]
        if type(reply) is not _ANSWERS[step]:
            self._again(reply)
            return
        self.state = replace(self.state, open_call="", failures=0)
        match reply:
            case FillsFetched():
                self._on_fills(reply)
            case OrdersFetched() | PositionsFetched() | BalancesFetched():
                self.state = replace(self.state, held=reply, ended=ended)
                self.on_event()
            case _:
                pass  # No question has such an answer.

    def on_event(self) -> None:
        """Another of the venue's events was told: the answer that waited for it can be told on."""
        held, feed = self.state.held, self._book.feed
        if held is None:
            return
        if held.cursor > feed.cursor:
            feed.known = max(feed.known, held.cursor)
        elif held.cursor < feed.cursor:
            # Asked for by number of the last event, so it cannot go on like this for ever: it is asked when nothing is on its way to us.
            self._ask()
        else:
            self._state_it(held)

    def _again(self, reply: VenueReply) -> None:
        """No answer to the question: it is open as before."""
        failures, now_ns = self.state.failures + 1, self._book.now_ns
        self.state = replace(self.state, open_call="", failures=failures)
        if isinstance(reply, Refused) and reply.code in (RATE_LIMITED, BANNED):
            self.state = replace(self.state, due_ns=now_ns + (reply.retry_after_ms * NS_PER_MS or RATE_BACKOFF_NS))
        elif delay_ns := retry_delay_ns(failures):
            self.state = replace(self.state, due_ns=now_ns + delay_ns)
        else:
            self._ask()

    # What the answers come to.

    def _on_fills(self, reply: FillsFetched) -> None:
        """Tell each execution again that was told before; those that were not come with their events, and are now known to be missing."""
        feed = self._book.feed
        request_from = max(self.state.fills_cursor, feed.cursor - _FILLS_BACK_MAX, 0)
        for fill in reply.fills:
            if fill.cursor <= feed.cursor:
                self._book.publish(self._book.reports.of_fetched_fill(fill), "")
            else:
                feed.known = max(feed.known, fill.cursor)
        self.state = replace(self.state, fills_cursor=min(feed.cursor, request_from + _FILLS_PAGE))
        if reply.is_last or self.state.fills_cursor >= feed.cursor:
            self._next()
        else:
            self._ask()

    def _state_it(self, reply: _Statable) -> None:
        """Tell what the venue says, at the very place where it is true."""
        state, book = self.state, self._book
        step = state.steps[0]
        statement = VenueStatement(
            venue=book.venue,
            account=book.account,
            subject=_SUBJECTS[step],
            cycle=state.cycle,
            cursor=reply.cursor,
            stated_ns=book.now_ns,
            is_start=not state.is_confirmed,
            is_last=len(state.steps) == 1,
        )
        match reply:
            case OrdersFetched(orders=views):
                seen = self._sightings.take(views, state.ended, state.cycle, reply.cursor)
                missing = self._sightings.missing(state.known, views) if step is Step.OPEN_ORDERS else ()
                orders = tuple(book.reports.of_view(view, QUERY, "") for view in views)
                statement = replace(statement, orders=orders, missing=missing, unsettled=seen)
                if step is Step.CLOSED_ORDERS:
                    self.state = replace(self.state, closed_since_ns=state.asked_ns)
            case PositionsFetched(positions=positions):
                statement = replace(statement, positions=tuple(self._position(p.symbol, p.position_qty, p.price) for p in positions))
            case BalancesFetched(balances=balances):
                statement = replace(statement, balances=tuple(BalanceSnapshot(account=book.account, asset=b.asset, total=b.total, as_of_ns=book.now_ns) for b in balances))
            case _:
                assert_never(reply)
        book.out.append(Publish(book.topic, statement))
        self._next()

    def _position(self, symbol: str, qty: Decimal, price: Decimal) -> PositionSnapshot:
        return PositionSnapshot(account=self._book.account, symbol=symbol, strategy_id="", position_qty=qty, avg_price=price, realized_pnl=ZERO, as_of_ns=self._book.now_ns)

    def _next(self) -> None:
        """The next question, or the end of the cycle."""
        steps = self.state.steps[1:]
        self.state = replace(self.state, steps=steps, held=None, ended={}, known=() if not steps else self.state.known)
        if steps:
            self._ask()
            return
        now_ns, settings = self._book.now_ns, self._settings
        self.state = replace(self.state, orders_due_ns=_after(now_ns, settings.orders_ms))
        if self.state.is_wanted:
            self._begin(_ALL)
        elif self.state.holdings_due_ns is None or self.state.holdings_due_ns <= now_ns or not self.state.is_confirmed:
            self.state = replace(self.state, holdings_due_ns=_after(now_ns, settings.holdings_ms))


def _after(now_ns: int, period_ms: int | None) -> int | None:
    return None if period_ms is None else now_ns + period_ms * NS_PER_MS
