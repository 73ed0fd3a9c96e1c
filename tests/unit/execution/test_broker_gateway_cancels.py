"""Cancels leave at once and do not give up; a kill leaves nothing open."""

from __future__ import annotations

import pytest

from core.contracts import ExecType, KillSwitchState, OrderStatus
from core.machine import CallReplied, CallVenue, Wake
from core.venue import (
    Accepted,
    Cancel,
    Lookup,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Place,
    Refused,
    Replace,
    RequestRejected,
    Subscribe,
    Subscribed,
    VenueReply,
)
from execution.live_orders import VenueTraits
from tests.support.builders import NOW
from tests.support.gateway import (
    CLEAR,
    HALTED,
    MS,
    REDUCING,
    SECOND,
    UNREADABLE,
    GatewayBench,
    a_cancel,
    a_fill,
    a_replace,
    a_submit,
    an_ack,
    found,
    reports_in,
)

ORDER = a_submit()
ORDER_ID = ORDER.client_order_id
CANCEL = a_cancel(ORDER)
REPLACE = a_replace(ORDER)
LOST_REPLY = OutcomeUnknown(cause="TIMEOUT")


@pytest.fixture(params=[False, True], ids=["alive", "restored before every input"])
def bench(request: pytest.FixtureRequest) -> GatewayBench:
    """A connected gateway; the second one is made anew from its snapshot before every input."""
    return GatewayBench(restarts=request.param).connect()


def test_cancel_leaves_at_once_and_waits_for_nothing(bench: GatewayBench) -> None:
    """No fence, no approval: Redis may be dead."""
    bench.working(ORDER)
    assert bench.tell(CANCEL) == [CallVenue(f"{ORDER_ID}.cancel1", Cancel(client_order_id=ORDER_ID, venue_order_id=f"V-{ORDER_ID}"))]


ANSWERS = [
    (an_ack(ORDER_ID), ExecType.PENDING_CANCEL, ""),
    (an_ack(ORDER_ID, venue_order_id=""), ExecType.PENDING_CANCEL, ""),
    (Refused(code="ALREADY_DONE", text="order=1"), ExecType.CANCEL_REJECTED, "ALREADY_DONE: order=1"),
    (NotFound(), ExecType.CANCEL_REJECTED, "NOT_FOUND"),
]


