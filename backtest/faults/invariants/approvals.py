"""What may leave for the venue: I7, I8, I9, I16, I17 and L2."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from backtest.faults.invariants.records import Records
from core.codec import Codec
from core.contracts import (
    KillSwitchState,
    KillSwitchStatus,
    OrderIntent,
    OrderStateChanged,
    OrderStatus,
    ReplaceIntent,
    ReplaceOrder,
    RiskDecision,
    Side,
    SubmitOrder,
    TradingState,
    Verdict,
)
from core.journal import MESSAGE_KIND
from core.money import ZERO
from core.topics import ORDERS_EVENTS, RISK_DECISION, Daemon
from core.venue import terms_hash

__all__ = ["decisions_have_evidence", "exposure_is_within_limits", "kill_leaves_nothing_open", "nothing_leaves_after_a_kill", "sent_is_approved"]


def sent_is_approved(records: Records) -> list[str]:
    """I7 and I16: every order that left carries risk's approval of exactly its terms, and can be told back to its intent."""
    approved = {d.approval.client_order_id: d for d in records.decisions if d.approval is not None and d.verdict is Verdict.ALLOWED}
    wished = {intent.intent_id for intent in records.intents}
    account = records.suite.settings.account
    problems = []
    for sent in records.sent:
        order = sent.request.order
        decision = approved.get(order.client_order_id)
        if decision is None or decision.approval is None:
            problems.append(f"order {order.client_order_id} left without an approval")
            continue
        if terms_hash(account.name, account.venue, order) != decision.approval.content_hash:
            problems.append(f"order {order.client_order_id} left with other terms than approved: {order.side} {order.order_qty} {order.symbol}")
        if decision.intent.intent_id not in wished:
            problems.append(f"order {order.client_order_id} comes from intent {decision.intent.intent_id}, which nobody wished")
    return problems


def nothing_leaves_after_a_kill(records: Records) -> list[str]:
    """I8: while the kill file says stop no order leaves; while it says REDUCING only what reduces does."""
    problems = []
    for sent in records.sent:
        if not _lets_through(sent.kill, reduces=sent.approval is not None and sent.approval.reduces):
            problems.append(f"order {sent.request.order.client_order_id} left while the kill file said {sent.kill.status} {sent.kill.trading_state}")
    return problems


def _lets_through(kill: KillSwitchState, *, reduces: bool) -> bool:
    if kill.status is KillSwitchStatus.CLEAR:
        return True
    return kill.status is KillSwitchStatus.TRIPPED and kill.trading_state is TradingState.REDUCING and reduces


def kill_leaves_nothing_open(records: Records) -> list[str]:
    """L2: with the kill file tripped nothing is open at the venue in the end but protective orders (and, in REDUCING, reductions)."""
    kill, venue = records.suite.kill_file.state, records.suite.venue_machine
    if kill.status is not KillSwitchStatus.TRIPPED or venue is None:
        return []
    protective = {order.client_order_id for order in records.submitted if order.protective}
    orders: list[SubmitOrder | ReplaceOrder] = [*records.submitted, *records.replaced]
    reducing = {order.client_order_id for order in orders if order.approval.reduces}
    kept = protective | (reducing if kill.trading_state is TradingState.REDUCING else set())
    problems = []
    for order in venue.snapshot().orders:
        if not kept & {order.client_order_id, *order.lineage}:
            problems.append(f"order {order.client_order_id} is open at the venue while the kill file says {kill.trading_state}")
    return problems


class _Working:
    __slots__ = ("leaves", "pending", "side", "symbol")

    def __init__(self, symbol: str, side: Side, leaves: Decimal) -> None:
        self.symbol, self.side, self.leaves = symbol, side, leaves
        self.pending = ZERO


def exposure_is_within_limits(records: Records) -> list[str]:
    """I9: at every approval of an entry, position + everything that may still execute is within the limit, counted anew from risk's own inputs."""
    settings = records.suite.settings
    journal, codec = records.suite.hosts[Daemon.RISK_ENGINE].journal, Codec()
    said = defaultdict(list)
    for output in journal.rows.get(RISK_DECISION.name(), []):
        said[output.n].append(codec.decode(output.data).body)
    working: dict[str, _Working] = {}
    held: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    problems = []
    for row in journal.inputs:
        if row.kind != MESSAGE_KIND:
            continue
        if row.topic == ORDERS_EVENTS.name():
            body = codec.decode(row.data).body
            if isinstance(body, OrderStateChanged):
                held[body.symbol, body.position.strategy_id] = body.position.position_qty
                _follow(working, body)
        for decision in said[row.n]:
            if isinstance(decision, RiskDecision) and decision.approval is not None:
                _reserve(working, decision)
                symbol = _symbol(decision, working)
                if not decision.approval.reduces:
                    worst = _worst(working, sum((qty for (s, _), qty in held.items() if s == symbol), ZERO), symbol)
                    if worst > settings.limits.position_qty_max:
                        problems.append(f"{decision.decision_id}: {symbol} could reach {worst}, allowed are {settings.limits.position_qty_max}")
                    price = decision.evidence.reference_price
                    if price is not None and worst * price > settings.limits.position_notional_max:
                        problems.append(f"{decision.decision_id}: {symbol} could be worth {worst * price}, allowed are {settings.limits.position_notional_max}")
    return problems


def _reserve(working: dict[str, _Working], decision: RiskDecision) -> None:
    intent = decision.intent
    if isinstance(intent, OrderIntent):
        working[intent.intent_id] = _Working(intent.symbol, intent.side, intent.order_qty)
    elif isinstance(intent, ReplaceIntent) and intent.order_qty is not None and intent.target_intent_id in working:
        working[intent.target_intent_id].pending = intent.order_qty


def _symbol(decision: RiskDecision, working: dict[str, _Working]) -> str:
    intent = decision.intent
    if isinstance(intent, OrderIntent):
        return intent.symbol
    assert isinstance(intent, ReplaceIntent)
    return working[intent.target_intent_id].symbol if intent.target_intent_id in working else ""


def _follow(working: dict[str, _Working], event: OrderStateChanged) -> None:
    order = working.get(event.intent_id)
    if order is None:
        order = working[event.intent_id] = _Working(event.symbol, event.side, ZERO)
    order.leaves = ZERO if event.new_status.is_terminal else max(event.leaves_qty, event.order_qty - event.cum_qty)
    if event.new_status.is_terminal and event.new_status is not OrderStatus.FILLED:
        order.pending = ZERO


def _worst(working: dict[str, _Working], position: Decimal, symbol: str) -> Decimal:
    buys = sum((order.leaves for order in working.values() if order.symbol == symbol and order.side is Side.BUY), ZERO)
    sells = sum((order.leaves for order in working.values() if order.symbol == symbol and order.side is Side.SELL), ZERO)
    return max(position + buys, sells - position)


def decisions_have_evidence(records: Records) -> list[str]:
    """I17: no entry was allowed on a missing or stale price."""
    limits = records.suite.settings.limits
    problems = []
    for decision in records.decisions:
        approval, evidence = decision.approval, decision.evidence
        if approval is None or approval.reduces:
            continue
        if evidence.reference_price is None or evidence.reference_age_ms is None or evidence.reference_age_ms > limits.mark_age_ms_max:
            problems.append(f"{decision.decision_id} allowed an entry on price {evidence.reference_price} of age {evidence.reference_age_ms} ms")
        if evidence.trading_state is not TradingState.ACTIVE:
            problems.append(f"{decision.decision_id} allowed an entry while {evidence.trading_state}")
    return problems
