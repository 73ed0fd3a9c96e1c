"""The kill switch end to end: paper trading as shipped, stopped by a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from apps.cli.emergency import desk_of, desk_path
from apps.paper_venue.venue_server import SOCKET_NAME
from core.contracts import OrderIntent, OrderType, Side, TimeInForce, Verdict
from core.topics import Daemon
from core.venue import Accepted, BrokerOrderReq, FetchOpenOrders, OrdersFetched, Place
from tests.support.story import decisions_of
from tests.support.suite import RunningSuite

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "kill-switch"
TRADING = {
    "feed": {"speed": None, "synthetic_steps": 3000},
    "strategies": {"reversion": None, "trend": {"kind": "sma_cross", "symbols": ["ALFA", "BRVO"], "params": {"fast": 2, "slow": 5}}},
}


def _switch(suite: RunningSuite, *arguments: str) -> None:
    subprocess.run([SCRIPT, "--home", str(suite.home.root), *arguments], check=True, capture_output=True)


def _njord(suite: RunningSuite, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("njord")), *arguments]
    return subprocess.run(command, env={**os.environ, "NJORD_HOME": str(suite.home.root)}, capture_output=True, text=True, timeout=60, check=False)


def _resting(n: int) -> BrokerOrderReq:
    return BrokerOrderReq(
        client_order_id=f"left-{n}",
        symbol="ALFA",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Decimal(1),
        limit_price=Decimal("0.01"),
    )


def _places(suite: RunningSuite) -> int:
    return int(suite.rows(Daemon.PAPER_VENUE, "select count(*) from inputs where kind = 'Command' and json_extract(data, '$.body.type') = 'Place'")[0][0])


def test_nothing_is_placed_while_the_switch_is_tripped_and_trading_goes_on_after(tmp_path: Path) -> None:
    """From the broker's first look on, no order reaches the venue, risk says why, and clearing the switch ends it."""
    with RunningSuite(tmp_path, TRADING, "paper") as suite:
        stage = "trading"
        placed = [0, 0, 0]
        until = 0.0

        def meanwhile(progress: dict[str, Any]) -> None:
            nonlocal stage, until
            if stage == "trading" and progress["step"] > 600:
                _switch(suite, "trip", "drill")
                until = time.monotonic() + 1.0
                stage = "tripping"
            elif stage == "tripping" and time.monotonic() > until:
                placed[0] = _places(suite)
                until = time.monotonic() + 2.0
                stage = "tripped"
            elif stage == "tripped" and time.monotonic() > until:
                placed[1] = _places(suite)
                _switch(suite, "clear", "drill over")
                stage = "cleared"

        suite.run_to_end(120.0, meanwhile)
        placed[2] = _places(suite)
    assert stage == "cleared"
    assert placed[0] > 0
    assert placed[1] == placed[0], "orders reached the venue while the switch was tripped"
    assert placed[2] > placed[1], "trading did not go on after the switch was cleared"
    denied = [d for d in decisions_of(suite.home) if d.verdict is Verdict.DENIED and isinstance(d.intent, OrderIntent)]
    assert any(d.denials[0].code == "KILL_SWITCH" for d in denied)
    assert suite.verify().holds


def test_everything_open_is_cancelled_when_only_the_venue_is_left(tmp_path: Path) -> None:
    """Server, OMS, risk and broker are gone for good, and so are their journals: one command still ends what is open."""
    with RunningSuite(tmp_path, TRADING, "paper") as suite:
        for daemon in (Daemon.RISK_ENGINE, Daemon.OMS, Daemon.BROKER):
            suite.wait_ready(daemon)
        for name in ("md_ingest", "strategy_runner", "risk_engine", "oms", "broker", "redis"):
            suite.kill(name)
        for daemon in (Daemon.RISK_ENGINE, Daemon.OMS, Daemon.BROKER):
            suite.home.journal(daemon.value).unlink()
        with desk_of(suite.home.socket(SOCKET_NAME)) as account:
            assert all(isinstance(account.ask(Place(order=_resting(n))), Accepted) for n in range(3))
        with desk_of(desk_path(suite.home.root)) as desk:
            found = desk.ask(FetchOpenOrders())
            assert isinstance(found, OrdersFetched)
            assert {order.client_order_id for order in found.orders} >= {"left-0", "left-1", "left-2"}
        done = _njord(suite, "emergency-cancel", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report = msgspec.json.decode(done.stdout)
        assert (len(report["found"]), report["left"]) == (len(found.orders), [])
        with desk_of(desk_path(suite.home.root)) as desk:
            assert desk.ask(FetchOpenOrders()) == OrdersFetched(orders=())
        suite.kill("paper_venue")
        gone = _njord(suite, "emergency-cancel")
    assert (gone.returncode, "no venue is there" in gone.stderr) == (2, True)
