"""Each invariant notices what it is there for: the records of a right run, with one thing made wrong."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from apps.runtime.settings_loader import load_settings
from backtest.faults.host import ProcessFaults
from backtest.faults.invariants import CHECKS, DEEP_CHECKS, Records, approvals, check, collect, delivery, ledger, orders
from backtest.faults.invariants.safe_state import rest_is_safe
from backtest.faults.schedule import MS, Schedule
from backtest.faults.suite import SimulatedSuite, Workload, simulated_settings
from backtest.faults.venue_wire import VenueWireFaults
from backtest.faults.wire import WireFaults
from core.contracts import ExecType, KillSwitchState, KillSwitchStatus, OrderStatus, TradingState, Verdict
from core.topics import Daemon

SHIPPED = load_settings(environment="test").settings
TRIPPED = KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=TradingState.HALTED, reason="test")


def a_suite() -> SimulatedSuite:
    """A suite that has traded and come to rest, with nothing gone wrong."""
    schedule, workload = Schedule(2), Workload(activity=1.0)
    quiet = WireFaults(drop=0.0, duplicate=0.0, cut=0.0)
    suite = SimulatedSuite(schedule, simulated_settings(SHIPPED, 2, workload, {}, snapshot_every=40), workload, quiet, VenueWireFaults(), ProcessFaults())
    suite.start()
    schedule.run_until(schedule.now_ns() + 3_000 * MS)
    return suite


def some_records() -> Records:
    """Of such a suite."""
    return collect(a_suite())


def test_a_right_run_breaks_nothing() -> None:
    """And there was something to look at."""
    records = some_records()
    assert check(records, (*CHECKS, *DEEP_CHECKS)) == []
    assert min(len(records.intents), len(records.sent), len(records.venue_fills), len(records.transactions), len(records.events)) > 5


def _fill_is_lost(records: Records) -> Records:
    lost = next(event for event in records.events if event.exec_type is ExecType.TRADE)
    return replace(records, events=[event for event in records.events if event is not lost])


def _fill_is_booked_twice(records: Records) -> Records:
    twice = next(event for event in records.events if event.exec_type is ExecType.TRADE)
    return replace(records, events=[*records.events, twice])


def _price_differs(records: Records) -> Records:
    first, *rest = records.venue_fills
    return replace(records, venue_fills=[replace(first, last_price=first.last_price + 1), *rest])


def _entry_is_lost(records: Records) -> Records:
    return replace(records, transactions=records.transactions[:-1])


def _entry_is_single(records: Records) -> Records:
    *rest, last = records.transactions
    return replace(records, transactions=[*rest, replace(last, postings=last.postings[:1])])


def _intent_is_two_orders(records: Records) -> Records:
    first = records.submitted[0]
    return replace(records, submitted=[*records.submitted, replace(first, client_order_id="another")])


def _order_is_submitted_twice(records: Records) -> Records:
    return replace(records, submitted=[*records.submitted, records.submitted[0]])


def _too_much_is_executed(records: Records) -> Records:
    k, event = next((k, e) for k, e in enumerate(records.events) if e.exec_type is ExecType.TRADE)
    events = list(records.events)
    events[k] = replace(event, last_qty=event.last_qty + 1_000_000)
    return replace(records, events=events)


def _intent_is_not_answered(records: Records) -> Records:
    return replace(records, decisions=records.decisions[1:])


def _allowed_order_is_unknown(records: Records) -> Records:
    gone = next(d.intent.intent_id for d in records.decisions if d.approval is not None)
    return replace(records, events=[event for event in records.events if event.intent_id != gone])


def _leaves_do_not_add_up(records: Records) -> Records:
    first, *rest = records.events
    return replace(records, events=[replace(first, leaves_qty=first.leaves_qty + 1), *rest])


def _status_goes_back(records: Records) -> Records:
    k, event = next((k, e) for k, e in enumerate(records.events) if e.new_status is OrderStatus.ACCEPTED)
    events = list(records.events)
    events.insert(k + 1, replace(event, old_status=OrderStatus.ACCEPTED, new_status=OrderStatus.SUBMITTED))
    return replace(records, events=events)


def _venue_stands_elsewhere(records: Records) -> Records:
    name, view = next(iter(records.venue_orders.items()))
    return replace(records, venue_orders=records.venue_orders | {name: replace(view, cum_qty=view.cum_qty + 1)})


def _venue_has_a_stranger(records: Records) -> Records:
    name, view = next(iter(records.venue_orders.items()))
    return replace(records, venue_orders={"stranger": view} | {name: view})


def _never_reached_and_there(records: Records) -> Records:
    name = next(iter(records.venue_orders))
    report = next(r for r in records.reports if r.client_order_id == name)
    return replace(records, reports=[*records.reports, replace(report, exec_type=ExecType.NEVER_REACHED)])


def _approval_is_missing(records: Records) -> Records:
    return replace(records, decisions=[replace(d, verdict=Verdict.DENIED, approval=None) for d in records.decisions])


def _price_was_missing(records: Records) -> Records:
    k, decision = next((k, d) for k, d in enumerate(records.decisions) if d.approval is not None and not d.approval.reduces)
    decisions = list(records.decisions)
    decisions[k] = replace(decision, evidence=replace(decision.evidence, reference_price=None))
    return replace(records, decisions=decisions)


TAMPERED: list[tuple[Callable[[Records], list[str]], Callable[[Records], Records], str]] = [
    (ledger.executions_are_booked_once, _fill_is_lost, "no order event tells of it"),
    (ledger.executions_are_booked_once, _fill_is_booked_twice, "is booked 2 times"),
    (ledger.executions_are_booked_once, _price_differs, "booked is"),
    (ledger.balances_follow_from_entries, _entry_is_lost, "the entries sum to"),
    (ledger.entries_are_double, _entry_is_single, "sums to"),
    (orders.intent_has_one_lineage, _intent_is_two_orders, "became orders"),
    (orders.intent_has_one_lineage, _order_is_submitted_twice, "was submitted 2 times"),
    (orders.intent_has_one_lineage, _too_much_is_executed, "were ever asked for"),
    (orders.intents_end, _intent_is_not_answered, "was answered 0 times"),
    (orders.intents_end, _allowed_order_is_unknown, "nothing is known of its order"),
    (orders.quantities_add_up, _leaves_do_not_add_up, "leaves_qty="),
    (orders.quantities_add_up, _status_goes_back, "went back from ACCEPTED to SUBMITTED"),
    (orders.status_is_the_venues, _venue_stands_elsewhere, "the venue has"),
    (orders.status_is_the_venues, _venue_has_a_stranger, "none of ours"),
    (orders.doubt_ends_by_evidence, _never_reached_and_there, "was said to have never reached the venue"),
    (approvals.sent_is_approved, _approval_is_missing, "left without an approval"),
    (approvals.decisions_have_evidence, _price_was_missing, "allowed an entry on price None"),
]


@pytest.mark.parametrize(("function", "tamper", "said"), TAMPERED, ids=[tamper.__name__ for _, tamper, _ in TAMPERED])
def test_wrong_records_are_noticed(function: Callable[[Records], list[str]], tamper: Callable[[Records], Records], said: str) -> None:
    """By the invariant that is about them, in a sentence that says what."""
    problems = function(tamper(some_records()))
    assert [problem for problem in problems if said in problem], problems


def _kill_was_tripped(suite: SimulatedSuite) -> None:
    suite.broker.sent[-1].kill = TRIPPED


def _approval_had_expired(suite: SimulatedSuite) -> None:
    sent = next(sent for sent in suite.broker.sent if sent.approval is not None)
    assert sent.approval is not None
    sent.sent_ns = sent.approval.expires_ns + 1


def _attempt_was_not_committed(suite: SimulatedSuite) -> None:
    suite.broker.sent[-1].is_attempt_committed = False


def _attempt_was_not_published(suite: SimulatedSuite) -> None:
    suite.broker.sent[-1].is_attempt_published = False


def _something_left_too_early(suite: SimulatedSuite) -> None:
    suite.venue.violations.append("paper_venue: Reply left at input 3, committed is 2")


def _somebody_gave_up(suite: SimulatedSuite) -> None:
    suite.hosts[Daemon.OMS].exits.append("the journal lost history")


def _message_is_skipped(suite: SimulatedSuite) -> None:
    inputs = suite.hosts[Daemon.RISK_ENGINE].journal.inputs
    inputs.remove(next(row for row in inputs if row.topic == "strat.intent"))


def _message_is_altered(suite: SimulatedSuite) -> None:
    rows = suite.hosts[Daemon.STRATEGY_RUNNER].journal.rows["strat.intent"]
    rows[0] = rows[0]._replace(data=rows[0].data + b" ")


def _state_is_not_the_journals(suite: SimulatedSuite) -> None:
    assert suite.oms is not None
    suite.oms.ledger.balances["USD"] += Decimal(1)


def _risk_reserves_too_little(suite: SimulatedSuite) -> None:
    risk: Any = suite.machine(Daemon.RISK_ENGINE)
    state = risk.snapshot()
    for row in state.exposure.symbols.values():
        row.working_buy_qty += 7
    risk.restore(state)


def _message_is_not_acknowledged(suite: SimulatedSuite) -> None:
    stream = next(stream for stream in suite.streams if stream.topic == "orders.events")
    suite.server.store.acknowledge("risk_engine", {stream: 0})


def _zombie_is_heard(suite: SimulatedSuite) -> None:
    suite.fork(Daemon.STRATEGY_RUNNER, 10 * MS)
    rows = suite.hosts[Daemon.STRATEGY_RUNNER].journal.rows["strat.intent"]
    rows[0] = rows[0]._replace(data=rows[0].data + b" ")


def _kill_leaves_orders(suite: SimulatedSuite) -> None:
    suite.kill_file.state = TRIPPED


def _limit_was_lower(suite: SimulatedSuite) -> None:
    limits = suite.settings.limits.model_copy(update={"position_qty_max": Decimal(10)})
    suite.settings = suite.settings.model_copy(update={"limits": limits})


SPOILED: list[tuple[Callable[[Records], list[str]], Callable[[SimulatedSuite], None], str]] = [
    (approvals.nothing_leaves_after_a_kill, _kill_was_tripped, "left while the kill file said TRIPPED"),
    (approvals.kill_leaves_nothing_open, _kill_leaves_orders, "is open at the venue while the kill file says HALTED"),
    (approvals.exposure_is_within_limits, _limit_was_lower, "could reach"),
    (orders.intents_end, _approval_had_expired, "after its approval had expired"),
    (delivery.effects_follow_commits, _attempt_was_not_committed, "before its attempt was committed"),
    (delivery.effects_follow_commits, _attempt_was_not_published, "before its attempt was published"),
    (delivery.effects_follow_commits, _something_left_too_early, "committed is 2"),
    (delivery.nobody_gave_up, _somebody_gave_up, "oms gave up"),
    (delivery.a_zombie_does_nothing, _zombie_is_heard, "the zombie of strategy_runner said strat.intent 1, and was heard"),
    (delivery.streams_are_contiguous, _message_is_skipped, "risk_engine handled [2"),
    (delivery.streams_are_contiguous, _message_is_altered, "other bytes"),
    (delivery.journal_gives_the_state, _state_is_not_the_journals, "another state than lived"),
    (delivery.journal_gives_the_state_from_its_beginning, _state_is_not_the_journals, "another state than lived"),
    (delivery.everything_is_at_rest, _message_is_not_acknowledged, "acknowledged 0 of"),
    (ledger.everyone_shows_the_same_position, _risk_reserves_too_little, "live orders leave"),
]


@pytest.mark.parametrize(("function", "spoil", "said"), SPOILED, ids=[spoil.__name__ for _, spoil, _ in SPOILED])
def test_a_spoiled_suite_is_noticed(function: Callable[[Records], list[str]], spoil: Callable[[SimulatedSuite], None], said: str) -> None:
    """By the invariant that is about it, in a sentence that says what."""
    suite = a_suite()
    spoil(suite)
    problems = function(collect(suite))
    assert [problem for problem in problems if said in problem], problems


def test_every_invariant_is_tampered_with() -> None:
    """A check that nothing here breaks might be one that cannot break."""
    tampered = {function for function, _, _ in TAMPERED} | {function for function, _, _ in SPOILED}
    assert {one.function for one in (*CHECKS, *DEEP_CHECKS)} - tampered == set()


def test_what_is_left_open_after_a_death_is_noticed() -> None:
    """L4: orders that leave late, and orders that a cancel of everything has not reached."""
    suite = a_suite()
    problems = rest_is_safe(suite, Daemon.OMS, -(10**20))
    assert any("left" in problem and "after oms had died" in problem for problem in problems)
    assert any("is open although everything was to be cancelled" in problem for problem in problems)
