"""What keeps an order from leaving although it was approved, what never does, and what risk hears of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.contracts import CancelAllOrders, DrainOrders, ExecType, LimitsChanged, OrderStatus, SubmitOrder, VenueCondition
from core.ids import client_order_id, request_id
from core.machine import Answer, CallInterrupted, CallReplied, CallVenue, Command, ConfigLoaded, Effect, Message, Publish
from core.settings import Settings
from core.venue import BANNED, RATE_LIMITED, Cancel, Lookup, NotFound, NotSent, OutcomeUnknown, Place, Refused, Replace
from execution.admission import Admission, AdmissionState
from execution.live_orders import SENDS_MAX
from tests.support.builders import NOW, PREFIX, a_message, settings_with
from tests.support.gateway import HALTED, MS, SECOND, GatewayBench, a_cancel, a_fill, a_replace, a_submit, an_ack, found, reports_in, terms_of

REDUCES = {"reduces": True}
SLOW = settings_with(throttle={"orders_per_second_max": 2, "delay_ms_max": 700})


def _bench(settings: Settings | None = None, *, restarts: bool = False) -> GatewayBench:
    return GatewayBench(settings=settings, restarts=restarts).connect()


def _codes(bench: GatewayBench) -> list[str]:
    """Why orders were not sent."""
    return [report.reject_reason for report in bench.reports if report.exec_type is ExecType.NOT_SENT]


def _conditions(bench: GatewayBench) -> list[str]:
    return [effect.body.code for effect in bench.effects if isinstance(effect, Publish) and isinstance(effect.body, VenueCondition)]


def _sent(effects: Sequence[Effect], kind: type[Any] = Place) -> int:
    return sum(isinstance(effect, CallVenue) and isinstance(effect.request, kind) for effect in effects)


def _place(order: SubmitOrder, sends: int = 1) -> str:
    return request_id(order.client_order_id, "place", sends)


class TestThrottle:
    """Control 23: entries wait for their turn, for a while."""

    @pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restored before every input"])
    def test_order_waits_for_its_turn_and_is_refused_when_that_is_too_far_off(self, restarts: bool) -> None:
        """Two a second: two at once, the third half a second later, the fourth not at all. What was never attempted says so."""
        bench = _bench(SLOW, restarts=restarts)
        assert [_sent(bench.tell(a_submit(n))) for n in range(1, 5)] == [1, 1, 0, 0]
        assert (bench.next_wake(), _codes(bench)) == (NOW + SECOND // 2, ["ORDER_RATE_MAX"])
        (refused,) = [report for report in bench.reports if report.exec_type is ExecType.NOT_SENT]
        assert (refused.client_order_id, refused.evidence) == (a_submit(4).client_order_id, "GATEWAY")
        assert _sent(bench.wake()) == 1
        assert [report.exec_type for report in bench.reports if report.client_order_id == a_submit(3).client_order_id] == [ExecType.ATTEMPTED]

    def test_replacement_waits_like_an_order(self) -> None:
        """It is a new order to the venue."""
        bench = _bench(SLOW)
        order = bench.working(a_submit(1))
        bench.tell(a_submit(2))
        assert _sent(bench.tell(a_replace(order)), Replace) == 0
        assert _sent(bench.wake(), Replace) == 1

    def test_waiting_order_is_refused_when_its_turn_comes_too_late(self) -> None:
        """A clock that jumps, or a connection that was gone: late is late."""
        bench = _bench(SLOW)
        for n in range(1, 4):
            bench.tell(a_submit(n))
        bench.now_ns = NOW + 701 * MS
        assert _sent(bench.wake()) == 0
        assert _codes(bench) == ["ORDER_RATE_MAX"]
        assert f"order/{a_submit(3).client_order_id}" in bench.archive

    def test_cancel_overtakes_orders_that_wait(self) -> None:
        """It leaves in the same breath, and takes no token."""
        bench = _bench(SLOW)
        order = bench.working(a_submit(1))
        for n in (2, 3):
            bench.tell(a_submit(n))
        assert _sent(bench.tell(a_cancel(order)), Cancel) == 1
        assert bench.next_wake() == NOW + SECOND // 2

    @pytest.mark.parametrize("way", ["cancelled", "killed", "all cancelled"])
    def test_waiting_order_ends_unsent_when_nobody_wants_it_any_more(self, way: str) -> None:
        """There is nothing to cancel at the venue."""
        bench = _bench(SLOW)
        for n in (1, 2, 3):
            bench.tell(a_submit(n))
        waiting = a_submit(3)
        match way:
            case "cancelled":
                effects = bench.tell(a_cancel(waiting))
            case "killed":
                effects = bench.kill(HALTED)
            case _:
                effects = bench.give(Command("c", "op", CancelAllOrders(reason="drill")))
        assert waiting.client_order_id not in bench.live
        assert [r.client_order_id for r in reports_in(effects) if r.exec_type is ExecType.NOT_SENT] == [waiting.client_order_id]
        assert all(not isinstance(e, CallVenue) or e.call_id.split(".")[0] != waiting.client_order_id for e in effects)

    def test_waiting_order_is_sent_when_the_process_died_meanwhile(self) -> None:
        """Its turn is in the journal."""
        bench = _bench(SLOW)
        for n in (1, 2, 3):
            bench.tell(a_submit(n))
        bench.die()
        bench.connect()
        effects = bench.wake()
        assert _place(a_submit(3)) in [e.call_id for e in effects if isinstance(e, CallVenue)]


class TestAskedTooMuch:
    """429 and 418: the venue's own word."""

    def test_order_goes_again_under_its_id_when_the_venue_says_soon(self) -> None:
        """A definite no to how much, not to what: nothing is in doubt and nothing rejected."""
        bench = _bench()
        bench.tell(a_submit())
        bench.reply(Place, Refused(code=RATE_LIMITED, retry_after_ms=300))
        assert (bench.next_wake(), bench.is_open(Lookup)) == (NOW + 300 * MS, False)
        assert _sent(bench.wake()) == 1
        bench.give(CallReplied(_place(a_submit(), 2), an_ack(a_submit().client_order_id)))
        assert [exec_type for exec_type, _ in bench.story] == [ExecType.ATTEMPTED, ExecType.ATTEMPTED, ExecType.NEW]

    def test_order_is_rejected_in_the_venues_words_when_it_says_later(self) -> None:
        """An entry does not wait for longer than it may; others are not even tried, and risk hears why."""
        bench = _bench()
        bench.tell(a_submit())
        bench.reply(Place, Refused(code=RATE_LIMITED, text="429", retry_after_ms=5_000))
        (report,) = [r for r in bench.reports if r.exec_type is ExecType.REJECTED]
        assert (report.evidence, report.reject_reason) == ("REPLY", "RATE_LIMITED: 429")
        assert _sent(bench.tell(a_submit(2))) == 0
        assert (_codes(bench), _conditions(bench)) == (["VENUE_RATE_LIMITED"], ["VENUE_RATE_LIMITED"])
        bench.wake()
        assert _conditions(bench) == ["VENUE_RATE_LIMITED", ""]
        assert _sent(bench.tell(_young(bench, 3))) == 1

    def test_reduction_goes_again_for_as_long_as_its_approval_is_good(self) -> None:
        """It waits for the moment the venue names, longer than an entry may."""
        bench = _bench()
        bench.tell(a_submit(approval=REDUCES))
        bench.reply(Place, Refused(code=RATE_LIMITED, retry_after_ms=4_000))
        assert bench.next_wake() == NOW + 4 * SECOND
        assert _sent(bench.wake()) == 1

    def test_order_is_not_sent_for_ever_when_the_venue_always_says_later(self) -> None:
        """So often as an order is sent at most."""
        bench = _bench()
        bench.tell(a_submit(approval=REDUCES))
        for sends in range(1, SENDS_MAX + 1):
            bench.give(CallReplied(_place(a_submit(), sends), Refused(code=RATE_LIMITED, retry_after_ms=10)))
            if sends < SENDS_MAX:
                assert _sent(bench.wake()) == 1
        assert bench.story[-1] == (ExecType.REJECTED, "REPLY")

    @pytest.mark.parametrize("kind", [Place, Replace])
    def test_order_that_waits_for_the_venue_ends_rejected_when_it_is_cancelled(self, kind: type[Any]) -> None:
        """It was attempted and the venue would not have it: that is the venue's word, and now the last one."""
        bench = _bench()
        order = bench.working(a_submit(1))
        wish = a_submit(2) if kind is Place else a_replace(order)
        bench.tell(wish)
        bench.reply(kind, Refused(code=RATE_LIMITED, retry_after_ms=300))
        (report,) = reports_in(bench.tell(a_cancel(wish.client_order_id)))
        assert (report.exec_type, report.reject_reason) == (ExecType.REJECTED if kind is Place else ExecType.REPLACE_REJECTED, "RATE_LIMITED: CANCEL_REQUESTED")
        assert bench.live == [order.client_order_id]

    @pytest.mark.parametrize("kind", [Place, Replace])
    def test_refusal_is_the_last_word_when_the_venue_says_much_later(self, kind: type[Any]) -> None:
        """An order is rejected, a replacement refused; what it was to replace stays."""
        bench = _bench()
        order = bench.working(a_submit(1))
        bench.tell(a_submit(2) if kind is Place else a_replace(order))
        (report,) = reports_in(bench.reply(kind, Refused(code=RATE_LIMITED, retry_after_ms=60_000)))
        assert report.exec_type is (ExecType.REJECTED if kind is Place else ExecType.REPLACE_REJECTED)
        assert bench.live == [order.client_order_id]

    def test_other_orders_exits_and_cancels_go_on_when_one_was_too_much(self) -> None:
        """Only entries wait for the venue's limit to pass."""
        bench = _bench()
        order = bench.working(a_submit())
        bench.tell(a_submit(2))
        bench.reply(Place, Refused(code=RATE_LIMITED, retry_after_ms=5_000))
        assert _sent(bench.tell(a_submit(3, approval=REDUCES))) == 1
        assert _sent(bench.tell(a_cancel(order)), Cancel) == 1

    def test_cancel_is_asked_for_again_when_it_was_too_much(self) -> None:
        """It was refused for how much, not for what: it is not answered, and not dropped."""
        bench = _bench()
        order = bench.working(a_submit())
        bench.tell(a_cancel(order))
        effects = bench.reply(Cancel, Refused(code=RATE_LIMITED, retry_after_ms=2_000))
        assert reports_in(effects) == []
        assert bench.next_wake() == NOW + 2 * SECOND
        assert _sent(bench.wake(), Cancel) == 1

    def test_lookup_is_asked_again_when_the_venue_says(self) -> None:
        """Asking three times at once is no way to treat it."""
        bench = _bench()
        bench.tell(a_submit())
        bench.reply(Place, OutcomeUnknown(cause="RESET"))
        assert _sent(bench.reply(Lookup, Refused(code=RATE_LIMITED, retry_after_ms=500)), Lookup) == 0
        bench.now_ns = NOW + 499 * MS
        assert bench.next_wake() == NOW + 500 * MS
        assert _sent(bench.wake(), Lookup) == 1

    @pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restored before every input"])
    def test_nothing_is_sent_during_a_ban(self, restarts: bool) -> None:
        """Everything sent makes it longer: cancels wait for its end, an exit too when its approval lives that long."""
        bench = _bench(restarts=restarts)
        order = bench.working(a_submit())
        bench.tell(a_submit(2))
        bench.reply(Place, Refused(code=BANNED, retry_after_ms=3_000))
        assert _sent(bench.tell(a_cancel(order)), Cancel) == 0
        assert _sent(bench.tell(a_submit(3, approval=REDUCES))) == 0
        assert _sent(bench.tell(a_submit(4, approval=REDUCES | {"expires_ns": NOW + 2 * SECOND}))) == 0
        assert _sent(bench.tell(a_submit(5))) == 0
        assert (_codes(bench), _conditions(bench)) == (["VENUE_BANNED", "VENUE_BANNED"], ["VENUE_BANNED"])
        effects = bench.wake()
        assert (bench.now_ns, _sent(effects, Cancel), _sent(effects)) == (NOW + 3 * SECOND, 1, 1)


