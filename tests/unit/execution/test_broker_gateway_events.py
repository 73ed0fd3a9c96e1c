"""The venue's events: each reported once, in order, and what they do to what is live."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import ExecType, OrderStatus
from core.machine import CallReplied
from core.money import ZERO
from core.venue import Cancel, NotSent, OrderUpdated, OutcomeUnknown, Place, Refused, Replace, RequestRejected, Subscribe, Subscribed, VenueReply
from tests.support.builders import NOW
from tests.support.gateway import HALTED, MS, GatewayBench, a_cancel, a_fill, a_replace, a_submit, a_view, an_ack, reports_in

ORDER = a_submit()
ORDER_ID = ORDER.client_order_id
REPLACE = a_replace(ORDER)
LOST_REPLY = OutcomeUnknown(cause="TIMEOUT")


@pytest.fixture(params=[False, True], ids=["alive", "restored before every input"])
def bench(request: pytest.FixtureRequest) -> GatewayBench:
    """A connected gateway; the second one is made anew from its snapshot before every input."""
    return GatewayBench(restarts=request.param).connect()


def _is_subscribed_from(bench: GatewayBench, cursor: int) -> bool:
    return Subscribe(cursor=cursor) in bench.open.values()


UPDATES = [
    (OrderStatus.ACCEPTED, "", ExecType.NEW, True),
    (OrderStatus.PARTIALLY_FILLED, "", ExecType.ORDER_STATUS, True),
    (OrderStatus.PENDING, "", ExecType.ORDER_STATUS, True),
    (OrderStatus.CANCELLED, "", ExecType.CANCELLED, False),
    (OrderStatus.REJECTED, "", ExecType.REJECTED, False),
    (OrderStatus.EXPIRED, "", ExecType.EXPIRED, False),
    (OrderStatus.FILLED, "", ExecType.ORDER_STATUS, False),
    (OrderStatus.ACCEPTED, "before", ExecType.REPLACED, True),
    (OrderStatus.FILLED, "before", ExecType.REPLACED, False),
    (OrderStatus.REJECTED, "before", ExecType.REJECTED, False),
]


@pytest.mark.parametrize(("status", "orig", "exec_type", "lives"), UPDATES)
def test_update_is_told_as_what_has_happened(bench: GatewayBench, status: OrderStatus, orig: str, exec_type: ExecType, lives: bool) -> None:
    """With everything the venue said, and the number it said it under."""
    bench.working(ORDER)
    (report,) = reports_in(bench.update(ORDER, status, orig, reject_reason="why", cum_qty=Decimal(3)))
    assert (report.exec_type, report.evidence, report.status, report.cursor) == (exec_type, "PUSH", status, 1)
    assert (report.client_order_id, report.orig_client_order_id, report.venue_order_id) == (ORDER_ID, orig, f"V-{ORDER_ID}")
    assert (report.order_qty, report.cum_qty, report.last_qty, report.reject_reason, report.occurred_ns) == (Decimal(10), Decimal(3), ZERO, "why", NOW + 7)
    assert (bench.live == [ORDER_ID]) is lives


@pytest.mark.parametrize(
    ("last_qty", "cum_qty", "status", "leaves_qty", "lives"),
    [
        (4, 4, OrderStatus.PARTIALLY_FILLED, 6, True),
        (10, 10, OrderStatus.FILLED, 0, False),
        (4, 4, OrderStatus.CANCELLED, 0, False),
        (4, 14, OrderStatus.PARTIALLY_FILLED, 0, True),
    ],
)
def test_fill_is_told_with_everything_about_it(bench: GatewayBench, last_qty: int, cum_qty: int, status: OrderStatus, leaves_qty: int, lives: bool) -> None:
    """One execution, one TRADE; quantities that no arithmetic explains are told as they are."""
    bench.working(ORDER)
    (report,) = reports_in(bench.push(a_fill(ORDER, 1, last_qty, cum_qty, status)))
    assert (report.exec_type, report.evidence, report.exec_id, report.cursor, report.status) == (ExecType.TRADE, "PUSH", "x1", 1, status)
    assert (report.last_qty, report.last_price, report.cum_qty, report.leaves_qty) == (Decimal(last_qty), Decimal("99.5"), Decimal(cum_qty), Decimal(leaves_qty))
    assert (report.fee, report.fee_asset, report.side, report.occurred_ns) == (Decimal("0.5"), "USD", ORDER.side, NOW + 9)
    assert (bench.live == [ORDER_ID]) is lives


def test_fill_keeps_the_correlation_of_its_order(bench: GatewayBench) -> None:
    """Any fill can be walked back to what caused the order."""
    bench.tell(ORDER, "signal-7")
    (effect, *_) = bench.push(a_fill(ORDER, 1))
    assert getattr(effect, "correlation_id", "") == "signal-7"


def test_event_is_told_once_when_it_comes_twice(bench: GatewayBench) -> None:
    """By its number, whatever is in it."""
    bench.working(ORDER)
    bench.push(a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED))
    assert bench.push(a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED)) == []
    assert bench.cursor == 1


def test_missing_event_is_asked_for_when_a_number_is_skipped(bench: GatewayBench) -> None:
    """What came too early is dropped, because it comes again in its place; only one subscription is under way."""
    bench.working(ORDER)
    first, second = a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED), a_fill(ORDER, 2, 6, 10)
    assert reports_in(bench.push(second)) == []
    bench.push(second)
    assert [type(request) for request in bench.open.values()] == [Subscribe] and _is_subscribed_from(bench, 0)
    bench.reply(Subscribe, Subscribed(last_cursor=2))
    bench.push(first)
    bench.push(second)
    assert [report.exec_id for report in bench.reports if report.exec_id] == ["x1", "x2"]
    assert bench.cursor == 2 and bench.halts == []


def test_gateway_halts_when_the_venue_cannot_give_what_is_missing(bench: GatewayBench) -> None:
    """Asked again and again it skips the same event: that one is lost, and a person must look."""
    for _ in range(3):
        bench.push(a_fill(ORDER, 2))
        assert bench.halts == []
        bench.reply(Subscribe, Subscribed(last_cursor=2))
    bench.push(a_fill(ORDER, 2))
    assert bench.halts == ["the venue lost history: event 1 of paper was asked for 3 times and never came"]


def test_events_under_way_prove_no_loss_while_the_missing_one_is_asked_for(bench: GatewayBench) -> None:
    """However many come before the subscription is answered: they left before the venue heard of it."""
    for cursor in range(2, 12):
        bench.push(a_fill(ORDER, cursor))
    bench.reply(Subscribe, Subscribed(last_cursor=11))
    bench.push(a_fill(ORDER, 1))
    assert bench.halts == [] and bench.cursor == 1


def test_gaps_are_forgotten_when_the_missing_event_comes(bench: GatewayBench) -> None:
    """Only a gap that stays proves a loss."""
    for cursor in range(1, 6):
        bench.push(a_fill(ORDER, cursor + 1, 1, status=OrderStatus.PARTIALLY_FILLED))
        bench.reply(Subscribe, Subscribed(last_cursor=cursor + 1))
        bench.push(a_fill(ORDER, cursor, 1, status=OrderStatus.PARTIALLY_FILLED))
    assert bench.halts == [] and bench.cursor == 5


def test_gateway_halts_when_the_venue_knows_fewer_events_than_were_handled(bench: GatewayBench) -> None:
    """Its history was cut; nothing that rests on its word may go on."""
    bench.push(a_fill(ORDER, 1))
    bench.push(a_fill(ORDER, 2))
    bench.link_down()
    bench.connect(last_cursor=1)
    assert bench.halts == ["the venue lost history: its last event of paper is 1, 2 was handled"]


def test_subscription_goes_on_from_the_last_event_when_the_connection_comes_back(bench: GatewayBench) -> None:
    """W13 and W14: what happened without us comes before anything else."""
    bench.push(a_fill(ORDER, 1))
    bench.link_down()
    bench.link_up()
    assert _is_subscribed_from(bench, 1)


def test_nothing_fails_when_the_connection_is_lost(bench: GatewayBench) -> None:
    """Orders stay what they are; a lost connection is evidence of nothing."""
    bench.working(ORDER)
    told = len(bench.reports)
    bench.link_down()
    assert bench.live == [ORDER_ID] and len(bench.reports) == told


@pytest.mark.parametrize("reply", [LOST_REPLY, Refused(code="BUSY"), NotSent(code="X")], ids=lambda r: type(r).__name__)
def test_subscription_is_repeated_when_it_fails(reply: VenueReply) -> None:
    """At once three times, then with growing waits."""
    bench = GatewayBench(restarts=True)
    bench.link_up()
    for _ in range(3):
        bench.reply(Subscribe, reply)
        assert bench.is_open(Subscribe)
    waits = []
    for _ in range(3):
        bench.reply(Subscribe, reply)
        assert not bench.open
        before = bench.now_ns
        bench.wake()
        waits.append((bench.now_ns - before) // MS)
    assert waits == [250, 500, 1_000]


def test_answer_to_an_older_subscription_is_ignored_when_the_connection_is_new(bench: GatewayBench) -> None:
    """It belongs to a connection that is gone."""
    bench.link_down()
    bench.link_up()
    (older,) = bench.open
    bench.link_down()
    bench.link_up()
    assert bench.give(CallReplied(older, LOST_REPLY)) == []
    assert len(bench.open) == 1


# Refusals that come by themselves.


def test_refused_cancel_is_told_under_its_requests_id_when_it_is_pushed(bench: GatewayBench) -> None:
    """The venue names the order, we know the request: the oldest it has taken."""
    bench.working(ORDER)
    for number in (1, 2):
        bench.tell(a_cancel(ORDER, number))
        bench.reply(Cancel, an_ack(ORDER_ID))
    for number in (1, 2):
        (report,) = reports_in(bench.push(RequestRejected(cursor=number, client_order_id=ORDER_ID, request="CANCEL", reason="TOO_LATE")))
        assert (report.exec_type, report.evidence, report.cursor, report.reject_reason) == (ExecType.CANCEL_REJECTED, "PUSH", number, "TOO_LATE")
        assert (report.client_order_id, report.orig_client_order_id, report.symbol) == (f"{ORDER_ID}.cancel{number}", ORDER_ID, "IBM")


def test_refusal_is_about_the_cancel_the_venue_has_taken_when_another_is_under_way(bench: GatewayBench) -> None:
    """It was refused after it had been taken; the other one has not been answered."""
    bench.working(ORDER)
    bench.tell(a_cancel(ORDER, 1))
    bench.tell(a_cancel(ORDER, 2))
    bench.give(CallReplied(f"{ORDER_ID}.cancel2", an_ack(ORDER_ID)))
    (report,) = reports_in(bench.push(RequestRejected(cursor=1, client_order_id=ORDER_ID, request="CANCEL", reason="TOO_LATE")))
    assert report.client_order_id == f"{ORDER_ID}.cancel2"
    assert list(bench.open) == [f"{ORDER_ID}.cancel1"]


@pytest.mark.parametrize("named", [ORDER_ID, "replacement"])
def test_refused_replace_ends_the_replacement_when_it_is_pushed(bench: GatewayBench, named: str) -> None:
    """Whichever of the two ids the venue names."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, an_ack("replacement"))
    (report,) = reports_in(bench.push(RequestRejected(cursor=1, client_order_id=named, request="REPLACE", reason="TOO_LATE")))
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id) == (ExecType.REPLACE_REJECTED, "replacement", ORDER_ID)
    assert bench.live == [ORDER_ID]


