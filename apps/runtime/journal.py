"""The SQLite journal: one file per daemon, one writer, one fsync per batch.

WAL mode with `synchronous=FULL`: a commit returns when the batch would survive a power cut. A lock file beside the
database (not on it, so that readers work) keeps a second instance out; under that lock each start takes the next
incarnation. Finished things live in `archive`, which only grows; inputs and outputs that a snapshot has overtaken move to
segment files at a clean stop (`rotate`), so the live file stays small.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.errors import JournalError
from core.journal import (
    CHAIN_START,
    Batch,
    CallRow,
    InputRow,
    OutputRow,
    QuarantineRow,
    Recovered,
    next_link,
)
from core.ports import Entry, StreamId

__all__ = ["SCHEMA_VERSION", "SqliteJournal", "segment_paths"]

SCHEMA_VERSION = 1

# A cache that holds what commits touch again and again: the default one spills into the log and reads it back.
_PRAGMAS = "pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=4000; pragma cache_size=-65536;"

# A snapshot remembers the last output by id, so an id must never be given again, not even after a rotation has moved every row
# away: the journal counts them itself, from the highest it finds in rows and snapshots (`autoincrement` costs a write per row).
_ROWS = """
create table if not exists {s}inputs(n integer primary key, kind text not null, topic text not null, producer text not null,
  seq integer not null, now_ns integer not null, arrived_ns integer not null, data blob not null, attached blob not null, chain blob not null);
create table if not exists {s}outputs(id integer primary key, topic text not null, seq integer not null, n integer not null, data blob not null, unique(topic, seq));
create table if not exists {s}calls(call_id text primary key, n integer not null, data blob not null, outcome_n integer) without rowid;
"""
_SCHEMA = (
    _ROWS.format(s="")
    + """
create table if not exists meta(key text primary key, value text not null) without rowid;
create table if not exists runs(incarnation integer primary key, started_ns integer not null);
create table if not exists heads(topic text primary key, seq integer not null) without rowid;
create table if not exists watermarks(topic text not null, producer text not null, seq integer not null, epoch text not null, primary key(topic, producer)) without rowid;
create table if not exists acked(topic text not null, consumer text not null, seq integer not null, primary key(topic, consumer)) without rowid;
create table if not exists snapshots(n integer primary key, data blob not null, chain blob not null, output_id integer not null);
create table if not exists archive(id integer primary key, kind text not null, key text not null, data blob not null, unique(kind, key));
create table if not exists quarantine(topic text not null, producer text not null, seq integer not null, reason text not null, data blob not null, released text not null default '');
"""
)


def segment_paths(path: Path) -> list[Path]:
    """The rotated segments of a journal, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}.segment-*.sqlite"))


