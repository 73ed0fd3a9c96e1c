"""The life of orders in the OMS: what becomes one, what each report makes of it, and that nothing happens twice."""

# Decimals are compared with plain numbers, statuses with their names.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core import topics
from core.contracts import (
    AccountSnapshot,
    Alert,
    Denial,
    ExecType,
    FillEvent,
    KillSwitchState,
    KillSwitchStatus,
    LedgerAdjusted,
    OrderIntent,
    OrderStatus,
    OrderType,
    PositionSnapshot,
    SessionPhase,
    Severity,
    Side,
    SubmitOrder,
    Verdict,
)
from core.machine import BacklogState, CallInterrupted, Command, LinkStopped, Log, Observed, Publish, VenuePushed, Wake
from core.topics import produced_by
from core.venue import BrokerOrderUpdate, Lookup, OrderUpdated
from execution.transaction_log import LogEvent
from tests.support.builders import NOW, STRATEGY, VENUE, a_clock, a_decision, a_message, a_position, an_approval, an_intent, settings_with
from tests.support.oms import OmsBench, a_cancel, a_replace

_REPORTS = topics.BROKER_REPORTS.name(venue=VENUE)
_LIMIT: dict[str, Any] = {"order_type": OrderType.LIMIT, "limit_price": "100.00"}


def a_limit(intent_id: str = "trend:e:bar:0", **changes: Any) -> OrderIntent:
    """A wish to buy ten shares at 100 or better."""
    return an_intent(intent_id, **(_LIMIT | changes))


# Life as tables: each row is a report and what the order is after it.

_A, _N, _T = ExecType.ATTEMPTED, ExecType.NEW, ExecType.TRADE
_SCENARIOS: dict[str, list[tuple[ExecType, dict[str, Any], str, int, int, str]]] = {
    "filled at once": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (_N, {}, "ACCEPTED", 0, 10, "NEW"),
        (_T, {"last_qty": 10, "last_price": 100, "exec_id": "X1", "cum_qty": 10}, "FILLED", 10, 0, "TRADE"),
    ],
    "filled in parts": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (_N, {}, "ACCEPTED", 0, 10, "NEW"),
        (_T, {"last_qty": 4, "last_price": 100, "exec_id": "X1"}, "PARTIALLY_FILLED", 4, 6, "TRADE"),
        (_T, {"last_qty": 6, "last_price": 101, "exec_id": "X2"}, "FILLED", 10, 0, "TRADE"),
    ],
    "the fill comes before the acknowledgement": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (_T, {"last_qty": 4, "last_price": 100, "exec_id": "X1"}, "PARTIALLY_FILLED", 4, 6, "TRADE"),
        (_T, {"last_qty": 6, "last_price": 101, "exec_id": "X2"}, "FILLED", 10, 0, "TRADE"),
    ],
    "rejected": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (ExecType.REJECTED, {"reject_reason": "NO_FUNDS"}, "REJECTED", 0, 0, "NO_FUNDS"),
    ],
    "refused by our own gate": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (ExecType.NOT_SENT, {"reject_reason": "KILL_SWITCH", "venue_order_id": "", "evidence": "GATEWAY"}, "CANCELLED", 0, 0, "KILL_SWITCH"),
    ],
    "in doubt, then never there": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (ExecType.IN_DOUBT, {"venue_order_id": "", "evidence": "GATEWAY"}, "SUBMITTED", 0, 10, "IN_DOUBT"),
        (ExecType.NEVER_REACHED, {"venue_order_id": "", "evidence": "QUERY"}, "CANCELLED", 0, 0, "NEVER_REACHED"),
    ],
    "in doubt, then found": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (ExecType.IN_DOUBT, {"venue_order_id": "", "evidence": "GATEWAY"}, "SUBMITTED", 0, 10, "IN_DOUBT"),
        (_N, {"evidence": "QUERY"}, "ACCEPTED", 0, 10, "NEW"),
    ],
    "expired after a part": [
        (_A, {}, "SUBMITTED", 0, 10, "ATTEMPTED"),
        (_N, {}, "ACCEPTED", 0, 10, "NEW"),
        (_T, {"last_qty": 4, "last_price": 100, "exec_id": "X1"}, "PARTIALLY_FILLED", 4, 6, "TRADE"),
        (ExecType.EXPIRED, {}, "EXPIRED", 4, 0, "EXPIRED"),
    ],
}


