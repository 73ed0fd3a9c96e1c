"""Commits that lie behind a damaged frame of SQLite's log: seen, kept, and refused from then on. Every frame: tests/integration."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from apps.runtime.wal import commits_behind_damage, damaged_log, require_whole_log
from core.errors import JournalError


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A database whose process died with five commits in its log, each of a row; returns the file."""
    living, dead = tmp_path / "living.sqlite", tmp_path / "dead.sqlite"
    with closing(sqlite3.connect(living, isolation_level=None)) as database:
        database.executescript("pragma journal_mode = wal; create table rows(n integer);")
        for n in range(5):
            database.execute("insert into rows values(?)", (n,))
        for end in ("", "-wal"):
            shutil.copyfile(f"{living}{end}", f"{dead}{end}")
    return dead


def _damage(path: Path, commits_left: int) -> None:
    """Flip a bit so that so many of the last commits lie behind it."""
    log = Path(f"{path}-wal")
    content = bytearray(log.read_bytes())
    content[len(content) - commits_left * (24 + 4096) + 24 + 7] ^= 1
    log.write_bytes(content)


@contextmanager
def _read(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as database:
        database.execute("select count(*) from sqlite_master").fetchone()
        yield


@pytest.mark.parametrize("left", [1, 2, 4])
def test_commits_behind_a_damaged_frame_are_counted_when_they_are_there(crashed: Path, left: int) -> None:
    """The damaged one is one of them: a reader of the database cannot see it either."""
    _damage(crashed, left)
    with _read(crashed):
        assert commits_behind_damage(crashed) == left


def test_nothing_lies_behind_when_the_log_is_whole_or_not_there(crashed: Path) -> None:
    """No damage, no log, a log that is shorter than its head."""
    with _read(crashed):
        assert commits_behind_damage(crashed) == 0
    assert commits_behind_damage(crashed) == 0
    Path(f"{crashed}-wal").write_bytes(b"short")
    Path(f"{crashed}-shm").write_bytes(b"short")
    assert commits_behind_damage(crashed) == 0


def test_frames_from_before_the_log_was_begun_anew_are_not_counted(tmp_path: Path) -> None:
    """They are whole commits, and old ones: their content is in the database."""
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("pragma journal_mode = wal; create table rows(n integer);")
        for n in range(5):
            database.execute("insert into rows values(?)", (n,))
        database.execute("pragma wal_checkpoint(restart)")
        database.execute("insert into rows values(5)")
        assert commits_behind_damage(path) == 0


def test_torn_tail_is_no_damage_when_one_commit_was_under_way(crashed: Path) -> None:
    """A power cut leaves at most one."""
    _damage(crashed, 1)
    with _read(crashed):
        require_whole_log(crashed)
    assert not damaged_log(crashed).exists()


def test_log_is_kept_and_refused_from_then_on_when_commits_were_lost(crashed: Path) -> None:
    """SQLite throws the log away with the last connection; the copy stays, is never overwritten, and keeps everybody out."""
    _damage(crashed, 3)
    before = Path(f"{crashed}-wal").read_bytes()
    with _read(crashed), pytest.raises(JournalError, match="3 commits lie behind a damaged frame"):
        require_whole_log(crashed)
    assert not Path(f"{crashed}-wal").exists()
    for _ in range(2):
        with _read(crashed), pytest.raises(JournalError, match="lost history"):
            require_whole_log(crashed)
    assert damaged_log(crashed).read_bytes() == before
