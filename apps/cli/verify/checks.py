"""One function per invariant. Each takes the evidence and says how much it looked at, what is still under way, and what is wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

import msgspec

from apps.cli.verify.evidence import Evidence
from apps.cli.verify.ledgers import Ledgers
from core.contracts import ExecType, OrderIntent, OrderStateChanged, OrderStatus, Side, Verdict
from core.journal import MESSAGE_KIND, InputRow
from core.money import ZERO
from core.ports import StreamId
from core.topics import Daemon, View
from core.venue import BrokerFill, terms_hash

__all__ = ["CHECKS", "Finding"]

_SHOWN_MAX = 5


class Finding(msgspec.Struct, frozen=True):
    """What one check found. `pending` counts things under way; `problems` is empty when the invariant holds."""

    invariant: str
    claim: str
    checked: int
    pending: int
    problem_count: int
    problems: tuple[str, ...]


Check = Callable[[Evidence, Ledgers], Finding]


def _finding(invariant: str, claim: str, checked: int, problems: list[str], pending: int = 0) -> Finding:
    return Finding(invariant, claim, checked, pending, len(problems), tuple(problems[:_SHOWN_MAX]))


def fills_are_conserved(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I1: what the venue executed is what we booked, each execution once, with the same quantity and price."""
    executions = [event for event in evidence.events if event.last_qty and event.exec_type is ExecType.TRADE]
    booked = {event.exec_id: event for event in executions}
    told = Counter(ledgers.fill_events)
    problems = [f"execution {exec_id} is booked twice" for exec_id, count in Counter(event.exec_id for event in executions).items() if count > 1]
    problems += [f"execution {exec_id} is booked but {told[exec_id]} times in fills.new" for exec_id in booked if told[exec_id] != 1]
    problems += [f"execution {exec_id} has no transaction in the ledger" for exec_id in booked if exec_id not in ledgers.fill_transactions]
    problems += [f"execution {exec_id} is booked and the venue has no such execution" for exec_id in booked if exec_id not in ledgers.venue_fills]
    under_way = 0
    for exec_id, fill in ledgers.venue_fills.items():
        event = booked.get(exec_id)
        if event is not None:
            problems += _execution_apart(fill, event)
        elif exec_id in evidence.unheard_executions or fill.cursor > ledgers.broker_cursor:
            under_way += 1
        elif exec_id not in ledgers.suspense_exec_ids:
            problems.append(f"execution {exec_id} of {fill.client_order_id} ({fill.last_qty} {fill.symbol} at {fill.last_price}) is at the venue and not booked")
    return _finding("I1", "every execution of the venue is booked, once", len(ledgers.venue_fills), problems, under_way)


def _execution_apart(fill: BrokerFill, event: OrderStateChanged) -> list[str]:
    theirs, ours = (f"{side} {qty} {symbol} at {price}" for side, qty, symbol, price in (_terms(fill), _terms(event)))
    return [] if _terms(fill) == _terms(event) else [f"execution {fill.exec_id}: the venue has {theirs}, booked is {ours}"]


def _terms(execution: BrokerFill | OrderStateChanged) -> tuple[Side, Decimal, str, Decimal | None]:
    return execution.side, execution.last_qty, execution.symbol, execution.last_price


