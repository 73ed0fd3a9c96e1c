"""When a DAY order's day is over, and on which days US equities trade at all.

Holidays follow the exchange's rules of this century (a test holds them against exchange-calendars). One-off closures (a
storm, a state funeral) are not known here: a DAY order meant for such a day ends that evening without having traded.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

from core.exchange_time import at_wall_clock_ns, session_close_second, wall_clock

__all__ = ["ALWAYS_OPEN", "day_end_ns", "is_trading_day"]

ALWAYS_OPEN = "24/7"
_UTC_DAY_NS = 86_400 * 10**9
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6
_JUNETEENTH_SINCE = 2022


def day_end_ns(session: str, accepted_ns: int) -> int:
    """The end of the first session that trades after `accepted_ns`: 16:00 (13:00) New York, or UTC midnight around the clock."""
    if session == ALWAYS_OPEN:
        return (accepted_ns // _UTC_DAY_NS + 1) * _UTC_DAY_NS
    day = wall_clock(accepted_ns).day
    while not is_trading_day(day) or _close_ns(day) <= accepted_ns:
        day += 1
    return _close_ns(day)


@lru_cache(maxsize=4096)
def is_trading_day(day: int) -> bool:
    """Whether US equities trade on this day (`date.toordinal`) by rule."""
    the_date = date.fromordinal(day)
    return the_date.weekday() < _SATURDAY and the_date not in _holidays(the_date.year)


@lru_cache(maxsize=1024)
def _close_ns(day: int) -> int:
    return at_wall_clock_ns(day, session_close_second(day))


@lru_cache(maxsize=128)
def _holidays(year: int) -> frozenset[date]:
    # New Year's Day on a Saturday is not made up for: the Friday before closes the old year's books.
    new_year = date(year, 1, 1)
    found = {
        new_year + timedelta(days=new_year.weekday() == _SUNDAY),
        _nth_weekday(year, 1, _MONDAY, 3),
        _nth_weekday(year, 2, _MONDAY, 3),
        _easter(year) - timedelta(days=2),
        _nth_weekday(year, 6, _MONDAY, 1) - timedelta(days=7),
        _observed(date(year, 7, 4)),
        _nth_weekday(year, 9, _MONDAY, 1),
        _nth_weekday(year, 11, _THURSDAY, 4),
        _observed(date(year, 12, 25)),
    }
    return frozenset(found | {_observed(date(year, 6, 19))} if year >= _JUNETEENTH_SINCE else found)


def _observed(holiday: date) -> date:
    return holiday + timedelta(days={_SATURDAY: -1, _SUNDAY: 1}.get(holiday.weekday(), 0))


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _easter(year: int) -> date:
    """Easter Sunday by the anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8)."""
    golden = year % 19
    century, of_century = divmod(year, 100)
    leaps, century_rest = divmod(century, 4)
    moon = (19 * golden + century - leaps - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * century_rest + 2 * (of_century // 4) - moon - of_century % 4) % 7
    late = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)
