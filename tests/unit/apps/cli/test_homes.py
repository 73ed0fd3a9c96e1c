"""Which home is meant, and who lives in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from apps.cli.homes import existing_home, home_root, living_daemons, occupy, supervisor_pid
from apps.runtime.home import open_home
from core.errors import ConfigError


@contextmanager
def _a_daemon(root: Path, name: str) -> Iterator[int]:
    """A process that looks like a daemon of this home from outside."""
    with subprocess.Popen([sys.executable, "-c", "print(flush=True); input()", f"apps.{name}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (open_home(root).state / f"{name}.lock").write_text(f"{process.pid}\n")
        yield process.pid
        process.kill()


def test_root_is_njord_home_when_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else ./var; empty counts as not set."""
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "mine"))
    assert home_root() == tmp_path / "mine"
    monkeypatch.setenv("NJORD_HOME", "")
    monkeypatch.chdir(tmp_path)
    assert home_root() == tmp_path / "var"


def test_nothing_is_made_when_a_home_is_only_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped NJORD_HOME leaves no folders behind."""
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "mistyped"))
    with pytest.raises(ConfigError, match="no suite has run here"):
        existing_home()
    assert list(tmp_path.iterdir()) == []
    home = open_home(tmp_path / "mistyped")
    assert existing_home() == home


def test_second_supervisor_is_refused_when_one_is_there(tmp_path: Path) -> None:
    """It is told who; when the first one is gone, however it went, the home is free."""
    with occupy(tmp_path):
        assert supervisor_pid(tmp_path) == os.getpid()
        with pytest.raises(ConfigError, match=rf"supervised here already \(pid {os.getpid()}\)"), occupy(tmp_path):
            pass
    assert supervisor_pid(tmp_path) == 0
    with occupy(tmp_path):
        pass


def test_nobody_supervises_when_the_home_is_new(tmp_path: Path) -> None:
    """And asking makes nothing."""
    assert supervisor_pid(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_supervisor_is_refused_when_daemons_of_an_earlier_one_live(tmp_path: Path) -> None:
    """Nobody's state is taken from under a living process."""
    with _a_daemon(tmp_path, "oms") as pid:
        assert living_daemons(tmp_path) == {"oms": pid}
        with pytest.raises(ConfigError, match=rf"oms \(pid {pid}\) still run here"), occupy(tmp_path):
            pass
    assert living_daemons(tmp_path) == {}
    with occupy(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "no number", str(os.getpid()), "999999999"], ids=["nothing", "no number", "somebody else", "nobody"])
def test_daemon_is_gone_when_its_lock_names_nobody_or_somebody_else(tmp_path: Path, content: str) -> None:
    """A pid that was given to something else says nothing."""
    (open_home(tmp_path).state / "oms.lock").write_text(content)
    assert living_daemons(tmp_path) == {}