@pytest.mark.parametrize("scenario", _SCENARIOS.values(), ids=_SCENARIOS)
def test_order_lives_as_its_reports_say_when_they_come_in_sequence(scenario: list[tuple[ExecType, dict[str, Any], str, int, int, str]]) -> None:
    """Each report makes one event, with status, quantities and cause; nothing is left hot after the end."""
    bench = OmsBench()
    order_id = bench.submit()
    for exec_type, said, status, cum_qty, leaves_qty, cause in scenario:
        before = len(bench.events)
        bench.report(exec_type, order_id, **said)
        assert len(bench.events) == before + 1
        event = bench.events[-1]
        assert (event.new_status, event.cum_qty, event.leaves_qty, event.cause, event.exec_type) == (status, cum_qty, leaves_qty, cause, exec_type)
        assert event.evidence == said.get("evidence", "PUSH")
        assert event.old_status == (bench.events[-2].new_status if before else "PENDING")
        assert event.client_order_id == order_id
    last = bench.events[-1]
    assert (order_id in bench.oms.orders) is not last.new_status.is_terminal
    assert (("order", order_id) in bench.archive) is last.new_status.is_terminal
    assert bench.position_qty() == last.position.position_qty == last.cum_qty


# From a decision to an order.


def test_order_is_created_and_sent_when_risk_allows_an_intent() -> None:
    """An approved intent is one PENDING order, sent exactly as approved; no status has changed yet, so no event says so."""
    bench = OmsBench()
    intent = a_limit(ttl_ms=5_000, protective=True, execution_id="parent", slice_id="s1", reason="because")
    effects = bench.decide(a_decision(intent))
    said = [e for e in effects if isinstance(e, Publish)]
    assert [p.topic for p in said] == ["orders.accepted.sim"]
    assert all(p.correlation_id == intent.intent_id for p in said)
    order = said[0].body
    assert isinstance(order, SubmitOrder)
    approval = an_approval(intent)
    assert order == SubmitOrder(
        client_order_id=approval.client_order_id,
        intent_id=intent.intent_id,
        strategy_id=STRATEGY,
        account=intent.account,
        venue=VENUE,
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        order_qty=intent.order_qty,
        limit_price=intent.limit_price,
        approval=approval,
        created_ns=NOW,
        ttl_ms=5_000,
        protective=True,
        execution_id="parent",
        slice_id="s1",
    )
    assert bench.archive["intent", intent.intent_id] == approval.client_order_id.encode()
    assert [(row.event, row.reason) for row in bench.log] == [(LogEvent.SUBMIT, "because")]


def test_only_a_log_row_is_written_when_risk_denies() -> None:
    """A denial is risk's word to everyone; here it is history."""
    bench = OmsBench()
    denied: dict[str, Any] = {"verdict": Verdict.DENIED, "approval": None, "denials": (Denial(code="LIMIT", evidence="qty=1"), Denial(code="KILL"))}
    for decision in (a_decision(**denied), msgspec.structs.replace(a_cancel(), **denied)):
        assert not [effect for effect in bench.decide(decision) if isinstance(effect, Publish)]
    assert [(row.event, row.symbol, row.reason) for row in bench.log] == [(LogEvent.DENIAL, symbol, "LIMIT: qty=1; KILL") for symbol in ("IBM", "")]
    assert len(bench.oms.orders) == 0


