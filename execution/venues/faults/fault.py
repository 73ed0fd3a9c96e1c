"""What a fault is: one named way in which a venue, or the wire to it, misbehaves.

A fault names the inputs it can strike (`hits_*`) and what happens instead of the honest thing (`on_*`). Whether it strikes is the
dice's to say, what it does is built from the venue's honest answer and its back office: nothing here keeps state of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec

from core.contracts import Bar
from core.machine import Answer, Attached, Command, Effect
from core.settings import FaultSettings
from core.venue import OutcomeUnknown, VenueEvent, VenueReply, VenueRequest
from execution.venues.matching import draw
from execution.venues.orders import VenueOrder

if TYPE_CHECKING:
    from execution.venues.faults.lying_venue import LyingVenue

__all__ = ["BAD_REPLY", "NS_PER_MS", "RESET", "TIMEOUT", "Asked", "Dice", "Fault", "Job", "told"]

NS_PER_MS = 1_000_000

TIMEOUT = OutcomeUnknown(cause="TIMEOUT", text="no answer in time")
"""Nothing comes back. On a real wire the venue's end says nothing at all, and the account's end gives up."""

RESET = OutcomeUnknown(cause="RESET", text="connection reset by peer")
"""The connection ends before the answer. On a real wire the venue's end closes it; as an answer to nobody it ends without a request."""

BAD_REPLY = OutcomeUnknown(cause="BAD_REPLY", text="<html><body><h1>502 Bad Gateway</h1></body></html>")
"""What comes back is no answer. On a real wire the text is sent as it stands."""


class Asked(NamedTuple):
    """A request as it arrives, with what stands beside it."""

    command: Command
    request: VenueRequest
    attached: Attached
    now_ns: int


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something a fault will do at `due_ns` (ns UTC): with a request that is still under way, or about an event."""

    due_ns: int
    fault: str
    command_id: str = ""
    request: VenueRequest | None = None
    event: VenueEvent | None = None


class Dice:
    """Says which chances a fault takes. The k-th chance of a fault is decided by seed, name and k: the same history gives the same strikes.

    `counts` holds the chances and the strikes of each fault so far.
    """

    def __init__(self, settings: FaultSettings) -> None:
        self._seed = settings.seed
        self._strikes_max = settings.strikes_max
        self.counts: dict[str, tuple[int, int]] = {}

    def strikes(self, fault: Fault) -> bool:
        """Whether this chance is taken."""
        chances, strikes = self.counts.get(fault.name, (0, 0))
        chances += 1
        is_struck = (self._strikes_max is None or strikes < self._strikes_max) and self.number(fault, "rate") < fault.rate
        self.counts[fault.name] = (chances, strikes + is_struck)
        return is_struck

    def number(self, fault: Fault, what: str) -> float:
        """A number in [0, 1) for this chance of a fault."""
        return draw(self._seed, f"{fault.name}|{self.counts.get(fault.name, (0, 0))[0]}|{what}")


class Fault:
    """One fault. `does` is what the venue does, `duty` what the gateway must do about it, `incident` a public case of it, `shipped_rate` how often
    it strikes where it can when it is switched on without a rate.
    """

    name: ClassVar[str]
    does: ClassVar[str]
    duty: ClassVar[str]
    incident: ClassVar[str]
    shipped_rate: ClassVar[float] = 0.05

    def __init__(self, settings: FaultSettings, rate: float) -> None:
        self.settings = settings
        self.rate = rate

    def hits_request(self, request: VenueRequest) -> bool:
        """Whether it can strike this request."""
        return False

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        """What happens instead of the honest handling, which is `venue.honest(asked)`."""
        raise NotImplementedError(self.name)

    def hits_event(self, event: VenueEvent) -> bool:
        """Whether it can strike an event that is about to be pushed."""
        return False

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        """What is pushed instead. What is not pushed stays with the venue until a subscription asks for it."""
        raise NotImplementedError(self.name)

    def hits_fill(self, order: VenueOrder, qty: Decimal) -> bool:
        """Whether it can strike when the market gives an order so much."""
        return False

    def on_fill(self, order: VenueOrder, qty: Decimal, price: Decimal, venue: LyingVenue, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        """What is executed instead, and the order after it."""
        raise NotImplementedError(self.name)

    def hits_bar(self, bar: Bar, venue: LyingVenue) -> bool:
        """Whether it can strike when the market moves."""
        return False

    def on_bar(self, bar: Bar, venue: LyingVenue, now_ns: int) -> list[Effect]:
        """What happens before the bar meets the orders."""
        raise NotImplementedError(self.name)

    def on_due(self, job: Job, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        """What it had left to be done later."""
        raise NotImplementedError(self.name)


def told(effects: list[Effect], reply: VenueReply) -> list[Effect]:
    """The same effects with another answer: what was done is done, and the account hears something else about it."""
    return [Answer(effect.command_id, reply) if isinstance(effect, Answer) else effect for effect in effects]