@pytest.mark.parametrize(("reply", "exec_type", "reason"), ANSWERS, ids=lambda value: type(value).__name__)
def test_answer_to_a_cancel_is_told_under_the_requests_id(bench: GatewayBench, reply: VenueReply, exec_type: ExecType, reason: str) -> None:
    """The order itself is untouched: only the venue's next event ends it."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    (report,) = reports_in(bench.reply(Cancel, reply))
    assert (report.exec_type, report.evidence, report.reject_reason) == (exec_type, "REPLY", reason)
    assert (report.client_order_id, report.orig_client_order_id, report.symbol) == (CANCEL.client_order_id, ORDER_ID, "IBM")
    assert bench.live == [ORDER_ID] and not bench.open


@pytest.mark.parametrize("reply", [LOST_REPLY, NotSent(code="X"), found(ORDER)], ids=lambda r: type(r).__name__)
def test_cancel_is_repeated_when_nobody_knows_what_it_did(bench: GatewayBench, reply: VenueReply) -> None:
    """At once three times, then with growing waits; nothing is reported, because nothing is known."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    for _ in range(3):
        assert reports_in(bench.reply(Cancel, reply)) == []
        assert bench.is_open(Cancel)
    waits = []
    for _ in range(3):
        bench.reply(Cancel, reply)
        before = bench.now_ns
        bench.wake()
        waits.append((bench.now_ns - before) // MS)
    assert waits == [250, 500, 1_000]
    bench.update(ORDER, OrderStatus.CANCELLED)
    bench.reply(Cancel, reply)
    assert not bench.open and bench.next_wake() is None


def test_cancel_waits_for_the_connection_when_there_is_none(bench: GatewayBench) -> None:
    """It goes out before anything else when the connection is back, before even the subscription is answered."""
    bench.working(ORDER)
    bench.link_down()
    bench.tell(CANCEL)
    bench.reply(Cancel, LOST_REPLY)
    assert not bench.open and bench.next_wake() is None
    effects = bench.link_up()
    assert [type(e.request) for e in effects if isinstance(e, CallVenue)] == [Cancel, Subscribe]


def test_only_unanswered_cancels_are_repeated_when_the_connection_comes_back(bench: GatewayBench) -> None:
    """What the venue has taken it has taken, and what is held still waits for its order."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    bench.reply(Cancel, an_ack(ORDER_ID))
    bench.tell(a_submit(2))
    bench.tell(a_cancel(a_submit(2)))
    bench.link_down()
    bench.link_up()
    assert bench.asked.count("Cancel") == 1


def test_cancel_is_repeated_when_the_process_died_with_it(bench: GatewayBench) -> None:
    """Interrupted is unknown, and repeating is harmless."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    bench.die()
    assert not bench.open
    bench.connect()
    assert bench.is_open(Cancel)


def test_cancel_is_held_when_its_order_is_still_on_its_way(bench: GatewayBench) -> None:
    """It leaves in the same breath in which the venue takes the order."""
    bench.tell(ORDER)
    assert bench.tell(CANCEL) == []
    effects = bench.reply(Place, an_ack(ORDER_ID))
    assert [e.request for e in effects if isinstance(e, CallVenue)] == [Cancel(client_order_id=ORDER_ID, venue_order_id=f"V-{ORDER_ID}")]


@pytest.mark.parametrize("how", ["found", "pushed"])
def test_cancel_is_held_while_its_order_is_in_doubt(bench: GatewayBench, how: str) -> None:
    """Resolved as there, it is cancelled at once."""
    bench.tell(ORDER)
    bench.reply(Place, LOST_REPLY)
    bench.tell(CANCEL)
    assert not bench.is_open(Cancel)
    if how == "found":
        bench.reply(Lookup, found(ORDER))
    else:
        bench.update(ORDER, OrderStatus.ACCEPTED)
    assert bench.is_open(Cancel)


def test_cancel_is_taken_once_when_the_instruction_comes_twice(bench: GatewayBench) -> None:
    """One request, one call; a second request is another one."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    bench.tell(CANCEL)
    assert bench.asked.count("Cancel") == 1
    bench.tell(a_cancel(ORDER, 2))
    assert bench.asked.count("Cancel") == 2


def test_cancel_is_declined_when_the_order_has_ended(bench: GatewayBench) -> None:
    """The archive says how; the venue is not asked."""
    bench.working(ORDER)
    bench.update(ORDER, OrderStatus.EXPIRED)
    (report,) = reports_in(bench.tell(CANCEL))
    assert (report.exec_type, report.evidence, report.reject_reason) == (ExecType.CANCEL_REJECTED, "GATEWAY", "ORDER_ENDED: end=EXPIRED")
    assert (report.client_order_id, report.orig_client_order_id) == (CANCEL.client_order_id, ORDER_ID)
    assert not bench.open


def test_cancel_leaves_even_when_nobody_here_knows_the_order(bench: GatewayBench) -> None:
    """It may be from before our journal: a cancel is never held back. It is not ours to sweep, and it is let go when it ends."""
    bench.tell(a_cancel("foreign", venue_order_id="V-9"))
    assert bench.calls["foreign.cancel1"].request == Cancel(client_order_id="foreign", venue_order_id="V-9")
    bench.reply(Cancel, Refused(code="TOO_LATE"))
    bench.kill(HALTED)
    assert bench.asked == ["Cancel"]
    bench.tell(a_cancel("foreign", 2))
    assert "foreign.cancel2" in bench.calls
    bench.update(ORDER, OrderStatus.PARTIALLY_FILLED, client_order_id="foreign")
    assert bench.live == ["foreign"]
    bench.update(ORDER, OrderStatus.CANCELLED, client_order_id="foreign")
    assert bench.live == []


def test_cancels_go_over_to_the_replacement_when_the_order_is_replaced_under_them(bench: GatewayBench) -> None:
    """Whoever wanted the order gone wants what it became gone; the answer about the old id does not count any more."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, an_ack("replacement"))
    bench.tell(CANCEL)
    bench.update(REPLACE, OrderStatus.ACCEPTED, ORDER_ID)
    assert bench.live == ["replacement"]
    assert bench.calls["replacement.cancel1"].request == Cancel(client_order_id="replacement", venue_order_id="V-replacement")
    assert bench.give(CallReplied(f"{ORDER_ID}.cancel1", Refused(code="UNKNOWN_ORDER"))) == []
    (report,) = reports_in(bench.reply(Cancel, an_ack("replacement")))
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id) == (ExecType.PENDING_CANCEL, CANCEL.client_order_id, "replacement")