@pytest.mark.parametrize("is_over", [False, True], ids=["while it works", "after it ended"])
def test_nothing_is_created_or_sent_when_an_intent_is_decided_twice(is_over: bool) -> None:
    """A second decision for one intent names DuplicateOrderError and does nothing else, also when the first order is archived."""
    bench = OmsBench()
    order_id = bench.working()
    if is_over:
        bench.fill(order_id, 10)
    sent, events = len(bench.instructions), len(bench.events)
    effects = bench.decide(a_decision())
    assert (len(bench.instructions), len(bench.events)) == (sent, events)
    alert = bench.all_said(Alert)[-1]
    assert (alert.name, alert.severity) == ("DuplicateOrderError", Severity.CRITICAL)
    assert order_id in alert.text and an_intent().intent_id in alert.text
    assert [e.level for e in effects if isinstance(e, Log)] == ["critical"]


def test_nothing_is_created_when_another_intent_is_approved_under_a_used_order_id() -> None:
    """One client order id is one order, whoever asks."""
    bench = OmsBench()
    order_id = bench.working()
    other = an_intent("trend:e:bar:1")
    bench.decide(a_decision(other, approval=an_approval(other, client_order_id=order_id)))
    assert bench.alerts == ["DuplicateOrderError"]
    assert len(bench.oms.orders) == 1


def _without_approval(intent: OrderIntent) -> dict[str, Any]:
    return {"approval": None}


_HELD: dict[str, tuple[OrderIntent, dict[str, Any], str]] = {
    "the intent is stale": (an_intent(expires_ns=NOW - 1), {}, "INTENT_EXPIRED"),
    "the approval is stale": (an_intent(), {"expires_ns": NOW - 1}, "APPROVAL_EXPIRED"),
    "other terms were approved": (an_intent(), {"content_hash": "else"}, "NO_APPROVAL"),
    "the approval names no order": (an_intent(), {"client_order_id": ""}, "NO_APPROVAL"),
    "it is for another venue": (an_intent(venue="other"), {}, "WRONG_ACCOUNT"),
    "it is for another account": (an_intent(account="other"), {}, "WRONG_ACCOUNT"),
}


@pytest.mark.parametrize(("intent", "approval", "cause"), _HELD.values(), ids=_HELD)
def test_order_is_closed_by_us_and_never_sent_when_it_must_not_leave(intent: OrderIntent, approval: dict[str, Any], cause: str) -> None:
    """What was allowed and may not be sent any more is an order that ended, so that the intent has its answer."""
    bench = OmsBench()
    bench.decide(a_decision(intent, approval=an_approval(intent, **approval)))
    assert bench.instructions == []
    (event,) = bench.events
    assert (event.old_status, event.new_status, event.cause, event.exec_type, event.evidence) == ("PENDING", "CANCELLED", cause, None, "OURS")
    assert event.leaves_qty == 0
    assert bench.archived_order(event.client_order_id).status is OrderStatus.CANCELLED
    assert bench.alerts == [cause]
    assert [(row.event, row.reason) for row in bench.log] == [(LogEvent.STATE, cause)]
    bench.decide(a_decision(intent))
    assert bench.alerts[1:] == ["DuplicateOrderError"]


def test_order_is_closed_by_us_when_the_approval_is_missing() -> None:
    """An allowed verdict without an approval is no permission."""
    bench = OmsBench()
    bench.decide(a_decision(approval=None))
    assert bench.instructions == []
    assert [(e.new_status, e.cause) for e in bench.events] == [("CANCELLED", "NO_APPROVAL")]


def test_order_is_sent_when_it_expires_at_this_very_moment() -> None:
    """A deadline includes its last nanosecond."""
    bench = OmsBench()
    intent = an_intent(expires_ns=NOW)
    bench.submit(intent, approval=an_approval(intent, expires_ns=NOW))
    assert len(bench.instructions) == 1


def test_only_reducing_orders_leave_when_the_report_link_stands_still() -> None:
    """Reports that do not come are fills we do not know of, so no risk is added until the link delivers again."""
    bench = OmsBench()
    known = bench.working(an_intent("known"))
    bench.give(Observed(LinkStopped(_REPORTS, "broker", "poison")))
    bench.give(Observed(LinkStopped(_REPORTS, "broker", "poison")))
    assert bench.alerts == ["LinkStopped"]
    bench.submit(an_intent("entry"))
    assert (bench.events[-1].new_status, bench.events[-1].cause) == ("CANCELLED", "LINK_STOPPED")
    assert bench.alerts == ["LinkStopped", "LINK_STOPPED"]
    exit_intent = an_intent("exit", side=Side.SELL)
    bench.submit(exit_intent, approval=an_approval(exit_intent, reduces=True))
    bench.decide(a_cancel("known"))
    assert len(bench.instructions) == 3
    bench.fill(known, 1)
    bench.submit(an_intent("again"))
    assert len(bench.instructions) == 4


