"""The broker's end of the venue socket.

Every call is answered exactly once, and what is not known is said to be unknown: no answer in time (TIMEOUT), the connection
lost with the call open (RESET), none there (NOT_CONNECTED), an answer that is none (BAD_REPLY). Nothing is sent twice by
itself: whether to ask again is the machine's decision, because only it knows what asking again may do.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from apps.runtime.venue_link import VenueListener
from apps.runtime.venue_wire import LineLink, VenueAsked, decode_said, encode
from core.errors import DecodeError
from core.machine import CallVenue, Log
from core.venue import AcknowledgeEvents, OutcomeUnknown, VenueReply

__all__ = ["SocketVenue"]

_BACKOFF_FIRST_S = 0.01
_BACKOFF_MAX_S = 1.0


class SocketVenue:
    """A `VenueClient` over a Unix socket.

    Invariants: an open call belongs to the current connection; without a connection none is open; a reply that comes after
    its call was answered changes nothing.
    """

    def __init__(self, path: Path, call_timeout_ms: int) -> None:
        self._path = path
        self._timeout_s = call_timeout_ms / 1000
        self._listener: VenueListener
        self._loop: asyncio.AbstractEventLoop
        self._link: LineLink | None = None
        self._open: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._attempt: asyncio.Task[object] | None = None
        self._backoff_s = _BACKOFF_FIRST_S

    def start(self, listener: VenueListener) -> None:
        """Connect, and keep reconnecting with back-off until `stop`."""
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._connect()

    def call(self, call: CallVenue) -> None:
        """Send a call now; without a connection its outcome is unknown."""
        if self._link is None:
            self._listener.on_venue_reply(call.call_id, OutcomeUnknown(cause="NOT_CONNECTED", text=f"no connection to {self._path}"))
            return
        assert call.call_id not in self._open, f"call {call.call_id} is open, its id may not be used again"
        self._open[call.call_id] = self._loop.time() + self._timeout_s
        self._link.send(encode(VenueAsked(call.call_id, call.request)))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._on_timer)

    def acknowledge(self, cursor: int) -> None:
        """Everything pushed up to this cursor is journaled and reported; without a connection the next subscription says it."""
        if self._link is not None:
            self._link.send(encode(VenueAsked("", AcknowledgeEvents(cursor=cursor))))

    async def stop(self) -> None:
        """Disconnect. Calls that are still open stay open in the journal, and the next start resolves them."""
        for handle in (self._timer, self._retry, self._attempt):
            if handle is not None:
                handle.cancel()
        if self._link is not None:
            self._link.close()
            self._link = None

    # The connection.

    def _connect(self) -> None:
        self._retry = None
        self._attempt = self._loop.create_task(self._try_to_connect())

    async def _try_to_connect(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: LineLink(self), str(self._path))
        except OSError:
            self._connect_later()

    def _connect_later(self) -> None:
        self._retry = self._loop.call_later(self._backoff_s, self._connect)
        self._backoff_s = min(self._backoff_s * 2, _BACKOFF_MAX_S)

    def on_link_up(self, link: LineLink) -> None:
        """Connected."""
        self._link = link
        self._listener.on_venue_connected()

    def on_line(self, link: LineLink, line: bytes) -> None:
        """A reply or an event; a line that is neither makes everything open on this connection unknown."""
        try:
            said = decode_said(line)
        except DecodeError as error:
            self._tell("error", "venue_bad_reply", reason=str(error))
            self._lose("BAD_REPLY", str(error))
            return
        self._backoff_s = _BACKOFF_FIRST_S
        if said.event is not None:
            self._listener.on_venue_event(said.event)
        elif said.reply is not None:
            self._on_reply(said.id, said.reply)

    def on_link_down(self, link: LineLink, reason: str) -> None:
        """The venue is gone; what it did with the open calls is unknown."""
        self._lose("RESET", reason)

    def _lose(self, cause: str, text: str) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        unanswered, self._open = list(self._open), {}
        for call_id in unanswered:
            self._listener.on_venue_reply(call_id, OutcomeUnknown(cause=cause, text=text))
        self._listener.on_venue_lost(text)
        self._connect_later()

    # Calls.

    def _on_reply(self, call_id: str, reply: VenueReply) -> None:
        if self._open.pop(call_id, None) is None:
            self._tell("warning", "venue_late_reply", call_id=call_id, reply=type(reply).__name__)
            return
        self._listener.on_venue_reply(call_id, reply)

    def _on_timer(self) -> None:
        """Calls were sent in the order of their deadlines: the oldest one decides when to look again."""
        now = self._loop.time()
        self._timer = None
        for call_id in [call_id for call_id, deadline in self._open.items() if deadline <= now]:
            del self._open[call_id]
            self._listener.on_venue_reply(call_id, OutcomeUnknown(cause="TIMEOUT", text=f"no answer within {self._timeout_s * 1000:.0f} ms"))
        if self._open:
            self._timer = self._loop.call_later(next(iter(self._open.values())) - now, self._on_timer)

    def _tell(self, level: str, event: str, **fields: str) -> None:
        self._listener.tell(Log(level, event, tuple(fields.items())))
