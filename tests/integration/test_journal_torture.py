"""The journal on disk, hurt in every way a disk hurts: cut, flipped, rolled back. Each is detected or harmless, never silent.

A node and its journal take thirty inputs, each committed by itself; then the files are copied as a power cut leaves them, damaged
in one place, and a new process starts on them with what the bus and the consumers know.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from apps.cli.journal_check import facts_of
from apps.cli.journals import JournalReader
from apps.runtime.journal import SqliteJournal, segment_paths
from apps.runtime.wal import damaged_log
from core.errors import JournalError
from core.journal import Batch
from core.machine import Archive, Attached, Input, Message, Publish
from core.node import Action, Commit, Exit, Node, NodeSpec, Subscription
from core.outbox import Write
from core.ports import PublishOutcome, PublishStatus, StreamId
from core.recovery import recover
from tests.support.nodes import IN, OUT, ManualClock, Puppet, PuppetState, a_wire, a_wish

_COMMITS = 30
_SNAPSHOT_EVERY = 12
_FRAME, _FRAME_HEADER, _WAL_HEADER = 24 + 4096, 24, 32
_SAID = StreamId(OUT, "me")


def _react(event: Input, attached: Attached) -> tuple[Any, ...]:
    """Everything said leads to something said and something archived."""
    if not isinstance(event, Message):
        return ()
    return Publish(OUT, a_wish(event.seq)), Archive("done", f"{event.seq:04d}", f"what became of {event.seq}".encode())


class _Surroundings:
    """A node's lookups; nothing is looked up here."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


class _Process:
    """A daemon from its start on the journal in a folder to its death."""

    def __init__(self, folder: Path) -> None:
        self.journal = SqliteJournal(folder / "me.sqlite", 1)
        try:
            self.machine = Puppet(_react)
            spec = NodeSpec("me", (Subscription(IN),), {OUT: ("down",)}, batch_max=1, snapshot_every=_SNAPSHOT_EVERY)
            restored = recover(self.machine, PuppetState, self.journal.load(), "me")
            self.last_n, self.watermarks, self.heads = restored.last_n, restored.watermarks, restored.output_heads
            self.node = Node(spec, self.machine, restored, ManualClock(), _Surroundings())
        except BaseException:
            self.journal.close()
            raise
        self.written: list[bytes] = []

    def connect(self, published: int, acknowledged: int, handled: int) -> list[Exit]:
        """The bus stands, and knows this much of us."""
        return self._perform(self.node.on_connected({_SAID: published}, {OUT: {"down": acknowledged}}, {IN: handled}))

    def take(self, seq: int) -> list[Exit]:
        """A message arrives, is committed and published."""
        exits = self._perform(self.node.on_message(IN, a_wire(IN, seq), 1))
        while self.node.wants_step:
            exits += self._perform(self.node.step())
        return exits

    def _perform(self, actions: list[Action]) -> list[Exit]:
        exits: list[Exit] = []
        for action in actions:
            match action:
                case Commit(batch):
                    self.journal.commit(batch)
                case Write(_, _, first_seq, bodies):
                    self.written += bodies
                    last = first_seq + len(bodies) - 1
                    exits += self._perform(self.node.on_published(OUT, PublishOutcome(PublishStatus.STORED, last), last))
                case Exit():
                    exits.append(action)
                case _:
                    pass
        return exits


class _Found(NamedTuple):
    """What a new process found: words if it refused, else where it stands."""

    refusal: str
    state: tuple[Any, ...] = ()


def _state(process: _Process) -> tuple[Any, ...]:
    rows = process.journal.archived([("done", f"{seq:04d}") for seq in range(1, _COMMITS + 1)])
    said = process.journal.outputs(OUT, 1, _COMMITS)
    return process.last_n, process.watermarks, process.heads, process.machine.state, sorted(rows.items()), said, process.journal.epoch