def test_entries_leave_when_another_link_stands_still() -> None:
    """Only the reports carry fills."""
    bench = OmsBench()
    bench.give(Observed(LinkStopped("control.clock", "md_ingest", "poison")))
    bench.submit()
    assert len(bench.instructions) == 1
    assert bench.alerts == []


# Executions and the books.


def test_everything_is_told_in_order_when_an_execution_is_booked() -> None:
    """One event with resulting position and cash, then the fill; a moment later the views."""
    bench = OmsBench()
    order_id = bench.working()
    effects = bench.fill(order_id, 4, "100.50", fee="0.20", fee_asset="USD", cum_qty=4)
    assert [p.topic for p in effects if isinstance(p, Publish)] == ["orders.events", "fills.new"]
    event = bench.events[-1]
    cash = Decimal(100_000) - 402 - Decimal("0.20")
    assert (event.last_qty, event.last_price, event.exec_id, event.venue_order_id) == (4, Decimal("100.50"), "X1", "V1")
    assert event.position == a_position(4, avg_price="100.50")
    assert [(b.asset, b.total) for b in event.balances] == [("USD", cash)]
    assert event.avg_price == Decimal("100.50")
    (fill,) = bench.all_said(FillEvent)
    assert (fill.exec_id, fill.client_order_id, fill.strategy_id, fill.last_qty, fill.last_price, fill.fee, fill.fee_asset) == (
        "X1",
        order_id,
        STRATEGY,
        4,
        Decimal("100.50"),
        Decimal("0.20"),
        "USD",
    )
    shown = bench.wake()
    assert [p.topic for p in shown if isinstance(p, Publish)] == ["positions.snapshot", "account.snapshot"]
    assert [msgspec.structs.replace(p, as_of_ns=event.position.as_of_ns) for p in bench.all_said(PositionSnapshot)] == [event.position]
    account = bench.all_said(AccountSnapshot)[-1]
    assert (account.account, account.venue, [(b.asset, b.total) for b in account.balances]) == ("paper", VENUE, [("USD", cash)])
    assert bench.cash == cash


def test_views_are_shown_once_when_many_executions_came_meanwhile() -> None:
    """Each changed position once, the account once; then not again until something changes, and at the end of the session at once."""
    bench = OmsBench()
    order_id = bench.working()
    for number in (1, 2, 3):
        bench.fill(order_id, 1, exec_id=f"X{number}", cum_qty=number)
    told = len(bench.all_said(AccountSnapshot))
    bench.wake()
    assert [p.position_qty for p in bench.all_said(PositionSnapshot)] == [3]
    assert len(bench.all_said(AccountSnapshot)) == told + 1
    assert bench.oms.next_wake_ns is None
    bench.fill(order_id, 1, exec_id="X4", cum_qty=4)
    bench.give(a_message("control.clock", a_clock(phase=SessionPhase.ENDED)))
    assert [p.position_qty for p in bench.all_said(PositionSnapshot)] == [3, 4]
    assert bench.oms.next_wake_ns is None


def test_execution_is_booked_once_when_it_is_reported_again() -> None:
    """A repeated execution changes nothing and is not told, while the order works and after it ended."""
    bench = OmsBench()
    order_id = bench.working()
    for _ in range(2):
        bench.fill(order_id, 4, exec_id="X1", cum_qty=4)
    bench.fill(order_id, 6, exec_id="X2", cum_qty=10)
    told = len(bench.effects)
    bench.fill(order_id, 6, exec_id="X2", cum_qty=10)
    bench.fill(order_id, 4, exec_id="X1", cum_qty=4)
    bench.report(ExecType.NEW, order_id, occurred_ns=NOW - 5)
    assert len(bench.effects) == told
    assert bench.position_qty() == 10
    assert len(bench.all_said(FillEvent)) == 2


