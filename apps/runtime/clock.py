"""Clocks. The system clock never goes backwards; the session clock says what the replayed feed says."""

from __future__ import annotations

import time

__all__ = ["SessionClockFollower", "SystemClock", "boot_ns", "wall_ns"]


def wall_ns() -> int:
    """Wall time, ns UTC: for stamps that people and latency statistics read, never for decisions."""
    return time.time_ns()


def boot_ns() -> int:
    """Nanoseconds since boot, suspended time included: for leases and timeouts that a stepped clock must not stretch."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class SystemClock:
    """The host's clock, held at its highest value when it is stepped back."""

    is_live = True

    def __init__(self) -> None:
        self._last = 0

    def now_ns(self) -> int:
        """Nanoseconds UTC."""
        self._last = max(self._last, time.time_ns())
        return self._last

    def observe(self, now_ns: int) -> None:
        """The session clock's topic is nothing to a system clock."""


class SessionClockFollower:
    """The time of a replay: the highest value the topic control.clock has carried so far."""

    is_live = False

    def __init__(self, now_ns: int = 0) -> None:
        self._now = now_ns

    def now_ns(self) -> int:
        """Nanoseconds UTC of the replayed session; 0 before it began."""
        return self._now

    def observe(self, now_ns: int) -> None:
        """The feed has come this far."""
        self._now = max(self._now, now_ns)
