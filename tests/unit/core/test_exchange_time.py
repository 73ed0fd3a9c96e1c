"""Exchange time: New York's day and wall clock, and when a session ends, held against the exchange's own calendar."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime

import pytest

from core.exchange_time import (
    NS_PER_SECOND,
    SESSION_OPEN_SECOND,
    at_wall_clock_ns,
    clock_second,
    is_early_close,
    session_close_second,
    wall_clock,
)

# Closures that no rule tells: a storm, a funeral, a test of the systems. None of them shortened a session since 2015.
FIRST, LAST = "2015-01-01", "2025-12-31"


def utc_ns(text: str) -> int:
    """Nanoseconds of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_SECOND


def test_sessions_open_and_close_as_the_exchanges_calendar_says() -> None:
    """Every session of eleven years, both changes of the clock and every early close included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar  # type: ignore[import-untyped]

        calendar = XNYSExchangeCalendar(start=FIRST, end=LAST)
    sessions = calendar.sessions
    assert len(sessions) > 2_700
    early = 0
    for session, opened, closed in zip(sessions, calendar.opens_nanos.tolist(), calendar.closes_nanos.tolist(), strict=True):
        day = session.toordinal()
        assert at_wall_clock_ns(day, SESSION_OPEN_SECOND) == opened, session
        assert at_wall_clock_ns(day, session_close_second(day)) == closed, session
        assert wall_clock(closed) == (day, session_close_second(day)), session
        early += is_early_close(day)
    assert early == len(calendar.early_closes)
    assert early > 20


@pytest.mark.parametrize(
    ("day", "early"),
    [
        (date(2024, 7, 3), True),
        (date(2020, 7, 3), False),  # a Friday: the holiday itself
        (date(2024, 12, 24), True),
        (date(2021, 12, 24), False),  # a Friday: the holiday itself
        (date(2022, 12, 24), False),  # a Saturday
        (date(2024, 11, 29), True),
        (date(2024, 11, 22), False),
        (date(2024, 11, 28), False),
        (date(2019, 11, 29), True),
        (date(2023, 11, 24), True),
        (date(2024, 7, 2), False),
    ],
)
def test_early_closes_follow_the_rule(day: date, early: bool) -> None:
    """The day after Thanksgiving, 24 December and 3 July, when they are ordinary trading days."""
    assert is_early_close(day.toordinal()) is early
    assert session_close_second(day.toordinal()) == (13 if early else 16) * 3600


@pytest.mark.parametrize(
    ("utc", "day", "second"),
    [
        ("2024-01-02T14:30:00", date(2024, 1, 2), SESSION_OPEN_SECOND),
        ("2024-07-02T13:30:00", date(2024, 7, 2), SESSION_OPEN_SECOND),
        ("2024-01-02T04:59:59", date(2024, 1, 1), 86_399),
        ("2024-03-10T06:59:59", date(2024, 3, 10), 2 * 3600 - 1),
        ("2024-03-10T07:00:00", date(2024, 3, 10), 3 * 3600),
    ],
)
def test_the_day_is_new_yorks(utc: str, day: date, second: int) -> None:
    """Winter, summer, before midnight there and after it here, and the hour that does not exist."""
    assert wall_clock(utc_ns(utc)) == (day.toordinal(), second)
    assert wall_clock(utc_ns(utc) + 999_999_999) == (day.toordinal(), second)
    assert at_wall_clock_ns(day.toordinal(), second) == utc_ns(utc)


@pytest.mark.parametrize(("text", "second"), [("00:00", 0), ("09:30", SESSION_OPEN_SECOND), ("23:59", 86_340)])
def test_a_time_of_day_is_seconds_since_midnight(text: str, second: int) -> None:
    """As people write it."""
    assert clock_second(text) == second


@pytest.mark.parametrize("text", ["", "9", "24:00", "09:60", "-1:00", "a:b", "09:30:00", "09.30"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    """By its own words."""
    with pytest.raises(ValueError, match="is not a time of day, HH:MM is required"):
        clock_second(text)