@pytest.mark.parametrize(("request_", "exec_type"), [("CANCEL", ExecType.CANCEL_REJECTED), ("REPLACE", ExecType.REPLACE_REJECTED)])
@pytest.mark.parametrize("state", ["working", "ended", "unknown"])
def test_refusal_of_a_request_nobody_made_is_told_about_the_order(bench: GatewayBench, request_: str, exec_type: ExecType, state: str) -> None:
    """No event is dropped; with the symbol as long as anyone here knows it."""
    if state != "unknown":
        bench.working(ORDER)
    if state == "ended":
        bench.update(ORDER, OrderStatus.CANCELLED)
    (report,) = reports_in(bench.push(RequestRejected(cursor=bench.cursor + 1, client_order_id=ORDER_ID, request=request_, reason="r")))
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id) == (exec_type, ORDER_ID, "")
    assert report.symbol == ("" if state == "unknown" else "IBM")


# Orders that are live at the venue and not here.


@pytest.mark.parametrize("end", ["not sent", "refused"])
def test_order_that_ended_by_our_word_lives_again_when_the_venue_shows_it(bench: GatewayBench, end: str) -> None:
    """A person is told, a cancel reaches it, a kill sweeps it, and it ends like any other, without a second row."""
    bench.tell(ORDER)
    bench.reply(Place, NotSent(code="KILL_SWITCH") if end == "not sent" else Refused(code="NO"))
    bench.push(a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED))
    assert bench.live == [ORDER_ID] and "ended_order_is_live" in bench.alerts
    bench.kill(HALTED)
    assert list(bench.open) == [f"{ORDER_ID}.kill1000001"]
    bench.update(ORDER, OrderStatus.CANCELLED)
    assert bench.live == []


