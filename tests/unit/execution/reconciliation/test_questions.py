"""What the broker asks, in which order, and when an answer may be believed."""

# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from core.contracts import (
    Alert,
    ExecType,
    OrderResolution,
    OrderStatus,
    ReconcileAccount,
    ReconciliationVerdict,
    ResolveOrder,
    StatementSubject,
    SubmitOrder,
    VenueCondition,
    VenueStatement,
)
from core.ids import client_order_id
from core.machine import Answer, CallReplied, Command, ConfigLoaded, Publish
from core.venue import (
    BalancesFetched,
    BrokerBalance,
    BrokerPosition,
    FetchBalances,
    FetchClosedOrders,
    FetchFills,
    FetchOpenOrders,
    FetchPositions,
    FillsFetched,
    Lookup,
    NotFound,
    OrdersFetched,
    OutcomeUnknown,
    Place,
    PositionsFetched,
    Refused,
    Subscribed,
    VenueReply,
)
from execution.live_orders import Stage, VenueTraits
from tests.support.builders import NOW, PREFIX, settings_with
from tests.support.gateway import HALTED, MS, SECOND, GatewayBench, a_fill, a_submit, a_view, found, reports_in

ORDER = a_submit(1)
LOST = OutcomeUnknown(cause="TIMEOUT")
ALL = ["FetchFills", "FetchOpenOrders", "FetchClosedOrders", "FetchPositions", "FetchBalances"]


def _bench(clock: str = "system", restarts: bool = False, traits: VenueTraits | None = None, **section: Any) -> GatewayBench:
    bench = GatewayBench(settings=settings_with(runtime={"clock": clock}, reconciliation=section), restarts=restarts, traits=traits)
    bench.give(ConfigLoaded("hash", "{}"))
    return bench


def _questions(bench: GatewayBench) -> list[str]:
    return [type(call.request).__name__ for call in bench.calls.values() if type(call.request).__name__.startswith("Fetch")]


def _statements(bench: GatewayBench) -> list[VenueStatement]:
    return [e.body for e in bench.effects if isinstance(e, Publish) and isinstance(e.body, VenueStatement)]


def _conditions(bench: GatewayBench) -> list[str]:
    return [e.body.code for e in bench.effects if isinstance(e, Publish) and isinstance(e.body, VenueCondition)]


def _places(bench: GatewayBench) -> int:
    return sum(isinstance(call.request, Place) for call in bench.calls.values())


def _ask(bench: GatewayBench, body: ReconcileAccount | ResolveOrder) -> str:
    (answer,) = [e for e in bench.give(Command("c", "ops", body)) if isinstance(e, Answer)]
    return str(answer.reply)