def _start(folder: Path, *, published: int, acknowledged: int, handled: int) -> _Found:
    """Start on the files in a folder, and say what came of it."""
    try:
        process = _Process(folder)
    except JournalError as error:
        return _Found(str(error))
    try:
        exits = process.connect(published, acknowledged, handled)
        return _Found(exits[0].reason) if exits else _Found("", _state(process))
    except JournalError as error:
        return _Found(str(error))
    finally:
        process.journal.close()


class _Original(NamedTuple):
    """The files as they were, where each commit ends in the log, and what a start on them undamaged finds."""

    folder: Path
    ends: tuple[int, ...]
    state: tuple[Any, ...]

    @property
    def wal(self) -> bytes:
        return (self.folder / "me.sqlite-wal").read_bytes()

    def copy_to(self, folder: Path) -> Path:
        """A copy to be damaged; a copy damaged before is thrown away."""
        for file in folder.glob("me.*"):
            file.unlink()
        for name in ("me.sqlite", "me.sqlite-wal"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)
        return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> _Original:
    """Thirty commits, all of them still in the log."""
    living, kept = tmp_path_factory.mktemp("living"), tmp_path_factory.mktemp("kept")
    process = _Process(living)
    assert process.connect(0, 0, 0) == []
    wal, ends = living / "me.sqlite-wal", []
    for seq in range(1, _COMMITS + 1):
        assert process.take(seq) == []
        ends.append(wal.stat().st_size)
    for name in ("me.sqlite", "me.sqlite-wal"):
        shutil.copyfile(living / name, kept / name)
    process.journal.close()
    found = _start(_Original(kept, tuple(ends), ()).copy_to(living), published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
    assert found.refusal == ""
    assert found.state[0] == _COMMITS
    return _Original(kept, tuple(ends), found.state)


_MEMORY = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where damaged copies are started: in memory where there is such a place, because a copy gains nothing by being synced."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY) as name:
        yield Path(name)


def _frames(original: _Original) -> range:
    return range((len(original.wal) - _WAL_HEADER) // _FRAME)


def test_looking_loses_nothing_when_the_log_is_damaged(original: _Original, folder: Path) -> None:
    """A command that only reads is the last connection of a dead suite too: it refuses, and what lies behind the damage is kept."""
    damaged = _flipped(original, folder, "me.sqlite-wal", original.ends[4] + 500)
    before = (damaged / "me.sqlite-wal").read_bytes()
    for _ in range(2):
        with pytest.raises(JournalError, match="lost history"):
            JournalReader(damaged / "me.sqlite", "me")
    assert damaged_log(damaged / "me.sqlite").read_bytes() == before
    assert "lost history" in _start(damaged, published=0, acknowledged=0, handled=0).refusal


def _whole(original: _Original, size: int) -> int:
    """How many of the commits lie wholly within so many bytes of the log."""
    return sum(end <= size for end in original.ends)


def test_every_commit_ends_on_a_frame_when_it_is_durable(original: _Original) -> None:
    """The table below is over this log: one that spans many frames and holds every commit."""
    assert len(original.ends) == len(set(original.ends)) == _COMMITS
    assert all((end - _WAL_HEADER) % _FRAME == 0 for end in original.ends)
    assert len(_frames(original)) > 4 * _COMMITS


def test_lost_commits_are_detected_when_the_log_is_cut_anywhere(original: _Original, folder: Path) -> None:
    """W15, W17: at every frame boundary and inside every frame. What was published or handled and is gone, is known to be gone."""
    seen: Counter[bool] = Counter()
    for frame in _frames(original):
        for inside in (0, (11, _FRAME_HEADER, _FRAME_HEADER + 100, _FRAME - 1)[frame % 4]):
            size = _WAL_HEADER + frame * _FRAME + inside
            damaged = original.copy_to(folder)
            with open(damaged / "me.sqlite-wal", "r+b") as log:
                log.truncate(size)
            found = _start(damaged, published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
            assert found.refusal, f"cut at {size}: {found.state[0]} inputs are left and nobody noticed"
            seen[_whole(original, size) > 0] += 1
    assert min(seen.values()) > 0


def test_nothing_is_lost_or_said_twice_when_the_power_fails_at_any_frame(original: _Original, folder: Path) -> None:
    """W9, W15: the log ends anywhere, and the bus knows what was committed by then: the process goes on from exactly there."""
    for frame in _frames(original):
        size = _WAL_HEADER + frame * _FRAME
        last = _whole(original, size)
        if last == 0 or (frame % 3 and size not in original.ends):
            continue
        damaged = original.copy_to(folder)
        with open(damaged / "me.sqlite-wal", "r+b") as log:
            log.truncate(size)
        process = _Process(damaged)
        try:
            assert process.connect(last, last, last) == []
            assert (process.last_n, process.machine.state.handled) == (last, last)
            assert process.take(last + 1) == []
            assert process.written == ([] if last == _COMMITS else [original.state[5][last].data])
        finally:
            process.journal.close()


_FLIPS = {"page number": 0, "commit mark": 6, "salt": 9, "checksum": 17, "page": _FRAME_HEADER + 1234, "end of page": _FRAME - 1}


def test_every_flipped_bit_of_the_log_is_detected_or_harmless(original: _Original, folder: Path) -> None:
    """W17: one bit in every part of every frame in turn. SQLite then takes the log to end there, without a word."""
    refusals: Counter[str] = Counter()
    for frame in _frames(original):
        for part, offset in list(_FLIPS.items())[frame % 3 :: 3]:
            found = _start(_flipped(original, folder, "me.sqlite-wal", _WAL_HEADER + frame * _FRAME + offset), published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
            assert found.refusal or found.state == original.state, f"a flipped bit in the {part} of frame {frame} went unnoticed"
            refusals["behind a damaged frame" if "behind a damaged frame" in found.refusal else found.refusal and "bus"] += 1
    assert refusals["behind a damaged frame"] > 0 and refusals["bus"] > 0


def test_flipped_bit_is_detected_without_the_bus_when_two_commits_lie_behind_it(original: _Original, folder: Path) -> None:
    """The log itself proves the loss, before anything is written over what could still be saved: the bus may be empty as well."""
    for frame in _frames(original)[::2]:
        at = _WAL_HEADER + frame * _FRAME
        if _COMMITS - _whole(original, at) < 2:
            continue
        damaged = _flipped(original, folder, "me.sqlite-wal", at + _FRAME_HEADER + 99)
        before = (damaged / "me.sqlite-wal").read_bytes()
        found = _start(damaged, published=0, acknowledged=0, handled=0)
        assert "behind a damaged frame" in found.refusal, f"frame {frame}"
        assert damaged_log(damaged / "me.sqlite").read_bytes() == before
        # SQLite has thrown the log away; started once more, the journal is refused all the same.
        assert "lost history" in _start(damaged, published=0, acknowledged=0, handled=0).refusal


@pytest.mark.parametrize("offset", range(0, _WAL_HEADER, 3))
def test_flipped_bit_in_the_logs_head_is_detected_or_harmless(original: _Original, folder: Path, offset: int) -> None:
    """Without its head the whole log counts for nothing."""
    found = _start(_flipped(original, folder, "me.sqlite-wal", offset), published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
    assert found.refusal or found.state == original.state


def _flipped(original: _Original, folder: Path, name: str, at: int, bit: int = 0x10) -> Path:
    """A copy with one bit flipped."""
    damaged = original.copy_to(folder)
    with open(damaged / name, "r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ bit]))
    return damaged


# A disk that does not take what is written.


class _Disk:
    """The connection of a journal, whose next commits fail; counts what is asked of it after that."""

    def __init__(self, connection: sqlite3.Connection, error: Exception) -> None:
        self._connection = connection
        self._error = error
        self.asked_after: list[str] = []
        self._has_failed = False

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if self._has_failed:
            self.asked_after.append(statement)
        if statement == "commit":
            self._has_failed = True
            raise self._error
        return self._connection.execute(statement, *arguments)

    def __getattr__(self, name: str) -> Any:
        if self._has_failed:
            self.asked_after.append(name)
        return getattr(self._connection, name)


@pytest.mark.parametrize("error", ["disk I/O error", "database or disk is full", "unable to open database file"])
def test_nothing_is_retried_or_synced_when_a_commit_fails(original: _Original, folder: Path, error: str) -> None:
    """W16: a failed fsync says nothing about what is on the disk. The journal takes nothing more, and not even closing touches it again."""
    process = _Process(original.copy_to(folder))
    disk = _Disk(process.journal._db, sqlite3.OperationalError(error))
    process.journal._db = disk  # type: ignore[assignment]
    assert process.connect(_COMMITS, _COMMITS, _COMMITS) == []
    with pytest.raises(JournalError, match=f"the journal is suspect: {error}"):
        process.take(_COMMITS + 1)
    log = (folder / "me.sqlite-wal").read_bytes()
    for _ in range(2):
        with pytest.raises(JournalError, match="takes nothing more"):
            process.journal.commit(Batch())
    process.journal.close()
    assert disk.asked_after == []
    assert (folder / "me.sqlite-wal").read_bytes() == log


def test_committed_is_kept_and_the_rest_never_was_when_the_disk_is_full(original: _Original, folder: Path) -> None:
    """W16 with SQLite's own word for it: what stood before the full disk is whole, what came with it is as if it had never been."""
    process = _Process(original.copy_to(folder))
    pages = process.journal._db.execute("pragma page_count").fetchone()[0]
    process.journal._db.execute(f"pragma max_page_count = {pages + 1}")
    process.connect(_COMMITS, _COMMITS, _COMMITS)
    taken = _COMMITS
    with pytest.raises(JournalError, match="the journal is suspect: database or disk is full"):
        for seq in range(_COMMITS + 1, 10 * _COMMITS):
            process.take(seq)
            taken = seq
    process.journal.close()
    assert process.node.n > taken  # it was handled, and nothing of it was said
    assert len(process.written) == taken - _COMMITS
    for name in ("me.sqlite", "me.sqlite-wal"):
        shutil.copyfile(folder / name, folder / f"{name}.dead")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for name in ("me.sqlite", "me.sqlite-wal"):
            shutil.copyfile(folder / f"{name}.dead", Path(place) / name)
        again = _start(Path(place), published=taken, acknowledged=taken, handled=taken)
    assert (again.refusal, again.state[0]) == ("", taken)


# Snapshots and rotation.


class _Killed(Exception):
    """The process dies here."""


class _Dying:
    """The connection of a journal, dead after so many statements of a rotation."""

    def __init__(self, connection: sqlite3.Connection, statements: int) -> None:
        self._connection = connection
        self._left = statements

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Killed

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        self._count()
        return self._connection.execute(statement, *arguments)

    def executescript(self, script: str) -> None:
        for statement in filter(None, (part.strip() for part in script.split(";"))):
            self._count()
            self._connection.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_old_snapshot_and_its_inputs_are_valid_when_the_process_dies_anywhere_in_a_rotation(original: _Original, folder: Path) -> None:
    """W26: at every statement of the move to a segment. The state, what was said and the archive are all there afterwards, each once."""
    deaths = 0
    for statements in range(100):
        for segment in folder.glob("me.segment-*"):
            segment.unlink()
        process = _Process(original.copy_to(folder))
        process.journal._db, living = _Dying(process.journal._db, statements), process.journal._db  # type: ignore[assignment]
        try:
            segment_made = process.journal.rotate(1)
        except _Killed:
            deaths += 1
            segment_made = None
        process.journal._db = living
        if living.in_transaction:
            living.execute("rollback")
        process.journal.close()
        found = _start(folder, published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
        assert found.refusal == "", f"death after {statements} statements"
        assert (found.state[:5], found.state[6]) == (original.state[:5], original.state[6])
        with JournalReader(folder / "me.sqlite", "me") as reader:
            assert [row.n for row in reader.inputs()] == list(range(1, _COMMITS + 1))
            assert [row.seq for row in reader.outputs(OUT)] == list(range(1, _COMMITS + 1))
            assert reader.damage() == []
        if segment_made is not None:
            break
    assert deaths > 10
    assert len(segment_paths(folder / "me.sqlite")) == 1


def test_next_start_repeats_itself_when_the_process_dies_before_or_after_a_snapshot(original: _Original, folder: Path) -> None:
    """W26: a snapshot is in the commit of the input it follows: the log cut before it goes on from the one before, cut after it from it."""
    at = {last: original.ends[last - 1] for last in (_SNAPSHOT_EVERY - 1, _SNAPSHOT_EVERY, _SNAPSHOT_EVERY + 1)}
    found = {}
    for last, size in at.items():
        damaged = original.copy_to(folder)
        with open(damaged / "me.sqlite-wal", "r+b") as log:
            log.truncate(size)
        journal = SqliteJournal(damaged / "me.sqlite", 1)
        recovered = journal.load()
        found[last] = (recovered.snapshot and recovered.snapshot[0], len(list(recovered.suffix)))
        journal.close()
    assert found == {11: (None, 11), 12: (12, 0), 13: (12, 1)}


# The file itself, of which SQLite keeps no checksum.


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> _Original:
    """The same thirty commits after a clean end: all in the file, no log."""
    living = tmp_path_factory.mktemp("closed")
    process = _Process(living)
    process.connect(0, 0, 0)
    for seq in range(1, _COMMITS + 1):
        process.take(seq)
    process.journal.close()
    original = _Original(living, (), ())
    with tempfile.TemporaryDirectory(dir=living) as place:
        found = _start(original.copy_to(Path(place)), published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
    assert (found.refusal, found.state[0]) == ("", _COMMITS)
    return original._replace(state=found.state)


def _seen_by_check(folder: Path) -> bool:
    try:
        with JournalReader(folder / "me.sqlite", "me") as reader:
            return bool(facts_of(reader).problems)
    except JournalError:
        return True


def test_every_flipped_bit_of_the_file_is_detected_or_harmless(closed: _Original, folder: Path) -> None:
    """W17: on every page, what a start, a lookup or a top-up reads is what was written, or is refused; a damaged index, by which something
    is only not found any more, is found by `njord journal check`."""
    outcomes: Counter[str] = Counter()
    size = (closed.folder / "me.sqlite").stat().st_size
    for at in range(0, size, 101):
        damaged = _flipped(closed, folder, "me.sqlite", at, bit=1 << (at // 101) % 8)
        copy = damaged / "copy"
        copy.mkdir(exist_ok=True)
        shutil.copyfile(damaged / "me.sqlite", copy / "me.sqlite")
        found = _start(damaged, published=_COMMITS, acknowledged=_COMMITS, handled=_COMMITS)
        if found.refusal:
            outcomes["refused at the start, or when it is read"] += 1
        elif found.state == closed.state:
            outcomes["harmless"] += 1
        else:
            assert _seen_by_check(copy), f"a flipped bit at {at} (page {at // 4096 + 1}) changed what is read and went unnoticed"
            outcomes["found by the check"] += 1
    assert outcomes["refused at the start, or when it is read"] > 120
    assert outcomes["found by the check"] < 15, outcomes


@pytest.mark.parametrize("table", ["heads", "watermarks", "acked", "snapshots", "archive", "outputs", "inputs"])
def test_every_bit_of_a_small_table_is_detected(closed: _Original, folder: Path, table: str) -> None:
    """The rows a start relies on, bit by bit: none of them can become another value."""
    with closing(sqlite3.connect(closed.folder / "me.sqlite")) as database:
        (root,) = database.execute("select rootpage from sqlite_master where name = ?", (table,)).fetchone()
    page = (closed.folder / "me.sqlite").read_bytes()[(root - 1) * 4096 : root * 4096]
    filled = [at for at in range(4096) if page[at]]
    for at in filled[:: max(1, len(filled) // 60)]:
        for bit in (0, 3, 6):
            damaged = _flipped(closed, folder, "me.sqlite", (root - 1) * 4096 + at, bit=1 << bit)
            found = _start(damaged, published=0, acknowledged=0, handled=0)
            assert found.refusal or found.state == closed.state, f"bit {bit} of byte {at} of {table} went unnoticed"
