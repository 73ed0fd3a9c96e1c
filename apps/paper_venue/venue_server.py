"""The venue's end of its socket: one broker at a time, its requests in order, its events after it has subscribed.

A new connection replaces the older one before anything of the new one is read, and what the older one sent and nobody has
read yet is gone. So whatever the venue has not taken by then it will never take: that is what makes "not found" on the new
connection an answer and not a snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import NamedTuple

from apps.paper_venue.desk import DESK_SOCKET_NAME, VenueDesk
from apps.runtime.shell import Shell
from apps.runtime.venue_wire import LineLink, VenueSaid, decode_asked, encode, listen
from core.errors import DecodeError
from core.machine import Answer, Command, Log
from core.venue import AcknowledgeEvents, OutcomeUnknown, Subscribe, Subscribed, VenueEvent, VenueReply, VenueRequest

__all__ = ["SOCKET_NAME", "SocketVenueServer"]

SOCKET_NAME = "venue"
_ACTOR = "broker"


class _Asked(NamedTuple):
    """A request the machine has not answered yet: who asked, and what."""

    link: LineLink
    request: VenueRequest


class SocketVenueServer:
    """A `VenueServer` on the home's socket `venue`, which only its own user may open.

    Invariants: one connection is current, and nothing of any other is read or answered; every answer goes to the request
    that was journaled for it, also when an id comes twice; events go out only after `Subscribed`, so the first event a broker
    gets on a connection is the first one it lacks.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._path = shell.home.socket(SOCKET_NAME)
        self._server: asyncio.Server | None = None
        self._current: LineLink | None = None
        self._subscribed = False
        self._asked: dict[str, deque[_Asked]] = {}
        self._desk = VenueDesk(shell.home.socket(DESK_SOCKET_NAME), shell.node.incarnation, shell.command)

    async def start(self) -> None:
        """Listen, here and at the desk. A socket file left by a killed predecessor is removed: the journal's lock already proved it dead."""
        self._server = await listen(self._path, self)
        await self._desk.start()

    async def stop(self) -> None:
        """Stop listening and disconnect."""
        await self._desk.stop()
        if self._server is not None:
            self._server.close()
        self._drop()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    # What the broker says.

    def on_link_up(self, link: LineLink) -> None:
        """The newest connection is the broker's; the older one ends here, read or unread."""
        if self._current is not None:
            self._tell("warning", "broker_replaced", "a new connection came while one was open")
        self._drop()
        self._current = link

    def on_line(self, link: LineLink, line: bytes) -> None:
        """A request becomes a journaled command; a line that is none ends the connection."""
        try:
            asked = decode_asked(line)
        except DecodeError as error:
            self._tell("error", "broker_malformed_request", str(error))
            self._drop()
            return
        if isinstance(asked.request, AcknowledgeEvents):
            # Before the subscription is answered, events the broker lacks may not be on their way yet: then this is no sign
            # that nothing is outstanding, and the subscription's own cursor says the same a moment later.
            if self._subscribed:
                self._shell.on_push_acknowledged(asked.request.cursor)
        else:
            self._asked.setdefault(asked.id, deque()).append(_Asked(link, asked.request))
        self._shell.command(Command(asked.id, _ACTOR, asked.request), None)

    def on_link_down(self, link: LineLink, reason: str) -> None:
        """The broker is gone; it will connect again and ask what it does not know."""
        self._drop()

    # What the venue says.

    def answer(self, answer: Answer) -> bool:
        """Send the answer to whoever asked, unless that connection is gone; False when it was not a request of this server's."""
        waiting = self._asked.get(answer.command_id)
        if waiting is None:
            return False
        asked = waiting.popleft()
        if not waiting:
            del self._asked[answer.command_id]
        if asked.link is self._current:
            asked.link.send(encode(VenueSaid(answer.command_id, _reply(answer))))
            if isinstance(asked.request, Subscribe) and isinstance(answer.reply, Subscribed):
                self._subscribe(asked.request.cursor)
        return True

    def push(self, event: VenueEvent) -> None:
        """Send an event to the broker when it has subscribed; otherwise its next subscription brings it."""
        if self._current is not None and self._subscribed:
            self._current.send(encode(VenueSaid(event=event)))

    def _subscribe(self, cursor: int) -> None:
        """From here on events flow. Only now is `cursor` an acknowledgement: the events above it are on their way again."""
        self._subscribed = True
        self._shell.on_push_acknowledged(cursor)

    def _drop(self) -> None:
        if self._current is not None:
            self._current.close()
        self._current, self._subscribed = None, False

    def _tell(self, level: str, event: str, reason: str) -> None:
        self._shell.tell(Log(level, event, (("reason", reason),)))


def _reply(answer: Answer) -> VenueReply:
    """The machine's answer. Anything but a reply is our own bug, and the broker must not take it for an answer."""
    if isinstance(answer.reply, VenueReply):
        return answer.reply
    return OutcomeUnknown(cause="BAD_REPLY", text=f"{answer.command_id}: the venue answered with {type(answer.reply).__name__}")
