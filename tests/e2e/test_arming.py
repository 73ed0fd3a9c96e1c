"""Arming end to end: a venue that needs the lease gets no entry until a person arms the account, and none after risk is gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from apps.cli.arming import arm_text, tell_risk
from apps.cli.verify.report import verify_home
from apps.runtime.approval_key import load_approval_key
from core.contracts import ArmAccount, DisarmAccount
from core.topics import Daemon
from tests.support.story import events_of
from tests.support.suite import RunningSuite

LEASED = {
    "venue": {"arming": "lease"},
    "feed": {"speed": 3600, "synthetic_steps": 20_000},
    "strategies": {"reversion": None, "trend": {"kind": "sma_cross", "symbols": ["ALFA", "BRVO"], "params": {"fast": 2, "slow": 5}}},
}
PATIENCE_S = 30.0


def _places(suite: RunningSuite) -> int:
    return int(suite.rows(Daemon.PAPER_VENUE, "select count(*) from inputs where kind = 'Command' and json_extract(data, '$.body.type') = 'Place'")[0][0])


def _attempts(suite: RunningSuite) -> int:
    return int(suite.rows(Daemon.BROKER, "select count(*) from calls where call_id like '%.place%'")[0][0])


def _wait(suite: RunningSuite, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        suite.supervisor.watch()
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}" + suite.logs())


def test_entries_leave_only_while_a_person_has_armed_the_account(tmp_path: Path) -> None:
    """Disarmed at boot, armed by the phrase, disarmed by command and by the death of risk, which comes back disarmed."""
    with RunningSuite(tmp_path, LEASED, "paper") as suite:
        home = suite.home
        suite.wait_ready(Daemon.BROKER)
        suite.wait_ready(Daemon.RISK_ENGINE)
        _wait(suite, "orders that are not sent", lambda: _attempts(suite) > 5)
        assert _places(suite) == 0
        assert arm_text(home, Daemon.BROKER).startswith("disarmed: no lease for account paper")

        assert tell_risk(home, ArmAccount(phrase="ARM paper", reason="test"))[1] == 1
        assert tell_risk(home, ArmAccount(phrase="ARM paper 25000", reason="test")) == ("armed", 0)
        _wait(suite, "orders that are sent", lambda: _places(suite) > 3)
        assert arm_text(home, Daemon.BROKER).startswith("armed: leased for another")

        assert tell_risk(home, DisarmAccount(reason="lunch")) == ("disarmed", 0)
        _wait(suite, "the broker disarmed", lambda: arm_text(home, Daemon.BROKER) == "disarmed: risk took the lease back")

        assert tell_risk(home, ArmAccount(phrase="ARM paper 25000", reason="test"))[1] == 0
        _wait(suite, "the broker armed", lambda: arm_text(home, Daemon.BROKER).startswith("armed"))
        suite.kill("risk_engine")
        _wait(suite, "the broker disarmed", lambda: arm_text(home, Daemon.BROKER) == "disarmed: the lease has ended")
        _wait(suite, "risk back and disarmed", lambda: arm_text(home, Daemon.RISK_ENGINE).startswith("disarmed: every run begins disarmed"))
        suite.supervisor.stop()
        key = load_approval_key(home.approval_key)
        assert [path for folder in (home.state, home.logs) for path in folder.iterdir() if path.is_file() and key in path.read_bytes()] == []
        causes = Counter(event.cause for event in events_of(home))
        assert causes["DISARMED"] > 5
        assert verify_home(home, suite.loaded).broken == ()
