"""One suite's folder: made on first use, its names stay, its sockets fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.runtime.home import open_home
from core.errors import ConfigError


def test_home_is_the_same_when_opened_again(tmp_path: Path) -> None:
    """Namespace and account epoch are drawn once."""
    assert open_home(tmp_path / "a") == open_home(tmp_path / "a")


def test_homes_differ_when_in_other_folders(tmp_path: Path) -> None:
    """Two suites on one machine and one server share no name."""
    one, other = open_home(tmp_path / "a"), open_home(tmp_path / "b")
    assert one.namespace != other.namespace
    assert one.account_epoch != other.account_epoch
    assert one.socket("oms") != other.socket("oms")


def test_home_is_njord_home_when_no_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NJORD_HOME, else ./var."""
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "mine"))
    assert open_home().root == tmp_path / "mine"
    monkeypatch.delenv("NJORD_HOME")
    monkeypatch.chdir(tmp_path)
    assert open_home().root == tmp_path / "var"


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"namespace": "n"})])
def test_broken_identity_is_refused_when_opened(tmp_path: Path, content: str) -> None:
    """A new identity would make every order of the old one a stranger's."""
    open_home(tmp_path)
    (tmp_path / "suite.json").write_text(content)
    with pytest.raises(ConfigError, match=r"suite\.json"):
        open_home(tmp_path)


def test_socket_is_short_when_the_home_is_deep(tmp_path: Path) -> None:
    """An address of AF_UNIX holds 108 bytes; a deep home gets a private folder of its own elsewhere."""
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    path = open_home(deep).socket("strategy_runner")
    assert len(str(path).encode()) <= 100
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path != open_home(deep / "z").socket("strategy_runner")
    path.parent.rmdir()