def test_protective_order_stays_protective_when_it_lives_again(bench: GatewayBench) -> None:
    """What a kill keeps, it keeps."""
    order = a_submit(protective=True)
    bench.tell(order)
    bench.reply(Place, Refused(code="NO"))
    bench.kill(HALTED)
    bench.update(order, OrderStatus.ACCEPTED)
    assert bench.live == [order.client_order_id] and not bench.open


@pytest.mark.parametrize("status", [OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED])
def test_late_fill_is_told_and_nothing_more_when_the_order_ended_by_the_venues_word(bench: GatewayBench, status: OrderStatus) -> None:
    """The venue closed it: a fill that comes after is booked, not managed."""
    bench.working(ORDER)
    bench.update(ORDER, OrderStatus.CANCELLED)
    (report,) = reports_in(bench.push(a_fill(ORDER, 2, 4, status=status)))
    assert report.exec_type is ExecType.TRADE
    assert bench.live == [] and "ended_order_is_live" not in bench.alerts


def test_foreign_event_is_told_and_not_managed(bench: GatewayBench) -> None:
    """Somebody else's order on this account: the OMS hears of it, a kill leaves it alone."""
    (report,) = reports_in(bench.update(ORDER, OrderStatus.ACCEPTED, client_order_id="theirs"))
    assert report.client_order_id == "theirs"
    bench.kill(HALTED)
    assert bench.live == [] and not bench.open


def test_replacement_by_the_venue_itself_takes_the_orders_place(bench: GatewayBench) -> None:
    """Nobody here asked for it; it is ours all the same, and a kill sees it."""
    order = bench.working(a_submit())
    event = OrderUpdated(cursor=1, order=a_view(order, client_order_id="moved", venue_order_id="V-moved"), orig_client_order_id=order.client_order_id)
    (report,) = reports_in(bench.push(event))
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id) == (ExecType.REPLACED, "moved", order.client_order_id)
    assert bench.live == ["moved"]
    bench.kill(HALTED)
    assert bench.open == {"moved.kill1000001": Cancel(client_order_id="moved", venue_order_id="V-moved")}
    bench.push(OrderUpdated(cursor=2, order=a_view(order, OrderStatus.CANCELLED, client_order_id="moved")))
    assert bench.live == []
