"""Clocks never go back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from apps.runtime.clock import SessionClockFollower, SystemClock


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The host's clock, as this test sets it."""
    now = [1_000]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    yield now


def test_time_stands_when_the_host_clock_is_stepped_back(wall: list[int]) -> None:
    """It goes on when the host has caught up."""
    clock = SystemClock()
    assert clock.now_ns() == 1_000
    wall[0] = 500
    assert clock.now_ns() == 1_000
    wall[0] = 1_001
    assert clock.now_ns() == 1_001


def test_system_time_stands_when_a_feed_speaks(wall: list[int]) -> None:
    """The session clock's topic is nothing to it."""
    clock = SystemClock()
    clock.observe(9_999)
    assert clock.now_ns() == 1_000


def test_session_time_is_the_feeds_highest_when_it_repeats_itself() -> None:
    """A repeated or late tick changes nothing."""
    clock = SessionClockFollower(5)
    assert clock.now_ns() == 5
    for told in (7, 6, 7):
        clock.observe(told)
    assert clock.now_ns() == 7
