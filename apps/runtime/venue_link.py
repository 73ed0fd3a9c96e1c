"""What the shell needs of a venue connection, whichever venue stands behind it."""

from __future__ import annotations

from typing import Protocol

from core.machine import Answer, CallVenue, Log
from core.venue import VenueEvent, VenueReply

__all__ = ["VenueClient", "VenueListener", "VenueServer"]


class VenueListener(Protocol):
    """Who hears of the venue. Called from the event loop."""

    def on_venue_connected(self) -> None:
        """The venue can be asked."""

    def on_venue_lost(self, reason: str) -> None:
        """The connection is gone; every open call has already been answered OutcomeUnknown."""

    def on_venue_reply(self, call_id: str, reply: VenueReply) -> None:
        """A call has its outcome, exactly once per call."""

    def on_venue_event(self, event: VenueEvent) -> None:
        """The venue pushed something."""

    def tell(self, log: Log) -> None:
        """Something happened that people should be able to read later."""


class VenueClient(Protocol):
    """The broker's side: sends calls and hears replies and events. Every call is answered, with OutcomeUnknown at worst."""

    def start(self, listener: VenueListener) -> None:
        """Connect, and keep reconnecting with back-off until `stop`."""

    def call(self, call: CallVenue) -> None:
        """Send a call now; without a connection its outcome is unknown (it was never sent, but that is the next line's risk)."""

    def acknowledge(self, cursor: int) -> None:
        """Everything pushed up to this cursor is journaled and reported."""

    async def stop(self) -> None:
        """Disconnect."""


class VenueServer(Protocol):
    """The venue's side: takes requests as commands, sends answers and events."""

    async def start(self) -> None:
        """Listen."""

    def answer(self, answer: Answer) -> bool:
        """Send the answer to a request; False when it was not a request of this server's."""

    def push(self, event: VenueEvent) -> None:
        """Send an event to the connected broker, if there is one."""

    async def stop(self) -> None:
        """Stop listening and disconnect."""
