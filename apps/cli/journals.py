"""Reads the journals of a suite beside their writers: never locks, never writes, sees one consistent state per file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from apps.runtime.home import Home
from apps.runtime.journal import segment_paths
from core.codec import Codec, Envelope
from core.errors import DecodeError
from core.journal import CHAIN_START, ArchiveRow, CallRow, InputRow, OutputRow, QuarantineRow, next_link
from core.ports import StreamId

__all__ = ["JournalReader", "open_journals"]


class CallOutcome(NamedTuple):
    """A venue call and the input that brought its outcome (None: open)."""

    row: CallRow
    outcome_n: int | None


class JournalReader:
    """One daemon's journal and its rotated segments, as they stood when this reader was opened."""

    def __init__(self, path: Path, daemon: str) -> None:
        self.path = path
        self.daemon = daemon
        # A plain connection, because a read-only one cannot open a WAL whose writer has gone and left no index file.
        self._db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)
        self._db.execute("pragma query_only = 1")
        self._db.execute("begin")
        self._db.execute("select count(*) from meta").fetchone()
        self._segments = [sqlite3.connect(f"file:{segment}?mode=ro&immutable=1", uri=True) for segment in segment_paths(path)]
        self.epoch: str = self._db.execute("select value from meta where key = 'epoch'").fetchone()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        for connection in (*self._segments, self._db):
            connection.close()

    @property
    def heads(self) -> dict[str, int]:
        """The last number said on each topic."""
        return dict(self._db.execute("select topic, seq from heads").fetchall())

    @property
    def watermarks(self) -> dict[StreamId, int]:
        """The last number handled of each stream."""
        return {StreamId(topic, producer): seq for topic, producer, seq in self._db.execute("select topic, producer, seq from watermarks")}

    @property
    def incarnation(self) -> int:
        """How often the daemon has started on this journal."""
        return int(self._db.execute("select coalesce(max(incarnation), 0) from runs").fetchone()[0])

    def inputs(self, from_n: int = 1) -> Iterator[InputRow]:
        """Everything the machine saw, in order."""
        for row in self._all("select n, kind, topic, producer, seq, now_ns, arrived_ns, data, attached from inputs where n >= ? order by n", (from_n,)):
            yield InputRow(*row)

    def messages(self, topic_prefix: str) -> Iterator[InputRow]:
        """The messages of topics that begin so, in the order they were handled."""
        query = "select n, kind, topic, producer, seq, now_ns, arrived_ns, data, attached from inputs where kind = 'Message' and topic like ? order by n"
        for row in self._all(query, (topic_prefix + "%",)):
            yield InputRow(*row)

    def outputs(self, topic_prefix: str = "") -> Iterator[OutputRow]:
        """What the daemon said on topics that begin so, in order."""
        for row in self._all("select topic, seq, n, data from outputs where topic like ? order by id", (topic_prefix + "%",)):
            yield OutputRow(*row)

    def said(self, topic_prefix: str) -> Iterator[tuple[OutputRow, Envelope]]:
        """The same, decoded; a row that cannot be decoded is left to `damage`."""
        codec = Codec()
        for row in self.outputs(topic_prefix):
            try:
                yield row, codec.decode(row.data)
            except DecodeError:
                continue

    def calls(self) -> Iterator[CallOutcome]:
        """Every venue call attempted."""
        for call_id, n, data, outcome_n in self._all("select call_id, n, data, outcome_n from calls order by n, call_id"):
            yield CallOutcome(CallRow(call_id, n, data), outcome_n)

    def archive(self, kind: str) -> Iterator[ArchiveRow]:
        """Finished things of one kind."""
        for key, data in self._db.execute("select key, data from archive where kind = ? order by key", (kind,)):
            yield ArchiveRow(kind, key, data)

    def quarantine(self) -> list[QuarantineRow]:
        """Inputs that could not be handled and were not released."""
        return [QuarantineRow(*row) for row in self._db.execute("select topic, producer, seq, reason, data from quarantine where released = ''")]

    def snapshot(self) -> tuple[int, bytes] | None:
        """The last snapshot: the input it follows, and the state."""
        row = self._db.execute("select n, data from snapshots order by n desc limit 1").fetchone()
        return (row[0], row[1]) if row else None

    def damage(self) -> list[str]:
        """Where the chain over inputs and outputs is broken: a cut, swapped or edited row shows here."""
        outputs: dict[int, list[OutputRow]] = {}
        for output in self.outputs():
            outputs.setdefault(output.n, []).append(output)
        found: list[str] = []
        chain, expected = CHAIN_START, 1
        for *fields, recorded in self._all("select n, kind, topic, producer, seq, now_ns, arrived_ns, data, attached, chain from inputs order by n"):
            row = InputRow(*fields)
            if row.n != expected:
                found.append(f"input {expected} is missing")
            chain = next_link(chain, row, outputs.pop(row.n, ()))
            if chain != recorded:
                found.append(f"input {row.n} or what was said about it was changed after it was written")
                chain = recorded
            expected = row.n + 1
        found += [f"{row.topic} {row.seq} belongs to input {row.n}, which does not exist" for rows in outputs.values() for row in rows]
        return found

    def _all(self, query: str, arguments: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
        for connection in (*self._segments, self._db):
            yield from connection.execute(query, arguments)


def open_journals(home: Home, daemons: tuple[str, ...]) -> dict[str, JournalReader]:
    """The journals that exist, consumers before producers: what a consumer has handled is then never newer than what was said."""
    found = {}
    for daemon in daemons:
        path = home.journal(daemon)
        if path.exists():
            found[daemon] = JournalReader(path, daemon)
    return found
