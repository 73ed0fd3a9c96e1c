"""Faults of requests, against the real gateway and OMS: what becomes of the order, of the doubt, and of the books."""

from __future__ import annotations

import pytest

from core.contracts import ExecType, OrderStatus, OrderType, Side
from core.venue import DUPLICATE_CLIENT_ORDER_ID, AcknowledgeEvents, Cancel, Lookup, NotFound, Place
from execution.venues.orders import client_id_of
from tests.support.faulty_floor import FaultyFloor
from tests.support.gateway import MS
from tests.support.venue import VenueDriver, a_request

_TAKEN_BUT_UNTOLD = ["504_then_filled", "reset_after_write", "200_html_body", "200_without_id", "duplicate_client_id"]


def _kinds(floor: FaultyFloor) -> list[ExecType]:
    return [report.exec_type for report in floor.reports]


def test_timeout_then_placed_is_adopted_when_it_arrives_late() -> None:
    """The request is under way for 200 ms: 'not found' before that ends nothing, and nothing is sent a second time."""
    floor = FaultyFloor({"timeout_then_placed": 1.0})
    intent = floor.submit()
    assert floor.order(intent).is_in_doubt
    assert any(isinstance(reply, NotFound) for reply in floor.heard)
    floor.run_for(1_000)
    assert floor.status(intent) is OrderStatus.ACCEPTED
    assert floor.placed(intent) == 1
    floor.bar()
    assert floor.status(intent) is OrderStatus.FILLED
    floor.require_whole()


def test_timeout_then_placed_makes_one_order_when_it_arrives_after_the_bound() -> None:
    """A venue later than it promised: the order was sent again, the late one bears the same id, so there is still one."""
    floor = FaultyFloor({"timeout_then_placed": 1.0}, arrival_lag_ms=3_000)
    intent = floor.submit()
    floor.run_for(5_000)
    assert floor.placed(intent) == 2
    assert floor.status(intent) is OrderStatus.ACCEPTED
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_timeout_then_placed_is_lost_and_then_found_when_ids_are_unique_while_open() -> None:
    """Where an id may be used again nothing is sent again; what the venue shows later is taken for what it is."""
    floor = FaultyFloor({"timeout_then_placed": 1.0}, arrival_lag_ms=4_000, venue={"client_order_ids": "unique_while_open"})
    intent = floor.submit()
    floor.run_for(3_000)
    assert floor.facets(intent) == ("lost",)
    assert "order_lost" in floor.alerts
    floor.bar()
    assert (floor.status(intent), floor.facets(intent), floor.position()) == (OrderStatus.FILLED, (), 10)
    assert floor.placed(intent) == 1
    floor.require_whole()


def test_timeout_not_placed_is_sent_again_when_it_is_conclusively_not_there() -> None:
    """After the late-arrival bound and one more question the same id and terms go once more."""
    floor = FaultyFloor({"timeout_not_placed": 1.0})
    intent = floor.submit()
    sent_ns = floor.now_ns
    floor.run_for(1_900)
    assert (floor.placed(intent), floor.order(intent).is_in_doubt) == (1, True)
    floor.run_for(1_000)
    assert floor.placed(intent) == 2
    asked = [at_ns for at_ns, request in floor.asked if isinstance(request, Lookup)]
    assert sum(at_ns >= sent_ns + 2_000 * MS for at_ns in asked) >= 2
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_timeout_not_placed_ends_never_reached_when_the_approval_is_over() -> None:
    """What conclusively never got there and may not go again ends by us, and says so."""
    floor = FaultyFloor({"timeout_not_placed": 1.0}, venue={"late_arrival_ms": 15_000})
    intent = floor.submit()
    floor.run_for(20_000)
    order = floor.order(intent)
    assert (order.status, order.closure is not None and order.closure.cause) == (OrderStatus.CANCELLED, "NEVER_REACHED: APPROVAL_EXPIRED")
    assert floor.placed(intent) == 1
    floor.require_whole()