class TestBreaker:
    """EXE-16: a venue that does not answer gets no entries."""

    def _opened(self, **settings: Any) -> GatewayBench:
        bench = _bench(settings_with(breaker={"calls": 2, **settings}, reconciliation={"orders_ms": None, "holdings_ms": None}))
        for n in (8, 9):
            bench.tell(a_submit(n))
        for n in (8, 9):
            bench.give(CallReplied(_place(a_submit(n)), OutcomeUnknown(cause="RESET")))
        assert _conditions(bench) == ["VENUE_CIRCUIT_OPEN"]
        return bench

    def test_entries_are_refused_and_risk_is_told_when_calls_fail(self) -> None:
        """Nothing was attempted; people hear of it as well."""
        bench = self._opened()
        assert _sent(bench.tell(a_submit(1))) == 0
        assert _codes(bench) == ["VENUE_CIRCUIT_OPEN"]
        assert "entries_paused" in bench.alerts

    def test_breaker_opens_when_one_answer_takes_too_long(self) -> None:
        """By the gateway's own time, between the call and its reply; the time of a replay, which jumps from datum to datum, measures nothing."""
        for clock, conditions in (("system", ["VENUE_CIRCUIT_OPEN"]), ("session", [])):
            bench = _bench(settings_with(runtime={"clock": clock}))
            bench.tell(a_submit())
            bench.now_ns += 5 * SECOND + 1
            bench.reply(Place, an_ack(a_submit().client_order_id))
            assert _conditions(bench) == conditions

    def test_one_question_is_asked_when_the_time_is_over_and_its_answer_closes_the_breaker(self) -> None:
        """A minute later, exactly one, about nothing; entries pass only after its answer."""
        bench = self._opened()
        for order in (a_submit(8), a_submit(9)):
            bench.give(CallReplied(request_id(order.client_order_id, "lookup", 1), found(order)))
        effects = bench.wake()
        assert (bench.now_ns, _sent(effects, Lookup)) == (NOW + 60 * SECOND, 1)
        assert _sent(bench.tell(_young(bench, 1))) == 0
        bench.reply(Lookup, NotFound())
        assert _conditions(bench) == ["VENUE_CIRCUIT_OPEN", ""]
        assert _sent(bench.tell(_young(bench, 2))) == 1

    def test_process_that_died_says_nothing_about_the_venue(self) -> None:
        """Interrupted calls are our own doing, but for a probe, which has to be asked again."""
        bench = _bench(settings_with(breaker={"calls": 1}))
        bench.tell(a_submit())
        bench.give(CallInterrupted(_place(a_submit())))
        assert _conditions(bench) == []
        opened = self._opened()
        for order in (a_submit(8), a_submit(9)):
            opened.give(CallReplied(request_id(order.client_order_id, "lookup", 1), found(order)))
        opened.wake()
        opened.die()
        opened.connect()
        assert opened.next_wake() == NOW + 180 * SECOND

    def test_refusal_of_our_own_gate_says_nothing_about_the_venue(self) -> None:
        """Nor does the venue's: it has answered."""
        bench = _bench(settings_with(breaker={"calls": 1, "error_rate_max": 0.0}))
        bench.tell(a_submit())
        bench.reply(Place, Refused(code="INSUFFICIENT_FUNDS"))
        assert _conditions(bench) == []


