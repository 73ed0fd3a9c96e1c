"""When a DAY order's day is over."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime
from importlib import import_module

import pytest

from execution.venues.sessions import ALWAYS_OPEN, day_end_ns, is_trading_day

_ONE_OFF_CLOSURES = {"2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14", "2004-06-11", "2007-01-02", "2012-10-29", "2012-10-30", "2018-12-05", "2025-01-09"}


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("accepted", "end"),
    [
        pytest.param("2023-11-14T15:00", "2023-11-14T21:00", id="in the session"),
        pytest.param("2023-11-14T12:00", "2023-11-14T21:00", id="before the open"),
        pytest.param("2023-11-14T21:00", "2023-11-15T21:00", id="exactly at the close"),
        pytest.param("2023-11-15T02:00", "2023-11-15T21:00", id="in the evening of New York"),
        pytest.param("2023-11-17T21:00", "2023-11-20T21:00", id="Friday's close, over the weekend"),
        pytest.param("2023-11-18T12:00", "2023-11-20T21:00", id="on a Saturday"),
        pytest.param("2023-11-22T21:00", "2023-11-24T18:00", id="over Thanksgiving to the early close"),
        pytest.param("2023-11-24T18:00", "2023-11-27T21:00", id="exactly at the early close"),
        pytest.param("2023-07-03T15:00", "2023-07-03T17:00", id="the day before Independence Day"),
        pytest.param("2023-12-22T21:00", "2023-12-26T21:00", id="over Christmas"),
        pytest.param("2024-03-08T21:00", "2024-03-11T20:00", id="over the change to summer time"),
        pytest.param("2024-03-28T20:00", "2024-04-01T20:00", id="over Good Friday"),
        pytest.param("2022-06-17T20:00", "2022-06-21T20:00", id="over Juneteenth, made up for on Monday"),
        pytest.param("2021-06-18T20:00", "2021-06-21T20:00", id="before Juneteenth was a holiday"),
    ],
)
def test_day_ends_with_the_next_session_when_us_equities_trade(accepted: str, end: str) -> None:
    """The day ends at the close of the first session after acceptance, over weekends, holidays and early closes."""
    assert day_end_ns("XNYS", _ns(accepted)) == _ns(end)


@pytest.mark.parametrize(("accepted", "end"), [("2023-11-18T12:00", "2023-11-19T00:00"), ("2023-11-19T00:00", "2023-11-20T00:00")])
def test_day_ends_at_utc_midnight_when_trading_never_stops(accepted: str, end: str) -> None:
    """Around the clock a day is the UTC day, and midnight belongs to the new one."""
    assert day_end_ns(ALWAYS_OPEN, _ns(accepted)) == _ns(end)


def test_trading_days_are_the_exchanges_when_no_one_off_closure_is_meant() -> None:
    """The rules give the exchange's own calendar of 26 years, but for the closures nobody could know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exchange_calendars = import_module("exchange_calendars")

        calendar = exchange_calendars.get_calendar("XNYS", start="2000-01-01", end="2026-06-30")
        sessions = {day.date().toordinal() for day in calendar.sessions}
    days = range(date(2000, 1, 1).toordinal(), date(2026, 7, 1).toordinal())
    assert {date.fromordinal(day).isoformat() for day in days if is_trading_day(day) != (day in sessions)} == _ONE_OFF_CLOSURES