def test_answer_counts_once_when_a_refusal_was_pushed_first(bench: GatewayBench) -> None:
    """The reply that comes after it has nothing left to answer."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    bench.push(RequestRejected(cursor=1, client_order_id=ORDER_ID, request="CANCEL", reason="TOO_LATE"))
    assert bench.reply(Cancel, an_ack(ORDER_ID)) == []


# The kill switch.


def _three_orders(bench: GatewayBench) -> None:
    """One entry, one protective stop, one reduction, all working."""
    bench.working(ORDER)
    bench.working(a_submit(2, protective=True))
    bench.working(a_submit(3, approval={"reduces": True}))


def _cancelled(bench: GatewayBench) -> list[int]:
    ids = {a_submit(number).client_order_id: number for number in (1, 2, 3)}
    return sorted(ids[call.request.client_order_id] for call in bench.calls.values() if isinstance(call.request, Cancel))


@pytest.mark.parametrize(("state", "cancelled"), [(HALTED, [1, 3]), (REDUCING, [1]), (UNREADABLE, []), (CLEAR, [])], ids=["halted", "reducing", "unreadable", "clear"])
def test_kill_cancels_what_it_must_and_keeps_the_rest(bench: GatewayBench, state: KillSwitchState, cancelled: list[int]) -> None:
    """Protective orders stay in every case, reductions stay in REDUCING; an unreadable switch denies and cancels nothing."""
    _three_orders(bench)
    bench.kill(state)
    assert _cancelled(bench) == cancelled


def test_kill_cancels_by_itself_under_an_id_of_its_own(bench: GatewayBench) -> None:
    """No fence; the OMS hears of it as of any cancel."""
    bench.working(ORDER)
    bench.kill(HALTED)
    assert bench.calls[f"{ORDER_ID}.kill1"].after_topic == ""
    (report,) = reports_in(bench.reply(Cancel, an_ack(ORDER_ID)))
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id) == (ExecType.PENDING_CANCEL, f"{ORDER_ID}.kill1", ORDER_ID)


@pytest.mark.parametrize("answer", [an_ack(ORDER_ID), Refused(code="BUSY")], ids=["taken", "refused"])
def test_sweep_comes_again_every_second_until_the_order_is_gone(bench: GatewayBench, answer: VenueReply) -> None:
    """Taken is not gone, and refused is not gone: growing ordinals, a bounded pace, and an end when there is nothing left."""
    bench.working(ORDER)
    bench.kill(HALTED)
    seconds = []
    for _ in range(16):
        bench.reply(Cancel, answer)
        before = bench.now_ns
        bench.wake()
        seconds.append((bench.now_ns - before) // SECOND)
    assert seconds == [1] * 10 + [2, 4, 8, 16, 30, 30]
    assert [call_id for call_id in bench.calls if "kill" in call_id] == [f"{ORDER_ID}.kill{k}" for k in range(1, 18)]
    (order,) = bench.gateway.snapshot().orders
    assert len(order.cancels) == 1
    bench.update(ORDER, OrderStatus.CANCELLED)
    bench.wake()
    assert bench.next_wake() is None


def test_sweep_adds_nothing_when_a_cancel_is_under_way(bench: GatewayBench) -> None:
    """A cancel without an answer is repeated by itself, not by the sweep as well."""
    bench.working(ORDER)
    bench.tell(CANCEL)
    bench.kill(HALTED)
    bench.wake()
    assert bench.asked.count("Cancel") == 1
    bench.reply(Cancel, an_ack(ORDER_ID))
    bench.wake()
    assert list(bench.open) == [f"{ORDER_ID}.kill2"]


def test_order_in_doubt_is_cancelled_when_it_turns_out_to_be_there(bench: GatewayBench) -> None:
    """A kill reaches what is resolved only later."""
    bench.tell(ORDER)
    bench.reply(Place, LOST_REPLY)
    bench.kill(HALTED)
    assert not bench.is_open(Cancel)
    bench.reply(Lookup, found(ORDER))
    assert list(bench.open) == [f"{ORDER_ID}.kill1"]


def test_order_on_its_way_is_cancelled_when_the_kill_came_after_the_gate(bench: GatewayBench) -> None:
    """It had left when the switch was tripped; its acknowledgement is its end."""
    bench.tell(ORDER)
    bench.kill(HALTED)
    bench.reply(Place, an_ack(ORDER_ID))
    assert bench.is_open(Cancel)


def test_order_that_appears_during_a_kill_is_swept(bench: GatewayBench) -> None:
    """A sweep that had found nothing begins again."""
    bench.kill(HALTED)
    assert bench.next_wake() is None
    bench.tell(ORDER)
    bench.reply(Place, an_ack(ORDER_ID))
    assert list(bench.open) == [f"{ORDER_ID}.kill1"]
    assert bench.next_wake() == NOW + SECOND
    bench.reply(Cancel, an_ack(ORDER_ID))
    bench.wake()
    assert list(bench.open) == [f"{ORDER_ID}.kill2"]


def test_second_order_that_appears_does_not_put_the_sweep_off(bench: GatewayBench) -> None:
    """The sweep keeps its pace, whatever else happens."""
    bench.kill(HALTED)
    bench.working(ORDER)
    due = bench.next_wake()
    bench.now_ns += SECOND // 2
    bench.working(a_submit(2))
    assert bench.next_wake() == due


def test_protective_order_that_appears_during_a_kill_stays(bench: GatewayBench) -> None:
    """What the kill keeps is kept whenever it comes."""
    bench.kill(HALTED)
    bench.working(a_submit(protective=True))
    assert bench.asked == ["Place"] and bench.next_wake() is None


def test_sweep_ends_when_the_switch_is_cleared(bench: GatewayBench) -> None:
    """Trading may go on; what was cancelled stays cancelled."""
    bench.working(ORDER)
    bench.kill(HALTED)
    bench.kill(CLEAR)
    bench.reply(Cancel, Refused(code="BUSY"))
    assert bench.next_wake() is None
    bench.give(Wake(NOW))
    bench.working(a_submit(2))
    assert not bench.open


def test_sweep_goes_on_when_the_switch_becomes_unreadable(bench: GatewayBench) -> None:
    """Tripped is sticky: not being able to look does not untrip it."""
    bench.working(ORDER)
    bench.kill(HALTED)
    bench.reply(Cancel, Refused(code="BUSY"))
    bench.kill(UNREADABLE)
    bench.wake()
    assert bench.is_open(Cancel)


def test_kill_reaches_the_venue_when_it_was_tripped_without_a_connection(bench: GatewayBench) -> None:
    """The cancels wait for nothing but the venue."""
    bench.working(ORDER)
    bench.link_down()
    bench.kill(HALTED)
    bench.reply(Cancel, LOST_REPLY)
    assert not bench.open
    bench.link_up()
    assert bench.is_open(Cancel)


def test_kill_is_remembered_over_a_restart(bench: GatewayBench) -> None:
    """The sweep of a process that died goes on in the next."""
    bench.working(ORDER)
    bench.kill(HALTED)
    bench.reply(Cancel, an_ack(ORDER_ID))
    bench.die()
    bench.connect()
    bench.wake()
    assert bench.is_open(Cancel)


def test_replacement_is_swept_with_the_order_it_replaces(bench: GatewayBench) -> None:
    """Whichever of the two the venue ends up with has its cancel."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, an_ack("replacement"))
    bench.kill(HALTED)
    bench.update(REPLACE, OrderStatus.ACCEPTED, ORDER_ID)
    assert {f"{ORDER_ID}.kill1", "replacement.kill1"} <= set(bench.calls)


