"""Every doubt ends by evidence: found, not found, or shown by the venue itself."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

import pytest

from core.contracts import ExecType, OrderStatus, SubmitOrder
from core.machine import CallReplied
from core.money import ZERO
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    Cancel,
    Lookup,
    NotFound,
    OrderFilled,
    OrderFound,
    OutcomeUnknown,
    Place,
    Refused,
    Replace,
    Subscribe,
    Subscribed,
    VenueEvent,
    VenueReply,
)
from execution.live_orders import BACKOFF_MAX_NS, VenueTraits
from tests.support.builders import NOW
from tests.support.gateway import HALTED, MS, REDUCING, SECOND, GatewayBench, a_cancel, a_fill, a_replace, a_submit, a_view, an_ack, found, reports_in, terms_of

ORDER = a_submit()
ORDER_ID = ORDER.client_order_id
REPLACE = a_replace(ORDER)
LOST_REPLY = OutcomeUnknown(cause="TIMEOUT")
LATE = VenueTraits(late_arrival_ns=2 * SECOND)
REUSED = VenueTraits(ids_unique_for_ever=False)


@pytest.fixture(params=[False, True], ids=["alive", "restored before every input"])
def restarts(request: pytest.FixtureRequest) -> bool:
    """Whether the gateway is made anew from its snapshot before every input."""
    return bool(request.param)


def _in_doubt(restarts: bool, traits: VenueTraits | None = None, order: SubmitOrder = ORDER) -> GatewayBench:
    bench = GatewayBench(traits=traits, restarts=restarts).connect()
    bench.tell(order)
    bench.reply(Place, LOST_REPLY)
    assert bench.is_open(Lookup)
    return bench


FOUND = [
    (OrderStatus.ACCEPTED, 0, ExecType.NEW, True),
    (OrderStatus.PARTIALLY_FILLED, 4, ExecType.ORDER_STATUS, True),
    (OrderStatus.FILLED, 10, ExecType.ORDER_STATUS, False),
    (OrderStatus.CANCELLED, 4, ExecType.CANCELLED, False),
    (OrderStatus.REJECTED, 0, ExecType.REJECTED, False),
    (OrderStatus.EXPIRED, 0, ExecType.EXPIRED, False),
]


@pytest.mark.parametrize(("status", "cum_qty", "exec_type", "lives"), FOUND)
def test_order_is_adopted_as_the_venue_shows_it_when_it_is_found(restarts: bool, status: OrderStatus, cum_qty: int, exec_type: ExecType, lives: bool) -> None:
    """The venue's status and totals are taken over, an execution is never made up, and nothing is sent again."""
    bench = _in_doubt(restarts)
    (report,) = reports_in(bench.reply(Lookup, found(ORDER, status, cum_qty)))
    assert (report.exec_type, report.evidence, report.status, report.cum_qty, report.last_qty) == (exec_type, "QUERY", status, Decimal(cum_qty), ZERO)
    assert report.venue_order_id == f"V-{ORDER_ID}"
    assert (bench.live == [ORDER_ID]) is lives
    assert (bench.ways, bench.asked) == (["found"], ["Place", "Lookup"])


def test_order_is_sent_again_under_its_id_when_it_never_got_there(restarts: bool) -> None:
    """Said twice, not found is conclusive: same id, same terms, same approval, announced and fenced again."""
    bench = _in_doubt(restarts)
    assert reports_in(bench.reply(Lookup, NotFound())) == []
    (report,) = reports_in(bench.reply(Lookup, NotFound()))
    assert (report.exec_type, report.evidence) == (ExecType.ATTEMPTED, "QUERY")
    first, again = bench.calls[f"{ORDER_ID}.place1"], bench.calls[f"{ORDER_ID}.place2"]
    assert (again.request, again.after_topic, again.approval) == (first.request, first.after_topic, first.approval)
    assert bench.ways == ["not_found"]
    bench.reply(Place, an_ack(ORDER_ID))
    assert bench.story[-1] == (ExecType.NEW, "REPLY")


def test_order_is_sent_three_times_at_most(restarts: bool) -> None:
    """A venue that swallows everything gets no fourth chance."""
    bench = _in_doubt(restarts)
    for _ in range(2):
        bench.reply(Lookup, NotFound())
        bench.reply(Lookup, NotFound())
        bench.reply(Place, LOST_REPLY)
    bench.reply(Lookup, NotFound())
    (report,) = reports_in(bench.reply(Lookup, NotFound()))
    assert (report.exec_type, report.evidence, report.reject_reason) == (ExecType.NEVER_REACHED, "QUERY", "NEVER_REACHED: SENDS_EXHAUSTED")
    assert bench.live == []
    assert bench.asked.count("Place") == 3


