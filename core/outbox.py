"""One producer's side of one stream: only committed bytes, in order, until the stream has them.

The outbox never decides what is published (the journal does) and never retries by itself: it answers each event with the
next write. At most one write per stream is outstanding, so what arrives meanwhile leaves together: under load the batches
grow by themselves, and an idle stream pays no delay.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from core.ports import Entry, PublishOutcome, PublishStatus, StreamId

__all__ = ["WRITE_MAX", "Outbox", "ReadOutputs", "Write"]

WRITE_MAX = 256
"""Messages per publish: large enough to amortise the round trip, small enough that the server serves others between."""

_MEMORY_MAX = 20_000
_OBSERVER_BACKLOG = 1_000


class Write(NamedTuple):
    """Please store and announce these messages, numbered from `first_seq`."""

    stream: StreamId
    base: int
    first_seq: int
    bodies: tuple[bytes, ...]


class ReadOutputs(NamedTuple):
    """Please read committed outputs of this topic from the journal, from `from_seq` on."""

    stream: StreamId
    from_seq: int
    limit: int


class Outbox:
    """Publication of one topic.

    Invariants: `confirmed` ≤ `last`; what is sent next is always `confirmed` + 1; memory holds the newest committed
    messages only as a cache of the journal, which is asked when the stream needs older ones.
    """

    def __init__(self, stream: StreamId, last: int, consumers: tuple[str, ...], acked: dict[str, int]) -> None:
        self.stream = stream
        self.last = last
        self.confirmed = 0
        self.consumers = consumers
        self.acked = {name: acked.get(name, 0) for name in consumers}
        self._memory: deque[Entry] = deque()
        self._busy = False
        self._online = False

    @property
    def base(self) -> int:
        """Where a stream that Redis lost has to begin again: just above what every durable consumer has acknowledged."""
        if not self.consumers:
            return max(1, self.last - _OBSERVER_BACKLOG + 1)
        return min(self.acked.values()) + 1

    @property
    def backlog(self) -> int:
        """Messages that the slowest durable consumer has not acknowledged."""
        return self.last - min(self.acked.values()) if self.consumers else 0

    @property
    def is_drained(self) -> bool:
        """Whether the stream holds everything committed."""
        return self._online and self.confirmed >= self.last

    def add(self, data: bytes) -> int:
        """A message was handled (and will be committed before `next_action` sees it); its number."""
        self.last += 1
        self._memory.append(Entry(self.last, data))
        if len(self._memory) > _MEMORY_MAX:
            self._memory.popleft()
        return self.last

    def on_tail(self, last_seq: int, unproven: int | None = None) -> None:
        """(Re)connected, and the stream ends at `last_seq` (0: it does not exist).

        A tail says how much is there, not who wrote it. When a call waits for message `unproven`, it is written again from
        there, so that the script compares: an instance that was replaced is fenced before it sends anything.
        """
        self._online, self._busy = True, False
        stored = last_seq if last_seq else self.base - 1
        self._confirm(stored if unproven is None else min(stored, unproven - 1))

    def on_lost(self) -> None:
        """The connection is gone: an outstanding write is unknown until the tail is read."""
        self._online, self._busy = False, False

    def on_published(self, outcome: PublishOutcome, written: int) -> None:
        """The script answered STORED or BEHIND to a write that ended with number `written`."""
        self._busy = False
        if outcome.status is PublishStatus.STORED:
            self._confirm(max(self.confirmed, written))
        else:
            self._confirm(outcome.last_seq)

    def on_outputs(self, entries: list[Entry]) -> Write | None:
        """The journal's answer to a ReadOutputs, not empty; the write it allows."""
        self._busy = False
        if entries[0].seq != self.confirmed + 1 or not self._online:
            return None
        return self._write(entries)

    def next_action(self) -> Write | ReadOutputs | None:
        """What to do now, or None while offline, busy or drained. Call only after the commit of everything added."""
        if self._busy or not self._online or self.confirmed >= self.last:
            return None
        first = self.confirmed + 1
        if self._memory and self._memory[0].seq <= first:
            offset = first - self._memory[0].seq
            return self._write(list(islice(self._memory, offset, offset + WRITE_MAX)))
        self._busy = True
        return ReadOutputs(self.stream, first, WRITE_MAX)

    def on_acknowledged(self, acks: dict[str, int]) -> dict[str, int]:
        """What consumers say they have handled; the part that is news (to be journaled)."""
        news = {name: seq for name, seq in acks.items() if seq > self.acked.get(name, self.last)}
        self.acked.update(news)
        return news

    def _write(self, entries: list[Entry]) -> Write:
        self._busy = True
        return Write(self.stream, self.base, entries[0].seq, tuple(e.data for e in entries[:WRITE_MAX]))

    def _confirm(self, seq: int) -> None:
        self.confirmed = min(seq, self.last)
        while self._memory and self._memory[0].seq <= self.confirmed:
            self._memory.popleft()
