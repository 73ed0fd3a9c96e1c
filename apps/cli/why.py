"""Why something did or did not trade: what risk answered, why strategies did nothing, and what a person should have heard.

All of it is read from the journals of those who said it, running or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
from rich.console import Console

from apps.cli.journals import JournalReader, open_journals
from apps.cli.render import moment, print_table, short
from apps.runtime.home import Home
from core import topics
from core.contracts import Alert, Contract, NoTrade, OrderIntent, RiskDecision, Severity, Verdict
from core.money import normal
from core.topics import Daemon

__all__ = ["DecisionRow", "IdleRow", "alerts_of", "decisions_of", "idle_reasons_of", "print_alerts", "print_decisions", "print_idle_reasons"]


class DecisionRow(msgspec.Struct, frozen=True):
    """One answer of risk's. `denials` is empty for what was allowed; `intent` says what was wished for."""

    decided_ns: int
    verdict: str
    strategy_id: str
    symbol: str
    intent: str
    denials: tuple[str, ...]
    limits_version: str
    intent_id: str
    client_order_id: str


class IdleRow(msgspec.Struct, frozen=True):
    """Why a strategy did nothing about a symbol, and how often that reason began. `last_ns` is when it did last."""

    strategy_id: str
    symbol: str
    reason: str
    count: int
    last_ns: int


def decisions_of(home: Home, *, symbol: str = "", strategy: str = "", denied: bool = False) -> list[DecisionRow]:
    """Risk's decisions, oldest first, or those of a symbol, of a strategy, or the denied ones."""
    rows = []
    for body in _said(home, (Daemon.RISK_ENGINE,), topics.RISK_DECISION.name()):
        if isinstance(body, RiskDecision):
            row = _decision_row(body)
            if symbol in ("", row.symbol) and strategy in ("", row.strategy_id) and not (denied and body.verdict is Verdict.ALLOWED):
                rows.append(row)
    return rows


def idle_reasons_of(home: Home) -> list[IdleRow]:
    """How often each strategy began to do nothing, by symbol and reason, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    last: dict[tuple[str, str, str], int] = {}
    for body in _said(home, (Daemon.STRATEGY_RUNNER,), topics.TELEMETRY_NO_TRADE.name()):
        if isinstance(body, NoTrade):
            key = (body.strategy_id, body.symbol, body.reason)
            counts[key] += 1
            last[key] = body.occurred_ns
    return [IdleRow(*key, count, last[key]) for key, count in counts.most_common()]


def alerts_of(home: Home, least: Severity | None = None) -> list[Alert]:
    """Everything any daemon alerted a person to, oldest first; from a severity on when one is given."""
    levels = list(Severity)
    found = [body for body in _said(home, tuple(Daemon), topics.ALERTS_FIRED.name()) if isinstance(body, Alert)]
    wanted = [alert for alert in found if least is None or levels.index(alert.severity) >= levels.index(least)]
    return sorted(wanted, key=lambda alert: alert.occurred_ns)


def print_decisions(console: Console, rows: list[DecisionRow]) -> None:
    """Decisions, newest last."""
    columns = ("decided", "verdict", "strategy", "intent", "why")
    print_table(
        console, f"{len(rows)} decisions", columns, ((moment(r.decided_ns), r.verdict, r.strategy_id, r.intent, "; ".join(r.denials) or short(r.client_order_id)) for r in rows)
    )


def print_idle_reasons(console: Console, rows: list[IdleRow]) -> None:
    """Reasons, the most frequent first."""
    print_table(
        console,
        "why strategies did nothing",
        ("strategy", "symbol", "reason", "began ", "last"),
        ((r.strategy_id, r.symbol, r.reason, str(r.count), moment(r.last_ns)) for r in rows),
    )


def print_alerts(console: Console, alerts: list[Alert]) -> None:
    """Alerts, newest last."""
    print_table(
        console, f"{len(alerts)} alerts", ("at", "severity", "daemon", "name", "text"), ((moment(a.occurred_ns), a.severity.value, a.daemon, a.name, a.text) for a in alerts)
    )


def _said(home: Home, daemons: tuple[Daemon, ...], topic: str) -> Iterator[Contract]:
    journals: dict[str, JournalReader] = open_journals(home, tuple(daemon.value for daemon in daemons))
    try:
        for reader in journals.values():
            for _, envelope in reader.said(topic):
                yield envelope.body
    finally:
        for reader in journals.values():
            reader.close()


def _decision_row(decision: RiskDecision) -> DecisionRow:
    intent, approval = decision.intent, decision.approval
    symbol = intent.symbol if isinstance(intent, OrderIntent) else ""
    return DecisionRow(
        decision.decided_ns,
        decision.verdict.value,
        intent.strategy_id,
        symbol,
        f"{intent.side} {normal(intent.order_qty)} {symbol} {intent.order_type}" if isinstance(intent, OrderIntent) else f"{type(intent).__name__} of {intent.target_intent_id}",
        tuple(map(str, decision.denials)),
        decision.limits_version,
        intent.intent_id,
        approval.client_order_id if approval is not None else "",
    )