def _conclude(bench: GatewayBench) -> tuple[ExecType, str]:
    bench.reply(Lookup, NotFound())
    (report,) = reports_in(bench.reply(Lookup, NotFound()))
    assert report.evidence == "QUERY"
    return report.exec_type, report.reject_reason


def test_order_is_not_sent_again_when_its_approval_has_expired(restarts: bool) -> None:
    """A stale wish is never sent after a recovery."""
    bench = _in_doubt(restarts)
    bench.now_ns = ORDER.approval.expires_ns + 1
    assert _conclude(bench) == (ExecType.NEVER_REACHED, "NEVER_REACHED: APPROVAL_EXPIRED")


def test_order_is_sent_again_on_the_last_nanosecond_of_its_approval(restarts: bool) -> None:
    """The bound is the gate's own."""
    bench = _in_doubt(restarts)
    bench.now_ns = ORDER.approval.expires_ns
    assert _conclude(bench) == (ExecType.ATTEMPTED, "")


def test_order_is_not_sent_again_when_a_cancel_was_asked_for(restarts: bool) -> None:
    """The wish is gone; the cancel itself never has to leave."""
    bench = _in_doubt(restarts)
    bench.tell(a_cancel(ORDER))
    assert not bench.is_open(Cancel)
    assert _conclude(bench) == (ExecType.NEVER_REACHED, "NEVER_REACHED: CANCEL_REQUESTED")


def test_order_is_not_sent_again_when_the_kill_switch_is_tripped(restarts: bool) -> None:
    """Not even one that the sweep leaves alone: only what the gate lets through may leave."""
    bench = _in_doubt(restarts, order=a_submit(protective=True))
    bench.kill(HALTED)
    assert _conclude(bench) == (ExecType.NEVER_REACHED, "NEVER_REACHED: KILL_SWITCH")


def test_reducing_order_is_sent_again_when_the_kill_only_forbids_more_risk(restarts: bool) -> None:
    """In REDUCING an approved reduction may still leave."""
    bench = _in_doubt(restarts, order=a_submit(approval={"reduces": True}))
    bench.kill(REDUCING)
    assert _conclude(bench) == (ExecType.ATTEMPTED, "")


def test_order_is_lost_when_ids_are_only_unique_among_open_orders(restarts: bool) -> None:
    """It may have been there and be gone: nothing is sent, it stays known, a person is told, and no question is repeated."""
    bench = _in_doubt(restarts, REUSED)
    kind, reason = _conclude(bench)
    assert (kind, reason) == (ExecType.LOST, "LOST: not found at sim after TIMEOUT")
    assert bench.live == [ORDER_ID]
    assert "order_lost" in bench.alerts
    assert bench.next_wake() is None and not bench.open
    bench.link_down()
    bench.connect()
    assert not bench.is_open(Lookup)


def test_lost_order_comes_back_when_the_venue_shows_it(restarts: bool) -> None:
    """Later evidence decides: a kill that had nothing to do with it sweeps it from now on."""
    bench = _in_doubt(restarts, REUSED)
    _conclude(bench)
    bench.kill(HALTED)
    assert not bench.is_open(Cancel)
    bench.push(a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED))
    assert bench.is_open(Cancel)


def test_cancel_of_a_lost_order_is_not_sent_twice_when_the_order_comes_back(restarts: bool) -> None:
    """It had left for the venue already: a lost order is cancelled like one that is there."""
    bench = _in_doubt(restarts, REUSED)
    _conclude(bench)
    bench.tell(a_cancel(ORDER))
    assert bench.is_open(Cancel)
    bench.update(ORDER, OrderStatus.ACCEPTED)
    assert bench.asked.count("Cancel") == 1


def test_order_is_lost_when_the_venue_knows_its_id_and_does_not_find_it(restarts: bool) -> None:
    """A duplicate refusal proves it is there: not finding it then proves nothing, and it is not sent again."""
    bench = GatewayBench(restarts=restarts).connect()
    bench.tell(ORDER)
    bench.reply(Place, Refused(code=DUPLICATE_CLIENT_ORDER_ID))
    assert _conclude(bench)[0] is ExecType.LOST


def test_replacement_that_never_got_there_ends_and_is_not_repeated(restarts: bool) -> None:
    """The order it was to replace goes on; who wants the change asks for it again."""
    bench = GatewayBench(restarts=restarts).connect()
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, LOST_REPLY)
    assert _conclude(bench) == (ExecType.NEVER_REACHED, "NEVER_REACHED: REPLACE_NOT_REPEATED")
    assert bench.reports[-1].orig_client_order_id == ORDER_ID
    assert bench.live == [ORDER_ID]


