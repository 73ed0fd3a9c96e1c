"""The ports the node is driven through: Bus, Journal, Clock (the Venue port is `core.venue.IBroker`).

Live, in simulation and in tests the same node runs; only what stands behind these names changes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

__all__ = ["Bus", "BusListener", "Clock", "Entry", "PublishOutcome", "PublishStatus", "StreamId", "StreamSlice", "Token"]


class StreamId(NamedTuple):
    """One producer's messages on one topic: the unit of sequence."""

    topic: str
    producer: str

    def key(self, namespace: str) -> str:
        """The Redis stream key, which is also the channel name."""
        return f"{namespace}|{self.topic}|{self.producer}"


class Token(NamedTuple):
    """Who may write a stream: the journal's epoch and the start counter of the process holding it."""

    epoch: str
    incarnation: int


class Entry(NamedTuple):
    """One stored message: its sequence number (the stream id is `<seq>-0`) and its bytes."""

    seq: int
    data: bytes


class StreamSlice(msgspec.Struct, frozen=True):
    """An answer to a stream read. `last_seq` is the stream's last-generated number (0: the stream does not exist),
    `epoch` the producer's journal as its meta names it ('' when unknown)."""

    entries: tuple[Entry, ...]
    last_seq: int
    epoch: str


class PublishStatus(StrEnum):
    """What the publish script answered.

    STORED: all are in the stream (now or already). BEHIND: nothing was written, the stream ends at `last_seq`: top up.
    FENCED: a newer incarnation, or other bytes under our number: halt. NEW_EPOCH: the stream belongs to another journal: halt.
    """

    STORED = "STORED"
    BEHIND = "BEHIND"
    FENCED = "FENCED"
    NEW_EPOCH = "NEW_EPOCH"


class PublishOutcome(NamedTuple):
    """The script's answer, with the stream's last number after it."""

    status: PublishStatus
    last_seq: int


class BusListener(Protocol):
    """Who hears of the bus. Called from the event loop; must not block and must not raise."""

    def on_bus_connected(self, run_id: str) -> None:
        """(Re)connected and subscribed; a changed `run_id` means another server process."""

    def on_bus_lost(self, reason: str) -> None:
        """The connection is gone; every publish, read and acknowledgement without an answer is unknown."""

    def on_bus_broken(self, error: BaseException) -> None:
        """The bus itself failed and will not come back: our own bug, the process must end."""

    def on_bus_message(self, stream: StreamId, data: bytes) -> None:
        """A live delivery: at most once, possibly repeated, possibly with holes."""


class Bus(Protocol):
    """The wire. What is asked fails with ConnectionError when the connection is or goes away; nothing is retried inside.

    Asking needs no task: the functions return what can be awaited, and answers come in the order of the questions.
    """

    async def start(self, streams: Sequence[StreamId], listener: BusListener) -> None:
        """Connect in the background, subscribe to these streams, and keep reconnecting with back-off until `stop`."""

    async def stop(self) -> None:
        """Close both connections."""

    def publish(self, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> Awaitable[PublishOutcome]:
        """Store and announce messages `first_seq`, `first_seq`+1, ... as one atomic script. `base` is where a missing stream may begin."""

    def announce(self, topic: str, producer: str, data: bytes) -> None:
        """Tell whoever is subscribed to this topic of this producer now, and store nothing: for heartbeats, ticks and telemetry.

        There is no answer; without a connection it is dropped.
        """

    def read(self, stream: StreamId, from_seq: int, count: int) -> Awaitable[StreamSlice]:
        """Up to `count` entries from `from_seq` on, and where the stream ends, as one atomic script."""

    def tails(self, streams: Sequence[StreamId]) -> Awaitable[list[int]]:
        """The last number of each stream (0: does not exist), in one round trip."""

    def acknowledge(self, consumer: str, seqs: dict[StreamId, int]) -> Awaitable[None]:
        """Say how far this consumer has handled each stream, consequences published."""

    def acknowledgements(self, stream: StreamId) -> Awaitable[dict[str, int]]:
        """What each consumer of a stream has acknowledged."""

    def trim(self, stream: StreamId, below_seq: int) -> Awaitable[None]:
        """Forget entries below a number; the tail entry always stays."""

    def watermarks(self, streams: Sequence[StreamId]) -> Awaitable[dict[StreamId, tuple[int, dict[str, int]]]]:
        """One atomic cut over many streams: each one's last number and its consumers' acknowledgements."""


class Clock(Protocol):
    """Where `now_ns` comes from. Only the shell holds one."""

    def now_ns(self) -> int:
        """Nanoseconds UTC; never decreases."""

    def observe(self, now_ns: int) -> None:
        """The session clock's topic said this. A system clock does not care."""
