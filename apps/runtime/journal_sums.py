"""Checksums over what a journal's chain does not cover, because SQLite keeps none: a flipped bit in a table is just another value.

`StateSum` covers the few rows a start relies on without handling them again: how far each stream was taken in, said and
acknowledged, which calls are open, the snapshot, and where the chain ends. It is one number, changed with every commit by the rows that changed.
`row_sum` covers one row of the archive, which is looked at when the row is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from hashlib import blake2b

from core.journal import Batch

__all__ = ["SUM_KEY", "StateSum", "row_sum"]

SUM_KEY = "sum"
"""The row of table `meta` that holds the sum of the state."""

# Of each kind of row: how many columns name it, and the columns, which `add` writes in the same order.
_ROWS = (
    ("last", 0, "select n, chain from inputs where n = (select max(n) from inputs)"),
    ("head", 1, "select topic, seq from heads"),
    ("watermark", 2, "select topic, producer, seq, epoch from watermarks"),
    ("acked", 2, "select topic, consumer, seq from acked"),
    ("call", 1, "select call_id, n, data from calls where outcome_n is null"),
    ("snapshot", 0, "select n, output_id, chain, data from snapshots where n = (select max(n) from snapshots)"),
)
_Field = str | int | bytes


class StateSum:
    """The sum over the small tables: exclusive or of a 64-bit hash of every row, so that a change needs only the rows that change."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, tuple[_Field, ...]], int] = {}
        self._total = 0

    @classmethod
    def of(cls, database: sqlite3.Connection) -> StateSum:
        """What the tables come to as they stand."""
        found = cls()
        for kind, names, query in _ROWS:
            for row in database.execute(query):
                found._put(kind, row[:names], _short(row[names:]))
        return found

    @property
    def value(self) -> str:
        """As it is kept beside the tables."""
        return f"{self._total:016x}"

    def add(self, batch: Batch, heads: Mapping[str, int], chain: bytes, output_id: int) -> None:
        """The rows that a commit changes; `chain` and `output_id` are the chain's end and the last output, which a snapshot in it remembers."""
        if batch.inputs:
            self._put("last", (), (batch.inputs[-1].n, chain))
        for topic, seq in heads.items():
            self._put("head", (topic,), (seq,))
        for stream, (seq, epoch) in batch.watermarks.items():
            self._put("watermark", tuple(stream), (seq, epoch))
        for topic, consumer, seq in batch.acked:
            self._put("acked", (topic, consumer), (seq,))
        for call in batch.calls:
            self._put("call", (call.call_id,), _short((call.n, call.data)))
        for call_id, _ in batch.outcomes:
            self._total ^= self._sums.pop(("call", (call_id,)), 0)
        if batch.snapshot is not None:
            n, data = batch.snapshot
            self._put("snapshot", (), _short((n, output_id, chain, data)))

    def _put(self, kind: str, name: tuple[_Field, ...], value: tuple[_Field, ...]) -> None:
        # Written out with their types: text that has become a blob is another value.
        new = int.from_bytes(blake2b(repr((kind, name, value)).encode(), digest_size=8).digest())
        key = kind, name
        self._total ^= self._sums.get(key, 0) ^ new
        self._sums[key] = new


def _short(fields: tuple[_Field, ...]) -> tuple[_Field, ...]:
    """The same, with a hash in the place of what is long."""
    return tuple(blake2b(field, digest_size=16).digest() if isinstance(field, bytes) and len(field) > 16 else field for field in fields)


def row_sum(kind: str, key: str, data: bytes) -> int:
    """A 63-bit hash of an archive row: what SQLite keeps as an integer."""
    return int.from_bytes(blake2b(f"{len(kind)} {kind}{key}\0".encode() + data, digest_size=8).digest()) >> 1
