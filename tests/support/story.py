"""What a suite did, told without the ids that differ between two homes, so that two runs can be held against each other."""

from __future__ import annotations

from typing import Any

from apps.cli.journals import JournalReader
from apps.runtime.home import Home
from core.contracts import FillEvent, OrderStateChanged, RiskDecision
from core.topics import FILLS_NEW, ORDERS_EVENTS, RISK_DECISION, Daemon

__all__ = ["decisions_of", "events_of", "fills_of", "said_of", "story_of"]


def decisions_of(home: Home) -> list[RiskDecision]:
    """Every decision, in order."""
    return [body for body in said_of(home, Daemon.RISK_ENGINE, RISK_DECISION.name()) if isinstance(body, RiskDecision)]


def events_of(home: Home) -> list[OrderStateChanged]:
    """Every change of every order, in order."""
    return [body for body in said_of(home, Daemon.OMS, ORDERS_EVENTS.name()) if isinstance(body, OrderStateChanged)]


def fills_of(home: Home) -> list[FillEvent]:
    """Every booked execution, in order."""
    return [body for body in said_of(home, Daemon.OMS, FILLS_NEW.name()) if isinstance(body, FillEvent)]


def story_of(home: Home) -> dict[str, list[Any]]:
    """Decisions, order changes and executions without the ids of the home they happened in."""
    return {
        "decisions": [(d.decided_ns, d.verdict, _wish(d.intent), d.evidence, [str(denial) for denial in d.denials]) for d in decisions_of(home)],
        "events": [
            (e.occurred_ns, e.strategy_id, e.symbol, e.side, e.old_status, e.new_status, e.cause, e.cum_qty, e.leaves_qty, e.avg_price, e.position) for e in events_of(home)
        ],
        "fills": [(f.occurred_ns, f.strategy_id, f.symbol, f.side, f.last_qty, f.last_price, f.fee) for f in fills_of(home)],
    }


def _wish(intent: Any) -> tuple[Any, ...]:
    return tuple(getattr(intent, name, None) for name in ("strategy_id", "symbol", "side", "order_type", "order_qty", "limit_price", "stop_price", "created_ns", "reason"))


def said_of(home: Home, daemon: Daemon, topic: str) -> list[Any]:
    """All a daemon said on a topic, in order."""
    with JournalReader(home.journal(daemon.value), daemon.value) as reader:
        return [envelope.body for _, envelope in reader.said(topic)]