@pytest.mark.parametrize("fault", ["timeout_not_placed", "429_with_reset"])
def test_a_cancel_is_asked_again_when_its_request_was_lost_or_limited(fault: str) -> None:
    """Repeating a cancel is harmless, so it is repeated until the venue answers."""
    floor = FaultyFloor({fault: 1.0})
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=90)
    floor.run_for(5_000)
    floor.arm()
    floor.cancel(intent)
    floor.run_for(5_000)
    assert floor.requests(Cancel) == 2
    assert floor.status(intent) is OrderStatus.CANCELLED
    floor.require_whole()


@pytest.mark.parametrize("fault", _TAKEN_BUT_UNTOLD)
def test_a_misreported_order_is_in_doubt_and_then_adopted_when_the_venue_has_it(fault: str) -> None:
    """504_then_filled, reset_after_write, 200_html_body, 200_without_id, duplicate_client_id: none is a failure, none is sent again."""
    floor = FaultyFloor({fault: 1.0})
    intent = floor.submit()
    assert ExecType.IN_DOUBT in _kinds(floor)
    assert "order_in_doubt" in floor.alerts
    assert (floor.status(intent), floor.placed(intent)) == (OrderStatus.ACCEPTED, 1)
    assert not floor.order(intent).is_in_doubt
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_504_then_filled_is_booked_once_when_the_fill_comes_before_the_lookup() -> None:
    """The venue's own event is evidence as good as an answer, and the later answer adds nothing."""
    floor = FaultyFloor({"504_then_filled": 1.0, "fill_before_ack": 1.0, "stream_silent": 1.0}, strikes_max=1)
    intent = floor.submit()
    other = floor.submit(2)
    floor.bar()
    floor.bar()
    assert [floor.status(each) for each in (intent, other)] == [OrderStatus.FILLED] * 2
    assert floor.position() == 20
    floor.require_whole()


def test_reset_after_write_subscribes_anew_when_the_connection_is_back() -> None:
    """The connection ended and another one stands; everything in doubt was asked about on it."""
    floor = FaultyFloor({"reset_after_write": 1.0})
    before = floor.subscriptions
    floor.submit()
    assert (floor.cuts, floor.subscriptions - before) == (1, 1)
    floor.require_whole()


def test_duplicate_client_id_makes_two_orders_when_the_venue_forgets_ids() -> None:
    """Why nothing is ever sent again blindly to such a venue: after the first order's end it takes a second one by the same id."""
    driver = VenueDriver(client_order_ids="unique_while_open")
    driver.bar()
    driver.place("o1")
    assert driver.refusal(Place(order=a_request("o1"))) == DUPLICATE_CLIENT_ORDER_ID
    driver.bar()
    driver.ask_nothing(AcknowledgeEvents(cursor=driver.venue.last_cursor))
    driver.place("o1")
    (shown,) = driver.venue.open_orders
    driver.archive.clear()
    driver.bar()
    assert [fill.last_qty for fill in driver.fills] == [10, 10]
    assert len({fill.exec_id for fill in driver.fills}) == len({fill.venue_order_id for fill in driver.fills}) == 2
    assert client_id_of(shown.venue_order_id) == "o1"


def test_not_found_for_n_ms_is_no_end_when_the_order_is_there_all_along() -> None:
    """For half a second the venue does not find what it has; within the bound that is 'not now'."""
    floor = FaultyFloor({"not_found_for_n_ms": 1.0})
    intent = floor.submit()
    assert floor.order(intent).is_in_doubt
    floor.run_for(1_500)
    assert (floor.status(intent), floor.placed(intent)) == (OrderStatus.ACCEPTED, 1)
    floor.bar()
    assert floor.position() == 10
    floor.require_whole()