class SqliteJournal:
    """One daemon's journal (the `Journal` port). Any failure to write is a JournalError and the process must end."""

    def __init__(self, path: Path, started_ns: int) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(path.with_suffix(".lock"))
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.executescript(_PRAGMAS + _SCHEMA)
            self.epoch, self.incarnation = self._begin_run(started_ns)
            self._chain = self._last_chain()
            self._output_id = self._last_output_id()
        except sqlite3.Error as error:
            self.close()
            raise JournalError(f"{path}: {error}") from error
        except JournalError:
            self.close()
            raise

    def load(self) -> Recovered:
        """What the file holds; the rows since the last snapshot are read lazily and checked against their chain."""
        snapshot = self._db.execute("select n, data, chain, output_id from snapshots order by n desc limit 1").fetchone()
        start, _, chain, output_id = snapshot or (0, b"", CHAIN_START, 0)
        last = self._db.execute("select n, now_ns from inputs order by n desc limit 1").fetchone() or (start, 0)
        outputs: dict[int, list[OutputRow]] = {}
        for row in self._db.execute("select topic, seq, n, data from outputs where id > ? order by id", (output_id,)):
            outputs.setdefault(row[2], []).append(OutputRow(*row))
        acked: dict[str, dict[str, int]] = {}
        for topic, consumer, seq in self._db.execute("select topic, consumer, seq from acked"):
            acked.setdefault(topic, {})[consumer] = seq
        return Recovered(
            self.epoch,
            self.incarnation,
            last[0],
            last[1],
            (snapshot[0], snapshot[1]) if snapshot else None,
            self._suffix(start, chain, outputs),
            outputs,
            dict(self._db.execute("select topic, seq from heads").fetchall()),
            {StreamId(t, p): (s, e) for t, p, s, e in self._db.execute("select topic, producer, seq, epoch from watermarks")},
            tuple(CallRow(*row) for row in self._db.execute("select call_id, n, data from calls where outcome_n is null order by n, call_id")),
            acked,
            tuple(QuarantineRow(*row) for row in self._db.execute("select topic, producer, seq, reason, data from quarantine where released = ''")),
        )

    def commit(self, batch: Batch) -> None:
        """Make a batch durable; on any error the journal is suspect and nothing may follow."""
        execute, many = self._db.execute, self._db.executemany
        try:
            execute("begin immediate")
            self._write_rows(batch)
            if batch.outcomes:
                many("update calls set outcome_n = ?2 where call_id = ?1", batch.outcomes)
            if batch.watermarks:
                many("insert or replace into watermarks values(?, ?, ?, ?)", [(s.topic, s.producer, seq, epoch) for s, (seq, epoch) in batch.watermarks.items()])
            if batch.archive:
                many("insert or replace into archive(kind, key, data) values(?, ?, ?)", batch.archive)
            if batch.acked:
                many("insert or replace into acked values(?, ?, ?)", batch.acked)
            if batch.quarantine:
                many("insert into quarantine(topic, producer, seq, reason, data) values(?, ?, ?, ?, ?)", batch.quarantine)
            if batch.snapshot is not None:
                execute("insert or replace into snapshots values(?, ?, ?, ?)", (*batch.snapshot, self._chain, self._output_id))
                execute("delete from snapshots where n < ?", (batch.snapshot[0],))
            execute("commit")
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: commit failed, the journal is suspect: {error}") from error

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """The archived rows among these keys, by `kind/key`."""
        found = {}
        for kind, key in keys:
            row = self._db.execute("select data from archive where kind = ? and key = ?", (kind, key)).fetchone()
            if row is not None:
                found[f"{kind}/{key}"] = row[0]
        return found

    def outputs(self, topic: str, from_seq: int, count: int) -> list[Entry]:
        """Committed messages of a topic from a number on, in order; older ones come from the segments."""
        query = "select seq, data from {s}outputs where topic = ? and seq >= ? order by seq limit ?"
        rows = self._db.execute(query.format(s=""), (topic, from_seq, count)).fetchall()
        if rows and rows[0][0] == from_seq:
            return [Entry(*row) for row in rows]
        for path in segment_paths(self.path):
            with _reader(path) as segment:
                rows = segment.execute(query.format(s=""), (topic, from_seq, count)).fetchall()
            if rows and rows[0][0] == from_seq:
                return [Entry(*row) for row in rows]
        return []

    def rotate(self, inputs_max: int) -> Path | None:
        """At a clean stop: move inputs and outputs that the last snapshot has overtaken to a segment, when there are more than `inputs_max`.

        The input the snapshot follows stays, because it says when that was: time must not go back at the next start. The segment is durable before anything is deleted, and copying again changes nothing, so a crash in between only
        leaves both copies.
        """
        n, output_id = self._db.execute("select n, output_id from snapshots order by n desc limit 1").fetchone() or (0, 0)
        first, count = self._db.execute("select min(n), count(*) from inputs where n < ?", (n,)).fetchone()
        if count <= inputs_max:
            return None
        segment = self.path.with_name(f"{self.path.stem}.segment-{first:012d}.sqlite")
        try:
            self._db.execute("attach ? as segment", (str(segment),))
            self._db.executescript("pragma segment.journal_mode=delete; pragma segment.synchronous=full;" + _ROWS.format(s="segment."))
            self._db.executescript(
                f"begin; insert or ignore into segment.inputs select * from inputs where n < {n};"
                f"insert or ignore into segment.outputs select * from outputs where id <= {output_id};"
                f"insert or ignore into segment.calls select * from calls where n <= {n} and outcome_n is not null; commit;"
            )
            self._db.execute("detach segment")
            self._db.executescript(
                f"begin; delete from inputs where n < {n}; delete from outputs where id <= {output_id};delete from calls where n <= {n} and outcome_n <= {n}; commit;"
            )
        except sqlite3.Error as error:
            raise JournalError(f"{segment}: rotation failed: {error}") from error
        return segment

    def close(self) -> None:
        """Release the file and the lock."""
        self._db.close()
        os.close(self._lock)

    def _write_rows(self, batch: Batch) -> None:
        by_n: dict[int, list[OutputRow]] = {}
        for output in batch.outputs:
            by_n.setdefault(output.n, []).append(output)
        chained = []
        for row in batch.inputs:
            self._chain = next_link(self._chain, row, by_n.get(row.n, ()))
            chained.append((*row, self._chain))
        if chained:
            self._db.executemany("insert into inputs values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", chained)
        if batch.outputs:
            self._db.executemany("insert into outputs values(?, ?, ?, ?, ?)", [(k, *output) for k, output in enumerate(batch.outputs, self._output_id + 1)])
            self._output_id += len(batch.outputs)
            heads = {output.topic: output.seq for output in batch.outputs}
            self._db.executemany("insert or replace into heads values(?, ?)", heads.items())
        if batch.calls:
            self._db.executemany("insert into calls(call_id, n, data) values(?, ?, ?)", batch.calls)

    def _suffix(self, start: int, chain: bytes, outputs: dict[int, list[OutputRow]]) -> Iterator[InputRow]:
        expected = start
        for *fields, recorded in self._db.execute("select * from inputs where n > ? order by n", (start,)):
            row = InputRow(*fields)
            expected += 1
            chain = next_link(chain, row, outputs.get(row.n, ()))
            if row.n != expected or chain != recorded:
                raise JournalError(f"{self.path}: input {row.n} does not follow from the one before it; the journal was damaged or edited")
            yield row

    def _begin_run(self, started_ns: int) -> tuple[str, int]:
        self._db.execute("begin immediate")
        self._db.execute("insert or ignore into meta values('epoch', ?), ('schema', ?)", (os.urandom(6).hex(), str(SCHEMA_VERSION)))
        meta = dict(self._db.execute("select key, value from meta").fetchall())
        if meta["schema"] != str(SCHEMA_VERSION):
            raise JournalError(f"{self.path}: schema {meta['schema']}, this release writes {SCHEMA_VERSION}; seal it with the release that wrote it")
        incarnation = self._db.execute("select coalesce(max(incarnation), 0) + 1 from runs").fetchone()[0]
        self._db.execute("insert into runs values(?, ?)", (incarnation, started_ns))
        self._db.execute("commit")
        return meta["epoch"], incarnation

    def _last_output_id(self) -> int:
        found = self._db.execute("select max(coalesce((select max(id) from outputs), 0), coalesce((select max(output_id) from snapshots), 0))").fetchone()
        return int(found[0])

    def _last_chain(self) -> bytes:
        row = self._db.execute("select chain from inputs order by n desc limit 1").fetchone()
        row = row or self._db.execute("select chain from snapshots order by n desc limit 1").fetchone()
        return row[0] if row else CHAIN_START


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _take_lock(path: Path) -> int:
    """Hold the lock file open for the life of the process; JournalError when another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise JournalError(f"{path}: another process{f' (pid {holder})' if holder else ''} already runs on this journal") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