class TestStart:
    """Nothing is added before the account was compared."""

    @pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restored before every input"])
    def test_everything_is_asked_in_order_and_entries_wait_until_it_agrees(self, restarts: bool) -> None:
        """Executions first; exits and cancels go meanwhile; the last statement ends the cycle."""
        bench = _bench(restarts=restarts)
        assert bench.gateway.unready_reason
        bench.tell(ORDER)
        assert bench.reports[-1].reject_reason == "NOT_RECONCILED"
        bench.tell(a_submit(2, approval={"reduces": True}))
        assert _places(bench) == 1
        bench.connect()
        assert _questions(bench) == ALL
        assert [(s.subject, s.is_start, s.is_last) for s in _statements(bench)] == [(subject, True, subject is StatementSubject.BALANCES) for subject in StatementSubject]
        assert (bench.gateway.unready_reason, _conditions(bench)) == ("", ["NOT_RECONCILED", ""])
        bench.tell(a_submit(3))
        assert _places(bench) == 2

    def test_entries_go_on_waiting_when_the_start_is_halted(self) -> None:
        """With the reason; the next comparison that agrees ends it."""
        bench = _bench()
        bench.link_up()
        bench.give(CallReplied("paper.subscribe1", Subscribed(last_cursor=0)))
        for _ in ALL:
            asked = bench.question
            assert asked is not None
            bench.reply(type(asked), bench._nothing(asked))
        bench.report(ReconciliationVerdict.HALTED, "4 positions are on one side only")
        assert bench.gateway.unready_reason == "4 positions are on one side only"
        bench.tell(ORDER)
        assert _places(bench) == 0
        bench.wake()
        bench.reconcile()
        assert [s.is_start for s in _statements(bench)][-1] is True
        bench.tell(replace(a_submit(2), created_ns=bench.now_ns))
        assert _places(bench) == 1

    def test_person_is_called_when_the_venue_cannot_be_reached(self) -> None:
        """By the system's clock; the time of a replay measures no wait."""
        bench = _bench(start_timeout_ms=5_000)
        assert bench.next_wake() == NOW + 5 * SECOND
        bench.wake()
        alert = [e.body for e in bench.effects if isinstance(e, Publish) and isinstance(e.body, Alert)][-1]
        assert (alert.name, "could not be reached for 5000 ms" in alert.text) == ("ReconciliationError", True)
        assert bench.next_wake() is None
        assert _bench("session").next_wake() is None

    def test_executions_are_told_again_from_before_the_last_event(self) -> None:
        """By their own names; one that was never told is fetched by the subscription."""
        bench = _bench(overlap_events=2).connect()
        order = bench.working(ORDER)
        for cursor in (1, 2, 3):
            bench.push(a_fill(order, cursor, last_qty=1, cum_qty=cursor, status=OrderStatus.PARTIALLY_FILLED))
        _ask(bench, ReconcileAccount())
        bench.reconcile()
        bench.link_down()
        bench.link_up()
        bench.reply(type(bench.open["paper.subscribe2"]), Subscribed(last_cursor=3))
        assert bench.question == FetchFills(cursor=1, limit=500)
        fills = tuple(a_fill(order, cursor, last_qty=1, cum_qty=cursor).fill for cursor in (2, 3, 4))
        told = reports_in(bench.reply(FetchFills, FillsFetched(fills=fills, is_last=True)))
        assert [(r.exec_type, r.evidence, r.exec_id, r.cursor) for r in told] == [(ExecType.TRADE, "QUERY", "x2", 2), (ExecType.TRADE, "QUERY", "x3", 3)]
        assert bench.gateway.snapshot().feed.known == 4


