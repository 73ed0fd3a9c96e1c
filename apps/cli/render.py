"""Tables for people. Everything shown here can be had as JSON from the same command."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.cli.reconcile import SuspenseView
from apps.cli.stack import DaemonStatus
from apps.cli.summary import OrderRow, Summary
from apps.cli.verify.checks import Finding
from apps.cli.verify.report import VerifyReport
from core.contracts import FillEvent, KillSwitchState, KillSwitchStatus, PositionSnapshot, ReconciliationReport
from core.money import normal

__all__ = [
    "console_for",
    "moment",
    "print_fills",
    "print_findings",
    "print_orders",
    "print_positions",
    "print_reconciliation",
    "print_status",
    "print_summary",
    "print_suspense",
    "print_table",
]

_WIDE = 240
_NARROW = 130
_SHORT = 8


def console_for(stream: TextIO) -> Console:
    """A console on stdout or stderr. Where nobody's window gives a width, a table is as wide as it needs to be."""
    is_wide = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=_WIDE if is_wide else None)


def is_narrow(console: Console) -> bool:
    """Whether a window has no room for every column: then the table keeps those that tell most, and the JSON all of them."""
    return console.width < _NARROW


def short(order_id: str) -> str:
    """The end of an id, which tells one order from another."""
    return order_id if len(order_id) <= _SHORT else f"…{order_id[-_SHORT:]}"


