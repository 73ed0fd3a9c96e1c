"""What one look at the kill file says; the only clear answer is a folder without it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.runtime.kill_file import KillFile
from core.contracts import KillSwitchStatus, TradingState
from core.kill_switch import format_kill_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the switch is."""
    (tmp_path / "kill").mkdir()
    return tmp_path / "kill" / "KILL"


def test_switch_is_clear_when_only_its_folder_is_there(path: Path) -> None:
    """No file, a folder to look into."""
    assert KillFile(path).read().status is KillSwitchStatus.CLEAR


@pytest.mark.parametrize("content", ["", "stop it!", "\x00\xff", "REDUCING-ish"])
def test_switch_halts_when_the_file_says_anything(path: Path, content: str) -> None:
    """`touch` must do, and words nobody foresaw mean stop."""
    path.write_bytes(content.encode("latin-1"))
    found = KillFile(path).read()
    assert (found.status, found.trading_state) == (KillSwitchStatus.TRIPPED, TradingState.HALTED)


def test_reductions_pass_when_the_file_says_so(path: Path) -> None:
    """The format the script writes, with its reason and actor."""
    path.write_text(format_kill_file(TradingState.REDUCING, actor="ops@host", at="2024-01-01T00:00:00Z", reason="too wild"))
    found = KillFile(path).read()
    assert (found.trading_state, found.reason, found.actor) == (TradingState.REDUCING, "too wild", "ops@host")


def test_switch_is_unreadable_when_it_cannot_be_looked_at(path: Path) -> None:
    """A folder in the file's place, or no folder around it: not being able to look is never clear."""
    path.mkdir()
    assert KillFile(path).read().status is KillSwitchStatus.UNREADABLE
    path.rmdir()
    path.parent.rmdir()
    assert KillFile(path).read().status is KillSwitchStatus.UNREADABLE


def test_switch_is_unreadable_when_a_link_leads_round_in_a_circle(path: Path) -> None:
    """An error other than `not there` is no permission to trade."""
    os.symlink(path, path)
    assert KillFile(path).read().status is KillSwitchStatus.UNREADABLE


def test_switch_is_unreadable_when_its_link_leads_nowhere(path: Path) -> None:
    """Somebody put a switch there, and what it said is gone: that is not the same as no switch."""
    os.symlink(path.parent / "unmounted", path)
    found = KillFile(path).read()
    assert (found.status, found.reason) == (KillSwitchStatus.UNREADABLE, f"{path}: is a link to nothing")


@pytest.mark.parametrize("put", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)], ids=["pipe", "device"])
def test_switch_is_unreadable_at_once_when_something_endless_is_in_its_place(path: Path, put: Callable[[Path], None]) -> None:
    """Whoever looks must get an answer: neither wait for a writer nor read for ever."""
    put(path)
    found = KillFile(path).read()
    assert (found.status, found.reason) == (KillSwitchStatus.UNREADABLE, f"{path}: is no regular file")


def test_switch_halts_when_the_file_is_huge(path: Path) -> None:
    """Its first line counts, and looking stays cheap however long the rest is."""
    with path.open("wb") as stream:
        stream.write(b"HALTED\nreason: full of words\n")
        stream.truncate(2**40)
    found = KillFile(path).read()
    assert (found.trading_state, found.reason) == (TradingState.HALTED, "full of words")


def test_change_is_told_once_when_it_happens(path: Path) -> None:
    """The first look, each change, and the way back."""
    switch = KillFile(path)
    assert switch.read_change() is not None
    assert switch.read_change() is None
    path.touch()
    tripped = switch.read_change()
    assert tripped is not None and tripped.status is KillSwitchStatus.TRIPPED
    assert switch.read_change() is None
    path.unlink()
    cleared = switch.read_change()
    assert cleared is not None and cleared.status is KillSwitchStatus.CLEAR
