"""The venue's trading desk: what a person reaches when everything else of the suite is gone.

A real venue answers its customer on another connection than the trading system's; so does this one. The desk lists open orders
and cancels them, for any number of callers, and takes nothing else. What it does reaches the account's broker as any event does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from apps.runtime.venue_wire import LineLink, VenueSaid, decode_asked, encode, listen
from core.errors import DecodeError
from core.machine import Answer, Command
from core.venue import Cancel, FetchOpenOrders, OutcomeUnknown, Refused, VenueReply

__all__ = ["DESK_SOCKET_NAME", "VenueDesk"]

DESK_SOCKET_NAME = "venue-desk"
_ACTOR = "desk"


class VenueDesk:
    """The home's socket `venue-desk`, which only its own user may open. Every request is a journaled command and has one answer."""

    def __init__(self, path: Path, incarnation: int, command: Callable[[Command, Callable[[Answer], None] | None], None]) -> None:
        self._path = path
        self._incarnation = incarnation
        self._command = command
        self._server: asyncio.Server | None = None
        self._links: set[LineLink] = set()
        self._count = 0

    async def start(self) -> None:
        """Listen. A socket file left by a killed predecessor is removed: the journal's lock already proved it dead."""
        self._server = await listen(self._path, self)

    async def stop(self) -> None:
        """Stop listening and disconnect."""
        if self._server is not None:
            self._server.close()
        for link in self._links:
            link.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def on_link_up(self, link: LineLink) -> None:
        """Somebody calls."""
        self._links.add(link)

    def on_line(self, link: LineLink, line: bytes) -> None:
        """A request; a line that is none ends the call."""
        try:
            asked = decode_asked(line)
        except DecodeError:
            self._links.discard(link)
            link.close()
            return
        if not isinstance(asked.request, Cancel | FetchOpenOrders):
            refused = Refused(code="DESK_CANCELS_ONLY", text=f"{type(asked.request).__name__} is not done here, only Cancel and FetchOpenOrders are")
            link.send(encode(VenueSaid(asked.id, refused)))
            return
        self._count += 1
        self._command(Command(f"{_ACTOR}.{self._incarnation}.{self._count}", _ACTOR, asked.request), lambda answer: self._answer(link, asked.id, answer))

    def on_link_down(self, link: LineLink, reason: str) -> None:
        """They rang off."""
        self._links.discard(link)

    def _answer(self, link: LineLink, request_id: str, answer: Answer) -> None:
        reply = answer.reply if isinstance(answer.reply, VenueReply) else OutcomeUnknown(cause="BAD_REPLY", text=str(answer.reply))
        link.send(encode(VenueSaid(request_id, reply)))
