"""What a suite did, from its journals: counts, orders, positions, cash, profit, and how long each hop took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from apps.cli.journals import JournalReader
from core.contracts import AccountSnapshot, FillEvent, OrderStateChanged, OrderStatus, PositionSnapshot, RiskDecision, SubmitOrder, Verdict
from core.machine import CallReplied
from core.money import ZERO
from core.topics import ACCOUNT_SNAPSHOT, BROKER_REPORTS, FILLS_NEW, ORDERS_ACCEPTED, ORDERS_EVENTS, RISK_DECISION, STRAT_INTENT, Daemon

__all__ = ["HopLatency", "OrderRow", "Summary", "fills", "latencies", "orders", "positions", "summarize"]

ONE = Decimal(1)


class OrderRow(msgspec.Struct, frozen=True):
    """The present state of one order."""

    client_order_id: str
    intent_id: str
    strategy_id: str
    symbol: str
    side: str
    status: str
    order_qty: Decimal
    cum_qty: Decimal
    avg_price: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    facets: tuple[str, ...]
    cause: str
    updated_ns: int


class HopLatency(msgspec.Struct, frozen=True):
    """Wall time from one daemon's receipt to the next one's, in microseconds."""

    hop: str
    measured: int
    p50_us: float
    p99_us: float


class Summary(msgspec.Struct, frozen=True):
    """One suite at a glance. Money in the account's currency; `unrealized_pnl` is that of open positions at their latest mark, `denied` counts by first code."""

    intents: int
    allowed: int
    denied: dict[str, int]
    orders: dict[str, int]
    fills: int
    positions: list[PositionSnapshot]
    balances: dict[str, Decimal]
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: dict[str, Decimal]
    latencies: list[HopLatency]


def order_events(oms: JournalReader) -> Iterable[OrderStateChanged]:
    """Every change of every order."""
    return (envelope.body for _, envelope in oms.said(ORDERS_EVENTS.name()) if isinstance(envelope.body, OrderStateChanged))


def orders(oms: JournalReader) -> list[OrderRow]:
    """The orders in the order they came, each in its present state; one without an event has been sent to the broker and no more."""
    instructions = (envelope.body for _, envelope in oms.said(ORDERS_ACCEPTED.pattern.partition("{")[0]))
    rows = {order.client_order_id: _sent(order) for order in instructions if isinstance(order, SubmitOrder)}
    for event in order_events(oms):
        rows[event.client_order_id] = _present(event)
    return list(rows.values())


def _sent(order: SubmitOrder) -> OrderRow:
    return OrderRow(
        order.client_order_id,
        order.intent_id,
        order.strategy_id,
        order.symbol,
        order.side.value,
        OrderStatus.PENDING.value,
        order.order_qty,
        ZERO,
        ZERO,
        order.limit_price,
        order.stop_price,
        (),
        "",
        order.created_ns,
    )


def _present(event: OrderStateChanged) -> OrderRow:
    return OrderRow(
        event.client_order_id,
        event.intent_id,
        event.strategy_id,
        event.symbol,
        event.side.value,
        event.new_status.value,
        event.order_qty,
        event.cum_qty,
        event.avg_price,
        event.limit_price,
        event.stop_price,
        event.facets,
        event.cause,
        event.occurred_ns,
    )


def fills(oms: JournalReader) -> list[FillEvent]:
    """Every booked execution."""
    return [envelope.body for _, envelope in oms.said(FILLS_NEW.name()) if isinstance(envelope.body, FillEvent)]


def positions(oms: JournalReader) -> list[PositionSnapshot]:
    """The latest position of every owner and symbol, flat ones included."""
    last = {(event.position.symbol, event.position.strategy_id): event.position for event in order_events(oms)}
    return [last[key] for key in sorted(last)]


def latencies(journals: dict[str, JournalReader]) -> list[HopLatency]:
    """Per hop: from the receipt of a message to the next daemon's receipt of what came of it, and at the venue to its reply."""
    accepted, reports = (topic.pattern.partition("{")[0] for topic in (ORDERS_ACCEPTED, BROKER_REPORTS))
    hops = (
        ("intent → decision", Daemon.RISK_ENGINE, STRAT_INTENT.name(), Daemon.OMS, RISK_DECISION.name()),
        ("decision → order", Daemon.OMS, RISK_DECISION.name(), Daemon.BROKER, accepted),
        ("order → attempt", Daemon.BROKER, accepted, Daemon.OMS, reports),
        ("report → event", Daemon.OMS, reports, Daemon.RISK_ENGINE, ORDERS_EVENTS.name()),
    )
    found = [
        _percentiles(name, _hop(journals[at.value], topic_in, journals[then.value], topic_out))
        for name, at, topic_in, then, topic_out in hops
        if at.value in journals and then.value in journals
    ]
    if Daemon.BROKER.value in journals:
        found.insert(3, _percentiles("order → venue's reply", _calls(journals[Daemon.BROKER.value], accepted)))
    return found


