"""How many orders and replacements may leave in a second, a minute and a day: token buckets, kept below what the venue allows.

A bucket is one number, the moment at which it will be full again (the virtual scheduling of ATM's generic cell rate algorithm):
a token that is not there yet is a moment to wait for, so an order can be told at once when it may go or that it must not wait so
long. Cancels take nothing from these buckets, and what reduces a position takes its token even when there is none: exits go
ahead, and entries wait the longer for it.

The venue's own word counts above all: after *too many requests* entries wait until the moment it names, and during a ban nothing
is sent at all, because everything sent makes a ban longer.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from core.settings import ThrottleSettings

__all__ = ["RATE_BACKOFF_NS", "Throttle", "ThrottleState"]

_SECOND = 1_000_000_000
RATE_BACKOFF_NS = _SECOND
"""How long to wait when the venue says *too many requests* and not until when."""


class _Bucket(NamedTuple):
    interval_ns: int
    burst_ns: int


class ThrottleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """When each bucket is full again, and until when the venue wants no entries, or nothing at all (ns UTC)."""

    full_ns: tuple[int, int, int] = (0, 0, 0)
    limited_until_ns: int = 0
    banned_until_ns: int = 0


class Throttle:
    """The buckets of one account at one venue.

    Invariants: in any stretch of a bucket's period at most twice its limit leaves, at most the limit at once and the limit per
    period in the long run; a slot once given is not given again.
    """

    def __init__(self, settings: ThrottleSettings) -> None:
        limits = ((_SECOND, settings.orders_per_second_max), (60 * _SECOND, settings.orders_per_minute_max), (86_400 * _SECOND, settings.orders_per_day_max))
        self._buckets = tuple(_Bucket(period // limit, period - period // limit) for period, limit in limits)
        self._full_ns = [0, 0, 0]
        self._ready_ns = 0
        self.limited_until_ns = 0
        self.banned_until_ns = 0

    @property
    def state(self) -> ThrottleState:
        """The whole state."""
        second, minute, day = self._full_ns
        return ThrottleState((second, minute, day), self.limited_until_ns, self.banned_until_ns)

    def restore(self, state: ThrottleState) -> None:
        """Become the throttle that had this state."""
        self._full_ns = list(state.full_ns)
        self._ready_ns = max(full_ns - bucket.burst_ns for full_ns, bucket in zip(state.full_ns, self._buckets, strict=True))
        self.limited_until_ns, self.banned_until_ns = state.limited_until_ns, state.banned_until_ns

    def slot_ns(self, now_ns: int) -> int:
        """The first moment, now or later, at which an entry may leave."""
        return max(now_ns, self.limited_until_ns, self._ready_ns)

    def charge(self, at_ns: int) -> None:
        """Something leaves at this moment: it takes a token of each bucket, whether there is one or not."""
        ready_ns = 0
        for i, (interval_ns, burst_ns) in enumerate(self._buckets):
            full_ns = self._full_ns[i] = max(self._full_ns[i], at_ns) + interval_ns
            ready_ns = max(ready_ns, full_ns - burst_ns)
        self._ready_ns = ready_ns

    def on_limited(self, now_ns: int, retry_after_ns: int) -> None:
        """The venue said *too many requests*: entries wait."""
        self.limited_until_ns = max(self.limited_until_ns, now_ns + (retry_after_ns or RATE_BACKOFF_NS))

    def on_banned(self, now_ns: int, retry_after_ns: int) -> None:
        """The venue has banned us: nothing is sent."""
        self.on_limited(now_ns, retry_after_ns)
        self.banned_until_ns = self.limited_until_ns