@pytest.mark.parametrize(
    ("status", "exec_type", "live"),
    [
        (OrderStatus.ACCEPTED, ExecType.REPLACED, ["replacement"]),
        (OrderStatus.PARTIALLY_FILLED, ExecType.REPLACED, ["replacement"]),
        (OrderStatus.CANCELLED, ExecType.CANCELLED, []),
        (OrderStatus.REJECTED, ExecType.REJECTED, [ORDER_ID]),
    ],
)
def test_replacement_is_adopted_when_it_is_found(restarts: bool, status: OrderStatus, exec_type: ExecType, live: list[str]) -> None:
    """A replacement that is there has ended the order it replaced; a rejected one has not."""
    bench = GatewayBench(restarts=restarts).connect()
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, LOST_REPLY)
    (report,) = reports_in(bench.reply(Lookup, found(REPLACE, status)))
    assert (report.exec_type, report.evidence, report.client_order_id, report.orig_client_order_id) == (exec_type, "QUERY", "replacement", ORDER_ID)
    assert bench.live == live


def test_doubt_about_a_replacement_goes_on_when_the_order_it_replaces_ends(restarts: bool) -> None:
    """The end of the one is no evidence about the other."""
    bench = GatewayBench(restarts=restarts).connect()
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, LOST_REPLY)
    bench.update(ORDER, OrderStatus.CANCELLED)
    assert bench.live == ["replacement"] and bench.ways == []
    assert _conclude(bench)[0] is ExecType.NEVER_REACHED


