"""Orders and their lineages: I3, I4, I5, I6, I10."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

from backtest.faults.invariants.records import Records
from core.contracts import ExecType, OrderIntent, OrderStateChanged, OrderStatus, Verdict
from core.money import ZERO

__all__ = ["doubt_ends_by_evidence", "intent_has_one_lineage", "intents_end", "quantities_add_up", "status_is_the_venues"]


def intent_has_one_lineage(records: Records) -> list[str]:
    """I3: an intent is one order for ever, sent under one id, never executed beyond what was wished or a confirmed replace made of it."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for order in records.submitted:
        ids[order.intent_id].add(order.client_order_id)
    problems = [f"intent {intent_id} became orders {sorted(found)}" for intent_id, found in ids.items() if len(found) > 1]
    submissions = Counter(order.client_order_id for order in records.submitted)
    problems += [f"order {client_id} was submitted {count} times" for client_id, count in submissions.items() if count > 1]
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    most: defaultdict[str, Decimal] = defaultdict(Decimal)
    for event in records.events:
        most[event.intent_id] = max(most[event.intent_id], event.order_qty)
        executed[event.intent_id] += event.last_qty if event.exec_type is ExecType.TRADE else ZERO
    problems += [f"intent {intent_id} executed {qty}, at most {most[intent_id]} were ever asked for" for intent_id, qty in executed.items() if qty > most[intent_id]]
    accepted = Counter(fill.client_order_id for fill in records.venue_fills)
    known = {order.client_order_id for order in records.submitted} | {order.client_order_id for order in records.replaced}
    return problems + [f"order {client_id} executed at the venue and the OMS never ordered it" for client_id in accepted if client_id not in known]


def intents_end(records: Records) -> list[str]:
    """I5: every intent has one answer; an allowed order is an order with a known state; nothing stale is sent."""
    answers = Counter(decision.intent.intent_id for decision in records.decisions)
    wished = {intent.intent_id for intent in records.intents}
    problems = [f"intent {intent_id} was answered {answers[intent_id]} times" for intent_id in wished if answers[intent_id] != 1]
    problems += [f"decision for {intent_id}, which nobody wished" for intent_id in answers if intent_id not in wished]
    known = {event.intent_id for event in records.events}
    for decision in records.decisions:
        if decision.verdict is Verdict.ALLOWED and isinstance(decision.intent, OrderIntent) and decision.intent.intent_id not in known:
            problems.append(f"intent {decision.intent.intent_id} was allowed and nothing is known of its order")
    for sent in records.sent:
        if sent.approval is not None and sent.sent_ns > sent.approval.expires_ns:
            problems.append(f"order {sent.request.order.client_order_id} left {(sent.sent_ns - sent.approval.expires_ns) / 1e6:.0f} ms after its approval had expired")
    return problems


def quantities_add_up(records: Records) -> list[str]:
    """I6: ordered = executed + remaining while an order lives, executed is the sum of executions, and no status goes back."""
    problems = []
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    ended: dict[str, OrderStateChanged] = {}
    previous: dict[str, OrderStatus] = {}
    for event in records.events:
        name = event.client_order_id
        if event.exec_type is ExecType.TRADE:
            executed[name] += event.last_qty
        if event.cum_qty != executed[name]:
            problems.append(f"order {name}: cum_qty={event.cum_qty}, its executions sum to {executed[name]}")
        remaining = ZERO if event.new_status.is_terminal else event.order_qty - event.cum_qty
        if event.leaves_qty != remaining and "overfilled" not in event.facets:
            problems.append(f"order {name}: order_qty={event.order_qty} cum_qty={event.cum_qty} leaves_qty={event.leaves_qty} while {event.new_status}")
        if name in previous and event.old_status is not previous[name]:
            problems.append(f"order {name}: an event says it was {event.old_status}, the one before left it {previous[name]}")
        if _RANK[event.new_status] < _RANK[event.old_status] and event.exec_type not in _REOPENING:
            problems.append(f"order {name} went back from {event.old_status} to {event.new_status} by {event.exec_type}")
        previous[name] = event.new_status
        if event.new_status.is_terminal:
            ended[name] = event
    return problems


_RANK = {status: rank for rank, status in enumerate((OrderStatus.PENDING, OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED))}
_RANK |= dict.fromkeys((OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED), 9)
_REOPENING = (ExecType.REPLACED, ExecType.RESTATED, ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
_NOT_AT_VENUE = frozenset({OrderStatus.CANCELLED, OrderStatus.REJECTED})


def status_is_the_venues(records: Records) -> list[str]:
    """I4: every order at the venue is one of ours and stands, for us, where the venue has it; what never got there is not alive."""
    last = {event.client_order_id: event for event in records.events}
    root = {order.client_order_id: order.client_order_id for order in records.submitted}
    for replacement in records.replaced:
        root[replacement.client_order_id] = root.get(replacement.orig_client_order_id, replacement.orig_client_order_id)
    problems = []
    seen = set()
    for name, view in records.venue_orders.items():
        ours = root.get(name)
        event = last.get(ours) if ours is not None else None
        if event is None:
            problems.append(f"order {name} is at the venue and none of ours")
            continue
        seen.add(ours)
        if name != view.client_order_id:
            continue  # An id it went by before a replacement: its last word is told under the present one.
        if (event.new_status, event.cum_qty, event.order_qty) != (view.status, view.cum_qty, view.order_qty):
            problems.append(
                f"order {name}: the venue has {view.status} {view.cum_qty}/{view.order_qty}, we have {event.new_status} {event.cum_qty}/{event.order_qty} (cause {event.cause}, {event.exec_type})"
            )
    for name, event in last.items():
        if name not in seen and event.new_status not in _NOT_AT_VENUE:
            problems.append(f"order {name} is {event.new_status} and the venue does not know it")
    return problems


def doubt_ends_by_evidence(records: Records) -> list[str]:
    """I10: what we say never reached the venue never did; a doubt is over when the suite is at rest."""
    problems = [
        f"order {report.client_order_id} was said to have never reached the venue, which has it ({records.venue_orders[report.client_order_id].status})"
        for report in records.reports
        if report.exec_type in (ExecType.NEVER_REACHED, ExecType.NOT_SENT, ExecType.REJECTED) and report.client_order_id in records.venue_orders
    ]
    gateway = records.suite.gateway
    if gateway is not None:
        problems += [f"order {order.client_order_id} is still {order.stage} at the gateway" for order in gateway.snapshot().orders if order.is_unknown]
    return problems
