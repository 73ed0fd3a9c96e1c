"""`njord verify` can fail: each way of tampering with a copy of either side names the invariant it breaks."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.cli.verify.report import VerifyReport, verify_home
from apps.runtime.home import open_home
from core.topics import Daemon
from tests.support.suite import RunningSuite

Tamper = Callable[["Copy"], None]


class Copy:
    """A copy of a finished suite that a test may damage."""

    def __init__(self, suite: RunningSuite, root: Path) -> None:
        shutil.copytree(suite.home.root, root, ignore=shutil.ignore_patterns("*.sock", "redis"))
        self.home = open_home(root)
        self._loaded = suite.loaded

    def edit(self, daemon: Daemon, *statements: str) -> None:
        """Change a journal."""
        connection = sqlite3.connect(self.home.journal(daemon.value))
        with connection:
            for statement in statements:
                assert connection.execute(statement).rowcount > 0, f"{statement}: changed nothing"
        connection.close()

    def verify(self) -> VerifyReport:
        """What the verifier says."""
        return verify_home(self.home, self._loaded)


@pytest.fixture
def copy(undisturbed: RunningSuite, tmp_path: Path) -> Copy:
    """A fresh copy of the undisturbed run."""
    return Copy(undisturbed, tmp_path / "copy")


_A_FILL = "select key from archive where kind = 'fill' order by key limit 1 offset 3"
_A_TRANSACTION = "select key from archive where kind = 'txn' and key like '%|fill|%' order by key limit 1 offset 3"
_AN_EVENT = "select id from outputs where topic = 'orders.events' and json_extract(data, '$.body.last_qty') is not null order by id limit 1 offset 3"
_AN_ORDER = "select id from outputs where topic = 'orders.accepted.sim' order by id limit 1 offset 3"
_A_PLACE = "select n from inputs where kind = 'Command' and json_extract(data, '$.body.type') = 'Place' order by n limit 1 offset 3"
_AN_INPUT = "select n from inputs where kind = 'Message' order by n limit 1 offset 9"

_TAMPERINGS: dict[str, tuple[Daemon, tuple[str, ...], str]] = {
    "venue fill deleted": (Daemon.PAPER_VENUE, (f"delete from archive where kind = 'fill' and key = ({_A_FILL})",), "I1"),
    "venue fill changed": (Daemon.PAPER_VENUE, (f"update archive set data = cast(json_set(data, '$.last_qty', '9999') as blob) where kind = 'fill' and key = ({_A_FILL})",), "I1"),
    "fill transaction deleted": (Daemon.OMS, (f"delete from archive where kind = 'txn' and key = ({_A_TRANSACTION})",), "I2"),
    "transaction unbalanced": (
        Daemon.OMS,
        (f"update archive set data = cast(json_set(data, '$.postings[0][2]', '0.01') as blob) where kind = 'txn' and key = ({_A_TRANSACTION})",),
        "I15",
    ),
    "order doubled": (
        Daemon.OMS,
        (
            "insert into outputs(topic, seq, n, data) select topic, (select max(seq) + 1 from outputs where topic = 'orders.accepted.sim'), n, "
            f"cast(json_set(data, '$.seq', (select max(seq) + 1 from outputs where topic = 'orders.accepted.sim')) as blob) from outputs where id = ({_AN_ORDER})",
        ),
        "I3",
    ),
    "order quantity changed at the venue": (
        Daemon.PAPER_VENUE,
        (f"update inputs set data = cast(json_set(data, '$.body.order.order_qty', '7777') as blob) where n = ({_A_PLACE})",),
        "I7",
    ),
    "executed quantity changed": (Daemon.OMS, (f"update outputs set data = cast(json_set(data, '$.body.cum_qty', '7777') as blob) where id = ({_AN_EVENT})",), "I6"),
    "decision deleted": (
        Daemon.RISK_ENGINE,
        ("delete from outputs where id = (select id from outputs where topic = 'risk.decision' order by id limit 1 offset 3)",),
        "I5",
    ),
    "message missing where it was handled": (Daemon.RISK_ENGINE, (f"delete from inputs where n = ({_AN_INPUT})",), "I11"),
    "message differs from what was said": (Daemon.OMS, (f"update inputs set data = cast(json_set(data, '$.ts_ns', 1) as blob) where n = ({_AN_INPUT})",), "I11"),
    "journal altered": (Daemon.BROKER, ("update inputs set now_ns = now_ns + 1 where n = 5",), "I12"),
    "attempt deleted": (Daemon.BROKER, ("delete from calls where call_id = (select call_id from calls where call_id like '%place%' order by call_id limit 1)",), "I12"),
    "snapshot changed": (Daemon.PAPER_VENUE, ("update snapshots set data = cast(replace(data, '0', '1') as blob)",), "I13"),
}


def test_copy_holds_when_nothing_was_changed(copy: Copy) -> None:
    """The copy itself is no reason to fail."""
    assert copy.verify().holds


@pytest.mark.parametrize("what", list(_TAMPERINGS))
def test_invariant_is_named_when_either_side_is_tampered_with(copy: Copy, what: str) -> None:
    """A deleted fill, a doubled order, a changed quantity: the verifier names what no longer holds, and where."""
    daemon, statements, invariant = _TAMPERINGS[what]
    copy.edit(daemon, *statements)
    report = copy.verify()
    assert not report.holds
    assert report.exit_code == 1
    assert invariant in report.broken, report
    assert all(finding.problems for finding in report.findings if finding.invariant in report.broken)


def test_command_says_the_same_as_json_when_asked(copy: Copy) -> None:
    """`njord verify --json` prints the report and its exit code is the verdict; without a suite it says that there is none."""
    done = _njord(copy.home.root, "verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"] is True
    copy.edit(Daemon.PAPER_VENUE, f"delete from archive where kind = 'fill' and key = ({_A_FILL})")
    broken = _njord(copy.home.root, "verify", "--json")
    assert broken.returncode == 1
    assert "I1" in json.loads(broken.stdout)["broken"]
    nothing = _njord(copy.home.root.with_name("nothing"), "verify")
    assert nothing.returncode == 2
    assert "holds no journal" in nothing.stderr


@pytest.mark.parametrize("command", ["orders", "positions", "fills"])
def test_journal_is_shown_as_json_when_asked(copy: Copy, command: str) -> None:
    """What a table shows can be had as JSON, from the journals alone: nothing is running here."""
    done = _njord(copy.home.root, command, "--json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)
    assert _njord(copy.home.root, command).returncode == 0


def test_status_says_down_when_nothing_runs(copy: Copy) -> None:
    """Every daemon is listed with why it is not ready."""
    done = _njord(copy.home.root, "status", "--json")
    assert done.returncode == 1
    assert {row["state"] for row in json.loads(done.stdout)} == {"down"}


def _njord(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "apps.cli.main", *arguments]
    return subprocess.run(command, env={"NJORD_HOME": str(home), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False)