@pytest.mark.parametrize("protective", [False, True])
def test_replacement_of_a_protective_order_is_protective(bench: GatewayBench, protective: bool) -> None:
    """A moved stop is still the stop."""
    order = bench.working(a_submit(protective=protective))
    bench.tell(a_replace(order))
    bench.update(a_replace(order), OrderStatus.ACCEPTED, order.client_order_id)
    bench.kill(HALTED)
    assert bench.is_open(Cancel) is not protective


def test_operator_is_told_how_many_orders_are_being_cancelled(bench: GatewayBench) -> None:
    """Each order once; a cancel that is under way counts, a protective order is named as kept; no sweep follows."""
    _three_orders(bench)
    bench.tell(CANCEL)
    assert bench.cancel_all() == "cancelling 2 orders, keeping 1 protective ones"
    assert _cancelled(bench) == [1, 3]
    assert bench.next_wake() is None


def test_kill_needs_no_answer_of_the_oms(bench: GatewayBench) -> None:
    """From trip to gone nothing but the venue speaks: the whole way of a kill with everything else dead."""
    for number in range(1, 21):
        bench.working(a_submit(number))
    bench.kill(HALTED)
    for call_id in list(bench.open):
        bench.give(CallReplied(call_id, an_ack("any")))
    for number in range(1, 21):
        bench.update(a_submit(number), OrderStatus.CANCELLED)
    assert bench.live == []
    bench.wake()
    assert bench.next_wake() is None


