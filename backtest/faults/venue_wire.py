"""The wire between broker and venue, both ends of it as the shipped socket has them, and everything that can go wrong on it.

One connection at a time and in order: a new one replaces the older one, and what the older one carried and the venue has not
taken is never taken (apps/paper_venue/venue_server.py). The broker's end answers every call exactly once: what it does not know
it says to be unknown (apps/broker/venue_client.py). Misfortune may reset the connection before or after a request arrives, swallow
or delay an answer, and lose, repeat or reorder what the venue pushes until the next subscription.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from backtest.faults.schedule import MS, Schedule
from core.machine import Answer, CallVenue
from core.venue import AcknowledgeEvents, OutcomeUnknown, Subscribe, Subscribed, VenueEvent, VenueReply, VenueRequest
from execution.venues.faults.lying_venue import WireAct, wire_act

__all__ = ["BrokerSide", "VenueSide", "VenueWire", "VenueWireFaults"]


class VenueWireFaults(msgspec.Struct):
    """Chances per request, answer or push, 0 to 1."""

    reset_before: float = 0.0
    reset_after: float = 0.0
    request_slow: float = 0.0
    reply_lost: float = 0.0
    reply_slow: float = 0.0
    push_lost: float = 0.0
    push_twice: float = 0.0
    push_late: float = 0.0


class BrokerSide(Protocol):
    """The broker's process, as its end of the wire sees it."""

    def on_venue_up(self) -> None:
        """Connected."""

    def on_venue_down(self, reason: str) -> None:
        """Not connected any more."""

    def on_venue_reply(self, call_id: str, reply: VenueReply) -> None:
        """A call has its outcome."""

    def on_venue_event(self, event: VenueEvent) -> None:
        """The venue pushed something."""


class VenueSide(Protocol):
    """The venue's process, as its end of the wire sees it."""

    def on_request(self, command_id: str, request: VenueRequest) -> None:
        """The broker asks."""

    def on_push_acknowledged(self, cursor: int) -> None:
        """The broker has taken every event up to here."""


class _Asked(NamedTuple):
    connection: int
    request: VenueRequest


