"""What Redis holds of our streams, and the publish script's decision table, as a plain object.

The Lua script on the server and this class are the same table (a conformance suite runs both); the in-memory bus and the
fault simulator stand on this one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.ports import Entry, PublishOutcome, PublishStatus, StreamId, StreamSlice, Token

__all__ = ["StreamStore"]


class _Stream(msgspec.Struct):
    entries: dict[int, bytes] = msgspec.field(default_factory=dict)
    last: int = 0


class _Meta(msgspec.Struct):
    epoch: str
    incarnation: int


class StreamStore:
    """All streams of one suite, with who may write them and what consumers have acknowledged."""

    def __init__(self) -> None:
        self._streams: dict[StreamId, _Stream] = {}
        self._metas: dict[StreamId, _Meta] = {}
        self._acks: dict[StreamId, dict[str, int]] = {}

    def publish(self, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> tuple[PublishOutcome, list[Entry]]:
        """The script: its answer, and the entries that were stored and are to be announced."""
        meta = self._metas.get(stream)
        last = self._streams[stream].last if stream in self._streams else None
        if meta is not None and meta.epoch != token.epoch:
            return PublishOutcome(PublishStatus.NEW_EPOCH, last or 0), []
        if meta is not None and token.incarnation < meta.incarnation:
            return PublishOutcome(PublishStatus.FENCED, last or 0), []
        if last is None and first_seq != base:
            return PublishOutcome(PublishStatus.BEHIND, base - 1), []
        if last is not None and first_seq > last + 1:
            return PublishOutcome(PublishStatus.BEHIND, last), []
        self._metas[stream] = _Meta(token.epoch, token.incarnation)
        kept = self._streams.setdefault(stream, _Stream(last=base - 1))
        stored = []
        for seq, data in enumerate(bodies, first_seq):
            if seq > kept.last:
                kept.entries[seq] = data
                kept.last = seq
                stored.append(Entry(seq, data))
            elif kept.entries.get(seq, data) != data:
                return PublishOutcome(PublishStatus.FENCED, kept.last), stored
        return PublishOutcome(PublishStatus.STORED, kept.last), stored

    def read(self, stream: StreamId, from_seq: int, count: int) -> StreamSlice:
        """Up to `count` entries from a number on, and where the stream ends."""
        kept = self._streams.get(stream)
        if kept is None:
            return StreamSlice((), 0, "")
        wanted = sorted(seq for seq in kept.entries if seq >= from_seq)[:count]
        return StreamSlice(tuple(Entry(seq, kept.entries[seq]) for seq in wanted), kept.last, self._metas[stream].epoch)

    def streams(self) -> list[StreamId]:
        """The streams that exist, in the order of their names."""
        return sorted(self._streams)

    def tail(self, stream: StreamId) -> int:
        """The last number of a stream; 0 when it does not exist."""
        return self._streams[stream].last if stream in self._streams else 0

    def acknowledge(self, consumer: str, seqs: dict[StreamId, int]) -> None:
        """Note how far a consumer has come."""
        for stream, seq in seqs.items():
            self._acks.setdefault(stream, {})[consumer] = seq

    def acknowledgements(self, stream: StreamId) -> dict[str, int]:
        """What each consumer has acknowledged."""
        return dict(self._acks.get(stream, {}))

    def trim(self, stream: StreamId, below_seq: int) -> None:
        """Forget entries below a number; the tail entry stays."""
        kept = self._streams.get(stream)
        if kept is not None:
            kept.entries = {seq: data for seq, data in kept.entries.items() if seq >= below_seq or seq == kept.last}

    def lose_everything(self) -> None:
        """The server came back empty."""
        self._streams.clear()
        self._metas.clear()
        self._acks.clear()

    def lose_tail(self, stream: StreamId, count: int) -> None:
        """The server came back with an older end of one stream."""
        kept = self._streams.get(stream)
        if kept is None:
            return
        kept.last = max(0, kept.last - count)
        kept.entries = {seq: data for seq, data in kept.entries.items() if seq <= kept.last}
        if not kept.last or not kept.entries:
            del self._streams[stream]
