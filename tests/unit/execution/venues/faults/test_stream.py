"""Faults of the stream, against the real gateway and OMS: nothing is missed for long, and nothing is booked twice."""

from __future__ import annotations

import pytest

from core.contracts import ExecType, FillEvent, OrderStatus, OrderType
from core.machine import NOTHING_ATTACHED, Observed, VenueLinkState
from core.venue import Lookup
from tests.support.faulty_floor import FaultyFloor
from tests.support.gateway import MS, SECOND


def _resting_beside(floor: FaultyFloor) -> None:
    """Something that stays open, so that the venue's word is waited for."""
    floor.submit(9, order_type=OrderType.LIMIT, limit_price=50)


def test_duplicate_fill_is_booked_once_when_it_is_pushed_and_numbered_again() -> None:
    """The same number is let pass, and the same execution under another number changes nothing."""
    floor = FaultyFloor({"duplicate_fill": 1.0})
    intent = floor.submit()
    floor.bar()
    assert floor.pushed == [1, 1, 2]
    assert [report.exec_type for report in floor.reports].count(ExecType.TRADE) == 2
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    assert sum(isinstance(body, FillEvent) for body in floor.said) == 1
    floor.require_whole()


def test_stream_silent_is_noticed_when_orders_are_open() -> None:
    """The fill is not pushed and the connection stands: after 45 s without a word the gateway asks, and books it."""
    floor = FaultyFloor({"stream_silent": 1.0}, venue={"silence_ms_max": 45_000})
    intent = floor.submit()
    floor.bar()
    assert floor.status(intent) is OrderStatus.ACCEPTED
    at_ns, before = floor.now_ns, floor.subscriptions
    floor.run_until(at_ns + 45 * SECOND)
    assert floor.status(intent) is OrderStatus.FILLED
    assert floor.subscriptions == before + 1
    floor.require_whole()


def test_stream_silent_is_no_reason_to_ask_when_nothing_is_open() -> None:
    """Without an order that waits for the venue's word, silence is peace."""
    floor = FaultyFloor({"stream_silent": 1.0})
    floor.run_for(600_000)
    assert floor.subscriptions == 0


def test_stream_drop_without_close_is_survived_when_answers_are_lost_as_well() -> None:
    """A half-open line: calls come back unknown, the order in doubt is found when the line carries again."""
    floor = FaultyFloor({"stream_drop_without_close": 1.0}, silence_ms=20_000, storm=3, venue={"silence_ms_max": 45_000})
    first = floor.submit()
    floor.bar()
    second = floor.submit(2)
    assert floor.order(second).is_in_doubt
    floor.run_for(60_000)
    floor.bar()
    assert [floor.status(intent) for intent in (first, second)] == [OrderStatus.FILLED] * 2
    assert floor.position() == 20
    assert floor.unknown("TIMEOUT") == 3
    floor.require_whole()


def test_reconnect_without_backfill_is_seen_by_the_numbers_when_nothing_follows() -> None:
    """The subscription is answered and brings nothing: its own 'last event' shows what is missing, so it is asked again within a second."""
    floor = FaultyFloor({"reconnect_without_backfill": 1.0})
    intent = floor.submit()
    floor.bar()
    assert (floor.cuts, floor.status(intent)) == (1, OrderStatus.ACCEPTED)
    floor.run_for(1_100)
    assert floor.status(intent) is OrderStatus.FILLED
    floor.require_whole()


def test_reconnect_storm_ends_in_one_subscription_when_the_venue_lets_it_stand() -> None:
    """Each connection that ends is one more attempt and no more; the last one brings everything."""
    floor = FaultyFloor({"reconnect_storm": 1.0}, storm=6, venue={"silence_ms_max": 600_000})
    intent = floor.submit()
    before = floor.subscriptions
    floor.bar()
    assert (floor.cuts, floor.subscriptions - before) == (7, 7)
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_no_wake_comes_for_ever_when_a_new_connection_has_not_answered_yet() -> None:
    """What was due while the venue was away waits for the subscription: a wake that cannot help would come again at once."""
    floor = FaultyFloor({"reconnect_storm": 1.0}, compares=True)
    floor.gateway.handle(Observed(VenueLinkState(False, "gone")), NOTHING_ATTACHED, floor.now_ns)
    later_ns = floor.now_ns + 120 * SECOND
    floor.gateway.handle(Observed(VenueLinkState(True)), NOTHING_ATTACHED, later_ns)
    due_ns = floor.gateway.next_wake_ns
    assert due_ns is None or due_ns > later_ns


def test_unknown_status_ends_nothing_when_the_venue_uses_a_new_word() -> None:
    """The word is shown to people, the order is asked after, and the answer says what the word meant."""
    floor = FaultyFloor({"unknown_status": 1.0})
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=90)
    floor.cancel(intent)
    assert "unknown_status" in floor.alerts
    said = [(report.exec_type, report.evidence, report.status) for report in floor.reports]
    assert (ExecType.ORDER_STATUS, "PUSH", None) in said
    assert (ExecType.CANCELLED, "QUERY", OrderStatus.CANCELLED) in said
    assert floor.requests(Lookup) == 1
    assert floor.status(intent) is OrderStatus.CANCELLED
    floor.require_whole()


def test_unknown_status_is_asked_after_until_answered_when_the_question_is_lost_too() -> None:
    """A lost question, a limited one: asked again until the venue has said how the order stands."""
    floor = FaultyFloor({"unknown_status": 1.0, "timeout_not_placed": 1.0}, strikes_max=2)
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=90)
    floor.run_for(10_000)
    floor.arm()
    floor.cancel(intent)
    floor.run_for(10_000)
    assert floor.status(intent) is OrderStatus.CANCELLED
    floor.require_whole()


@pytest.mark.parametrize("skew_ms", [-3_600_000, 3_600_000])
def test_clock_skew_changes_no_outcome_when_the_venue_is_an_hour_off(skew_ms: int) -> None:
    """Times of the venue's are carried, not obeyed: ages are measured by our clock, events ordered by number."""
    floor = FaultyFloor({"clock_skew": 1.0}, strikes_max=None, skew_ms=skew_ms)
    filled = floor.submit()
    stale = floor.submit(2, order_type=OrderType.LIMIT, limit_price=90, ttl_ms=30_000)
    floor.bar()
    floor.run_for(1_000)
    assert [floor.status(intent) for intent in (filled, stale)] == [OrderStatus.FILLED, OrderStatus.CANCELLED]
    closure = floor.order(stale).closure
    assert closure is not None and closure.cause == "TTL"
    assert any(abs(report.occurred_ns - floor.now_ns) > 60_000 * MS * 5 for report in floor.reports if report.evidence == "PUSH")
    floor.require_whole()
