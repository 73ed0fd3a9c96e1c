"""The daemons' entry points: each can be built from the shipped settings, and refuses to start in words when it cannot run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import yaml

from apps.runtime.daemon import DaemonParts, main, open_suite
from core.topics import Daemon


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that this process belongs to."""
    monkeypatch.setenv("NJORD_HOME", str(tmp_path))
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _configure(home: Path, **overlay: object) -> None:
    (home / "config.yaml").write_text(yaml.safe_dump({"environment": "demo", **overlay}))


@pytest.mark.parametrize("environment", ["demo", "paper"])
@pytest.mark.parametrize("daemon", list(Daemon))
def test_daemon_can_be_built_when_the_shipped_settings_are_used(home: Path, daemon: Daemon, environment: str) -> None:
    """Every daemon's machine starts from its snapshot type, and a snapshot of the new machine is one of that type."""
    _configure(home, environment=environment)
    parts = import_module(f"apps.{daemon.value}.__main__").build(open_suite()._replace(epoch="e"))
    assert isinstance(parts, DaemonParts)
    assert isinstance(parts.machine.snapshot(), parts.snapshot_type)


def test_only_the_broker_and_the_venue_have_a_venue_connection_when_built(home: Path) -> None:
    """The broker calls, gated; the venue serves; nobody else touches the account."""
    _configure(home)
    built = {daemon: import_module(f"apps.{daemon.value}.__main__").build(open_suite()._replace(epoch="e")) for daemon in Daemon}
    assert [daemon for daemon, parts in built.items() if parts.venue is not None] == [Daemon.BROKER]
    assert [daemon for daemon, parts in built.items() if parts.gate is not None] == [Daemon.BROKER]
    assert [daemon for daemon, parts in built.items() if parts.server is not None] == [Daemon.PAPER_VENUE]


def test_daemon_refuses_to_start_when_its_feed_cannot_be_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one line that says which file and what is allowed."""
    _configure(home, feed={"path": "nowhere.csv"})
    assert main(Daemon.MD_INGEST, import_module("apps.md_ingest.__main__").build) == 2
    assert capsys.readouterr().err.startswith("md_ingest: nowhere.csv: cannot be read: ")


def test_daemon_refuses_to_start_when_it_is_not_enabled(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody waits for the streams of a daemon that is not listed, so it may not run."""
    _configure(home, runtime={"daemons": ["md_ingest", "paper_venue"]})
    assert main(Daemon.OMS, import_module("apps.oms.__main__").build) == 2
    assert capsys.readouterr().err == "oms: runtime.daemons: oms is not among md_ingest, paper_venue, only daemons that are listed may run\n"