class VenueWire:
    """Both ends. A connection is a number; what belongs to an older one never arrives.

    Invariants: an open call belongs to the current connection; every call has exactly one outcome while the broker lives.
    """

    def __init__(self, schedule: Schedule, faults: VenueWireFaults, call_timeout_ms: int) -> None:
        self.faults = faults
        self._schedule = schedule
        self._delays = schedule.chance("venue delay")
        self._timeout_ns = call_timeout_ms * MS
        self._broker: BrokerSide | None = None
        self._venue: VenueSide | None = None
        self._last_connection = 0
        self._connection = 0
        self._is_subscribed = False
        self._is_replaying = False
        self._open: dict[str, int] = {}
        self._asked: dict[str, deque[_Asked]] = {}
        self._up_ns = 0
        self._down_ns = 0

    @property
    def is_settled(self) -> bool:
        """Whether the broker is connected and subscribed, and no call is open."""
        return bool(self._connection) and self._is_subscribed and not self._open

    # Processes come and go.

    def broker_starts(self, broker: BrokerSide) -> None:
        """The broker's process wants a connection from now on. It takes the place of another one that had it."""
        if self._broker is not None and self._broker is not broker:
            self._lose("RESET", "another broker connected")
        self._broker = broker
        self._connect_soon()

    def belongs_to(self, broker: BrokerSide) -> bool:
        """Whether this is the process that is, or is to be, connected."""
        return self._broker is broker

    def broker_ended(self, broker: BrokerSide) -> None:
        """The broker's process is gone, and with it its connection and its open calls."""
        if self._broker is not broker:
            return
        if self._open:
            self._schedule.note("W11 died during a call")
        self._broker = None
        self._open.clear()
        self._drop()

    def venue_starts(self, venue: VenueSide) -> None:
        """The venue listens."""
        self._venue = venue

    def venue_ended(self) -> None:
        """The venue's process is gone: connections break, and what it had not answered it never will."""
        self._venue = None
        self._asked.clear()
        self._lose("RESET", "the venue is gone")

    # The broker's end.

    def call(self, call: CallVenue) -> None:
        """Send a call now; without a connection its outcome is unknown."""
        assert self._broker is not None
        if not self._connection:
            self._broker.on_venue_reply(call.call_id, OutcomeUnknown(cause="NOT_CONNECTED", text="no connection"))
            return
        assert call.call_id not in self._open, f"call {call.call_id} is open, its id may not be used again"
        connection, call_id, request = self._connection, call.call_id, call.request
        self._open[call_id] = connection
        self._schedule.trace(f"broker asks {call_id} {type(request).__name__}")
        if self._happens("venue reset before a request arrives", self.faults.reset_before):
            self._soon(connection, lambda: self._lose("RESET", "reset"))
            return
        delay_ns = 0
        if self._happens("venue request is slow", self.faults.request_slow):
            delay_ns = self._schedule.details().randint(100, 8_000) * MS
        self._send_up(connection, delay_ns, lambda: self._arrive(connection, call_id, request))
        self._schedule.after(self._timeout_ns, lambda: self._time_out(connection, call_id))

    def acknowledge(self, cursor: int) -> None:
        """Everything pushed up to this cursor is journaled and reported."""
        connection = self._connection
        if connection:
            self._send_up(connection, 0, lambda: self._arrive(connection, "", AcknowledgeEvents(cursor=cursor)))

    def _connect_soon(self) -> None:
        self._schedule.after(self._schedule.chance("venue reconnect").randint(5, 150) * MS, self._connect)

    def _connect(self) -> None:
        if self._broker is None or self._connection:
            return
        if self._venue is None:
            self._connect_soon()
            return
        self._last_connection += 1
        self._connection = self._last_connection
        self._is_subscribed = False
        self._up_ns = self._down_ns = 0
        self._schedule.trace(f"broker connects {self._connection}")
        self._broker.on_venue_up()

    def _lose(self, cause: str, text: str) -> None:
        """The connection breaks; what became of the open calls is unknown."""
        if not self._connection:
            return
        broker, unanswered = self._broker, list(self._open)
        self._open.clear()
        self._drop()
        if broker is None:
            return
        for call_id in unanswered:
            broker.on_venue_reply(call_id, OutcomeUnknown(cause=cause, text=text))
        broker.on_venue_down(text)
        self._connect_soon()

    def _drop(self) -> None:
        self._connection, self._is_subscribed = 0, False

    def _time_out(self, connection: int, call_id: str) -> None:
        if self._connection == connection and self._open.pop(call_id, None) is not None and self._broker is not None:
            self._schedule.note("venue call timed out")
            self._broker.on_venue_reply(call_id, OutcomeUnknown(cause="TIMEOUT", text="no answer in time"))

    def _on_reply(self, call_id: str, reply: VenueReply) -> None:
        if self._open.pop(call_id, None) is None:
            self._schedule.note("venue answered after the time was over")
        elif self._broker is not None:
            self._broker.on_venue_reply(call_id, reply)

    # The venue's end.

    def _arrive(self, connection: int, command_id: str, request: VenueRequest) -> None:
        if self._venue is None:
            return
        if isinstance(request, AcknowledgeEvents):
            if self._is_subscribed:
                self._venue.on_push_acknowledged(request.cursor)
        else:
            self._asked.setdefault(command_id, deque()).append(_Asked(connection, request))
        if self._venue is not None:  # It may have died of the acknowledgement.
            self._venue.on_request(command_id, request)
        if command_id and self._happens("venue reset after a request arrived", self.faults.reset_after):
            self._lose("RESET", "reset")

    def answer(self, answer: Answer) -> None:
        """Send the answer to whoever asked, unless that connection is gone."""
        if not answer.command_id:
            # A venue that ends the connection by itself, with no request to answer.
            if wire_act(answer.reply) is WireAct.CLOSE:
                self._schedule.note("venue closed the connection")
                self._lose("RESET", "closed by the venue")
            return
        waiting = self._asked.get(answer.command_id)
        if waiting is None:
            return
        asked = waiting.popleft()
        if not waiting:
            del self._asked[answer.command_id]
        if asked.connection != self._connection:
            return
        reply = answer.reply if isinstance(answer.reply, VenueReply) else OutcomeUnknown(cause="BAD_REPLY", text=str(answer.reply))
        connection, call_id = asked.connection, answer.command_id
        match wire_act(reply):
            case WireAct.SAY_NOTHING:
                return
            case WireAct.CLOSE:
                self._send_down(connection, 0, lambda: self._lose("RESET", "closed by the venue"))
                return
            case WireAct.SEND_RUBBISH:
                self._send_down(connection, 0, lambda: self._lose("BAD_REPLY", "no answer"))
                return
            case WireAct.SEND:
                pass
        if not self._happens("venue answer is lost", self.faults.reply_lost):
            delay_ns = 0
            if self._happens("venue answer is slow", self.faults.reply_slow):
                delay_ns = self._schedule.details().randint(100, 8_000) * MS
            self._send_down(connection, delay_ns, lambda: self._on_reply(call_id, reply))
        if isinstance(asked.request, Subscribe) and isinstance(reply, Subscribed):
            self._is_subscribed = True
            # What a subscription brings again is carried whole: a lost push is lost until the next subscription, not for ever.
            self._is_replaying = True
            self._schedule.after(0, self._replayed)
            if self._venue is not None:
                self._venue.on_push_acknowledged(asked.request.cursor)

    def push(self, event: VenueEvent) -> None:
        """Send an event to the broker when it has subscribed; otherwise its next subscription brings it."""
        connection = self._connection
        if not connection or not self._is_subscribed:
            self._schedule.note("W14 something happened at the venue while nobody listened")
            return
        if self._is_replaying:
            self._send_down(connection, 0, lambda: self._hear(event))
            return
        if self._happens("venue push is lost", self.faults.push_lost):
            return
        if self._happens("venue push is late", self.faults.push_late):
            # What is pushed meanwhile overtakes it; it overtakes nothing itself.
            at_ns = max(self._down_ns, self._schedule.now_ns()) + self._schedule.details().randint(1, 400) * MS
            self._at(at_ns, connection, lambda: self._hear(event))
            return
        for _ in range(2 if self._happens("venue push comes twice", self.faults.push_twice) else 1):
            self._send_down(connection, 0, lambda: self._hear(event))

    def _replayed(self) -> None:
        self._is_replaying = False

    def _hear(self, event: VenueEvent) -> None:
        if self._broker is not None:
            self._broker.on_venue_event(event)

    # In between.

    def _send_up(self, connection: int, delay_ns: int, arrive: Callable[[], None]) -> None:
        self._up_ns = max(self._up_ns, self._schedule.now_ns() + self._delay() + delay_ns)
        self._at(self._up_ns, connection, arrive)

    def _send_down(self, connection: int, delay_ns: int, arrive: Callable[[], None]) -> None:
        self._down_ns = max(self._down_ns, self._schedule.now_ns() + self._delay() + delay_ns)
        self._at(self._down_ns, connection, arrive)

    def _soon(self, connection: int, action: Callable[[], None]) -> None:
        self._at(self._schedule.now_ns() + self._delay(), connection, action)

    def _at(self, at_ns: int, connection: int, action: Callable[[], None]) -> None:
        self._schedule.after(at_ns - self._schedule.now_ns(), lambda: action() if self._connection == connection else None)

    def _delay(self) -> int:
        return 50_000 + int(self._delays.random() * 3 * MS)

    def _happens(self, kind: str, probability: float) -> bool:
        return self._schedule.happens(kind, probability)
