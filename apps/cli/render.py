"""Tables for people. Everything shown here can be had as JSON from the same command."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from apps.cli.stack import DaemonStatus
from apps.cli.summary import OrderRow, Summary
from apps.cli.verify.checks import Finding
from apps.cli.verify.report import VerifyReport
from core.contracts import FillEvent, PositionSnapshot
from core.money import normal

__all__ = ["console_for", "moment", "print_fills", "print_findings", "print_orders", "print_positions", "print_status", "print_summary", "print_table"]

_WIDE = 240


def console_for(stream: TextIO) -> Console:
    """A console on stdout or stderr. Where nobody's window gives a width, a table is as wide as it needs to be."""
    is_wide = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=_WIDE if is_wide else None)


def moment(ns: int) -> str:
    """UTC, to the second; a dash for never."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S") if ns else "-"


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """One table; columns whose name ends in a blank are aligned right. Cells are shown as they are: brackets mean nothing."""
    table = Table(title=Text(title), title_justify="left", header_style="bold")
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
    rows += [(f"latency {hop.hop}", f"p50 {hop.p50_us:,.0f} µs, p99 {hop.p99_us:,.0f} µs ({hop.measured})") for hop in summary.latencies]
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


def print_status(console: Console, title: str, rows: Sequence[DaemonStatus]) -> None:
    """How each daemon is."""
    columns = ("daemon", "state", "incarnation ", "inputs ", "session time", "why")
    print_table(console, title, columns, ((r.daemon, r.state, str(r.incarnation or "-"), str(r.inputs), moment(r.now_ns), "; ".join(r.reasons)) for r in rows))


def _verdict(finding: Finding) -> Text:
    if finding.problem_count:
        return Text("BROKEN", "red")
    return Text("pending", "yellow") if finding.pending else Text("holds", "green")


def print_orders(console: Console, rows: Sequence[OrderRow]) -> None:
    """Orders, newest last."""
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
                _money(r.avg_price),
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
    print_table(
        console,
        f"{len(rows)} fills",
        ("execution", "order", "strategy", "symbol", "side", "quantity ", "price ", "fee ", "at"),
        ((f.exec_id, f.client_order_id, f.strategy_id, f.symbol, f.side.value, normal(f.last_qty), _money(f.last_price), _money(f.fee), moment(f.occurred_ns)) for f in rows),
    )


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"