def _young(bench: GatewayBench, number: int) -> SubmitOrder:
    """An order the OMS has just ordered."""
    order = a_submit(number)
    return replace(order, created_ns=bench.now_ns, approval=replace(order.approval, expires_ns=bench.now_ns + SECOND))


class TestBackPressure:
    """EXE-16: orders that pile up on their way stop the inflow."""

    def test_entries_pause_when_an_order_was_long_on_its_way(self) -> None:
        """More than two seconds; for as long, while exits go; then all is well again."""
        bench = _bench()
        bench.now_ns = NOW + 2 * SECOND
        assert _sent(bench.tell(a_submit(1))) == 1
        bench.now_ns += 1
        assert _sent(bench.tell(a_submit(2))) == 0
        assert _sent(bench.tell(_young(bench, 3))) == 0
        assert _sent(bench.tell(a_submit(4, approval=REDUCES))) == 1
        assert (_codes(bench), _conditions(bench)) == (["BACK_PRESSURE", "BACK_PRESSURE"], ["BACK_PRESSURE"])
        bench.wake()
        assert _conditions(bench) == ["BACK_PRESSURE", ""]
        assert _sent(bench.tell(_young(bench, 5))) == 1


class TestBinding:
    """Controls 31 and 32: one order per intent, once for ever, under the limits in force."""

    def test_order_is_refused_when_it_is_not_its_intents_one_order(self) -> None:
        """A second order for an intent would need a second id; only the id made from the intent is its own. Exits are held to it as well."""
        bench = _bench()
        for reduces in (False, True):
            stranger = a_submit(1, approval={"reduces": reduces})
            other = a_submit(2).client_order_id
            assert _sent(bench.tell(replace(stranger, client_order_id=other, approval=replace(stranger.approval, client_order_id=other)))) == 0
            bench.archive.clear()
        assert _codes(bench) == ["INTENT_MISMATCH", "INTENT_MISMATCH"]
        assert bench.alerts.count("order_refused_at_exit") == 2

    @pytest.mark.parametrize("ended", [False, True], ids=["live", "archived"])
    def test_approval_is_used_once_when_its_order_is_said_again_after_a_restart(self, ended: bool) -> None:
        """It is bound to one client order id, and that is never sent twice: the archive remembers."""
        bench = _bench()
        order = bench.working(a_submit())
        if ended:
            bench.update(order, OrderStatus.CANCELLED)
        bench.die()
        bench.connect()
        assert [e for e in bench.tell(order) if isinstance(e, CallVenue | Publish)] == []

    def _limits(self, bench: GatewayBench, version: str) -> None:
        body = LimitsChanged(limits_version=version, actor="config", reason="test", changed_ns=NOW)
        bench.give(a_message("control.limits", body, producer="risk_engine"))

    @pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restored before every input"])
    def test_order_is_refused_when_its_limits_were_replaced(self, restarts: bool) -> None:
        """What was approved under limits that are not in force any more is not sent; exits, which no limit judges, are."""
        bench = _bench(restarts=restarts)
        self._limits(bench, "limits-1")
        assert _sent(bench.tell(a_submit(1))) == 1
        self._limits(bench, "limits-2")
        assert _sent(bench.tell(a_submit(2))) == 0
        assert _sent(bench.tell(a_submit(3, approval={"limits_version": "limits-2"}))) == 1
        assert _sent(bench.tell(a_submit(4, approval=REDUCES))) == 1
        assert _codes(bench) == ["LIMITS_REPLACED"]

    def test_order_is_sent_when_its_limits_come_back_into_force_or_were_not_heard_of_yet(self) -> None:
        """Risk's word on them may still be on its way; it cannot be older than what was heard."""
        bench = _bench()
        for version in ("limits-1", "limits-2", "limits-1", "limits-1"):
            self._limits(bench, version)
        assert _sent(bench.tell(a_submit(1))) == 1
        assert _sent(bench.tell(a_submit(2, approval={"limits_version": "limits-9"}))) == 1
        assert _sent(bench.tell(a_submit(3, approval={"limits_version": "limits-2"}))) == 0


