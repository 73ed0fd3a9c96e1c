"""The token buckets: how much leaves at once and in the long run, and what the venue's own word does."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.settings import ThrottleSettings
from execution.throttle import RATE_BACKOFF_NS, Throttle
from tests.support.builders import NOW

SECOND = 1_000_000_000


def _throttle(**limits: Any) -> Throttle:
    return Throttle(ThrottleSettings(**limits))


def _leave(throttle: Throttle, at_ns: int) -> int:
    """An entry that takes the first slot there is; how long it waits."""
    slot_ns = throttle.slot_ns(at_ns)
    throttle.charge(slot_ns)
    return slot_ns - at_ns


def test_a_full_bucket_leaves_at_once_and_the_rest_at_its_rate() -> None:
    """Two per second: two now, the others half a second apart."""
    throttle = _throttle(orders_per_second_max=2)
    assert [_leave(throttle, NOW) for _ in range(5)] == [0, 0, SECOND // 2, SECOND, SECOND * 3 // 2]


def test_the_tightest_bucket_decides() -> None:
    """Each of the three: a second's, a minute's, a day's."""
    for name, period in (("orders_per_second_max", 1), ("orders_per_minute_max", 60), ("orders_per_day_max", 86_400)):
        throttle = _throttle(**{name: 1})
        assert [_leave(throttle, NOW), _leave(throttle, NOW)] == [0, period * SECOND], name


def test_tokens_come_back_when_time_passes() -> None:
    """And never more than a bucket holds."""
    throttle = _throttle(orders_per_second_max=2)
    for _ in range(2):
        _leave(throttle, NOW)
    assert [_leave(throttle, NOW + 3600 * SECOND) for _ in range(3)] == [0, 0, SECOND // 2]


def test_exits_are_charged_though_there_is_no_token() -> None:
    """They do not wait, and entries wait the longer."""
    throttle = _throttle(orders_per_second_max=1)
    for _ in range(3):
        throttle.charge(NOW)
    assert throttle.slot_ns(NOW) - NOW == 3 * SECOND


@given(st.integers(1, 20), st.lists(st.integers(0, SECOND // 2), min_size=1, max_size=80))
def test_no_more_leaves_in_any_second_than_twice_the_limit(limit: int, pauses: list[int]) -> None:
    """What the settings say about the venue's limit holds for every arrival pattern; in the long run it is the limit itself."""
    throttle, now_ns, left = _throttle(orders_per_second_max=limit), NOW, []
    for pause in pauses:
        now_ns += pause
        left.append(now_ns + _leave(throttle, now_ns))
    for first in left:
        assert sum(first <= moment < first + SECOND for moment in left) <= 2 * limit
    assert len(left) <= limit + limit * (max(left) - NOW + SECOND) / SECOND


def test_entries_wait_until_the_venue_says_when_it_is_asked_too_much() -> None:
    """Until the moment it names, or a second; a later word never shortens an earlier one."""
    throttle = _throttle()
    throttle.on_limited(NOW, 0)
    assert throttle.slot_ns(NOW) == NOW + RATE_BACKOFF_NS
    throttle.on_limited(NOW, 5 * SECOND)
    throttle.on_limited(NOW, 2 * SECOND)
    assert (throttle.slot_ns(NOW), throttle.banned_until_ns) == (NOW + 5 * SECOND, 0)


def test_a_ban_is_for_everything() -> None:
    """And is a limit for entries as well."""
    throttle = _throttle()
    throttle.on_banned(NOW, 120 * SECOND)
    assert throttle.banned_until_ns == throttle.slot_ns(NOW) == NOW + 120 * SECOND


def test_state_is_the_same_when_restored() -> None:
    """A restart gives no new tokens, and does not end a ban."""
    throttle, other = _throttle(orders_per_second_max=2), _throttle(orders_per_second_max=2)
    for _ in range(3):
        _leave(throttle, NOW)
    throttle.on_banned(NOW, SECOND)
    other.restore(throttle.state)
    assert other.state == throttle.state
    assert other.slot_ns(NOW) == throttle.slot_ns(NOW) == NOW + SECOND