@pytest.mark.parametrize("reply", [LOST_REPLY, Refused(code="RATE_LIMIT"), an_ack(ORDER_ID), OrderFound(order=a_view(a_submit(2)))], ids=lambda r: type(r).__name__)
def test_failed_question_is_never_a_not_found(restarts: bool, reply: VenueReply) -> None:
    """However often it fails, nothing is concluded: three times at once, then with growing waits up to thirty seconds."""
    bench = _in_doubt(restarts)
    for _ in range(3):
        bench.reply(Lookup, reply)
        assert bench.is_open(Lookup), "time may stand still: the first repetitions do not wait for it"
    waits = []
    for _ in range(10):
        bench.reply(Lookup, reply)
        assert not bench.open
        before = bench.now_ns
        bench.wake()
        waits.append((bench.now_ns - before) // MS)
    assert waits == [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
    assert waits[-1] * MS == BACKOFF_MAX_NS
    assert bench.story == [(ExecType.ATTEMPTED, "GATEWAY"), (ExecType.IN_DOUBT, "GATEWAY")]


def test_not_found_is_asked_again_until_the_order_cannot_arrive_any_more(restarts: bool) -> None:
    """Before the late-arrival bound it proves nothing; the last word is asked for after it."""
    bench = _in_doubt(restarts, LATE)
    times = []
    while bench.now_ns < NOW + 2 * SECOND:
        bench.reply(Lookup, NotFound())
        assert bench.ways == []
        bench.wake()
        times.append((bench.now_ns - NOW) // MS)
    assert times == [250, 750, 1_750, 2_000]
    bench.reply(Lookup, NotFound())
    assert bench.ways == [] and bench.is_open(Lookup)
    bench.reply(Lookup, NotFound())
    assert bench.ways == ["not_found"]


def test_final_question_is_repeated_when_it_fails(restarts: bool) -> None:
    """The last word must be an answer."""
    bench = _in_doubt(restarts)
    bench.reply(Lookup, NotFound())
    bench.reply(Lookup, LOST_REPLY)
    assert bench.ways == [] and bench.is_open(Lookup)
    bench.reply(Lookup, NotFound())
    assert bench.ways == ["not_found"]


@pytest.mark.parametrize("status", [OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED])
def test_doubt_ends_when_the_venue_shows_the_order_by_itself(restarts: bool, status: OrderStatus) -> None:
    """A pushed event is evidence; the answer to the question that was under way is not needed any more."""
    bench = _in_doubt(restarts)
    bench.push(a_fill(ORDER, 1, 4 if status is OrderStatus.PARTIALLY_FILLED else 10, status=status))
    assert bench.ways == ["pushed"]
    assert bench.reply(Lookup, NotFound()) == []
    assert bench.live == ([ORDER_ID] if status is OrderStatus.PARTIALLY_FILLED else [])


def test_nothing_is_asked_before_the_event_feed_stands(restarts: bool) -> None:
    """First the connection, then the subscription, then the questions: what happened meanwhile is heard first."""
    bench = GatewayBench(restarts=restarts)
    bench.tell(ORDER)
    bench.reply(Place, LOST_REPLY)
    assert not bench.open
    bench.link_up()
    assert not bench.is_open(Lookup)
    bench.reply(Subscribe, Subscribed(last_cursor=0))
    assert bench.is_open(Lookup)


def test_waiting_question_is_asked_at_once_when_the_connection_comes_back(restarts: bool) -> None:
    """The back-off is for a venue that does not answer, not for one that was away."""
    bench = _in_doubt(restarts)
    for _ in range(4):
        bench.reply(Lookup, LOST_REPLY)
    assert not bench.open and bench.next_wake() is not None
    bench.link_down()
    assert bench.next_wake() is None
    bench.connect()
    assert bench.is_open(Lookup)
    assert bench.next_wake() is None


def test_question_waits_for_the_subscription_when_its_time_comes_first(restarts: bool) -> None:
    """A wake between connection and subscription asks nothing and does not come again."""
    bench = _in_doubt(restarts)
    for _ in range(4):
        bench.reply(Lookup, LOST_REPLY)
    bench.link_down()
    bench.link_up()
    bench.wake()
    assert not bench.is_open(Lookup)
    bench.reply(Subscribe, Subscribed(last_cursor=0))
    assert bench.is_open(Lookup)


def test_question_waits_for_the_connection_when_it_broke_under_it(restarts: bool) -> None:
    """The lost answer is no reason to ask into the void."""
    bench = _in_doubt(restarts)
    bench.link_down()
    bench.reply(Lookup, LOST_REPLY)
    assert not bench.open
    bench.connect()
    assert bench.is_open(Lookup)


def test_answer_of_an_older_question_is_ignored_when_a_new_one_is_under_way(restarts: bool) -> None:
    """At most one question counts."""
    bench = _in_doubt(restarts)
    bench.link_down()
    bench.link_up()
    (call_id,) = [call_id for call_id, request in bench.open.items() if isinstance(request, Subscribe)]
    bench.give(CallReplied(call_id, Subscribed(last_cursor=0)))
    assert bench.asked.count("Lookup") == 2
    bench.give(CallReplied(f"{ORDER_ID}.lookup1", NotFound()))
    bench.give(CallReplied(f"{ORDER_ID}.lookup2", NotFound()))
    assert bench.ways == []


def test_nothing_is_sent_again_when_the_process_died_with_an_open_call(restarts: bool) -> None:
    """W10 to W12: the attempt is in doubt, and the connection comes before every question."""
    bench = GatewayBench(restarts=restarts).connect()
    bench.tell(ORDER)
    bench.die()
    assert bench.story[-1] == (ExecType.IN_DOUBT, "GATEWAY")
    assert bench.reports[-1].reject_reason == "INTERRUPTED"
    assert not bench.open
    bench.connect()
    bench.reply(Lookup, found(ORDER))
    assert bench.asked == ["Place", "Lookup"]


def test_connection_of_the_last_run_is_forgotten_when_a_new_one_starts(restarts: bool) -> None:
    """After a clean stop nothing was open, and still nothing can be asked before the new connection stands."""
    bench = GatewayBench(restarts=restarts).connect()
    bench.die()
    bench.tell(ORDER)
    bench.reply(Place, LOST_REPLY)
    assert not bench.open


def test_waiting_question_is_not_hurried_when_a_gap_is_filled(restarts: bool) -> None:
    """Subscribing again on a connection that stands says nothing about the venue's answers."""
    bench = _in_doubt(restarts)
    for _ in range(4):
        bench.reply(Lookup, LOST_REPLY)
    bench.push(a_fill(a_submit(2), 2))
    bench.reply(Subscribe, Subscribed(last_cursor=2))
    assert not bench.open


def test_question_is_asked_again_when_the_process_died_with_it(restarts: bool) -> None:
    """A question has no side effect, its doubt goes on."""
    bench = _in_doubt(restarts)
    bench.die()
    assert not bench.open
    bench.connect()
    assert bench.is_open(Lookup)


# A small venue that loses what it likes.


class _Venue:
    """Keeps orders, answers in turn, and does with the n-th thing on the wire what `faults` says.

    "request" loses what is on the way there, "reply" what is on the way back, "cut" also ends the connection.
    """

    def __init__(self, bench: GatewayBench, faults: dict[int, str], fills: bool) -> None:
        self.bench = bench
        self.faults = faults
        self.fills = fills
        self.orders: dict[str, SubmitOrder] = {}
        self.events: list[VenueEvent] = []
        self.seen = 0

    def run(self) -> None:
        """Serve until nothing is open; the connection comes back at once when it is gone."""
        queue: deque[str] = deque()
        for _ in range(200):
            queue.extend(call_id for call_id in self.bench.open if call_id not in queue)
            if not queue:
                if self.bench.gateway.snapshot().feed.is_ready and self.bench.next_wake() is None:
                    return
                if not self.bench.gateway.snapshot().feed.is_connected:
                    self.bench.link_up()
                else:
                    self.bench.wake()
                continue
            self._serve(queue.popleft())
        raise AssertionError("the gateway never came to rest")

    def _serve(self, call_id: str) -> None:
        request = self.bench.open[call_id]
        self.seen += 1
        fault = self.faults.get(self.seen, "")
        reply = LOST_REPLY if fault in ("request", "cut") else self._answer(request)
        self.bench.give(CallReplied(call_id, LOST_REPLY if fault else reply))
        if fault == "cut":
            self.bench.link_down()
        elif isinstance(request, Subscribe) and not fault:
            for event in self.events[request.cursor :]:
                self.bench.push(event)

    def _answer(self, request: object) -> VenueReply:
        match request:
            case Place(order=terms) if terms.client_order_id in self.orders:
                return Refused(code=DUPLICATE_CLIENT_ORDER_ID)
            case Place(order=terms):
                assert terms == terms_of(ORDER)
                self.orders[terms.client_order_id] = ORDER
                if self.fills:
                    self.events.append(a_fill(ORDER, 1))
                return an_ack(terms.client_order_id)
            case Lookup(client_order_id=order_id) if order_id in self.orders:
                return found(ORDER, OrderStatus.FILLED, 10) if self.fills else found(ORDER)
            case Lookup():
                return NotFound()
            case Subscribe():
                return Subscribed(last_cursor=len(self.events))
            case _:
                raise AssertionError(request)


@pytest.mark.parametrize("fills", [False, True], ids=["rests", "fills"])
@pytest.mark.parametrize("fault", ["request", "reply", "cut"])
def test_order_ends_up_at_the_venue_once_whatever_is_lost(restarts: bool, fault: str, fills: bool) -> None:
    """Lose any one or two things on the wire: the venue has the order once, the OMS is told it is there, no doubt is left."""
    for first in range(2, 8):
        for second in (0, first + 1, first + 2):
            bench = GatewayBench(restarts=restarts)
            venue = _Venue(bench, {first: fault, second: fault}, fills)
            venue.run()
            bench.tell(ORDER)
            venue.run()
            if fills and bench.cursor == 0:
                for event in venue.events:
                    bench.push(event)
            kinds = [report.exec_type for report in bench.reports]
            assert list(venue.orders) == [ORDER_ID]
            assert not any(order.doubt for order in bench.gateway.snapshot().orders)
            assert len([kind for kind in kinds if kind is ExecType.IN_DOUBT]) == len(bench.ways)
            assert ExecType.NEVER_REACHED not in kinds and ExecType.REJECTED not in kinds
            if fills:
                assert kinds.count(ExecType.TRADE) == 1 and bench.live == []
            else:
                assert bench.live == [ORDER_ID] and ExecType.NEW in kinds


def test_order_ends_never_reached_when_the_venue_gets_nothing(restarts: bool) -> None:
    """A venue that answers questions and loses every order: a definite end, without time having to pass."""
    bench = GatewayBench(restarts=restarts)
    venue = _Venue(bench, {}, fills=False)
    venue.run()
    bench.tell(ORDER)
    venue.faults = {n: "request" for n in (2, 5, 8)}
    venue.run()
    assert venue.orders == {} and bench.live == []
    assert bench.story[-1] == (ExecType.NEVER_REACHED, "QUERY")
    assert bench.now_ns == NOW


def test_every_execution_is_told_when_the_order_is_adopted_filled(restarts: bool) -> None:
    """The lookup says FILLED and gives no execution; the event feed brings it, also for an order that has ended here."""
    bench = _in_doubt(restarts)
    bench.reply(Lookup, found(ORDER, OrderStatus.FILLED, 10))
    event: OrderFilled = a_fill(ORDER, 1)
    (report,) = reports_in(bench.push(event))
    assert (report.exec_type, report.exec_id, report.last_qty) == (ExecType.TRADE, "x1", Decimal(10))
    assert bench.live == []