class TestDraining:
    """Shutdown: the intake first, then what is open."""

    def test_nothing_is_taken_in_and_everything_open_is_cancelled_when_told_to_drain(self) -> None:
        """Flat only when the venue has said that it ended; protective orders stay."""
        bench = _bench()
        order = bench.working(a_submit(1))
        bench.working(a_submit(2, protective=True))
        assert not bench.gateway.is_flat
        effects = bench.give(Command("d", "shutdown", DrainOrders(reason="stop")))
        assert _sent(effects, Cancel) == 1
        assert [str(e.reply) for e in effects if isinstance(e, Answer)] == ["cancelling 1 orders, keeping 1 protective ones"]
        assert _sent(bench.tell(a_submit(3))) == _sent(bench.tell(a_submit(4, approval=REDUCES))) == 0
        assert _codes(bench) == ["DRAINING", "DRAINING"]
        bench.reply(Cancel, an_ack(order.client_order_id))
        assert not bench.gateway.is_flat
        bench.update(order, OrderStatus.CANCELLED)
        assert bench.gateway.is_flat

    def test_protective_order_that_waits_is_not_sent_any_more_when_its_turn_comes(self) -> None:
        """It is not cancelled, but nothing new leaves."""
        bench = _bench(SLOW)
        for n in (1, 2):
            bench.tell(a_submit(n))
        bench.tell(a_submit(3, protective=True))
        bench.give(Command("d", "shutdown", DrainOrders(reason="stop")))
        bench.wake()
        assert _codes(bench) == ["DRAINING"]

    def test_orders_are_taken_in_again_when_the_next_run_begins(self) -> None:
        """Draining is this process's, not the account's."""
        bench = _bench()
        bench.give(Command("d", "shutdown", DrainOrders(reason="stop")))
        bench.restore()
        bench.give(ConfigLoaded("hash", "{}"))
        bench.connect()
        assert _sent(bench.tell(a_submit(1))) == 1


