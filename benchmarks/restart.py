"""From `kill -9` to ready: `make bench-restart`, or `python -m benchmarks.restart --help`.

The OMS is the daemon with the most to remember. It is filled with orders through its own node (ended ones, which lie in the
archive, and live ones, which a snapshot brings back), started as a real process on a real server, killed and started again; the
time runs from the start of the new process to its own word that it is ready.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

from apps.cli.supervisor import Child, daemon_command
from apps.runtime.clock import SystemClock
from apps.runtime.control_socket import ask_daemon
from apps.runtime.embedded import EmbeddedServer
from apps.runtime.home import Home, open_home
from apps.runtime.journal import SqliteJournal
from apps.runtime.settings_loader import load_settings
from core import topics
from core.codec import Codec, Envelope
from core.contracts import (
    Approval,
    Contract,
    Evidence,
    ExecType,
    KillSwitchState,
    KillSwitchStatus,
    OrderIntent,
    OrderType,
    RiskDecision,
    Side,
    TimeInForce,
    TradingState,
    VenueReport,
    Verdict,
)
from core.ids import client_order_id
from core.machine import ConfigLoaded, FeedRow
from core.node import Commit, Node
from core.ports import StreamId
from core.recovery import recover
from core.settings import Settings
from core.topics import Daemon
from core.topology import node_spec
from core.venue import BrokerOrderReq, terms_hash
from execution.oms import OmsState, build_oms

__all__ = ["fill_journal", "restart_seconds"]

_SYMBOL = "BENCH"
_BATCH = 200
_FAR_NS = 10**18


class _Surroundings:
    """What the node looks up while the journal is being filled."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.archived = journal.archived

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        return ()

    def kill_switch(self) -> KillSwitchState:
        return KillSwitchState(status=KillSwitchStatus.CLEAR)


def fill_journal(home: Home, settings: Settings, *, ended: int, live: int, console: Console) -> None:
    """Let the OMS's own node handle so many orders that end in a rejection and so many that stay working."""
    journal = SqliteJournal(home.journal(Daemon.OMS.value), time.time_ns())
    machine = build_oms(settings)
    node = Node(node_spec(Daemon.OMS, settings), machine, recover(machine, OmsState, journal.load(), Daemon.OMS.value), SystemClock(), _Surroundings(journal))
    decisions = StreamId(topics.RISK_DECISION.name(), Daemon.RISK_ENGINE.value)
    reports = StreamId(topics.BROKER_REPORTS.name(venue=settings.account.venue), Daemon.BROKER.value)
    codec, now_ns = Codec(), time.time_ns()
    node.on_config(ConfigLoaded("bench", settings.model_dump_json()))

    def tell(stream: StreamId, seq: int, body: Contract) -> None:
        node.on_message(stream, codec.encode(Envelope(stream.topic, stream.producer, seq, "bench", now_ns, body)), now_ns)  # type: ignore[arg-type]

    for number in track(range(1, ended + live + 1), description=f"{ended} ended, {live} live", console=console, transient=True):
        decision = _decision(settings, number, now_ns)
        assert decision.approval is not None
        order_id = decision.approval.client_order_id
        tell(decisions, number, decision)
        tell(reports, 2 * number - 1, _report(settings, ExecType.ATTEMPTED, order_id, now_ns))
        tell(reports, 2 * number, _report(settings, ExecType.REJECTED if number <= ended else ExecType.NEW, order_id, now_ns))
        if number % _BATCH == 0:
            _work(node, journal)
    _work(node, journal)
    journal.close()


def _work(node: Node, journal: SqliteJournal) -> None:
    while node.wants_step:
        for action in node.step():
            if isinstance(action, Commit):
                journal.commit(action.batch)


