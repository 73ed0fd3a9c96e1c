"""Journals read beside their writers: one state per file, segments and live rows once each, a cut that leaves out what is beyond."""

from __future__ import annotations

import gc
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.cli.journals import EmptyJournal, JournalReader, open_journals
from apps.runtime.home import open_home
from apps.runtime.journal import SqliteJournal, segment_paths
from core.errors import JournalError
from core.journal import ArchiveRow, Batch, QuarantineRow
from core.ports import StreamId
from tests.support.journal import INTENTS, a_batch, a_call, an_input


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A risk engine's journal: ten intents, a decision about each."""
    written = SqliteJournal(tmp_path / "risk_engine.sqlite", 1)
    written.commit(a_batch(1, 10))
    yield written
    written.close()


def _read(journal: SqliteJournal) -> JournalReader:
    return JournalReader(journal.path, "risk_engine")


def _rotated(journal: SqliteJournal, n: int) -> None:
    journal.commit(Batch(snapshot=(n, b"{}")))
    assert journal.rotate(1) is not None


class TestWhole:
    """What a reader shows of a journal as it stands."""

    def test_reader_shows_everything_when_the_writer_is_open(self, journal: SqliteJournal) -> None:
        """Rows, numbers and identity, while the daemon holds the file."""
        with _read(journal) as reader:
            assert [row.n for row in reader.inputs()] == list(range(1, 11))
            assert [row.seq for row in reader.outputs("risk.")] == list(range(1, 11))
            assert [row.seq for row in reader.messages("strat.")] == list(range(1, 11))
            assert list(reader.outputs("strat.")) == []
            assert list(reader.inputs("Wake")) == []
            assert (reader.heads, reader.watermarks) == ({"risk.decision": 10}, {INTENTS: 10})
            assert (reader.epoch, reader.is_cut, reader.damage()) == (journal.epoch, False, [])

    def test_reader_stays_as_it_was_when_the_writer_goes_on(self, journal: SqliteJournal) -> None:
        """One consistent state per file: what is committed later is not half seen."""
        with _read(journal) as reader:
            journal.commit(a_batch(11, 12))
            assert len(list(reader.inputs())) == 10
            assert reader.heads == {"risk.decision": 10}

    def test_calls_and_finished_things_are_shown_when_they_are_there(self, journal: SqliteJournal) -> None:
        """Open and answered calls, the archive by kind, the quarantine, the last snapshot."""
        journal.commit(Batch(inputs=[an_input(11, kind="CallReplied")], calls=[a_call("a", 10), a_call("b", 10)], outcomes=[("a", 11)]))
        journal.commit(Batch(archive=[ArchiveRow("fill", "k", b"x"), ArchiveRow("txn", "t", b"y")], acked=[("risk.decision", "oms", 1)]))
        journal.commit(Batch(quarantine=[QuarantineRow("strat.intent", "strategy_runner", 11, "no sense", b"?")], snapshot=(11, b"{}")))
        with _read(journal) as reader:
            assert [(call.row.call_id, call.outcome_n) for call in reader.calls()] == [("a", 11), ("b", None)]
            assert list(reader.archive("fill")) == [ArchiveRow("fill", "k", b"x")]
            assert [(row.seq, row.reason) for row in reader.quarantine()] == [(11, "no sense")]
            assert reader.snapshot() == (11, b"{}")

    def test_message_is_left_out_when_it_cannot_be_decoded(self, journal: SqliteJournal) -> None:
        """`said` gives what makes sense; the chain check tells of the rest."""
        with _read(journal) as reader:
            assert list(reader.said("risk.decision")) == []

    def test_nothing_is_told_when_somebody_stops_half_way(self, journal: SqliteJournal, capsys: pytest.CaptureFixture[str]) -> None:
        """The first row of many, and the reader closed before the iterator is gone."""
        with _read(journal) as reader:
            rows = reader.inputs()
            assert next(rows).n == 1
        del rows
        gc.collect()
        assert capsys.readouterr().err == ""

    def test_snapshot_is_none_when_there_is_none(self, journal: SqliteJournal) -> None:
        """A young journal."""
        with _read(journal) as reader:
            assert reader.snapshot() is None