class TestAnswers:
    """A statement is told where it is true, or not at all."""

    @pytest.mark.parametrize("reply", [LOST, Refused(code="MAINTENANCE"), NotFound(), OrdersFetched(orders=()), Refused(code="RATE_LIMITED", retry_after_ms=300)])
    @pytest.mark.parametrize("step", [FetchPositions, FetchBalances])
    def test_failed_question_is_never_an_empty_answer(self, reply: VenueReply, step: type[Any]) -> None:
        """It is asked again, at once and then with patience, and nothing is stated meanwhile."""
        bench = _bench()
        bench.link_up()
        bench.give(CallReplied("paper.subscribe1", Subscribed(last_cursor=0)))
        while not isinstance(bench.question, step):
            asked = bench.question
            assert asked is not None
            bench.reply(type(asked), bench._nothing(asked))
        before = len(_statements(bench))
        for _ in range(6):
            if bench.question is None:
                bench.wake()
            bench.reply(step, reply)
        assert len(_statements(bench)) == before
        bench.wake()
        bench.reconcile()
        assert [s.subject for s in _statements(bench)] == list(StatementSubject)

    def test_answer_waits_for_its_event_when_it_is_ahead(self) -> None:
        """Told right behind it, before any other."""
        bench = _bench().connect()
        order = bench.working(ORDER)
        bench.now_ns += 60 * SECOND
        bench.wake()
        bench.reply(FetchFills, FillsFetched(fills=(), is_last=True))
        count = len(_statements(bench))
        bench.reply(FetchOpenOrders, OrdersFetched(orders=(), cursor=2))
        assert len(_statements(bench)) == count
        bench.push(a_fill(order, 1, last_qty=4, cum_qty=4, status=OrderStatus.PARTIALLY_FILLED))
        assert len(_statements(bench)) == count
        effects = bench.push(a_fill(order, 2, last_qty=6, cum_qty=10))
        told = [type(e.body).__name__ for e in effects if isinstance(e, Publish)]
        assert told == ["VenueReport", "VenueStatement"]
        assert (_statements(bench)[-1].cursor, _statements(bench)[-1].missing) == (2, ())

    def test_answer_is_asked_for_anew_when_it_is_behind(self) -> None:
        """What came meanwhile is not in it."""
        bench = _bench().connect()
        order = bench.working(ORDER)
        bench.now_ns += 60 * SECOND
        bench.wake()
        bench.push(a_fill(order, 1))
        bench.reply(FetchFills, FillsFetched(fills=(), is_last=True))
        count = len(_statements(bench))
        bench.reply(FetchOpenOrders, OrdersFetched(orders=(a_view(order),), cursor=0))
        assert (len(_statements(bench)), bench.question) == (count, FetchOpenOrders())

    def test_positions_and_balances_are_stated_as_the_venue_says_them(self) -> None:
        """Signed, and with the price it takes them at."""
        bench = _bench()
        bench.link_up()
        bench.give(CallReplied("paper.subscribe1", Subscribed(last_cursor=0)))
        bench.reconcile(
            FetchPositions=PositionsFetched(positions=(BrokerPosition(symbol="IBM", position_qty=Decimal(-3), price=Decimal(99)),), cursor=0),
            FetchBalances=BalancesFetched(balances=(BrokerBalance(asset="USD", total=Decimal(7)),), cursor=0),
        )
        holdings, cash = _statements(bench)[-2:]
        assert [(p.symbol, p.position_qty, p.avg_price) for p in holdings.positions] == [("IBM", -3, 99)]
        assert [(b.asset, b.total) for b in cash.balances] == [("USD", 7)]


class TestCadence:
    """Orders every thirty seconds, everything every sixty, on each connection, and when a person asks."""

    def test_orders_are_compared_more_often_than_holdings(self) -> None:
        """By the configuration."""
        bench = _bench().connect()
        for expected in (ALL[:3], ALL, ALL[:3], ALL):
            before = len(_questions(bench))
            due = bench.next_wake()
            assert due == bench.now_ns + 30 * SECOND
            bench.wake()
            bench.reconcile()
            assert _questions(bench)[before:] == expected

    def test_everything_is_compared_when_the_connection_comes_back(self) -> None:
        """Whatever was under way on the old one is void; the run stays reconciled."""
        bench = _bench().connect()
        bench.now_ns += 30 * SECOND
        bench.wake()
        bench.link_down()
        assert bench.next_wake() is None
        bench.open.clear()
        before = len(_questions(bench))
        bench.connect()
        assert _questions(bench)[before:] == ALL
        assert not _statements(bench)[-1].is_start

    def test_person_may_ask_for_it_now(self) -> None:
        """The answer names the cycle; without a connection it says so."""
        bench = _bench()
        assert _ask(bench, ReconcileAccount()) == "refused: the venue is not connected"
        bench.connect()
        assert _ask(bench, ReconcileAccount()) == "cycle 2"
        assert _ask(bench, ReconcileAccount()) == "cycle 3"
        bench.reconcile()
        assert [s.cycle for s in _statements(bench) if s.is_last] == [1, 2, 3]

    def test_nothing_is_asked_while_the_venue_has_banned_us(self) -> None:
        """Asking would make it longer."""
        bench = _bench().connect()
        bench.tell(ORDER)
        bench.reply(Place, Refused(code="BANNED", retry_after_ms=120_000))
        bench.now_ns += 30 * SECOND
        before = len(_questions(bench))
        bench.wake()
        assert (len(_questions(bench)), bench.next_wake()) == (before, NOW + 120 * SECOND)

    def test_nothing_is_asked_again_when_the_configuration_says_so(self) -> None:
        """Only at start, on a new connection and on request."""
        assert _bench(orders_ms=None, holdings_ms=None).connect().next_wake() is None