STOPS = ("throttle", "breaker", "limited", "pressure", "limits")


@given(st.lists(st.sampled_from(STOPS), max_size=6), st.integers(0, 3 * SECOND))
def test_exits_and_cancels_leave_whatever_stops_entries(stops: list[str], later_ns: int) -> None:
    """In any mixture and at any moment: a reduction and a cancel are sent in the very step they are asked for."""
    bench = _bench(settings_with(throttle={"orders_per_minute_max": 3}, breaker={"calls": 1, "error_rate_max": 0.0}))
    order = bench.working(a_submit(1))
    for number, stop in enumerate(stops, 10):
        _stop(bench, stop, number)
    bench.now_ns += later_ns
    assert _sent(bench.tell(a_submit(2, approval=REDUCES | {"limits_version": "limits-0"}))) == 1
    assert _sent(bench.tell(a_cancel(order)), Cancel) == 1


def _stop(bench: GatewayBench, stop: str, number: int) -> None:
    match stop:
        case "throttle":
            for n in range(3):
                bench.tell(_young(bench, 100 * number + n))
        case "breaker":
            bench.tell(a_submit(number, approval=REDUCES))
            bench.give(CallReplied(_place(a_submit(number)), OutcomeUnknown(cause="TIMEOUT")))
        case "limited":
            bench.tell(a_submit(number, approval=REDUCES))
            bench.give(CallReplied(_place(a_submit(number)), Refused(code=RATE_LIMITED, retry_after_ms=60_000)))
        case "pressure":
            bench.now_ns += 3 * SECOND
            bench.tell(a_submit(number))
        case _:
            for version in ("limits-0", f"limits-{number}"):
                body = LimitsChanged(limits_version=version, actor="config", reason="test", changed_ns=NOW)
                bench.give(a_message("control.limits", body, producer="risk_engine"))


