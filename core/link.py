"""One consumer's view of one stream: turns at-most-once deliveries into every message, once, in order.

Live deliveries may be lost, repeated or late; the stream holds the truth. A `Link` therefore treats a delivery as a hint:
the next expected number is taken, a lower one was seen before, a higher one proves a hole, which is read from the stream
first. A tail check (on every reconnect and at least once a second) finds a hole that nothing came after.

The link knows nothing of time, sockets or decoding errors' consequences; it answers each event with the reads it wants,
and hands out what is next through `take`.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

from core.ports import StreamId

__all__ = ["READ_CHUNK", "Link", "LinkHole", "Read"]

READ_CHUNK = 500
"""Entries asked for at once: a resend storm after an outage arrives in pieces that other inputs can pass."""

_HELD_MAX = 10_000

T = TypeVar("T")


class Read(NamedTuple):
    """Please read up to `limit` entries of the stream from `from_seq` on."""

    stream: StreamId
    from_seq: int
    limit: int


class LinkHole(Exception):
    """The stream no longer holds what this consumer still needs: its history is lost and a person must look."""

    def __init__(self, stream: StreamId, wanted: int, found: int) -> None:
        super().__init__(f"stream {stream.topic} of {stream.producer}: message {wanted} is needed but the oldest kept is {found}")


class Link(Generic[T]):
    """Sequencing of one (topic, producer).

    Invariants: what `take` returns is numbered contiguously from the watermark + 1; nothing is returned twice; at most one
    read is outstanding; at most `_HELD_MAX` early messages are held (later ones are dropped and read again).
    """

    def __init__(self, stream: StreamId, watermark: int) -> None:
        self.stream = stream
        self.next_seq = watermark + 1
        self.stopped = ""
        self._ready: deque[tuple[int, T]] = deque()
        self._held: dict[int, T] = {}
        self._reading = False
        self._checked = 0

    @property
    def has_gap(self) -> bool:
        """Whether messages are known to exist that have not arrived yet."""
        return self._reading or bool(self._held)

    def stop(self, reason: str) -> None:
        """Deliver nothing more: a person must look first."""
        self.stopped = reason
        self._ready.clear()
        self._held.clear()

    def on_live(self, seq: int, item: T) -> Read | None:
        """A delivery arrived; the read it calls for, if it shows a hole."""
        if self.stopped or seq < self.next_seq:
            return None
        if seq == self.next_seq:
            self._accept(seq, item)
            self._drain_held()
            return None
        if len(self._held) < _HELD_MAX:
            self._held[seq] = item
        return self._read(self.next_seq)

    def on_tail(self, last_seq: int) -> Read | None:
        """The stream ends at `last_seq` (0: it does not exist); the read that is called for when we are behind.

        A stream shorter than what we have handled lost its end, or tells another history: its last entry says which.
        """
        if self.stopped or last_seq in (0, self.next_seq - 1):
            return None
        return self._read(min(last_seq, self.next_seq))

    def on_check(self, last_seq: int) -> Read | None:
        """The periodic look at the stream's end, which finds a hole that nothing came after.

        While deliveries flow in sequence nothing is missing: it is on its way, and reading it would only fetch it twice. A
        hole that something comes after shows itself. So what calls for a read is a link that is behind and has stood still
        since the look before.
        """
        stood_still, self._checked = self._checked == self.next_seq, self.next_seq
        if last_seq >= self.next_seq and not stood_still:
            return None
        return self.on_tail(last_seq)

    def on_read(self, entries: list[tuple[int, T]], last_seq: int) -> Read | None:
        """The answer to our read; LinkHole when what we need is gone, else the next read while we are still behind."""
        self._reading = False
        if self.stopped:
            return None
        for seq, item in entries:
            if seq > self.next_seq:
                raise LinkHole(self.stream, self.next_seq, seq)
            if seq == self.next_seq:
                self._accept(seq, item)
        self._drain_held()
        if last_seq < self.next_seq:
            return None
        if not entries:
            raise LinkHole(self.stream, self.next_seq, last_seq + 1)
        return self._read(self.next_seq)

    def on_lost(self) -> None:
        """The connection is gone and with it any outstanding read."""
        self._reading = False

    def take(self) -> tuple[int, T] | None:
        """The next message in sequence, or None."""
        return self._ready.popleft() if self._ready else None

    def _accept(self, seq: int, item: T) -> None:
        self._ready.append((seq, item))
        self.next_seq = seq + 1

    def _drain_held(self) -> None:
        while self._held and (item := self._held.pop(self.next_seq, None)) is not None:
            self._accept(self.next_seq, item)
        if self._held:
            self._held = {seq: item for seq, item in self._held.items() if seq >= self.next_seq}

    def _read(self, from_seq: int) -> Read | None:
        if self._reading:
            return None
        self._reading = True
        return Read(self.stream, from_seq, READ_CHUNK)
