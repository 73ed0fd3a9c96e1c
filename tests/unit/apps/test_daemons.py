"""The daemons' entry points: each can be built from the shipped settings, and refuses to start in words when it cannot run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import msgspec
import pytest
import yaml

from apps.cli import supervisor
from apps.cli.supervisor import Supervisor
from apps.runtime.daemon import DaemonParts, _Surroundings, main, open_suite
from apps.runtime.journal import SqliteJournal
from apps.runtime.kill_file import KillFile
from core.contracts import DrainOrders, KillSwitchStatus
from core.errors import ConfigError
from core.topics import CONTROL_LEASE, Daemon
from execution.arming import SELF_ARMED
from tests.support.builders import an_approval, an_intent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that this process belongs to."""
    monkeypatch.setenv("NJORD_HOME", str(tmp_path))
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL", "NJORD_APPROVAL_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _configure(home: Path, **overlay: object) -> None:
    (home / "config.yaml").write_text(yaml.safe_dump({"environment": "demo", **overlay}))


@pytest.mark.parametrize("environment", ["demo", "paper"])
@pytest.mark.parametrize("daemon", list(Daemon))
def test_daemon_can_be_built_when_the_shipped_settings_are_used(home: Path, daemon: Daemon, environment: str) -> None:
    """Every daemon's machine starts from its snapshot type: what a new machine keeps can be read as one, and gives the same machine."""
    _configure(home, environment=environment)
    parts = import_module(f"apps.{daemon.value}.__main__").build(open_suite()._replace(epoch="e"))
    assert isinstance(parts, DaemonParts)
    kept = msgspec.json.encode(parts.machine.snapshot())
    parts.machine.restore(msgspec.json.decode(kept, type=parts.snapshot_type))
    assert msgspec.json.encode(parts.machine.snapshot()) == kept


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


def _built(daemon: Daemon) -> DaemonParts:
    parts = import_module(f"apps.{daemon.value}.__main__").build(open_suite()._replace(epoch="e"))
    assert isinstance(parts, DaemonParts)
    return parts


def test_only_risk_and_the_broker_have_the_key_when_built(home: Path) -> None:
    """It is one key, and nobody else can seal or check anything with it."""
    _configure(home)
    keys = {daemon: _built(daemon).approval_key for daemon in Daemon}
    assert {daemon for daemon, key in keys.items() if key} == {Daemon.RISK_ENGINE, Daemon.BROKER}
    assert keys[Daemon.RISK_ENGINE] == keys[Daemon.BROKER]


@pytest.mark.parametrize("daemon", [Daemon.RISK_ENGINE, Daemon.BROKER])
def test_daemon_refuses_to_start_when_others_can_read_its_key(home: Path, daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, before anything is sealed or sent."""
    _configure(home)
    open_suite().home.approval_key.chmod(0o644)
    assert main(daemon, import_module(f"apps.{daemon.value}.__main__").build) == 2
    assert "mode 0644 lets others at the key that seals approvals" in capsys.readouterr().err


def test_what_risk_seals_the_broker_believes_and_nothing_else(home: Path) -> None:
    """Through the surroundings of their nodes: the sealed approval is genuine, one without the seal or with another content is not."""
    _configure(home)
    suite = open_suite()
    journal, kill_file = SqliteJournal(suite.home.journal("x"), 1), KillFile(suite.home.kill_file)
    risk, broker, other = (_Surroundings(journal, kill_file, _built(daemon)) for daemon in (Daemon.RISK_ENGINE, Daemon.BROKER, Daemon.OMS))
    approval = an_approval(an_intent())
    given = risk.seal(approval)
    assert given != approval
    found = broker.gate_facts(given)
    assert (found.is_genuine, found.kill_switch.status, found.arming) == (True, KillSwitchStatus.CLEAR, SELF_ARMED)
    for forged in (None, approval, msgspec.structs.replace(given, reduces=True)):
        assert not broker.gate_facts(forged).is_genuine
    suite.home.kill_file.touch()
    assert broker.gate_facts(given).kill_switch.status is KillSwitchStatus.TRIPPED
    assert other.seal(approval) == approval
    assert (other.gate_facts(given).is_genuine, other.gate_facts(given).arming.is_armed) == (False, False)
    journal.close()


def test_broker_listens_for_a_lease_and_is_disarmed_when_its_venue_needs_one(home: Path) -> None:
    """A venue that arms itself needs none, and nobody listens."""
    _configure(home)
    itself = _built(Daemon.BROKER)
    _configure(home, venue={"arming": "lease"})
    leased = _built(Daemon.BROKER)
    assert itself.hears == {} and itself.arming is not None and itself.arming().is_armed
    assert [stream.topic for stream in leased.hears] == [CONTROL_LEASE.name()] and leased.arming is not None and not leased.arming().is_armed


@pytest.mark.parametrize(("policy", "command"), [("keep", None), ("cancel", DrainOrders)])
def test_broker_cancels_what_is_open_when_it_is_told_to_on_being_stopped(home: Path, policy: str, command: type | None) -> None:
    """By policy; with nothing open that is done at once."""
    _configure(home, runtime={"drain": policy})
    closing = _built(Daemon.BROKER).closing
    assert (None if closing is None else type(closing.command)) is command
    assert closing is None or closing.is_done()


def test_venue_is_stopped_after_the_broker_and_the_server_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker may still have to cancel at the venue, and everyone to publish."""
    _configure(home)
    groups: list[list[str]] = []

    def stop(group: list[supervisor.Child], timeout_s: float) -> list[supervisor.Child]:
        groups.append([child.name for child in group])
        return []

    monkeypatch.setattr(supervisor, "_stop", stop)
    Supervisor(open_suite().home, tuple(Daemon), ["server"]).stop()
    assert groups[1:] == [["paper_venue"], ["redis"]]
    assert set(groups[0]) == {daemon.value for daemon in Daemon} - {"paper_venue"}


def test_self_arming_is_refused_when_the_environment_is_live(home: Path) -> None:
    """What can lose real money needs a person's word."""
    _configure(home, environment="live")
    with pytest.raises(ConfigError, match=r"venue\.arming: self contradicts environment live, lease is required"):
        open_suite()
    _configure(home, environment="live", venue={"arming": "lease"})
    assert open_suite().settings.venue.arming == "lease"