def test_late_fill_is_booked_when_the_order_is_archived() -> None:
    """The venue's facts are never over: the order comes back from the archive, is booked, flagged, alerted and archived again."""
    bench = OmsBench()
    order_id = bench.working()
    bench.report(ExecType.CANCELLED, order_id)
    bench.fill(order_id, 4)
    event = bench.events[-1]
    assert (event.old_status, event.new_status, event.cum_qty, event.facets, event.cause) == ("CANCELLED", "CANCELLED", 4, ("late_fill",), "TRADE")
    assert bench.alerts == ["LateFill"]
    assert len(bench.oms.orders) == 0
    bench.fill(order_id, 6, exec_id="X2")
    assert bench.events[-1].new_status is OrderStatus.FILLED
    assert bench.archived_order(order_id).cum_qty == 10
    bench.fill(order_id, 1, exec_id="X3")
    assert bench.events[-1].facets == ("late_fill", "overfilled")
    assert bench.alerts == ["LateFill", "Overfill"]
    assert bench.position_qty() == 11


def test_everything_is_booked_and_flagged_when_more_is_executed_than_ordered() -> None:
    """An overfill is the venue's fact: all of it counts, and a person hears of it."""
    bench = OmsBench()
    order_id = bench.working()
    bench.fill(order_id, 12)
    event = bench.events[-1]
    assert (event.new_status, event.cum_qty, event.leaves_qty) == ("FILLED", 12, 0)
    assert event.facets == ("overfilled",)
    assert bench.position_qty() == 12
    assert bench.alerts == ["Overfill"]


def test_execution_is_taken_back_when_the_venue_busts_it() -> None:
    """A bust reverses cash, fee and position; the status of a live order follows."""
    bench = OmsBench()
    order_id = bench.working()
    bench.fill(order_id, 4, fee="1", fee_asset="USD")
    bench.report(ExecType.TRADE_CANCEL, order_id, exec_id="B1", exec_ref_id="X1")
    event = bench.events[-1]
    assert (event.old_status, event.new_status, event.cum_qty, event.exec_type, event.last_qty) == ("PARTIALLY_FILLED", "ACCEPTED", 0, ExecType.TRADE_CANCEL, 0)
    assert (event.exec_id, event.facets) == ("B1", ("busted",))
    assert [(b.asset, b.total) for b in event.balances] == [("USD", 100_000)]
    assert bench.cash == 100_000
    assert bench.position_qty() == 0
    assert bench.alerts == ["TradeBusted"]
    assert [t.kind for t in bench.transactions] == ["opening", "fill", "reversal"]
    assert len(bench.all_said(FillEvent)) == 1


def test_books_hold_the_corrected_execution_when_the_venue_corrects_it() -> None:
    """A correction takes the old execution back and books the new one."""
    bench = OmsBench()
    order_id = bench.working()
    bench.fill(order_id, 4, 100)
    bench.report(ExecType.TRADE_CORRECT, order_id, exec_id="C1", exec_ref_id="X1", last_qty=3, last_price=101)
    assert (bench.events[-1].cum_qty, bench.events[-1].avg_price, bench.events[-1].last_qty) == (3, 101, 0)
    assert bench.position_qty() == 3
    assert bench.cash == 100_000 - 303


def test_order_stays_filled_when_it_is_busted_after_its_end() -> None:
    """No phantom quantity appears: the books are corrected, the order stays ended."""
    bench = OmsBench()
    order_id = bench.working()
    bench.fill(order_id, 10, cum_qty=10)
    bench.report(ExecType.TRADE_CANCEL, order_id, exec_id="B1", exec_ref_id="X1")
    assert (bench.events[-1].new_status, bench.events[-1].leaves_qty, bench.position_qty()) == ("FILLED", 0, 0)
    assert len(bench.oms.orders) == 0


