"""Exchange time of the US equity session: which day it is in New York, what the wall clock there shows, when trading ends.

"Today" has one meaning in this project, the calendar day in America/New_York, and this is the only place that computes it.
Zone rules come from the system's tz database or, where there is none, from the `tzdata` package; they are read on first
use, never at import. Early closes follow the exchange's rule (13:00 on the day after Thanksgiving, on 24 December and on
3 July when those are ordinary trading days), which a test holds against exchange-calendars; one-off closures are not known
here, so on such a day the regular close is assumed.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["NS_PER_SECOND", "SESSION_OPEN_SECOND", "WallClock", "at_wall_clock_ns", "clock_second", "is_early_close", "session_close_second", "wall_clock"]

NS_PER_SECOND = 1_000_000_000
SESSION_OPEN_SECOND = 9 * 3600 + 30 * 60
_CLOSE_SECOND = 16 * 3600
_EARLY_CLOSE_SECOND = 13 * 3600
_THURSDAY = 3


class WallClock(NamedTuple):
    """A moment in New York: the day's proleptic ordinal (`date.toordinal`) and seconds since midnight on the wall clock."""

    day: int
    second: int


@cache
def _new_york() -> ZoneInfo:
    return ZoneInfo("America/New_York")


def wall_clock(now_ns: int) -> WallClock:
    """What a clock in New York shows at `now_ns` (UTC), fractions of a second dropped."""
    moment = datetime.fromtimestamp(now_ns // NS_PER_SECOND, _new_york())
    return WallClock(moment.toordinal(), moment.hour * 3600 + moment.minute * 60 + moment.second)


def at_wall_clock_ns(day: int, second: int) -> int:
    """The UTC nanosecond at which a New York wall clock shows `second` (since midnight) on `day`."""
    naive = datetime.fromordinal(day) + timedelta(seconds=second)
    return int(naive.replace(tzinfo=_new_york()).timestamp()) * NS_PER_SECOND


def clock_second(text: str) -> int:
    """Seconds since midnight of `HH:MM`; ValueError when the text is no time of day."""
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
        raise ValueError(f"{text!r} is not a time of day, HH:MM is required")
    return int(hours) * 3600 + int(minutes) * 60


@lru_cache(maxsize=4096)
def is_early_close(day: int) -> bool:
    """Whether the US equity session of `day` (ordinal) ends at 13:00 by rule."""
    the_date = date.fromordinal(day)
    weekday = the_date.weekday()
    if (the_date.month, the_date.day) in ((12, 24), (7, 3)):
        return weekday <= _THURSDAY
    return the_date.month == 11 and weekday == 4 and 23 <= the_date.day <= 29


def session_close_second(day: int) -> int:
    """The wall-clock second at which the US equity session of `day` ends."""
    return _EARLY_CLOSE_SECOND if is_early_close(day) else _CLOSE_SECOND