def _decision(settings: Settings, number: int, now_ns: int) -> RiskDecision:
    account, venue = settings.account.name, settings.account.venue
    intent = OrderIntent(
        intent_id=f"bench:{number}",
        strategy_id="bench",
        account=account,
        venue=venue,
        symbol=_SYMBOL,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        order_qty=settings.instruments["default"].lot,
        created_ns=now_ns,
        expires_ns=now_ns + _FAR_NS,
    )
    order_id = client_order_id("b-", "bench", intent.intent_id)
    terms = BrokerOrderReq(client_order_id=order_id, symbol=_SYMBOL, side=intent.side, order_type=intent.order_type, time_in_force=intent.time_in_force, order_qty=intent.order_qty)
    approval = Approval(approval_id=f"d{number}", client_order_id=order_id, content_hash=terms_hash(account, venue, terms), limits_version="bench", expires_ns=now_ns + _FAR_NS)
    return RiskDecision(
        decision_id=f"d{number}",
        verdict=Verdict.ALLOWED,
        intent=intent,
        limits_version="bench",
        evidence=Evidence(trading_state=TradingState.ACTIVE),
        decided_ns=now_ns,
        approval=approval,
    )


def _report(settings: Settings, exec_type: ExecType, order_id: str, now_ns: int) -> VenueReport:
    evidence = "GATEWAY" if exec_type is ExecType.ATTEMPTED else "REPLY"
    return VenueReport(
        venue=settings.account.venue,
        account=settings.account.name,
        exec_type=exec_type,
        symbol=_SYMBOL,
        evidence=evidence,
        occurred_ns=now_ns,
        client_order_id=order_id,
        venue_order_id=f"V-{order_id}" if evidence == "REPLY" else "",
        reject_reason="BENCH" if exec_type is ExecType.REJECTED else "",
    )


def restart_seconds(ended: int, live: int, runs: int, console: Console) -> list[float]:
    """Seconds from the start of the OMS to its being ready, each time after a `kill -9`."""
    with tempfile.TemporaryDirectory(prefix="njord-bench-") as folder:
        home = open_home(Path(folder))
        overlay = {"environment": "test", "feed": {"kind": "synthetic", "symbols": [_SYMBOL]}, "runtime": {"clock": "system", "daemons": ["risk_engine", "oms", "broker"]}}
        home.settings_overlay.write_text(yaml.safe_dump(overlay))
        settings = load_settings(home.settings_overlay).settings
        fill_journal(home, settings, ended=ended, live=live, console=console)
        with EmbeddedServer(home):
            return [_restart(home) for _ in range(runs)]


def _restart(home: Home) -> float:
    child = Child(Daemon.OMS.value, daemon_command(Daemon.OMS), {"NJORD_HOME": str(home.root)}, home.logs / "oms.err")
    began = time.monotonic()
    child.start()
    try:
        while not _is_ready(home):
            if child.watch() or time.monotonic() - began > 60:
                raise RuntimeError(f"the OMS does not get ready: {child.errors()}")
            time.sleep(0.005)
        return time.monotonic() - began
    finally:
        child.signal(9)
        child.wait(10)


def _is_ready(home: Home) -> bool:
    try:
        return bool(ask_daemon(home.socket(Daemon.OMS.value), {"query": "health"}, timeout_s=1.0)["result"]["ready"])
    except ConnectionError:
        return False


def main() -> int:
    """Run and print; 0 always, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description="from kill -9 to ready")
    parser.add_argument("--orders", type=int, default=100_000, help="orders in the larger journals (default 100000)")
    parser.add_argument("--runs", type=int, default=5, help="restarts of each (default 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    cases = {"a new journal": (0, 0), f"{options.orders} orders, all ended": (options.orders, 0), f"{options.orders} orders, all live": (0, options.orders)}
    found = {name: restart_seconds(ended, live, options.runs, console) for name, (ended, live) in cases.items()}
    if options.json:
        print(json.dumps(found))
        return 0
    table = Table(title=f"OMS, seconds from start to ready after kill -9, {options.runs} restarts each", title_justify="left")
    for column in ("journal", "median", "worst"):
        table.add_column(column, justify="left" if column == "journal" else "right")
    for name, seconds in found.items():
        table.add_row(name, f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