def test_not_found_for_n_ms_makes_one_order_when_the_lag_outlasts_the_bound() -> None:
    """The order is sent again and the venue calls the id taken: a sign of life, and still one order."""
    floor = FaultyFloor({"not_found_for_n_ms": 1.0}, query_lag_ms=2_500)
    intent = floor.submit()
    floor.run_for(6_000)
    assert floor.placed(intent) == 2
    assert floor.status(intent) is OrderStatus.ACCEPTED
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_fill_before_ack_is_booked_when_the_execution_overtakes_the_answer() -> None:
    """The execution comes first and is booked; the acknowledgement after it takes nothing back."""
    floor = FaultyFloor({"fill_before_ack": 1.0})
    intent = floor.submit()
    assert (floor.status(intent), floor.position()) == (OrderStatus.PARTIALLY_FILLED, 5)
    kinds = _kinds(floor)
    assert kinds.index(ExecType.TRADE) < kinds.index(ExecType.NEW)
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_429_with_reset_sends_the_same_again_when_the_venue_says_so() -> None:
    """Nothing was done, so after the time the venue named the same order goes, once."""
    floor = FaultyFloor({"429_with_reset": 1.0}, limit_ms=700)
    intent = floor.submit()
    floor.run_for(690)
    assert floor.placed(intent) == 1
    floor.run_for(20)
    assert (floor.placed(intent), floor.status(intent)) == (2, OrderStatus.ACCEPTED)
    floor.require_whole()


def test_418_ban_sends_nothing_when_it_would_only_make_the_ban_longer() -> None:
    """From the ban to its end not one request leaves; risk hears of it, and entries pass again afterwards."""
    floor = FaultyFloor({"418_ban": 1.0}, ban_ms=60_000)
    intent = floor.submit()
    banned_ns, before = floor.now_ns, len(floor.asked)
    floor.submit(2)
    floor.run_for(59_000)
    assert [request for at_ns, request in floor.asked[before:] if at_ns < banned_ns + 60_000 * MS] == []
    assert "entries_paused" in floor.alerts
    floor.run_for(2_000)
    assert "entries_pass" in floor.alerts
    again = floor.submit(3)
    assert floor.status(intent) is OrderStatus.REJECTED
    assert floor.status(again) is OrderStatus.ACCEPTED
    floor.require_whole()


def test_418_ban_ends_when_several_orders_are_in_doubt() -> None:
    """Each asked after at a time of its own, they would renew the ban in turn for ever: during a ban none is asked after."""
    floor = FaultyFloor({"not_found_for_n_ms": 1.0}, strikes_max=2, query_lag_ms=1_500, ban_ms=20_000, venue={"late_arrival_ms": 60_000})
    intents = []
    for number in (1, 2):
        intents.append(floor.submit(number))
        floor.run_for(130)
    floor.venue.line.banned_until_ns = floor.now_ns + 20_000 * MS
    floor.run_for(50_000)
    assert floor.venue.line.banned_until_ns <= floor.now_ns
    assert [floor.status(intent) for intent in intents] == [OrderStatus.ACCEPTED] * 2
    floor.require_whole()


@pytest.mark.parametrize(("fault", "code"), [("lot_reject", "LOT_SIZE"), ("min_notional", "MIN_NOTIONAL")])
def test_lot_reject_and_min_notional_end_the_order_when_the_venue_says_no(fault: str, code: str) -> None:
    """A definite no is no doubt: REJECTED with the venue's reason, and nothing goes again by itself."""
    floor = FaultyFloor({fault: 1.0})
    intent = floor.submit()
    order = floor.order(intent)
    assert (order.status, order.closure is not None and order.closure.cause.partition(":")[0]) == (OrderStatus.REJECTED, code)
    assert ExecType.IN_DOUBT not in _kinds(floor)
    floor.bar()
    assert (floor.placed(intent), floor.position()) == (1, 0)
    floor.require_whole()


def test_held_for_orders_leaves_the_position_when_a_sale_is_refused() -> None:
    """The position is what it was, and the next sale is free to be tried."""
    floor = FaultyFloor({"held_for_orders": 1.0})
    floor.submit()
    floor.bar()
    refused = floor.submit(2, side=Side.SELL)
    assert (floor.status(refused), floor.position()) == (OrderStatus.REJECTED, 10)
    sold = floor.submit(3, side=Side.SELL)
    floor.bar()
    assert (floor.status(sold), floor.position()) == (OrderStatus.FILLED, 0)
    floor.require_whole()