def balances_follow_from_entries(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I2: opening balance plus every entry is the balance, in the ledger and at the venue."""
    problems = [*_entries_apart(ledgers), *_executions_apart(ledgers)]
    apart = _venue_apart(ledgers)
    # A fill at the venue is booked when its event and then its report have come through.
    is_settled = not ledgers.venue_events_behind and not evidence.unheard_executions
    return _finding(
        "I2",
        "balances and positions are their opening plus every entry, as the venue has them",
        len(ledgers.balances) + len(ledgers.positions),
        problems + (apart if is_settled else []),
        0 if is_settled else len(apart),
    )


def _entries_apart(ledgers: Ledgers) -> Iterator[str]:
    """Assets whose balance is not the sum of the postings."""
    for asset in sorted({*ledgers.opening, *ledgers.entries, *ledgers.balances}):
        expected, held = ledgers.opening.get(asset, ZERO) + ledgers.entries.get(asset, ZERO), ledgers.balances.get(asset, ZERO)
        if held != expected:
            yield f"{asset}: opening and entries give {expected}, the ledger says {held}"


def _executions_apart(ledgers: Ledgers) -> Iterator[str]:
    """Assets and symbols whose total is not what the executions say, computed without the postings."""
    cash: defaultdict[str, Decimal] = defaultdict(Decimal, ledgers.opening)
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for booked in ledgers.booked_executions:
        assert booked.side is not None
        cash[booked.currency] -= booked.side.sign * booked.notional
        cash[booked.fee_asset] -= booked.fee
        held[booked.symbol] += booked.side.sign * booked.last_qty
    for asset, total in sorted(cash.items()):
        if asset in ledgers.balances and ledgers.balances[asset] != total:
            yield f"{asset}: the executions give {total}, the ledger says {ledgers.balances[asset]}"
    for symbol in sorted({*held, *ledgers.positions}):
        if held[symbol] != ledgers.positions.get(symbol, ZERO):
            yield f"{symbol}: the executions give {held[symbol]}, the ledger says {ledgers.positions.get(symbol, ZERO)}"


def _venue_apart(ledgers: Ledgers) -> list[str]:
    """Where the venue's books and ours differ."""
    apart = [
        f"{asset}: the venue says {total}, the ledger says {ledgers.balances[asset]}"
        for asset, total in sorted(ledgers.venue_balances.items())
        if asset in ledgers.balances and ledgers.balances[asset] != total
    ]
    for symbol in sorted({*ledgers.venue_positions, *ledgers.positions}):
        ours, theirs = ledgers.positions.get(symbol, ZERO), ledgers.venue_positions.get(symbol, ZERO)
        if ours != theirs:
            apart.append(f"{symbol}: the venue holds {theirs}, the ledger {ours}")
    return apart


def intent_has_one_order(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I3: one order lineage per intent, never executed beyond what was wished."""
    problems = []
    orders: defaultdict[str, set[str]] = defaultdict(set)
    for order in evidence.submitted:
        orders[order.intent_id].add(order.client_order_id)
    submissions = Counter(order.client_order_id for order in evidence.submitted)
    problems += [f"order {client_id} was submitted {count} times" for client_id, count in submissions.items() if count > 1]
    problems += [f"intent {intent_id} became {len(ids)} orders: {', '.join(sorted(ids))}" for intent_id, ids in orders.items() if len(ids) > 1]
    placed = Counter(sent.order.client_order_id for sent in evidence.sent)
    known = {order.client_order_id for order in evidence.submitted} | {event.client_order_id for event in evidence.events}
    problems += [f"order {client_id} reached the venue {count} times" for client_id, count in placed.items() if count > 1]
    problems += [f"order {client_id} is at the venue and the OMS never submitted it" for client_id in placed if client_id not in known]
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for event in evidence.events:
        executed[event.intent_id] += event.last_qty if event.exec_type is ExecType.TRADE else ZERO
    for intent in evidence.order_intents:
        if executed[intent.intent_id] > intent.order_qty and not _is_flagged(evidence, intent):
            problems.append(f"intent {intent.intent_id} wished {intent.order_qty}, executed were {executed[intent.intent_id]}")
    return _finding("I3", "every intent became at most one order, executed at most as wished", len(evidence.intents), problems)


def intent_ends_once(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I5: every intent was answered once, and an allowed one has an order whose end, or present state, is known."""
    answers = Counter(decision.intent.intent_id for decision in evidence.decisions)
    problems = [f"intent {intent_id} was answered {count} times" for intent_id, count in answers.items() if count > 1]
    problems += [f"decision for {intent_id}, which no strategy wished" for intent_id in answers if intent_id not in evidence.intents]
    problems += [f"intent {intent_id} was never answered" for intent_id in evidence.intents if intent_id not in answers and intent_id not in evidence.unheard_intents]
    pending = sum(1 for intent_id in evidence.intents if intent_id not in answers and intent_id in evidence.unheard_intents)
    submitted = {order.intent_id for order in evidence.submitted}
    states: defaultdict[str, set[OrderStatus]] = defaultdict(set)
    for event in evidence.last_events.values():
        states[event.intent_id].add(event.new_status)
    for intent_id in dict.fromkeys(d.intent.intent_id for d in evidence.decisions if d.verdict is Verdict.ALLOWED and isinstance(d.intent, OrderIntent)):
        if not states[intent_id] and intent_id not in submitted and intent_id not in evidence.unheard_decisions:
            problems.append(f"intent {intent_id} was allowed and has no order")
        elif not states[intent_id] or states[intent_id] & {OrderStatus.PENDING, OrderStatus.SUBMITTED}:
            pending += 1
    return _finding("I5", "every intent has exactly one answer and, when allowed, one order with a known state", len(evidence.intents), problems, pending)


def quantities_add_up(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I6: ordered = executed + remaining while an order lives; executed never falls but by a bust or correction."""
    problems = []
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for event in evidence.events:
        name = f"order {event.client_order_id}"
        before = executed[event.client_order_id]
        if event.exec_type is ExecType.TRADE:
            executed[event.client_order_id] += event.last_qty
        elif event.exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT):
            executed[event.client_order_id] = event.cum_qty
        if event.cum_qty != executed[event.client_order_id]:
            problems.append(f"{name}: cum_qty={event.cum_qty}, its executions sum to {executed[event.client_order_id]} (before {before})")
        if "overfilled" in event.facets:
            continue
        remaining = ZERO if event.new_status.is_terminal else event.order_qty - event.cum_qty
        if event.leaves_qty != remaining:
            problems.append(f"{name}: order_qty={event.order_qty} cum_qty={event.cum_qty} leaves_qty={event.leaves_qty} while {event.new_status}")
    return _finding("I6", "ordered is executed plus remaining, and executed is the sum of executions", len(evidence.events), problems)


def sent_is_approved(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I7: the venue received exactly what risk approved."""
    approvals = {decision.approval.client_order_id: decision for decision in evidence.decisions if decision.approval is not None and decision.verdict is Verdict.ALLOWED}
    account, venue = evidence.settings.account.name, evidence.settings.account.venue
    problems = []
    for sent in evidence.sent:
        decision = approvals.get(sent.order.client_order_id)
        if decision is None or decision.approval is None:
            problems.append(f"order {sent.order.client_order_id} reached the venue without an approval")
        elif terms_hash(account, venue, sent.order) != decision.approval.content_hash:
            problems.append(f"order {sent.order.client_order_id} reached the venue with other terms than approved: {sent.order.side} {sent.order.order_qty} {sent.order.symbol}")
    return _finding("I7", "no order reached the venue but as approved", len(evidence.sent), problems)


def streams_are_contiguous(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I11: each consumer handled 1..n of each stream, and exactly the bytes that were said."""
    problems, checked = [], 0
    said: dict[StreamId, dict[int, bytes]] = defaultdict(dict)
    for daemon, reader in evidence.journals.items():
        for row in reader.outputs():
            said[StreamId(row.topic, daemon)][row.seq] = row.data
    for stream, rows in said.items():
        problems += [f"{stream.topic} of {stream.producer}: message {missing} is missing where it was said" for missing in _missing(rows, evidence.heads.get(stream, 0))]
    for daemon, reader in evidence.journals.items():
        seen: dict[StreamId, list[InputRow]] = defaultdict(list)
        for row_in in reader.inputs(MESSAGE_KIND):
            seen[StreamId(row_in.topic, row_in.producer)].append(row_in)
        for subscription in evidence.specs[daemon].subscriptions:
            if subscription.view is View.JOURNALED:
                checked += len(seen[subscription.stream])
                problems += _stream_problems(daemon, subscription.stream, seen[subscription.stream], said[subscription.stream], evidence)
    pending = sum(evidence.in_flight.values()) + ledgers.venue_events_behind
    return _finding("I11", "every message was handled exactly once, in order, as it was said", checked, problems, pending)


def _stream_problems(daemon: str, stream: StreamId, seen: list[InputRow], said: dict[int, bytes], evidence: Evidence) -> list[str]:
    name = f"{daemon}: {stream.topic} of {stream.producer}"
    head, handled = evidence.heads.get(stream, 0), evidence.handled.get((daemon, stream), 0)
    problems = [f"{name}: message {handled} was handled, only {head} were said"] if handled > head else []
    for expected, row in enumerate(seen, 1):
        if row.seq != expected:
            return [f"{name}: message {row.seq} was handled where {expected} was next"]
        if said.get(row.seq, row.data) != row.data:
            problems.append(f"{name}: message {row.seq} differs from what was said")
    if len(seen) != handled:
        problems.append(f"{name}: {len(seen)} messages were handled, the watermark says {handled}")
    return problems


def _missing(rows: dict[int, bytes], head: int) -> list[int]:
    return [seq for seq in range(1, head + 1) if seq not in rows][:_SHOWN_MAX]


def effects_follow_commits(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I12: what left was written first: every request the venue received is a committed attempt, and no journal was altered."""
    problems = [f"{daemon}: {problem}" for daemon, reader in evidence.journals.items() for problem in reader.damage()]
    if Daemon.BROKER.value in evidence.journals:
        problems += [f"the venue received request {sent.request_id}, the broker has no such attempt" for sent in evidence.sent if sent.request_id not in evidence.calls]
    checked = len(evidence.sent) + len(evidence.journals)
    return _finding("I12", "nothing left before it was written, and nothing written was altered", checked, problems, len(evidence.open_calls))


def journals_replay(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I13: handling a journal again says the same and gives the same state."""
    return _finding("I13", "each journal, handled again, says the same and gives the same state", ledgers.replayed_inputs, ledgers.replay_problems)


def entries_are_double(evidence: Evidence, ledgers: Ledgers) -> Finding:
    """I15: every transaction, and so the whole ledger, sums to zero per asset."""
    problems = []
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for key, transaction in ledgers.transactions.items():
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for posting in transaction.postings:
            sums[posting.asset] += posting.amount
            totals[posting.asset] += posting.amount
        problems += [f"transaction {key}: {asset} sums to {total}" for asset, total in sums.items() if total]
    problems += [f"{asset}: the ledger sums to {total}" for asset, total in sorted(totals.items()) if total]
    return _finding("I15", "every entry is double: all ledgers sum to zero per asset", len(ledgers.transactions), problems)


def _is_flagged(evidence: Evidence, intent: OrderIntent) -> bool:
    return any(event.intent_id == intent.intent_id and "overfilled" in event.facets for event in evidence.last_events.values())


CHECKS: tuple[Check, ...] = (
    fills_are_conserved,
    balances_follow_from_entries,
    intent_has_one_order,
    intent_ends_once,
    quantities_add_up,
    sent_is_approved,
    streams_are_contiguous,
    effects_follow_commits,
    journals_replay,
    entries_are_double,
)