@pytest.mark.parametrize("names", [("X1", "Q1"), ("Q1", "X1")], ids=["the second name is later", "the second name is earlier"])
def test_no_fill_is_told_when_a_known_execution_comes_under_another_name(names: tuple[str, str]) -> None:
    """What a backfill calls differently is the same execution."""
    bench = OmsBench()
    order_id = bench.working()
    bench.fill(order_id, 4, exec_id=names[0], cum_qty=4)
    bench.fill(order_id, 4, exec_id=names[1], cum_qty=4, evidence="QUERY")
    assert (bench.position_qty(), bench.cash) == (4, 99_600)
    assert [(fill.exec_id, fill.last_qty) for fill in bench.all_said(FillEvent)] == [(names[0], 4)]
    assert [event.last_qty for event in bench.events if event.last_qty] == [4]


def test_recount_is_told_as_a_correction_when_a_trade_explains_an_earlier_bust() -> None:
    """A trade that revives another one is told with its resulting quantity, and no execution is told twice."""
    bench = OmsBench()
    order_id = bench.working()
    bench.fill(order_id, 1, exec_id="X1")
    bench.report(ExecType.TRADE_CANCEL, order_id, exec_id="B1", exec_ref_id="X1", venue_order_id="V2")
    assert bench.position_qty() == 0
    bench.fill(order_id, 2, exec_id="X1", venue_order_id="V2")
    event = bench.events[-1]
    assert (event.exec_type, event.cum_qty, event.last_qty) == (ExecType.TRADE_CORRECT, 1, 0)
    assert (bench.position_qty(), len(bench.all_said(FillEvent))) == (1, 1)


def test_nothing_is_booked_when_an_execution_of_nothing_is_reported() -> None:
    """An execution of quantity zero moves neither cash nor position."""
    bench = OmsBench()
    order_id = bench.working()
    bench.report(ExecType.TRADE, order_id, exec_id="X1")
    assert (bench.cash, len(bench.transactions), bench.all_said(FillEvent)) == (100_000, 1, [])


def test_trades_open_and_close_in_the_log_when_the_position_leaves_or_reaches_zero() -> None:
    """A crossing closes one trade and opens another."""
    bench = OmsBench()
    for n, (side, qty) in enumerate(((Side.BUY, 10), (Side.BUY, 5), (Side.SELL, 20), (Side.BUY, 5))):
        order_id = bench.working(an_intent(f"i{n}", side=side, order_qty=qty))
        bench.fill(order_id, qty, 100 + n, exec_id=f"X{n}", side=side)
    trades = [(row.event, row.qty, row.reason) for row in bench.log if row.event in (LogEvent.TRADE_OPEN, LogEvent.TRADE_CLOSE)]
    assert [(event, qty) for event, qty, _ in trades] == [
        (LogEvent.TRADE_OPEN, 10),
        (LogEvent.TRADE_CLOSE, -15),
        (LogEvent.TRADE_OPEN, -5),
        (LogEvent.TRADE_CLOSE, 5),
    ]
    assert bench.events[-1].position.position_qty == 0
    assert bench.cash == 100_000 - 1000 - 505 + 20 * 102 - 5 * 103
    assert bench.events[-1].position.realized_pnl.quantize(Decimal("1E-9")) == bench.cash - 100_000


def test_every_owner_has_its_own_position_when_two_strategies_trade_a_symbol() -> None:
    """Positions are kept by owner."""
    bench = OmsBench()
    for strategy_id, qty in (("one", 3), ("two", 4)):
        order_id = bench.working(an_intent(f"{strategy_id}:1", strategy_id=strategy_id))
        bench.fill(order_id, qty, exec_id=strategy_id)
    assert (bench.position_qty("one"), bench.position_qty("two"), bench.oms.ledger.account_qty("IBM")) == (3, 4, 7)


