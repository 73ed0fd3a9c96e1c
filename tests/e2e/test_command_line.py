"""The command line on a suite that really runs: up, looked at from outside while it trades, down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.cli.homes import living_daemons, supervisor_pid
from core.topics import Daemon

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """\
environment: paper
feed: {speed: null, synthetic_steps: 20000}
strategies:
  reversion: null
  trend: {kind: sma_cross, symbols: [ALFA, BRVO], params: {fast: 2, slow: 5}}
"""


class Suite:
    """A home, and `njord` in it."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command."""
        environment = {"NJORD_HOME": str(self.home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return subprocess.run([sys.executable, "-m", "apps.cli.main", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)

    def ask(self, *arguments: str, code: int = 0) -> Any:
        """The JSON a command prints, and nothing else on stdout."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done
        assert done.stderr == ""
        return json.loads(done.stdout)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    """The shipped paper suite as fast as it settles, trading often; whatever a test did, nothing of it is left."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text(SETTINGS)
    yield Suite(home)
    Suite(home).run("down")
    assert living_daemons(home) == {}


def test_suite_is_up_looked_at_and_down_when_asked(suite: Suite) -> None:
    """The life of a suite on a desk, in the commands of one."""
    up = suite.run("up")
    assert (up.returncode, up.stderr) == (0, ""), up
    assert "6 daemons are ready" in up.stdout
    rows = suite.ask("status")
    assert [(row["daemon"], row["state"], row["reasons"]) for row in rows] == [(daemon.value, "ready", []) for daemon in Daemon]
    assert "already up" in suite.run("up").stdout
    assert "supervised here already" in suite.run("demo").stderr

    codes = [suite.run("verify").returncode for _ in range(4)]
    assert set(codes) <= {0, 3}, "a running suite is at most not settled"
    assert 3 in codes
    orders, fills, positions = (suite.ask(command) for command in ("orders", "fills", "positions"))
    assert orders and fills
    assert all(isinstance(order["order_qty"], str) for order in orders)
    assert {fill["client_order_id"] for fill in fills} <= {order["client_order_id"] for order in suite.ask("orders")}
    assert {position["symbol"] for position in positions} <= {"ALFA", "BRVO"}

    logged = [json.loads(line) for line in suite.run("logs", "--lines", "40").stdout.splitlines()]
    assert {line["daemon"] for line in logged} == {daemon.value for daemon in Daemon}
    assert [line["timestamp"] for line in logged] == sorted(line["timestamp"] for line in logged)

    down = suite.run("down")
    assert (down.returncode, down.stdout, down.stderr) == (0, "stopped\n", "")
    assert living_daemons(suite.home) == {}
    assert suite.run("status").returncode == 1


def test_daemons_are_stopped_when_their_supervisor_was_killed(suite: Suite) -> None:
    """They live on without it; nothing else may start in their home, and `down` finds them."""
    assert suite.run("up").returncode == 0
    os.kill(supervisor_pid(suite.home), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while supervisor_pid(suite.home) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(living_daemons(suite.home)) == 6
    again = suite.run("up")
    assert again.returncode == 1
    assert "still run here without a supervisor" in again.stdout
    assert suite.run("down").returncode == 0
    assert living_daemons(suite.home) == {}


def test_daemon_comes_back_when_it_dies_and_stays_down_when_it_was_asked_to_end(suite: Suite) -> None:
    """As under systemd: a crash is mended, a clean end was somebody's wish."""
    assert suite.run("up").returncode == 0
    first = living_daemons(suite.home)
    os.kill(first["oms"], signal.SIGKILL)
    os.kill(first["broker"], signal.SIGTERM)
    deadline = time.monotonic() + 20
    states: dict[str, str] = {}
    while states.get("oms") != "ready" and time.monotonic() < deadline:
        time.sleep(0.1)
        states = {row["daemon"]: row["state"] for row in suite.ask("status", code=1)}
    assert (states["oms"], states["broker"]) == ("ready", "down")
    assert living_daemons(suite.home)["oms"] != first["oms"]


def test_reason_is_told_when_a_daemon_cannot_run(suite: Suite) -> None:
    """The daemon's own words, at once and not after a time-out."""
    (suite.home / "config.yaml").write_text("environment: paper\nfeed: {kind: recorded, path: /nowhere/bars.csv, symbols: [ALFA, BRVO]}\n")
    began = time.monotonic()
    up = suite.run("up")
    assert time.monotonic() - began < 20
    assert up.returncode == 1
    assert "md_ingest stopped with exit code 2" in up.stdout
    assert "/nowhere/bars.csv" in up.stdout
    assert "`njord down` stops them" in up.stdout