def test_doubt_past_its_bound_is_not_sent_again_but_ends_during_a_kill() -> None:
    """Nothing in doubt is left behind by a kill either."""
    bench = GatewayBench(traits=VenueTraits(late_arrival_ns=SECOND)).connect()
    bench.tell(ORDER)
    bench.reply(Place, LOST_REPLY)
    bench.kill(HALTED)
    while bench.live:
        if bench.is_open(Lookup):
            bench.reply(Lookup, NotFound())
        else:
            bench.wake()
    assert bench.story[-1] == (ExecType.NEVER_REACHED, "QUERY")
    assert bench.asked.count("Place") == 1


def test_subscription_after_a_kill_does_not_delay_cancels(bench: GatewayBench) -> None:
    """A venue that never answers the subscription still gets the cancels."""
    bench.working(ORDER)
    bench.link_down()
    bench.kill(HALTED)
    bench.reply(Cancel, LOST_REPLY)
    bench.link_up()
    bench.reply(Subscribe, LOST_REPLY)
    reply: Accepted = an_ack(ORDER_ID)
    (report,) = reports_in(bench.reply(Cancel, reply))
    assert report.exec_type is ExecType.PENDING_CANCEL
    bench.push(a_fill(ORDER, 1))
    assert bench.live == []
    bench.reply(Subscribe, Subscribed(last_cursor=1))
    assert bench.halts == []
