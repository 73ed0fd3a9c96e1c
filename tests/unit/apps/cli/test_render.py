"""Tables for people: everything is there, nothing is taken for markup, and a pipe gets whole lines."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from apps.cli import render
from apps.cli.stack import DaemonStatus
from apps.cli.summary import HopLatency, OrderRow, Summary
from apps.cli.verify.checks import Finding
from apps.cli.verify.report import VerifyReport
from core.contracts import FillEvent, Side
from tests.support.builders import ACCOUNT, NOW, VENUE, a_position


def _printed(show: Callable[[Console], None]) -> str:
    stream = io.StringIO()
    show(Console(file=stream, width=200))
    return stream.getvalue()


def _report(*findings: Finding, **changes: object) -> VerifyReport:
    values = {"holds": False, "broken": (), "pending": 0, "in_flight": {}, "quarantined": (), "findings": findings} | changes
    return VerifyReport(**values)  # type: ignore[arg-type]


def _row(cells: str) -> str:
    """The words of a table line."""
    return " ".join(cells.replace("│", " ").split())


def test_summary_shows_every_figure_when_there_is_something_of_each() -> None:
    """What the demo must end with, line by line."""
    summary = Summary(
        intents=5,
        allowed=3,
        denied={"KILL_SWITCH": 2},
        orders={"FILLED": 2, "REJECTED": 1},
        fills=2,
        positions=[a_position(7, avg_price="695.5")],
        balances={"USD": Decimal("1234.5")},
        realized_pnl=Decimal("-3"),
        unrealized_pnl=Decimal("4.005"),
        fees={"USD": Decimal("0.1")},
        latencies=[HopLatency("intent → decision", 5, 1234.4, 5678.9)],
    )
    lines = [_row(line) for line in _printed(lambda console: render.print_summary(console, summary, "title [x]")).splitlines()]
    assert lines[0] == "title [x]"
    wanted = ["intents 5", "allowed 3", "denied 2", "KILL_SWITCH 2", "orders 3", "FILLED 2", "REJECTED 1", "fills 2", "positions 1", "IBM of trend 7 at 695.50"]
    wanted += ["cash USD 1,234.50", "fees USD 0.10", "realized P&L -3.00", "unrealized P&L 4.00", "latency intent → decision p50 1,234 µs, p99 5,679 µs (5)"]
    assert [line for line in lines if line in wanted] == wanted


def test_findings_show_verdicts_problems_and_what_is_under_way_when_not_all_hold() -> None:
    """One line each, then what is wrong, what more there is, and where the rest is; brackets are text."""
    findings = (
        Finding("I1", "fills", 3, 0, 0, ()),
        Finding("I2", "cash", 3, 2, 0, ()),
        Finding("I3", "orders", 3, 0, 7, ("order [red]x[/red] is wrong",)),
    )
    text = _printed(lambda console: render.print_findings(console, _report(*findings, in_flight={"a → b": 2}, quarantined=("oms: t 1: [x]",))))
    lines = [_row(line) for line in text.splitlines()]
    assert {"I1 holds 3 0 fills", "I2 pending 3 2 cash", "I3 BROKEN 3 0 orders"} <= set(lines)
    assert lines[-4:] == ["I3: order [red]x[/red] is wrong", "I3: … and 6 more", "under way: a → b: 2", "in quarantine until a person has looked: oms: t 1: [x]"]


def test_orders_positions_fills_and_status_are_shown_when_asked() -> None:
    """A line each, quantities without needless zeros, money with two places."""
    order = OrderRow("o1", "i1", "trend", "IBM", "BUY", "FILLED", Decimal("10.0"), Decimal("4.50"), Decimal(100), None, None, ("overfilled",), "FILL", NOW)
    values = {"exec_id": "V-1", "client_order_id": "o1", "venue_order_id": "v", "intent_id": "i", "strategy_id": "trend", "account": ACCOUNT, "venue": VENUE, "symbol": "IBM"}
    fill = FillEvent(**values, side=Side.BUY, last_qty=Decimal("4.50"), last_price=Decimal(100), fee=Decimal("0.05"), fee_asset="USD", occurred_ns=NOW)
    at = "2023-11-14 22:13:20"
    assert f"o1 trend IBM BUY FILLED overfilled 10 4.5 100.00 {at} FILL" in _row(_printed(lambda console: render.print_orders(console, [order])))
    assert f"V-1 o1 trend IBM BUY 4.5 100.00 0.05 {at}" in _row(_printed(lambda console: render.print_fills(console, [fill])))
    assert f"IBM trend -3 7.00 0.00 {at}" in _row(_printed(lambda console: render.print_positions(console, [a_position(-3, avg_price=7)])))
    rows = [DaemonStatus("oms", "ready", (), 2, 9, NOW), DaemonStatus("broker", "down", ("does not run", "[x]"))]
    status = _row(_printed(lambda console: render.print_status(console, "/home", rows)))
    assert f"oms ready 2 9 {at} broker" in status.replace(" ┃", "")
    assert "broker down - 0 - does not run; [x]" in status


def test_lines_stay_whole_when_they_go_into_a_pipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nobody's window gives a width, nothing is folded; a given width is kept."""
    monkeypatch.delenv("COLUMNS", raising=False)
    with (tmp_path / "out").open("w") as stream:
        assert render.console_for(stream).width > 200
        monkeypatch.setenv("COLUMNS", "72")
        assert render.console_for(stream).width == 72


def test_moment_is_a_dash_when_it_never_was() -> None:
    """Zero is no time."""
    assert render.moment(0) == "-"
