"""The journal on disk: one writer, whole batches, a chain that shows tampering, segments that keep the file small."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.runtime.journal import SqliteJournal, segment_paths
from core.errors import JournalError
from core.journal import Batch
from core.ports import Entry
from tests.support.journal import a_batch, a_call, an_input


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "oms.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    """A new journal."""
    opened = SqliteJournal(path, 1)
    yield opened
    opened.close()


def _edit(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_second_process_is_refused_when_one_holds_the_journal(journal: SqliteJournal, path: Path) -> None:
    """The refusal names the holder, and the first one goes on."""
    with pytest.raises(JournalError, match=r"another process \(pid \d+\) already runs"):
        SqliteJournal(path, 2)
    journal.commit(a_batch(1, 1))


def test_commit_is_durable_on_return_when_configured_as_shipped(journal: SqliteJournal) -> None:
    """WAL with synchronous=FULL: without it a power cut takes commits that were already acted on."""
    assert journal._db.execute("pragma journal_mode").fetchone() == ("wal",)
    assert journal._db.execute("pragma synchronous").fetchone() == (2,)


def test_nothing_of_a_batch_is_there_when_one_row_fails(journal: SqliteJournal) -> None:
    """A collision in the last row undoes the first one, and the journal says that it is suspect."""
    journal.commit(a_batch(1, 2))
    clash = a_batch(3, 3)
    clash.outputs.append(a_batch(2, 2).outputs[0]._replace(n=3))
    with pytest.raises(JournalError, match="suspect"):
        journal.commit(clash)
    journal._db.execute("rollback")
    assert journal._db.execute("select max(n) from inputs").fetchone() == (2,)


@pytest.mark.parametrize(
    "tampering",
    [
        "update inputs set data = x'00' where n = 2",
        "update inputs set now_ns = 21 where n = 2",
        "update inputs set attached = x'01' where n = 3",
        "update outputs set data = x'00' where seq = 2",
        "delete from outputs where seq = 3",
        "delete from inputs where n = 2",
        "update inputs set chain = x'00' where n = 1",
    ],
)
def test_load_refuses_when_a_row_was_changed(journal: SqliteJournal, path: Path, tampering: str) -> None:
    """An edited, swapped or missing row never becomes state."""
    journal.commit(a_batch(1, 4))
    journal.close()
    _edit(path, tampering)
    again = SqliteJournal(path, 2)
    try:
        with pytest.raises(JournalError, match="damaged or edited"):
            list(again.load().suffix)
    finally:
        again.close()
        journal.__init__(path.with_name("other.sqlite"), 1)  # type: ignore[misc]


def test_chain_goes_on_when_opened_again(journal: SqliteJournal, path: Path) -> None:
    """A restart continues the chain where it ended, also right after a snapshot."""
    journal.commit(a_batch(1, 2))
    journal.commit(Batch(snapshot=(2, b"{}")))
    journal.commit(a_batch(3, 3))
    assert [row.n for row in journal.load().suffix] == [3]


def test_older_release_is_named_when_the_schema_is_another(journal: SqliteJournal, path: Path) -> None:
    """A journal of another schema is left to the release that wrote it."""
    journal.close()
    _edit(path, "update meta set value = '99' where key = 'schema'")
    with pytest.raises(JournalError, match="schema 99, this release writes 1"):
        SqliteJournal(path, 2)
    path.unlink()
    journal.__init__(path, 3)  # type: ignore[misc]


def test_file_that_is_no_database_is_refused_when_opened(tmp_path: Path) -> None:
    """Garbage is a journal error, not a crash."""
    broken = tmp_path / "risk.sqlite"
    broken.write_bytes(b"not a database, but long enough to be looked at as one" * 40)
    with pytest.raises(JournalError, match=r"risk\.sqlite"):
        SqliteJournal(broken, 1)


class TestRotation:
    """What a snapshot has overtaken moves to a segment at a clean stop."""

    def test_nothing_moves_when_the_bound_is_not_passed(self, journal: SqliteJournal, path: Path) -> None:
        """A short journal stays one file."""
        journal.commit(a_batch(1, 5))
        journal.commit(Batch(snapshot=(5, b"{}")))
        assert journal.rotate(4) is None
        assert segment_paths(path) == []

    def test_overtaken_rows_move_when_the_bound_is_passed(self, journal: SqliteJournal, path: Path) -> None:
        """The live file keeps what came after the snapshot; the outputs can still be read from their number on."""
        journal.commit(a_batch(1, 6))
        journal.commit(Batch(snapshot=(6, b"{}")))
        journal.commit(a_batch(7, 8))
        assert journal.rotate(3) is not None
        assert len(segment_paths(path)) == 1
        assert journal._db.execute("select min(n), max(n) from inputs").fetchone() == (6, 8)
        assert journal.outputs("risk.decision", 2, 2) == [Entry(2, b"2"), Entry(3, b"3")]
        assert journal.outputs("risk.decision", 7, 2) == [Entry(7, b"7"), Entry(8, b"8")]
        assert [row.n for row in journal.load().suffix] == [7, 8]

    def test_open_call_stays_when_its_rows_move(self, journal: SqliteJournal) -> None:
        """What has no outcome yet is never moved out of sight."""
        journal.commit(Batch(inputs=[an_input(1), an_input(2)], calls=[a_call("done", 1), a_call("open", 2)], outcomes=[("done", 2)]))
        journal.commit(Batch(snapshot=(2, b"{}")))
        journal.rotate(1)
        assert [call.call_id for call in journal.load().open_calls] == ["open"]

    def test_nothing_is_lost_when_a_rotation_is_repeated(self, journal: SqliteJournal, path: Path) -> None:
        """A crash between the copy and the deletion leaves both; rotating again mends it."""
        journal.commit(a_batch(1, 4))
        journal.commit(Batch(snapshot=(4, b"{}")))
        segment = journal.rotate(1)
        assert segment is not None
        journal.commit(a_batch(5, 8))
        journal.commit(Batch(snapshot=(8, b"{}")))
        assert journal.rotate(1) not in (None, segment)
        assert [entry.seq for first in range(1, 9) for entry in journal.outputs("risk.decision", first, 1)] == list(range(1, 9))

    def test_time_is_known_when_all_else_has_moved(self, journal: SqliteJournal) -> None:
        """The next start goes on from the moment of the last input."""
        journal.commit(a_batch(1, 4))
        journal.commit(Batch(snapshot=(4, b"{}")))
        journal.rotate(1)
        assert (journal.load().last_n, journal.load().last_now_ns) == (4, 40)

    def test_chain_goes_on_when_all_rows_have_moved(self, journal: SqliteJournal, path: Path) -> None:
        """The next input follows from the snapshot's own link."""
        journal.commit(a_batch(1, 4))
        journal.commit(Batch(snapshot=(4, b"{}")))
        journal.rotate(1)
        journal.close()
        again = SqliteJournal(path, 2)
        again.commit(a_batch(5, 5))
        assert [row.n for row in again.load().suffix] == [5]
        again.close()
        journal.__init__(path, 3)  # type: ignore[misc]
