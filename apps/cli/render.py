"""Tables for people. Everything shown here can be had as JSON from the same command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from apps.cli.summary import OrderRow, Summary
from apps.cli.verify.report import VerifyReport
from core.contracts import FillEvent, PositionSnapshot
from core.money import normal

__all__ = ["moment", "print_fills", "print_findings", "print_orders", "print_positions", "print_summary", "print_table"]


def moment(ns: int) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """One table; columns whose name ends in a blank are aligned right."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column.strip(), justify="right" if column.endswith(" ") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_summary(console: Console, summary: Summary, title: str) -> None:
    """The table a run ends with."""
    rows: list[tuple[str, str]] = [("intents", str(summary.intents)), ("allowed", str(summary.allowed))]
    rows += [(f"denied {code}", str(count)) for code, count in summary.denied.items()]
    rows += [(f"orders {status}", str(count)) for status, count in summary.orders.items()]
    rows += [("fills", str(summary.fills))]
    rows += [(f"position {p.symbol} of {p.strategy_id}", f"{normal(p.position_qty)} at {_money(p.avg_price)}") for p in summary.positions]
    rows += [(f"cash {asset}", _money(total)) for asset, total in summary.balances.items()]
    rows += [(f"fees {asset or '-'}", _money(total)) for asset, total in summary.fees.items()]
    rows += [("realized P&L", _money(summary.realized_pnl)), ("unrealized P&L", _money(summary.unrealized_pnl))]
    rows += [(f"latency {hop.hop}", f"p50 {hop.p50_us:.0f} µs, p99 {hop.p99_us:.0f} µs ({hop.measured})") for hop in summary.latencies]
    print_table(console, title, ("what", "value "), rows)


def print_findings(console: Console, report: VerifyReport) -> None:
    """One line per invariant, and the first problems of those that do not hold."""
    rows = []
    for finding in report.findings:
        verdict = "[red]BROKEN[/red]" if finding.problem_count else "[yellow]pending[/yellow]" if finding.pending else "[green]holds[/green]"
        rows.append((finding.invariant, verdict, str(finding.checked), str(finding.pending), finding.claim))
    print_table(console, "invariants", ("", "verdict", "checked ", "pending ", "claim"), rows)
    for finding in report.findings:
        for problem in finding.problems:
            console.print(f"[red]{finding.invariant}[/red] {problem}", highlight=False)
        if finding.problem_count > len(finding.problems):
            console.print(f"{finding.invariant} … and {finding.problem_count - len(finding.problems)} more")


def print_orders(console: Console, rows: Sequence[OrderRow]) -> None:
    """Orders, newest last."""
    print_table(
        console,
        f"{len(rows)} orders",
        ("order", "strategy", "symbol", "side", "status", "quantity ", "executed ", "avg price ", "changed", "cause"),
        (
            (r.client_order_id, r.strategy_id, r.symbol, r.side, " ".join((r.status, *r.facets)), normal(r.order_qty), normal(r.cum_qty), _money(r.avg_price), moment(r.updated_ns), r.cause)
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
