"""What systemd hears."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.runtime.notify import notify, watchdog_interval_s


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield opened


def test_state_is_heard_when_systemd_listens(listener: socket.socket) -> None:
    """One datagram per state."""
    notify("READY=1")
    assert listener.recv(64) == b"READY=1"


def test_state_is_heard_when_the_socket_has_an_abstract_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`@name` means a name that begins with a zero byte."""
    name = f"njord-test-{tmp_path.name}-{id(tmp_path)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("STOPPING=1")
        assert opened.recv(64) == b"STOPPING=1"


def test_nothing_happens_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemd a daemon is silent."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


@pytest.mark.parametrize(("patience", "interval"), [("20000000", 10.0), (None, None)])
def test_watchdog_hears_twice_within_its_patience_when_it_has_one(monkeypatch: pytest.MonkeyPatch, patience: str | None, interval: float | None) -> None:
    """Half of WATCHDOG_USEC, or never."""
    if patience is None:
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    else:
        monkeypatch.setenv("WATCHDOG_USEC", patience)
    assert watchdog_interval_s() == interval