def test_entry_is_stopped_by_each_of_those_stops() -> None:
    """Otherwise the property above would say nothing."""
    for stop in STOPS:
        bench = _bench(settings_with(throttle={"orders_per_minute_max": 3}, breaker={"calls": 1, "error_rate_max": 0.0}))
        bench.working(a_submit(1))
        _stop(bench, stop, 10)
        order = _young(bench, 2)
        assert _sent(bench.tell(replace(order, approval=replace(order.approval, limits_version="limits-0")))) == 0, stop


def test_state_of_admission_is_small_when_nothing_happened() -> None:
    """Snapshots written before there was any are read as a gateway that knows of nothing."""
    assert Admission(settings_with()).state == AdmissionState()
    assert isinstance(a_message("control.limits", LimitsChanged(limits_version="v", actor="a", reason="r", changed_ns=NOW)), Message)


class TestParents:
    """Control 32: the children of a parent never come to more than the parent."""

    def _child(self, number: int, order_qty: int, *, parent_qty: int | None = 20, **approval: Any) -> SubmitOrder:
        order = a_submit(number, order_qty=order_qty, approval=approval)
        return replace(order, execution_id="twap", slice_id=str(number), parent_qty=None if parent_qty is None else Decimal(parent_qty))

    @pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restored before every input"])
    def test_child_is_refused_when_all_children_would_come_to_more_than_the_parent(self, restarts: bool) -> None:
        """Exits as well: slices of an exit that come to more than it open a position. A person hears of it."""
        bench = _bench(restarts=restarts)
        assert [_sent(bench.tell(self._child(n, qty))) for n, qty in ((1, 10), (2, 9), (3, 2))] == [1, 1, 0]
        assert _sent(bench.tell(self._child(4, 2, reduces=True))) == 0
        assert _codes(bench) == ["PARENT_QTY_MAX", "PARENT_QTY_MAX"]
        assert "order_refused_at_exit" in bench.alerts
        assert _sent(bench.tell(self._child(5, 1))) == 1

    def test_what_a_child_did_not_execute_may_be_sliced_anew(self) -> None:
        """It counts with what it executed, from its end on; and what comes after its end counts as well."""
        bench = _bench()
        first = bench.working(self._child(1, 20))
        bench.push(a_fill(first, 1, 4, status=OrderStatus.PARTIALLY_FILLED))
        assert _sent(bench.tell(self._child(2, 1))) == 0
        bench.update(first, OrderStatus.CANCELLED, cum_qty=Decimal(4))
        assert _sent(bench.tell(self._child(3, 17))) == 0
        bench.push(a_fill(first, 3, 2, cum_qty=6, status=OrderStatus.CANCELLED))
        assert _sent(bench.tell(self._child(4, 15))) == 0
        assert _sent(bench.tell(self._child(5, 14))) == 1

    def test_child_that_was_never_sent_counts_for_nothing(self) -> None:
        """Refused by the gate, or by the venue."""
        bench = _bench()
        for n, reply in ((1, NotSent(code="KILL_SWITCH")), (2, Refused(code="NO"))):
            assert _sent(bench.tell(self._child(n, 20))) == 1
            bench.give(CallReplied(_place(self._child(n, 20)), reply))
        assert _sent(bench.tell(self._child(3, 20))) == 1

    def test_replacement_of_a_child_counts_as_the_child(self) -> None:
        """With the larger of the two while both may be; more than the parent is refused; a refused one leaves the child as it was."""
        bench = _bench()
        child = bench.working(self._child(1, 10))
        assert _sent(bench.tell(a_replace(child, "larger", 21)), Replace) == 0
        assert _sent(bench.tell(a_replace(child, "smaller", 15)), Replace) == 1
        assert _sent(bench.tell(self._child(2, 6))) == 0
        bench.update(a_replace(child, "smaller", 15), OrderStatus.ACCEPTED, child.client_order_id)
        assert _sent(bench.tell(self._child(3, 6))) == 0
        assert _sent(bench.tell(self._child(4, 5))) == 1
        bench.update(a_replace(child, "smaller", 15), OrderStatus.CANCELLED)
        assert _sent(bench.tell(self._child(5, 15))) == 1

    def test_first_word_on_the_parent_counts_and_a_child_without_one_is_no_entry(self) -> None:
        """What cannot be held against anything is not sent, unless it only reduces."""
        bench = _bench()
        assert _sent(bench.tell(self._child(1, 10))) == 1
        assert _sent(bench.tell(self._child(2, 11, parent_qty=1_000))) == 0
        assert _sent(bench.tell(self._child(3, 1, parent_qty=None))) == 0
        assert _sent(bench.tell(self._child(4, 1, parent_qty=None, reduces=True))) == 1
        assert _codes(bench) == ["PARENT_QTY_MAX", "PARENT_UNKNOWN"]