def moment(ns: int) -> str:
    """UTC, to the second; a dash for never."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S") if ns else "-"


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """One table; columns whose name ends in a blank are aligned right. Cells are shown as they are: brackets mean nothing."""
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=box.SIMPLE if is_narrow(console) else box.HEAVY_HEAD)
    for column in columns:
        table.add_column(column.strip(), justify="right" if column.endswith(" ") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console.print(table)


def print_summary(console: Console, summary: Summary, title: str) -> None:
    """The table a run ends with."""
    rows: list[tuple[str, str]] = [("intents", str(summary.intents)), ("allowed", str(summary.allowed)), ("denied", str(sum(summary.denied.values())))]
    rows += [(f"  {code}", str(count)) for code, count in summary.denied.items()]
    rows += [("orders", str(sum(summary.orders.values())))]
    rows += [(f"  {status}", str(count)) for status, count in summary.orders.items()]
    rows += [("fills", str(summary.fills)), ("positions", str(len(summary.positions)))]
    rows += [(f"  {p.symbol} of {p.strategy_id}", f"{normal(p.position_qty)} at {_money(p.avg_price)}") for p in summary.positions]
    rows += [(f"cash {asset}", _money(total)) for asset, total in summary.balances.items()]
    rows += [(f"fees {asset or '-'}", _money(total)) for asset, total in summary.fees.items()]
    rows += [("realized P&L", _money(summary.realized_pnl)), ("unrealized P&L", _money(summary.unrealized_pnl))]
    rows += [(f"latency {hop.hop}", f"p50 {hop.p50_us:,.0f} µs, p99 {hop.p99_us:,.0f} µs ({hop.measured})" if hop.measured else "-") for hop in summary.latencies]
    print_table(console, title, ("what", "value "), rows)


def print_findings(console: Console, report: VerifyReport) -> None:
    """One line per invariant, the first problems of those that do not hold, and where what is under way is."""
    rows = [(f.invariant, _verdict(f), str(f.checked), str(f.pending), f.claim) for f in report.findings]
    print_table(console, "invariants", ("", "verdict", "checked ", "pending ", "claim"), rows)
    lines = [f"{f.invariant}: {problem}" for f in report.findings for problem in f.problems]
    lines += [f"{f.invariant}: … and {f.problem_count - len(f.problems)} more" for f in report.findings if f.problem_count > len(f.problems)]
    lines += [f"under way: {place}: {count}" for place, count in report.in_flight.items()]
    lines += [f"in quarantine until a person has looked: {what}" for what in report.quarantined]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_status(console: Console, title: str, rows: Sequence[DaemonStatus], switch: KillSwitchState) -> None:
    """How each daemon is, and whether trading is stopped."""
    if switch.status is not KillSwitchStatus.CLEAR:
        told = f"kill switch {switch.status.value}" + (f" ({switch.trading_state.value})" if switch.status is KillSwitchStatus.TRIPPED else "")
        console.print(Text(f"{told}: {switch.reason or 'no reason given'}", "bold red"))
    if is_narrow(console):
        narrow = ("daemon", "state", "session time", "entries", "why")
        print_table(console, title, narrow, ((r.daemon, r.state, moment(r.now_ns)[5:] or "-", r.arming, "; ".join(r.reasons)) for r in rows))
        return
    columns = ("daemon", "state", "incarnation ", "inputs ", "session time", "entries", "why")
    print_table(console, title, columns, ((r.daemon, r.state, str(r.incarnation or "-"), str(r.inputs), moment(r.now_ns), r.arming, "; ".join(r.reasons)) for r in rows))


def _verdict(finding: Finding) -> Text:
    if finding.problem_count:
        return Text("BROKEN", "red")
    return Text("pending", "yellow") if finding.pending else Text("holds", "green")


def print_orders(console: Console, rows: Sequence[OrderRow]) -> None:
    """Orders, newest last."""
    if is_narrow(console):
        print_table(
            console,
            f"{len(rows)} orders",
            ("order", "symbol", "side", "status", "done ", "avg price ", "changed"),
            (
                (
                    short(r.client_order_id),
                    r.symbol,
                    r.side,
                    " ".join((r.status, *r.facets)),
                    f"{normal(r.cum_qty)}/{normal(r.order_qty)}",
                    _price(r.avg_price),
                    moment(r.updated_ns)[5:],
                )
                for r in rows
            ),
        )
        return
    print_table(
        console,
        f"{len(rows)} orders",
        ("order", "strategy", "symbol", "side", "status", "quantity ", "executed ", "avg price ", "changed", "cause"),
        (
            (
                r.client_order_id,
                r.strategy_id,
                r.symbol,
                r.side,
                " ".join((r.status, *r.facets)),
                normal(r.order_qty),
                normal(r.cum_qty),
                _price(r.avg_price),
                moment(r.updated_ns),
                r.cause,
            )
            for r in rows
        ),
    )


def print_positions(console: Console, rows: Sequence[PositionSnapshot]) -> None:
    """Positions by owner."""
    print_table(
        console,
        f"{len(rows)} positions",
        ("symbol", "owner", "quantity ", "avg price ", "realized P&L ", "as of"),
        ((p.symbol, p.strategy_id, normal(p.position_qty), _money(p.avg_price), _money(p.realized_pnl), moment(p.as_of_ns)) for p in rows),
    )


def print_fills(console: Console, rows: Sequence[FillEvent]) -> None:
    """Executions, newest last."""
    if is_narrow(console):
        print_table(
            console,
            f"{len(rows)} fills",
            ("order", "symbol", "side", "quantity ", "price ", "fee ", "at"),
            ((short(f.client_order_id), f.symbol, f.side.value, normal(f.last_qty), _money(f.last_price), _money(f.fee), moment(f.occurred_ns)[5:]) for f in rows),
        )
        return
    print_table(
        console,
        f"{len(rows)} fills",
        ("execution", "order", "strategy", "symbol", "side", "quantity ", "price ", "fee ", "at"),
        ((f.exec_id, f.client_order_id, f.strategy_id, f.symbol, f.side.value, normal(f.last_qty), _money(f.last_price), _money(f.fee), moment(f.occurred_ns)) for f in rows),
    )


def print_reconciliation(console: Console, report: ReconciliationReport) -> None:
    """One line per difference, and what it stops."""
    rows = [
        (str(b.kind), b.name, b.symbol, _amount(b.local), _amount(b.broker), _amount(b.drift_pct), str(b.cycles), "adopted" if b.is_adopted else "", b.text) for b in report.breaks
    ]
    title = f"{report.account} at {report.venue}: {report.verdict}, cycle {report.cycle}, as of {moment(report.occurred_ns)}"
    print_table(console, title, ("difference", "what", "symbol", "ours ", "venue's ", "drift % ", "cycles ", "", ""), rows)
    lines = [f"no risk is added: {report.reason}"] if report.reason else []
    lines += [f"no risk is added in {', '.join(report.disarmed_symbols)}"] if report.disarmed_symbols else []
    for line in [*lines, *report.errors]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_suspense(console: Console, rows: Sequence[SuspenseView]) -> None:
    """What belongs to nobody."""
    columns = ("key", "symbol", "quantity ", "cost ", "executions ", "venue's order", "since")
    print_table(
        console,
        f"{len(rows)} in suspense",
        columns,
        ((r.suspense_key, r.symbol, normal(r.quantity), _money(r.notional), str(r.executions), r.venue_order_id or r.client_order_id, moment(r.since_ns)) for r in rows),
    )


def _amount(amount: Decimal | None) -> str:
    return "-" if amount is None else normal(amount)


def _price(amount: Decimal) -> str:
    """A mean price; a dash where nothing was executed."""
    return _money(amount) if amount else "-"


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"
