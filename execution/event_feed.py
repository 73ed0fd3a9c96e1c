"""The gapless stream of a venue's events: what comes next, what came before, and what to ask for again.

Events are numbered contiguously per account. The feed asks for everything above its cursor whenever the connection comes up,
and again when a number is missing; an event is taken exactly once, in order. A venue that cannot give what comes next has
lost history, and nothing that rests on its word may go on.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.ids import request_id
from core.machine import CallVenue
from core.venue import Subscribe, Subscribed, VenueReply
from execution.live_orders import retry_delay_ns

__all__ = ["Arrival", "EventFeed"]

_GAPS_MAX = 3


class Arrival(StrEnum):
    """What an event is to us: the NEXT one, a DUPLICATE, or beyond a GAP."""

    NEXT = "NEXT"
    DUPLICATE = "DUPLICATE"
    GAP = "GAP"


class EventFeed(msgspec.Struct, omit_defaults=True):
    """Cursor and subscription of one account.

    Invariants: `cursor` grows by one with every event taken; at most one subscription is asked for at a time; `is_ready`
    means that the venue has answered one on this connection. A subscription tells the venue that everything up to its cursor
    is safe with us, so it waits until what was said about it on `topic` is published.
    """

    account: str
    topic: str
    cursor: int = 0
    is_connected: bool = False
    is_ready: bool = False
    subscriptions: int = 0
    open_call: str = ""
    failures: int = 0
    gaps: int = 0
    due_ns: int | None = None

    def copy(self) -> EventFeed:
        """An independent feed in the same state."""
        return msgspec.structs.replace(self)

    def on_connected(self) -> None:
        """A new connection: whatever was asked on the old one is void."""
        self.on_lost()
        self.is_connected = True
        self.failures = 0
        self.gaps = 0

    def on_lost(self) -> None:
        """No connection: nothing can be asked."""
        self.is_connected = self.is_ready = False
        self.open_call = ""
        self.due_ns = None

    def subscribe(self) -> tuple[CallVenue, ...]:
        """The call that asks for everything above the cursor; nothing while one is under way."""
        if self.open_call:
            return ()
        self.subscriptions += 1
        self.open_call = request_id(self.account, "subscribe", self.subscriptions)
        self.due_ns = None
        return (CallVenue(self.open_call, Subscribe(cursor=self.cursor), self.topic),)

    def on_reply(self, call_id: str, reply: VenueReply, now_ns: int) -> tuple[CallVenue, ...]:
        """The venue's answer to a subscription; a failed one is repeated, three times at once and then with back-off."""
        if call_id != self.open_call:
            return ()
        self.open_call = ""
        if isinstance(reply, Subscribed):
            self.failures = 0
            self.is_ready = True
            return ()
        self.failures += 1
        delay_ns = retry_delay_ns(self.failures)
        if not delay_ns:
            return self.subscribe()
        self.due_ns = now_ns + delay_ns
        return ()

    def take(self, cursor: int) -> Arrival:
        """Move on by this event when it is the next one."""
        if cursor <= self.cursor:
            return Arrival.DUPLICATE
        if cursor > self.cursor + 1:
            # While a subscription is under way what follows its answer fills the gap: that is no new one.
            self.gaps += 0 if self.open_call else 1
            return Arrival.GAP
        self.cursor = cursor
        self.gaps = 0
        return Arrival.NEXT

    def lost_history(self, reply: VenueReply) -> str:
        """What this answer proves to be lost at the venue, or ''."""
        if isinstance(reply, Subscribed) and reply.last_cursor < self.cursor:
            return f"the venue lost history: its last event of {self.account} is {reply.last_cursor}, {self.cursor} was handled"
        return ""

    @property
    def unfillable_gap(self) -> str:
        """What the venue has not given although it was asked again and again, or ''."""
        if self.gaps > _GAPS_MAX:
            return f"the venue lost history: event {self.cursor + 1} of {self.account} was asked for {_GAPS_MAX} times and never came"
        return ""