class TestForeignSuite:
    """Two homes on one account: neither knows what the account holds."""

    FOREIGN = client_order_id("txyz-", "trend", "trend:other:bar:1")

    def _show(self, bench: GatewayBench, order_id: str, status: OrderStatus = OrderStatus.ACCEPTED) -> None:
        bench.update(replace(terms_of(a_submit()), client_order_id=order_id), status)

    @pytest.mark.parametrize("status", [OrderStatus.ACCEPTED, OrderStatus.FILLED])
    @pytest.mark.parametrize("restarts", [False, True], ids=["alive", "restored before every input"])
    def test_entries_stop_when_the_venue_shows_an_order_of_another_suite(self, restarts: bool, status: OrderStatus) -> None:
        """Live or ended; a person hears of it, exits go, and only a new start ends it."""
        bench = _bench(restarts=restarts)
        bench.working(a_submit(1))
        self._show(bench, self.FOREIGN, status)
        assert _sent(bench.tell(a_submit(2))) == 0
        assert _sent(bench.tell(a_submit(3, approval=REDUCES))) == 1
        assert (_codes(bench), _conditions(bench)) == (["FOREIGN_SUITE"], ["FOREIGN_SUITE"])
        assert "entries_paused" in bench.alerts
        bench.give(ConfigLoaded("hash", "{}"))
        bench.connect()
        assert _conditions(bench) == ["FOREIGN_SUITE", "NOT_RECONCILED", ""]
        assert _sent(bench.tell(a_submit(4))) == 1

    @pytest.mark.parametrize("order_id", ["by-hand-1", "t2wo-short", FOREIGN[:-1] + "1", "p" + FOREIGN[1:], PREFIX + FOREIGN[5:]])
    def test_other_strangers_stop_nothing(self, order_id: str) -> None:
        """An order somebody made by hand, one of another environment, and one of our own mark that is told on for the OMS to book."""
        bench = _bench()
        bench.working(a_submit(1))
        self._show(bench, order_id)
        assert _sent(bench.tell(a_submit(2))) == 1
        assert _conditions(bench) == []