class TestSegments:
    """Rotated journals read as if they had never been."""

    def test_rows_come_once_and_in_order_when_a_segment_was_rotated_away(self, journal: SqliteJournal) -> None:
        """The segment first, the live rows after it."""
        _rotated(journal, 10)
        journal.commit(a_batch(11, 12))
        with _read(journal) as reader:
            assert [row.n for row in reader.inputs()] == list(range(1, 13))
            assert [row.n for row in reader.outputs()] == list(range(1, 13))
            assert reader.damage() == []

    def test_all_rows_come_when_the_live_file_holds_none(self, journal: SqliteJournal) -> None:
        """Everything was rotated away and nothing has come since."""
        _rotated(journal, 10)
        with _read(journal) as reader:
            assert [row.n for row in reader.inputs()] == list(range(1, 11))
            assert reader.heads == {"risk.decision": 10}

    def test_rows_come_once_when_a_rotation_was_cut_short(self, journal: SqliteJournal, tmp_path: Path) -> None:
        """A crash after the copy and before the deletion leaves both; so does a reader that opens in between."""
        whole = tmp_path / "whole.sqlite"
        journal.commit(Batch(snapshot=(10, b"{}")))
        with sqlite3.connect(journal.path) as source, sqlite3.connect(whole) as target:
            source.backup(target)
        source.close()
        target.close()
        assert journal.rotate(1) is not None
        copy = tmp_path / "copy" / "risk_engine.sqlite"
        copy.parent.mkdir()
        shutil.copy(whole, copy)
        for segment in segment_paths(journal.path):
            shutil.copy(segment, copy.parent / segment.name)
        with JournalReader(copy, "risk_engine") as reader:
            assert [row.n for row in reader.inputs()] == list(range(1, 11))
            assert reader.damage() == []

    def test_cut_holds_when_it_lies_in_a_segment(self, journal: SqliteJournal) -> None:
        """The numbers at the cut come from the oldest file that knows better."""
        _rotated(journal, 10)
        journal.commit(a_batch(11, 14))
        with _read(journal) as reader:
            reader.cut_at(7)
            assert [row.n for row in reader.inputs()] == list(range(1, 8))
            assert (reader.heads, reader.watermarks) == ({"risk.decision": 7}, {INTENTS: 7})


class TestCut:
    """A reader narrowed to the first inputs."""

    def test_nothing_beyond_is_shown_when_cut(self, journal: SqliteJournal) -> None:
        """Inputs, outputs, calls and outcomes, heads and watermarks: all end there."""
        journal.commit(Batch(inputs=[an_input(11, kind="CallReplied")], calls=[a_call("a", 4), a_call("b", 9)], outcomes=[("a", 11)]))
        with _read(journal) as reader:
            reader.cut_at(5)
            assert reader.is_cut
            assert [row.n for row in reader.inputs()] == [1, 2, 3, 4, 5]
            assert [row.n for row in reader.outputs()] == [1, 2, 3, 4, 5]
            assert [row.n for row in reader.messages("strat.intent")] == [1, 2, 3, 4, 5]
            assert [(call.row.call_id, call.outcome_n) for call in reader.calls()] == [("a", None)]
            assert (reader.heads, reader.watermarks) == ({"risk.decision": 5}, {INTENTS: 5})

    def test_chain_is_checked_whole_when_cut(self, journal: SqliteJournal) -> None:
        """An edited row shows wherever it stands."""
        with sqlite3.connect(journal.path) as connection:
            connection.execute("update inputs set now_ns = 1 where n = 9")
        connection.close()
        with _read(journal) as reader:
            reader.cut_at(5)
            assert reader.damage() == ["input 9 or what was said about it was changed after it was written"]

    def test_first_message_beyond_a_number_is_found_when_there_is_one(self, journal: SqliteJournal) -> None:
        """Where a cut has to be made."""
        with _read(journal) as reader:
            assert reader.first_after(INTENTS, 6) == 7
            assert reader.first_after(INTENTS, 10) is None
            assert reader.first_after(StreamId("strat.intent", "someone else"), 6) is None


