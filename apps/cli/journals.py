"""Reads the journals of a suite beside their writers: never locks, never writes, sees one consistent state per file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from apps.runtime.home import Home
from apps.runtime.journal import segment_paths
from core.codec import Codec, Envelope
from core.errors import DecodeError, JournalError
from core.journal import CHAIN_START, MESSAGE_KIND, ArchiveRow, CallRow, InputRow, OutputRow, QuarantineRow, next_link
from core.ports import StreamId
from core.topics import Daemon

__all__ = ["CallOutcome", "EmptyJournal", "JournalReader", "open_journals"]

_END = 2**62
_INPUT = "n, kind, topic, producer, seq, now_ns, arrived_ns, data, attached"

# Who takes something in before who said it, as far as the circle of messages allows: whatever a reader that was opened earlier
# has handled, a reader that was opened later has said. Where the circle closes, verify/cut.py mends it.
_READ_ORDER = (Daemon.STRATEGY_RUNNER, Daemon.RISK_ENGINE, Daemon.OMS, Daemon.BROKER, Daemon.PAPER_VENUE, Daemon.MD_INGEST)


class EmptyJournal(JournalError):
    """The file is there and its daemon has not begun to write: it is starting for the first time."""


class CallOutcome(NamedTuple):
    """A venue call and the input that brought its outcome (None: open)."""

    row: CallRow
    outcome_n: int | None


class JournalReader:
    """One daemon's journal and its rotated segments, as they stood when this reader was opened.

    `cut_at` narrows it to the inputs up to a number and what came of them. The archive has no numbers and `damage` is about the
    whole file, so neither is narrowed. A file that cannot be read is a JournalError.
    """

    def __init__(self, path: Path, daemon: str) -> None:
        self.path = path
        self.daemon = daemon
        self._cut = _END
        # A plain connection, because a read-only one cannot open a WAL whose writer has gone and left no index file.
        self._db = self._connect(path, "mode=rw")
        self._parts = [self._db]
        try:
            self.epoch = self._begin()
            self._parts = [*self._open_segments(), *self._parts]
        except JournalError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        for connection in self._parts:
            connection.close()

    def cut_at(self, n: int) -> None:
        """From now on, show nothing after input `n`."""
        self._cut = n

    @property
    def is_cut(self) -> bool:
        """Whether something is left out."""
        return self._cut < _END

    @property
    def heads(self) -> dict[str, int]:
        """The last number said on each topic."""
        heads = dict(self._query(self._db, "select topic, seq from heads"))
        if self.is_cut:
            heads.update((topic, seq - 1) for topic, seq in self._beyond("select topic, min(seq) from outputs where n > ? group by topic"))
        return heads

    @property
    def watermarks(self) -> dict[StreamId, int]:
        """The last number handled of each stream."""
        marks = {StreamId(topic, producer): seq for topic, producer, seq in self._query(self._db, "select topic, producer, seq from watermarks")}
        if self.is_cut:
            later = self._beyond(f"select topic, producer, min(seq) from inputs where n > ? and kind = '{MESSAGE_KIND}' group by topic, producer")
            marks.update((StreamId(topic, producer), seq - 1) for topic, producer, seq in later)
        return marks

    def first_after(self, stream: StreamId, seq: int) -> int | None:
        """The first input that is a message of this stream beyond `seq`."""
        query = f"select min(n) from inputs where kind = '{MESSAGE_KIND}' and topic = :topic and producer = :producer and seq > :seq and n <= :last"
        arguments = {"topic": stream.topic, "producer": stream.producer, "seq": seq, "last": self._cut}
        found = [n for connection in self._parts for (n,) in self._query(connection, query, arguments) if n is not None]
        return min(found, default=None)

    def inputs(self, kind: str = "") -> Iterator[InputRow]:
        """Everything the machine saw, or of one kind, in order."""
        for row in self._rows(f"select {_INPUT} from inputs where :kind in ('', kind) and n <= :last order by n", self._cut, kind=kind):
            yield InputRow(*row)

    def messages(self, topic_prefix: str) -> Iterator[InputRow]:
        """The messages of topics that begin so, in the order they were handled."""
        query = f"select {_INPUT} from inputs where kind = '{MESSAGE_KIND}' and substr(topic, 1, length(:prefix)) = :prefix and n <= :last order by n"
        for row in self._rows(query, self._cut, prefix=topic_prefix):
            yield InputRow(*row)

    def outputs(self, topic_prefix: str = "") -> Iterator[OutputRow]:
        """What the daemon said on topics that begin so, in order."""
        query = "select id, topic, seq, n, data from outputs where substr(topic, 1, length(:prefix)) = :prefix and n <= :last order by id"
        for _, *row in self._rows(query, self._cut, prefix=topic_prefix):
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
        """Every venue call attempted, in no particular order; an outcome that lies beyond the cut is none yet."""
        seen: set[str] = set()
        for connection in reversed(self._parts):
            for call_id, n, data, outcome_n in self._query(connection, "select call_id, n, data, outcome_n from calls where n <= ? order by n, call_id", (self._cut,)):
                if call_id not in seen:
                    seen.add(call_id)
                    yield CallOutcome(CallRow(call_id, n, data), outcome_n if outcome_n is not None and outcome_n <= self._cut else None)

    def archive(self, kind: str) -> Iterator[ArchiveRow]:
        """Finished things of one kind."""
        for key, data in self._query(self._db, "select key, data from archive where kind = ? order by key", (kind,)):
            yield ArchiveRow(kind, key, data)

    def whole_archive(self) -> Iterator[ArchiveRow]:
        """Finished things of every kind, in no particular order."""
        for row in self._query(self._db, "select kind, key, data from archive"):
            yield ArchiveRow(*row)

    def quarantine(self) -> list[QuarantineRow]:
        """Inputs that could not be handled and were not released."""
        return [QuarantineRow(*row) for row in self._query(self._db, "select topic, producer, seq, reason, data from quarantine where released = ''")]

    def snapshot(self) -> tuple[int, bytes] | None:
        """The last snapshot: the input it follows, and the state."""
        row = next(self._query(self._db, "select n, data from snapshots order by n desc limit 1"), None)
        return (row[0], row[1]) if row else None

    def damage(self) -> list[str]:
        """Where the chain over inputs and outputs is broken: a cut, swapped or edited row shows here."""
        outputs: dict[int, list[OutputRow]] = {}
        for _, *said in self._rows("select id, topic, seq, n, data from outputs where n <= :last order by id", _END):
            outputs.setdefault(said[2], []).append(OutputRow(*said))
        found: list[str] = []
        chain, expected = CHAIN_START, 1
        for *fields, recorded in self._rows(f"select {_INPUT}, chain from inputs where n <= :last order by n", _END):
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

    def _begin(self) -> str:
        """Hold on to what is there now; the journal's epoch, which is written last when one is made."""
        self._query(self._db, "pragma query_only = 1")
        self._query(self._db, "begin")
        made = next(self._query(self._db, "select count(*) from sqlite_master where name = 'meta'"))[0]
        row = next(self._query(self._db, "select value from meta where key = 'epoch'"), None) if made else None
        if row is None:
            raise EmptyJournal(f"{self.path}: empty, {self.daemon} is starting for the first time")
        return str(row[0])

    def _open_segments(self) -> Iterator[sqlite3.Connection]:
        """The rotated segments, oldest first, but for one that is being written: until it is whole, the live file holds all that is in it."""
        live = next(self._query(self._db, "select min(n) from inputs"))[0]
        for path in segment_paths(self.path):
            if live is None or int(path.stem.rpartition("-")[2]) < live:
                yield self._connect(path, "mode=ro&immutable=1")

    def _rows(self, query: str, last: int, **arguments: object) -> Iterator[tuple[Any, ...]]:
        """Rows in the order of their first column, each once: what was copied to a segment may be in the live file still."""
        done = 0
        for connection in self._parts:
            for row in self._query(connection, query, {**arguments, "last": last}):
                if row[0] > done:
                    done = row[0]
                    yield row

    def _beyond(self, query: str) -> list[tuple[Any, ...]]:
        """Smallest numbers beyond the cut, oldest file last so that its smaller ones win."""
        return [row for connection in reversed(self._parts) for row in self._query(connection, query, (self._cut,))]

    def _connect(self, path: Path, how: str) -> sqlite3.Connection:
        try:
            return sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise JournalError(f"{path}: {error}") from error

    def _query(self, connection: sqlite3.Connection, query: str, arguments: Any = ()) -> Iterator[tuple[Any, ...]]:
        """Runs at once, whether or not the rows are asked for."""
        try:
            return self._checked(connection.execute(query, arguments))
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error

    def _checked(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        # No `yield from`: it would close the cursor of a reader that is closed already when somebody stops half-way.
        try:
            for row in cursor:  # noqa: UP028
                yield row
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error


def open_journals(home: Home, daemons: tuple[str, ...]) -> dict[str, JournalReader]:
    """The journals that have begun, those who take in before those who said it."""
    found: dict[str, JournalReader] = {}
    for daemon in sorted(daemons, key=lambda name: _READ_ORDER.index(Daemon(name))):
        path = home.journal(daemon)
        if not path.exists():
            continue
        try:
            found[daemon] = JournalReader(path, daemon)
        except EmptyJournal:
            continue
        except JournalError:
            for reader in found.values():
                reader.close()
            raise
    return found