class TestSendingAgain:
    """What never got to the venue is a new entry when it goes again."""

    def _never_reached(self, bench: GatewayBench, before: str = "", *, protective: bool = False, **approval: Any) -> Sequence[Effect]:
        """An order in doubt that the venue conclusively has not got, after something has stopped entries."""
        bench.tell(a_submit(1, protective=protective, approval=approval))
        bench.reply(Place, OutcomeUnknown(cause="RESET"))
        bench.reply(Lookup, NotFound())
        if before == "draining":
            bench.give(Command("d", "shutdown", DrainOrders(reason="stop")))
        elif before:
            _stop(bench, before, 10)
        (call_id,) = [call_id for call_id, request in bench.open.items() if isinstance(request, Lookup) and call_id.startswith(a_submit(1).client_order_id)]
        return bench.give(CallReplied(call_id, NotFound()))

    @pytest.mark.parametrize(
        ("before", "code"), [("breaker", "VENUE_CIRCUIT_OPEN"), ("limited", "VENUE_RATE_LIMITED"), ("pressure", "BACK_PRESSURE"), ("limits", "LIMITS_REPLACED")]
    )
    def test_entry_is_not_sent_again_when_entries_have_stopped(self, before: str, code: str) -> None:
        """It ends as what it is: it never got there. An exit goes."""
        settings = settings_with(breaker={"calls": 3, "error_rate_max": 0.5})
        effects = self._never_reached(_bench(settings), before, limits_version="limits-0")
        assert [r.reject_reason for r in reports_in(effects) if r.exec_type is ExecType.NEVER_REACHED] == [f"NEVER_REACHED: {code}"]
        assert _sent(effects) == 0
        assert _sent(self._never_reached(_bench(settings), before, limits_version="limits-0", reduces=True)) == 1

    def test_nothing_is_sent_again_when_the_gateway_is_being_shut_down(self) -> None:
        """Not even an exit, nor a protective order, which is not cancelled."""
        assert _sent(self._never_reached(_bench(), "draining", reduces=True)) == 0
        effects = self._never_reached(_bench(), "draining", protective=True)
        assert [r.reject_reason for r in reports_in(effects)] == ["NEVER_REACHED: DRAINING"]

    def test_order_takes_another_token_when_it_is_sent_again(self) -> None:
        """The venue counts it as well."""
        bench = _bench(SLOW)
        assert _sent(self._never_reached(bench)) == 1
        assert _sent(bench.tell(a_submit(2))) == 0