class TestSightings:
    """Orders in the venue's lists."""

    def _cycle(self, bench: GatewayBench, **answers: VenueReply) -> VenueStatement:
        """The statement about open orders of a cycle that answers so."""
        before = len(_statements(bench))
        _ask(bench, ReconcileAccount())
        bench.reconcile(**answers)
        return next(s for s in _statements(bench)[before:] if s.subject is StatementSubject.OPEN_ORDERS)

    def test_order_that_the_venue_shows_no_more_is_asked_after_by_its_id(self) -> None:
        """A list proves no end; the answer does."""
        bench = _bench().connect()
        bench.working(ORDER)
        assert self._cycle(bench).missing == (ORDER.client_order_id,)
        bench.reply(Lookup, found(ORDER, OrderStatus.CANCELLED))
        assert (bench.reports[-1].exec_type, bench.reports[-1].evidence, bench.live) == (ExecType.CANCELLED, "QUERY", [])

    def test_order_is_not_missing_when_it_was_sent_after_the_question(self) -> None:
        """The list could not know it."""
        bench = _bench().connect()
        _ask(bench, ReconcileAccount())
        bench.reply(FetchFills, FillsFetched(fills=(), is_last=True))
        bench.working(ORDER)
        bench.reply(FetchOpenOrders, OrdersFetched(orders=(), cursor=0))
        assert _statements(bench)[-1].missing == ()

    def test_list_says_nothing_of_an_order_that_is_being_sent(self) -> None:
        """Its own answer will."""
        bench = _bench().connect()
        bench.tell(ORDER)
        said = self._cycle(bench, FetchOpenOrders=OrdersFetched(orders=(a_view(ORDER),), cursor=0))
        assert (said.unsettled, said.missing) == ((ORDER.client_order_id,), ())

    def test_doubt_ends_when_the_list_shows_the_order(self) -> None:
        """As by any other word of the venue's."""
        bench = _bench(traits=VenueTraits(late_arrival_ns=SECOND)).connect()
        bench.tell(ORDER)
        bench.reply(Place, LOST)
        bench.reply(Lookup, NotFound())
        self._cycle(bench, FetchOpenOrders=OrdersFetched(orders=(a_view(ORDER),), cursor=0))
        (order,) = bench.gateway.snapshot().orders
        assert (order.stage, bench.ways) == (Stage.WORKING, ["pushed"])

    def test_own_order_that_nobody_followed_is_followed_from_then_on(self) -> None:
        """So that a kill cancels it; a person hears of it."""
        bench = _bench().connect()
        bench.working(ORDER)
        stray = a_submit(7)
        self._cycle(bench, FetchOpenOrders=OrdersFetched(orders=(a_view(ORDER), a_view(stray)), cursor=0))
        assert "ended_order_is_live" in bench.alerts
        assert bench.live == [ORDER.client_order_id, stray.client_order_id]
        bench.kill(HALTED)
        assert bench.asked.count("Cancel") == 2

    def test_order_of_another_suite_stops_entries_and_nobody_manages_it(self) -> None:
        """Our mark with a foreign epoch; an order made by hand stops nothing."""
        bench = _bench().connect()
        bench.working(ORDER)
        for name, codes in (("web-1", []), (client_order_id("txyz-", "trend", "x"), ["FOREIGN_SUITE"])):
            view = a_view(ORDER, client_order_id=name)
            self._cycle(bench, FetchOpenOrders=OrdersFetched(orders=(a_view(ORDER), view), cursor=0))
            assert _conditions(bench)[2:] == codes
        assert bench.live == [ORDER.client_order_id]
        assert PREFIX != "txyz-"


