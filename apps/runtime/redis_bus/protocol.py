"""One connection to Redis: commands out, replies in, in the order they were asked.

A command is written at once and its reply resolves a future; nothing waits for anything, so what is asked in one turn of the
loop leaves together. The connection retries nothing and survives nothing: an error reply, bytes that are no protocol, silence
or the peer's end is the end, told once, and every question still open gets ConnectionError. What a caller then knows is that
it knows nothing, which is why an error reply (loading, read-only, out of memory, a script the server forgot) ends the
connection as well: the way back leads through the streams' tails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import hiredis

from core.ports import StreamId

__all__ = ["Argument", "Connection", "ServerError", "SubscriptionConnection"]

T = TypeVar("T")

Argument = str | int | float | bytes

# hiredis types its argument as a tuple of one.
_pack: Callable[[tuple[Argument, ...]], bytes] = cast(Any, hiredis.pack_command)


class ServerError(Exception):
    """The server answered with an error: its text begins with a code word."""


class Connection(asyncio.Protocol):
    """Commands and replies.

    Invariants: replies resolve futures first in, first out; after the end no future is left open and none is given out open;
    `on_end` is called exactly once, with the reason.
    """

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._reader = hiredis.Reader(replyError=ServerError)
        self._waiting: deque[tuple[asyncio.Future[Any], Callable[[Any], Any]] | None] = deque()
        self._transport: asyncio.WriteTransport
        self._ended = ""
        self._was_heard = True
        self._silent_checks = 0

    # Asking.

    def ask(self, command: tuple[Argument, ...], parse: Callable[[Any], T]) -> asyncio.Future[T]:
        """Send a command; the future of its parsed reply."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._ended:
            future.set_exception(ConnectionError(self._ended))
        else:
            self._waiting.append((future, parse))
            self._transport.write(_pack(command))
        return future

    def tell(self, command: tuple[Argument, ...]) -> None:
        """Send a command whose reply nobody waits for; after the end it is dropped."""
        if not self._ended:
            self._waiting.append(None)
            self._transport.write(_pack(command))

    def check(self, silent_checks_max: int) -> None:
        """Called at a steady pace: a silent peer is pinged, one that stays silent for so many calls is given up.

        Calls are counted, not seconds: a process that was itself stopped for a while must not blame its peer.
        """
        if self._ended:
            return
        if self._was_heard:
            self._was_heard, self._silent_checks = False, 0
            return
        self._silent_checks += 1
        if self._silent_checks >= silent_checks_max:
            self.end("the server does not answer")
        elif self._silent_checks == 1:
            self._ping()

    def end(self, reason: str) -> None:
        """Close at once. The first reason counts."""
        if self._ended:
            return
        self._ended = reason
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for entry in waiting:
            if entry is not None and not entry[0].done():
                entry[0].set_exception(ConnectionError(reason))
        self._on_end(reason)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket stands."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Take every whole reply; the rest stays with the parser."""
        self._was_heard = True
        self._reader.feed(data)
        gets = self._reader.gets
        try:
            while (reply := gets()) is not False and not self._ended:
                self._on_reply(reply)
        except hiredis.ProtocolError as error:
            self.end(f"the server does not speak the Redis protocol: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self.end(f"connection lost: {error}" if error else "the server closed the connection")

    def _on_reply(self, reply: Any) -> None:
        if type(reply) is ServerError:
            self.end(f"the server answers {reply}")
            return
        if not self._waiting:
            self.end(f"the server answers what was not asked: {str(reply)[:80]}")
            return
        entry = self._waiting.popleft()
        if entry is None or entry[0].done():
            return
        future, parse = entry
        try:
            future.set_result(parse(reply))
        except (LookupError, TypeError, ValueError) as error:
            self._waiting.appendleft(entry)
            self.end(f"the server's answer makes no sense ({error!r}): {str(reply)[:200]}")

    def _ping(self) -> None:
        self.tell((b"PING",))


class SubscriptionConnection(Connection):
    """Commands and replies until `subscribe`; from then on deliveries."""

    def __init__(self, on_end: Callable[[str], None], deliver: Callable[[StreamId, bytes], None]) -> None:
        super().__init__(on_end)
        self._deliver = deliver
        self._channels: Mapping[bytes, StreamId] = {}
        self._unconfirmed: set[bytes] = set()

    def subscribe(self, channels: Mapping[bytes, StreamId]) -> asyncio.Future[None]:
        """Subscribe; resolved when the server has confirmed every channel."""
        self._channels, self._unconfirmed = channels, set(channels)
        return self.ask((b"SUBSCRIBE", *channels) if channels else (b"PING",), _nothing)

    def _on_reply(self, reply: Any) -> None:
        if type(reply) is not list:
            super()._on_reply(reply)
            return
        kind = reply[0]
        if kind == b"message":
            self._deliver(self._channels[reply[1]], reply[2])
        elif kind == b"subscribe":
            self._unconfirmed.discard(reply[1])
            if not self._unconfirmed:
                super()._on_reply(reply)
        # What is left is a pong: a subscriber's comes as a list, and says no more than that the server lives.

    def _ping(self) -> None:
        if self._channels:
            self._transport.write(_pack((b"PING",)))
        else:
            super()._ping()


def _nothing(_: Any) -> None:
    """The reply says no more than that it came."""
