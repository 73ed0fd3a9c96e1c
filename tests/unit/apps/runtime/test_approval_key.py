"""The key file: made with the home, for its owner alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from apps.runtime.approval_key import VARIABLE, load_approval_key
from apps.runtime.home import open_home
from core.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_other_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def _key_file(path: Path, mode: int = 0o600, content: str = "k" * 64) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def test_key_is_made_once_and_for_the_owner_alone_when_a_home_is_opened(tmp_path: Path) -> None:
    """0600 from its first byte on, the same at every start, another one in another home."""
    home = open_home(tmp_path / "a")
    assert stat.S_IMODE(home.approval_key.stat().st_mode) == 0o600
    key = load_approval_key(home.approval_key)
    assert len(key) == 64
    assert load_approval_key(open_home(tmp_path / "a").approval_key) == key
    assert load_approval_key(open_home(tmp_path / "b").approval_key) != key


def test_named_key_is_taken_when_the_environment_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential of systemd's, for example, which is 0400; white space around it is none of it."""
    monkeypatch.setenv(VARIABLE, str(_key_file(tmp_path / "named", 0o400, f"{'n' * 32}\n")))
    assert load_approval_key(open_home(tmp_path / "home").approval_key) == b"n" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_start_is_refused_when_others_can_get_at_the_key(tmp_path: Path, mode: int) -> None:
    """The mode is told, and what is required."""
    with pytest.raises(ConfigError, match=f"mode {mode:04o} lets others at the key that seals approvals, 0600 or less is required"):
        load_approval_key(_key_file(tmp_path / "key", mode))


def test_start_is_refused_when_the_key_is_too_short(tmp_path: Path) -> None:
    """An empty or half-written file is no key."""
    with pytest.raises(ConfigError, match="31 bytes are no key, at least 32 are required"):
        load_approval_key(_key_file(tmp_path / "key", content="k" * 31))


def test_start_is_refused_when_there_is_no_key(tmp_path: Path) -> None:
    """Nothing is sealed with a key made up on the spot."""
    with pytest.raises(ConfigError, match=f"No such file or directory.*{VARIABLE} names another file"):
        load_approval_key(tmp_path / "nowhere")
