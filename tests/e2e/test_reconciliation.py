"""Reconciliation end to end: what filled while nobody listened is found again, and what somebody else placed is shown and counted."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from apps.cli.reconcile import last_report, reconcile_now
from apps.runtime.venue_wire import VenueAsked, decode_said, encode
from core.contracts import Alert, OrderType, ReconciliationVerdict, Side, TimeInForce
from core.topics import ALERTS_FIRED, Daemon
from core.venue import Accepted, BrokerOrderReq, Place
from risk.engine import RiskState
from tests.support.story import said_of
from tests.support.suite import RunningSuite

TRADING = {
    "feed": {"speed": 3600, "synthetic_steps": 20_000},
    "strategies": {"reversion": None, "trend": {"kind": "sma_cross", "symbols": ["ALFA", "BRVO"], "params": {"fast": 2, "slow": 5}}},
}
PATIENCE_S = 20.0
STRANGER = "web-1"


def _wait(suite: RunningSuite, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        suite.supervisor.watch()
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}" + suite.logs())


def _fills(suite: RunningSuite) -> int:
    return int(suite.rows(Daemon.PAPER_VENUE, "select count(*) from archive where kind = 'fill'")[0][0])


def _place_by_hand(suite: RunningSuite) -> None:
    """Somebody else has a connection to the venue, for as long as it takes to place an order far from the market."""
    terms = BrokerOrderReq(
        client_order_id=STRANGER,
        symbol="ALFA",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Decimal(7),
        limit_price=Decimal("1.00"),
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(5)
        line.connect(str(suite.home.socket("venue")))
        line.sendall(encode(VenueAsked("by-hand", Place(order=terms))))
        with line.makefile("rb") as answers:
            assert isinstance(decode_said(answers.readline()).reply, Accepted)


def _njord(suite: RunningSuite, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "apps.cli.main", *arguments, "--json"],
        env={"NJORD_HOME": str(suite.home.root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, msgspec.json.decode(done.stdout)


def test_account_agrees_after_a_disaster_and_a_strangers_order_is_shown_and_counted(tmp_path: Path) -> None:
    """OMS and broker die while orders fill; after the restart the comparison is clean. Then somebody else trades the account."""
    with RunningSuite(tmp_path, TRADING, "paper") as suite:
        suite.wait_ready(Daemon.BROKER)
        _wait(suite, "executions", lambda: _fills(suite) > 5)
        suite.kill(Daemon.OMS.value)
        suite.kill(Daemon.BROKER.value)
        _wait(suite, "both restarted", lambda: min(suite.supervisor.restarts.get(name, 0) for name in ("oms", "broker")) >= 1)
        suite.wait_ready(Daemon.BROKER, PATIENCE_S)
        suite.wait_ready(Daemon.OMS, PATIENCE_S)
        report, problem = reconcile_now(suite.home, "after the disaster", PATIENCE_S)
        assert report is not None, problem
        assert (report.verdict, report.is_reconciled, report.breaks) == (ReconciliationVerdict.CLEAN, True, ())
        before = _fills(suite)
        _wait(suite, "executions go on", lambda: _fills(suite) > before)

        _place_by_hand(suite)
        _wait(suite, "the order found", lambda: any(o["client_order_id"] == STRANGER for o in _njord(suite, "orders", "list", "--external")[1]))
        code, (shown,) = _njord(suite, "orders", "--external")
        assert (code, shown["strategy_id"], shown["status"], shown["facets"]) == (0, "_external", "ACCEPTED", ["external"])
        alarms = [body.name for body in said_of(suite.home, Daemon.OMS, ALERTS_FIRED.name()) if isinstance(body, Alert)]
        assert "ExternalOrder" in alarms and "ReconciliationBreak" in alarms
        report, problem = reconcile_now(suite.home, "again", PATIENCE_S)
        assert report is not None, problem + suite.logs()
        assert _njord(suite, "reconcile")[0] == 0
        last = last_report(suite.home)
        assert last is not None and last.verdict is ReconciliationVerdict.CLEAN
        suite.supervisor.stop()
        (row,) = suite.rows(Daemon.RISK_ENGINE, "select data from snapshots order by n desc limit 1")
        exposure = msgspec.json.decode(row[0], type=RiskState).exposure
        assert exposure.symbols["ALFA"].buying["_external"] == 7
