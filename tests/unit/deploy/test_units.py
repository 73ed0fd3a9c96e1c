"""The systemd units say what the code says. What systemd itself makes of them is `make check-units`."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from apps.cli.supervisor import STOPPED_FOR_GOOD
from core.topics import Daemon

ROOT = Path(__file__).resolve().parents[3]
UNITS = ROOT / "deploy" / "systemd"


def _unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return parser


def _name(daemon: Daemon) -> str:
    return f"njord-{daemon.value.replace('_', '-')}.service"


def test_every_daemon_has_a_unit_when_shipped() -> None:
    """One each, and no unit without a daemon."""
    assert {path.name for path in UNITS.glob("*.service")} == {_name(daemon) for daemon in Daemon}


def test_target_wants_every_daemon_when_started() -> None:
    """`systemctl start njord.target` starts all of them."""
    assert set(_unit("njord.target")["Unit"]["Wants"].split()) == {_name(daemon) for daemon in Daemon}


@pytest.mark.parametrize("daemon", list(Daemon))
def test_unit_runs_its_daemon_and_tells_systemd_when_ready(daemon: Daemon) -> None:
    """Type=notify with a watchdog, stopped with the target, started again after a crash."""
    unit = _unit(_name(daemon))
    service = unit["Service"]
    assert service["ExecStart"].endswith(f"/python -m apps.{daemon.value}")
    assert (ROOT / "apps" / daemon.value / "__main__.py").is_file()
    assert (service["Type"], service["Restart"], unit["Unit"]["PartOf"]) == ("notify", "on-failure", "njord.target")
    assert int(service["WatchdogSec"]) > 0
    assert service["User"] == "njord"


@pytest.mark.parametrize("daemon", list(Daemon))
def test_unit_is_not_started_again_when_only_a_person_can_help(daemon: Daemon) -> None:
    """systemd and the demo's supervisor draw the same line."""
    assert {int(code) for code in _unit(_name(daemon))["Service"]["RestartPreventExitStatus"].split()} == STOPPED_FOR_GOOD - {0}


@pytest.mark.parametrize("daemon", list(Daemon))
def test_unit_points_to_documents_that_exist(daemon: Daemon) -> None:
    """A Documentation= that leads nowhere helps nobody at night."""
    path = _unit(_name(daemon))["Unit"]["Documentation"].removeprefix("file:/opt/njord/")
    assert (ROOT / path).is_file()
