"""A journal in memory that behaves like the one on disk: a commit is there whole after a crash, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from core.journal import (
    ArchiveRow,
    Batch,
    CallRow,
    InputRow,
    OutputRow,
    QuarantineRow,
    Recovered,
)
from core.ports import Entry, StreamId

__all__ = ["SimulatedJournal"]


class SimulatedJournal:
    """The `Journal` port. `load` takes the journal for a new run, so it counts incarnations."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.incarnation = 0
        self.inputs: list[InputRow] = []
        self.rows: dict[str, list[OutputRow]] = {}
        self.calls: dict[str, CallRow] = {}
        self.outcomes: dict[str, int] = {}
        self.watermarks: dict[StreamId, tuple[int, str]] = {}
        self.archive: dict[tuple[str, str], ArchiveRow] = {}
        self.acked: dict[str, dict[str, int]] = {}
        self.quarantine: list[QuarantineRow] = []
        self.snapshot: tuple[int, bytes] | None = None

    def load(self) -> Recovered:
        """What is there for the next incarnation."""
        self.incarnation += 1
        start = self.snapshot[0] if self.snapshot else 0
        suffix_outputs: dict[int, list[OutputRow]] = {}
        for row in sorted((row for rows in self.rows.values() for row in rows if row.n > start), key=lambda r: (r.n, r.topic, r.seq)):
            suffix_outputs.setdefault(row.n, []).append(row)
        last = self.inputs[-1] if self.inputs else None
        return Recovered(
            self.epoch,
            self.incarnation,
            last.n if last else 0,
            last.now_ns if last else 0,
            self.snapshot,
            self.inputs[start:],
            suffix_outputs,
            {topic: rows[-1].seq for topic, rows in self.rows.items()},
            dict(self.watermarks),
            tuple(row for call_id, row in self.calls.items() if call_id not in self.outcomes),
            {topic: dict(acks) for topic, acks in self.acked.items()},
            tuple(self.quarantine),
        )

    def commit(self, batch: Batch) -> None:
        """Keep a batch."""
        self.inputs += batch.inputs
        for output in batch.outputs:
            self.rows.setdefault(output.topic, []).append(output)
        self.calls.update({row.call_id: row for row in batch.calls})
        self.outcomes.update(batch.outcomes)
        self.watermarks.update(batch.watermarks)
        self.archive.update({(row.kind, row.key): row for row in batch.archive})
        for topic, consumer, seq in batch.acked:
            self.acked.setdefault(topic, {})[consumer] = seq
        self.quarantine += batch.quarantine
        if batch.snapshot is not None:
            self.snapshot = batch.snapshot

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Archived rows by `kind/key`."""
        return {f"{kind}/{key}": self.archive[kind, key].data for kind, key in keys if (kind, key) in self.archive}

    def outputs(self, topic: str, from_seq: int, count: int) -> list[Entry]:
        """Committed messages of a topic."""
        rows = self.rows.get(topic, [])
        return [Entry(row.seq, row.data) for row in rows[from_seq - 1 : from_seq - 1 + count]]