class TestDamage:
    """A cut, swapped or edited row is named."""

    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("delete from inputs where n = 4", "input 4 is missing"),
            ("update outputs set data = x'00' where seq = 3", "input 3 or what was said about it was changed after it was written"),
            ("update outputs set n = 99 where seq = 10", "risk.decision 10 belongs to input 99, which does not exist"),
        ],
    )
    def test_row_is_named_when_it_was_tampered_with(self, journal: SqliteJournal, statement: str, found: str) -> None:
        """By its number, so that a person can look."""
        with sqlite3.connect(journal.path) as connection:
            assert connection.execute(statement).rowcount == 1
        connection.close()
        with _read(journal) as reader:
            assert found in reader.damage()


class TestUnreadable:
    """Files that are no journal, or not yet."""

    @pytest.mark.parametrize("schema", ["", "create table inputs(n)", "create table meta(key text, value text)"])
    def test_journal_is_empty_when_its_daemon_is_just_starting(self, tmp_path: Path, schema: str) -> None:
        """The file comes first, its tables one by one, its epoch last; a verifier may look at any moment."""
        home = open_home(tmp_path)
        connection = sqlite3.connect(home.journal("oms"))
        connection.executescript(schema or "vacuum")
        connection.close()
        with pytest.raises(EmptyJournal, match="oms is starting for the first time"):
            JournalReader(home.journal("oms"), "oms")
        assert open_journals(home, ("oms", "broker")) == {}

    def test_file_is_refused_when_it_is_no_journal(self, tmp_path: Path) -> None:
        """Named, and not as a Python error; what was opened before it is let go of."""
        home = open_home(tmp_path)
        SqliteJournal(home.journal("risk_engine"), 1).close()
        home.journal("oms").write_bytes(b"not a database, however long one reads it" * 100)
        with pytest.raises(JournalError, match=r"oms\.sqlite: file is not a database"):
            open_journals(home, ("oms", "risk_engine"))

    def test_journal_is_refused_when_a_page_is_damaged(self, tmp_path: Path) -> None:
        """Also when it shows only while rows are read."""
        path = tmp_path / "broken.sqlite"
        written = SqliteJournal(path, 1)
        written.commit(a_batch(1, 400))
        written.close()
        content = bytearray(path.read_bytes())
        rows = content.rindex(b"strat.intent") // 4096 * 4096
        content[rows : rows + 4096] = b"\xff" * 4096
        path.write_bytes(content)
        with JournalReader(path, "risk_engine") as reader, pytest.raises(JournalError, match=r"broken\.sqlite: database disk image is malformed"):
            reader.damage()

    def test_path_is_taken_as_it_is_when_it_holds_odd_characters(self, tmp_path: Path) -> None:
        """A home may be called anything, also what would mean something in an address."""
        path = tmp_path / "100%25 mine?#" / "oms.sqlite"
        SqliteJournal(path, 1).close()
        with JournalReader(path, "oms") as reader:
            assert list(reader.inputs()) == []


def test_consumers_are_opened_before_producers_when_all_are_there(tmp_path: Path) -> None:
    """What a consumer was seen to have handled, its producer is then seen to have said."""
    home = open_home(tmp_path)
    daemons = ("md_ingest", "strategy_runner", "risk_engine", "oms", "broker", "paper_venue")
    for daemon in daemons:
        SqliteJournal(home.journal(daemon), 1).close()
    found = open_journals(home, daemons)
    assert list(found) == ["strategy_runner", "risk_engine", "oms", "broker", "paper_venue", "md_ingest"]
    for reader in found.values():
        reader.close()