def test_order_freezes_and_is_alerted_once_when_no_order_of_arrival_explains_a_report() -> None:
    """A disagreement is booked, shown in the facets, and told to a person once."""
    bench = OmsBench()
    order_id = bench.submit()
    bench.fill(order_id, 4)
    assert bench.events[-1].facets == ("disagreement",)
    bench.fill(order_id, 2, exec_id="X2")
    assert bench.alerts == ["StateDisagreement"]
    assert bench.position_qty() == 6


def test_lost_order_is_alerted_when_the_gateway_gives_up() -> None:
    """An order nobody can find is a reported end, and a person's business."""
    bench = OmsBench()
    order_id = bench.submit()
    bench.attempt(order_id)
    bench.report(ExecType.IN_DOUBT, order_id, venue_order_id="", evidence="GATEWAY")
    bench.report(ExecType.LOST, order_id, venue_order_id="", evidence="QUERY")
    assert bench.alerts == ["OrderLost"]
    assert "lost" in bench.events[-1].facets
    assert order_id in bench.oms.orders


def test_state_is_kept_and_nothing_told_when_a_report_changes_nothing_a_peer_sees() -> None:
    """A delayed acknowledgement after a fill is no news."""
    bench = OmsBench()
    order_id = bench.submit()
    bench.attempt(order_id)
    bench.fill(order_id, 4)
    said, rows = len(bench.said), len(bench.log)
    bench.report(ExecType.NEW, order_id, status=OrderStatus.ACCEPTED, occurred_ns=NOW + 1)
    assert (len(bench.said), len(bench.log)) == (said, rows)


# Start, and what is not its business.


def test_opening_cash_is_told_on_the_sequenced_stream_when_the_books_are_opened() -> None:
    """Strategies and risk learn the opening balances once, at the very first start."""
    bench = OmsBench(settings_with(account={"opening_balances": {"USD": "5000", "EUR": "7"}}))
    (adjusted,) = bench.all_said(LedgerAdjusted)
    assert (adjusted.reason, adjusted.position) == ("OPENING", None)
    assert [(b.asset, b.total) for b in adjusted.balances] == [("USD", 5000), ("EUR", 7)]
    assert [s.balances for s in bench.all_said(AccountSnapshot)] == [adjusted.balances]
    assert {key for kind, key in bench.archive if kind == "txn"} == {"000000000001|opening|USD", "000000000002|opening|EUR"}
    assert bench.start() == []


def test_inputs_of_others_are_ignored_when_they_reach_the_oms() -> None:
    """Everything that is not ours changes nothing."""
    bench = OmsBench()
    state = bench.oms.snapshot()
    view = BrokerOrderUpdate(
        client_order_id="c",
        venue_order_id="v",
        symbol="IBM",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        time_in_force=an_intent().time_in_force,
        order_qty=Decimal(1),
        cum_qty=Decimal(0),
        leaves_qty=Decimal(1),
        status=OrderStatus.ACCEPTED,
        updated_ns=NOW,
    )
    for event in (
        a_message("control.clock", a_clock()),
        a_message("strat.intent", an_intent()),
        Observed(KillSwitchState(status=KillSwitchStatus.TRIPPED)),
        Observed(BacklogState("orders.events", 9, True)),
        Command("c1", "root", Lookup(client_order_id="c")),
        CallInterrupted("c1"),
        VenuePushed(OrderUpdated(cursor=1, order=view)),
        Wake(NOW),
    ):
        assert bench.give(event) == []
    assert bench.oms.snapshot() == state
    assert bench.oms.next_wake_ns is None


def test_only_own_topics_are_written_when_everything_happens() -> None:
    """The OMS publishes nothing but what the table of topics gives it."""
    bench = OmsBench()
    intent = a_limit()
    order_id = bench.working(intent)
    bench.decide(a_replace(intent, order_qty=12))
    bench.decide(a_cancel())
    bench.fill(order_id, 12)
    bench.fill("stranger", 1, exec_id="S", side=Side.BUY)
    patterns = [topic.expression for topic in produced_by(topics.Daemon.OMS)]
    assert all(any(pattern.match(said.topic) for pattern in patterns) for said in bench.said)
    assert all(topics.topic_of(said.topic).types.count(type(said.body)) == 1 for said in bench.said)