class TestResolving:
    """How an order ended by a person's word."""

    def _lost(self) -> tuple[GatewayBench, SubmitOrder]:
        bench = _bench(traits=VenueTraits(ids_unique_for_ever=False)).connect()
        bench.tell(ORDER)
        bench.reply(Place, LOST)
        for _ in range(2):
            bench.reply(Lookup, NotFound())
        assert bench.gateway.snapshot().orders[0].stage is Stage.LOST
        return bench, ORDER

    def _resolve(self, bench: GatewayBench, resolution: OrderResolution = OrderResolution.CANCELLED, reason: str = "asked the venue", **said: Any) -> str:
        said = {name: Decimal(value) if name.startswith("last") else value for name, value in said.items()}
        return _ask(bench, ResolveOrder(client_order_id=ORDER.client_order_id, resolution=resolution, reason=reason, **said))

    @pytest.mark.parametrize(
        ("resolution", "said", "expected"),
        [
            ("cancelled", {}, [("CANCELLED", 0)]),
            ("rejected", {}, [("REJECTED", 0)]),
            ("never-reached", {}, [("NEVER_REACHED", 0)]),
            ("filled", {"last_price": 99}, [("TRADE", 10)]),
            ("filled", {"last_price": 99, "last_qty": 4}, [("TRADE", 4), ("CANCELLED", 0)]),
        ],
    )
    def test_lost_order_ends_as_the_person_says(self, resolution: str, said: dict[str, Any], expected: list[tuple[str, int]]) -> None:
        """Told as facts with their evidence and the person's name; a person is told; it is over."""
        bench, order = self._lost()
        before = len(bench.reports)
        assert self._resolve(bench, OrderResolution(resolution), **said) == f"order {order.client_order_id} is resolved as {resolution}"
        told = bench.reports[before:]
        assert [(r.exec_type, r.last_qty) for r in told] == expected
        assert {(r.evidence, "ops: asked the venue" in r.reject_reason) for r in told} == {("OPERATOR", True)}
        assert (bench.live, "order_resolved" in bench.alerts) == ([], True)

    @pytest.mark.parametrize(
        ("resolution", "said", "why"),
        [
            ("cancelled", {"reason": " "}, "a reason is required"),
            ("cancelled", {"last_price": 1}, "belong to filled alone"),
            ("filled", {}, "needs the price"),
            ("filled", {"last_price": 0}, "needs the price"),
            ("filled", {"last_price": 1, "last_qty": 11}, "at most 10 is required"),
        ],
    )
    def test_word_is_refused_when_something_is_missing_or_too_much(self, resolution: str, said: dict[str, Any], why: str) -> None:
        """And changes nothing."""
        bench, order = self._lost()
        reports = len(bench.reports)
        assert why in self._resolve(bench, OrderResolution(resolution), **said)
        assert (len(bench.reports), bench.live) == (reports, [order.client_order_id])

    def test_word_is_refused_when_evidence_contradicts_it(self) -> None:
        """The venue has it, it has ended, or nobody knows it."""
        bench = _bench().connect()
        assert "is not known here" in self._resolve(bench)
        bench.working(ORDER)
        assert "is WORKING, the venue's own word on it counts" in self._resolve(bench)
        bench.update(ORDER, OrderStatus.CANCELLED)
        assert "ended CANCELLED already" in self._resolve(bench)

    def test_resolved_order_is_followed_again_when_the_venue_shows_it_alive(self) -> None:
        """The venue outranks a person."""
        bench, order = self._lost()
        self._resolve(bench)
        bench.update(order, OrderStatus.ACCEPTED)
        assert (bench.live, "ended_order_is_live" in bench.alerts) == ([order.client_order_id], True)


def test_closed_orders_are_asked_for_from_the_last_time_on() -> None:
    """Not from the beginning of the world each time."""
    bench = _bench().connect()
    bench.now_ns += 30 * SECOND + 7 * MS
    bench.wake()
    bench.reconcile()
    asked = [call.request for call in bench.calls.values() if isinstance(call.request, FetchClosedOrders)]
    assert asked == [FetchClosedOrders(since_ns=0), FetchClosedOrders(since_ns=NOW)]