def summarize(journals: dict[str, JournalReader], marks: Mapping[str, float], multipliers: Mapping[str, Decimal]) -> Summary:
    """Everything at once; `marks` are the latest prices by symbol, `multipliers` what a price of one is worth per unit (absent: 1)."""
    runner, risk, oms = (journals.get(d.value) for d in (Daemon.STRATEGY_RUNNER, Daemon.RISK_ENGINE, Daemon.OMS))
    decisions = [e.body for _, e in risk.said(RISK_DECISION.name()) if isinstance(e.body, RiskDecision)] if risk is not None else []
    held = positions(oms) if oms is not None else []
    booked = fills(oms) if oms is not None else []
    fees: dict[str, Decimal] = {}
    for fill in booked:
        fees[fill.fee_asset] = fees.get(fill.fee_asset, ZERO) + fill.fee
    return Summary(
        intents=runner.heads.get(STRAT_INTENT.name(), 0) if runner is not None else 0,
        allowed=sum(1 for d in decisions if d.verdict is Verdict.ALLOWED),
        denied=dict(Counter(d.denials[0].code for d in decisions if d.verdict is Verdict.DENIED and d.denials).most_common()),
        orders=dict(Counter(row.status for row in orders(oms)).most_common()) if oms is not None else {},
        fills=len(booked),
        positions=[p for p in held if p.position_qty],
        balances=_balances(oms) if oms is not None else {},
        realized_pnl=sum((p.realized_pnl for p in held), ZERO),
        unrealized_pnl=sum(
            (p.position_qty * (Decimal(str(marks[p.symbol])) - p.avg_price) * multipliers.get(p.symbol, ONE) for p in held if p.position_qty and p.symbol in marks), ZERO
        ),
        fees=fees,
        latencies=latencies(journals),
    )


def _balances(oms: JournalReader) -> dict[str, Decimal]:
    """Cash by asset: the latest word on each, from the opening on."""
    snapshots = (envelope.body for _, envelope in oms.said(ACCOUNT_SNAPSHOT.name()))
    return {balance.asset: balance.total for snapshot in snapshots if isinstance(snapshot, AccountSnapshot) for balance in snapshot.balances}


def _hop(at: JournalReader, topic_in: str, then: JournalReader, topic_out: str) -> list[int]:
    """Nanoseconds between the arrival of an input at `at` and the arrival at `then` of what `at` said about it."""
    arrived = {row.n: row.arrived_ns for row in at.messages(topic_in) if row.arrived_ns}
    cause = {row.seq: row.n for row in at.outputs(topic_out)}
    found = []
    for row in then.messages(topic_out):
        began = arrived.get(cause.get(row.seq, 0))
        if began is not None and row.arrived_ns >= began:
            found.append(row.arrived_ns - began)
    return found


def _calls(broker: JournalReader, topic_in: str) -> list[int]:
    """Nanoseconds between the arrival of an order at the broker and the arrival of the venue's answer to its call."""
    asked = {row.n: row.arrived_ns for row in broker.messages(topic_in) if row.arrived_ns}
    answered = {row.n: row.arrived_ns for row in broker.inputs(CallReplied.__name__) if row.arrived_ns}
    pairs = ((asked.get(call.row.n), answered.get(call.outcome_n or 0)) for call in broker.calls())
    return [reply - order for order, reply in pairs if order is not None and reply is not None and reply >= order]


def _percentiles(hop: str, samples_ns: list[int]) -> HopLatency:
    """Nearest rank: the smallest sample that so many percent of all do not exceed."""
    ordered = sorted(samples_ns)
    if not ordered:
        return HopLatency(hop, 0, 0.0, 0.0)
    p50, p99 = (ordered[-(-len(ordered) * percent // 100) - 1] / 1000 for percent in (50, 99))
    return HopLatency(hop, len(ordered), p50, p99)
