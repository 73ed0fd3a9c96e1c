"""Every check, on evidence made by hand: it holds on a sound suite, and says what is wrong on one that is not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from apps.cli.journals import JournalReader
from apps.cli.verify.checks import (
    CHECKS,
    Finding,
    balances_follow_from_entries,
    effects_follow_commits,
    entries_are_double,
    fills_are_conserved,
    intent_ends_once,
    intent_has_one_order,
    journals_replay,
    quantities_add_up,
    sent_is_approved,
    streams_are_contiguous,
)
from apps.cli.verify.evidence import Evidence, Sent
from apps.cli.verify.ledgers import Ledgers
from apps.runtime.journal import SqliteJournal
from core.codec import Codec
from core.contracts import CancelIntent, ExecType, OrderStateChanged, OrderStatus, Side, Verdict
from core.journal import MESSAGE_KIND, Batch, InputRow, OutputRow
from core.machine import Publish, Wake
from core.money import ZERO
from core.ports import StreamId
from core.topics import STRAT_INTENT, Daemon
from core.topology import node_spec
from core.venue import BrokerFill, BrokerOrderReq
from core.wire import wrap
from execution.ledger import Posting, Transaction, TransactionKind
from tests.support.builders import NOW, SYMBOL, a_decision, a_submit_order, an_intent, an_order_event, settings_with

INTENT = an_intent()
DECISION = a_decision(INTENT)
ORDER_ID = a_submit_order(INTENT).client_order_id
EXEC = "V-1"
PRICE, QTY, FEE = Decimal(100), Decimal(10), Decimal("0.5")


def a_request(**changes: Any) -> BrokerOrderReq:
    """The approved order as the venue gets it."""
    terms: dict[str, Any] = {
        "client_order_id": ORDER_ID,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "order_type": INTENT.order_type,
        "time_in_force": INTENT.time_in_force,
        "order_qty": QTY,
    }
    return BrokerOrderReq(**(terms | changes))


def the_fill(**changes: Any) -> OrderStateChanged:
    """The whole order executed."""
    values: dict[str, Any] = {
        "old_status": OrderStatus.ACCEPTED,
        "exec_type": ExecType.TRADE,
        "cum_qty": QTY,
        "last_qty": QTY,
        "last_price": PRICE,
        "avg_price": PRICE,
        "exec_id": EXEC,
    } | changes
    return an_order_event(INTENT, values.pop("new_status", OrderStatus.FILLED), **values)


def a_venue_fill(**changes: Any) -> BrokerFill:
    """The same execution, in the venue's ledger."""
    values: dict[str, Any] = {
        "cursor": 1,
        "exec_id": EXEC,
        "venue_order_id": "V",
        "client_order_id": ORDER_ID,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "last_qty": QTY,
        "last_price": PRICE,
        "cum_qty": QTY,
        "order_qty": QTY,
        "occurred_ns": NOW,
    } | changes
    return BrokerFill(**values)


def an_opening(amount: int = 100_000) -> Transaction:
    """The account's first entry."""
    total = Decimal(amount)
    postings = (Posting("cash:USD", "USD", total), Posting("equity:opening", "USD", -total))
    return Transaction(key="1|opening|USD", kind=TransactionKind.OPENING, now_ns=NOW, postings=postings, currency="USD")


def a_booking(**changes: Any) -> Transaction:
    """The entry that books the execution."""
    notional = QTY * PRICE
    postings = (
        Posting("cash:USD", "USD", -notional),
        Posting("counterparty", "USD", notional),
        Posting(f"position:{SYMBOL}:trend", SYMBOL, QTY),
        Posting("counterparty", SYMBOL, -QTY),
        Posting("cash:USD", "USD", -FEE),
        Posting("fees:USD", "USD", FEE),
    )
    values: dict[str, Any] = {"key": "2|fill|x", "kind": TransactionKind.FILL, "postings": postings, "exec_id": EXEC, "symbol": SYMBOL, "side": Side.BUY, "last_qty": QTY}
    values |= {"last_price": PRICE, "fee": FEE, "fee_asset": "USD", "currency": "USD", "notional": notional} | changes
    return Transaction(now_ns=NOW, **values)


def evidence(**changes: Any) -> Evidence:
    """One intent that became one filled order, and nothing under way."""
    values: dict[str, Any] = {
        "settings": settings_with(),
        "journals": {},
        "specs": {},
        "heads": {},
        "handled": {},
        "intents": {INTENT.intent_id: INTENT},
        "decisions": [DECISION],
        "submitted": [a_submit_order(INTENT)],
        "events": [an_order_event(INTENT), the_fill()],
        "calls": {"c1"},
        "open_calls": [],
        "sent": [Sent("c1", a_request(), 7)],
        "unheard_intents": set(),
        "unheard_decisions": set(),
        "unheard_executions": set(),
    }
    return Evidence(**(values | changes))


def ledgers(**changes: Any) -> Ledgers:
    """The books of that order, ours and the venue's."""
    cash = Decimal(100_000) - QTY * PRICE - FEE
    values: dict[str, Any] = {
        "transactions": {"1": an_opening(), "2": a_booking()},
        "opening": {"USD": Decimal(100_000)},
        "entries": {"USD": -QTY * PRICE - FEE},
        "balances": {"USD": cash},
        "positions": {SYMBOL: QTY},
        "fill_events": [EXEC],
        "suspense_exec_ids": set(),
        "venue_fills": {EXEC: a_venue_fill()},
        "venue_balances": {"USD": cash},
        "venue_positions": {SYMBOL: QTY},
        "venue_cursor": 1,
        "broker_cursor": 1,
        "replayed_inputs": 5,
        "replay_problems": [],
    }
    return Ledgers(**(values | changes))


@pytest.mark.parametrize("check", CHECKS)
def test_check_holds_when_the_suite_is_sound(check: Callable[[Evidence, Ledgers], Finding]) -> None:
    """Nothing wrong, nothing under way."""
    finding = check(evidence(), ledgers())
    assert (finding.problems, finding.pending) == ((), 0)


def test_every_promise_has_one_check_when_listed() -> None:
    """The list of docs/EXECUTION_INVARIANTS.md, in its order."""
    assert [check(evidence(), ledgers()).invariant for check in CHECKS] == ["I1", "I2", "I3", "I5", "I6", "I7", "I11", "I12", "I13", "I15"]


def test_first_problems_are_shown_and_all_are_counted_when_there_are_many() -> None:
    """A broken suite must still fit on a screen."""
    finding = journals_replay(evidence(), ledgers(replay_problems=[f"p{k}" for k in range(9)]))
    assert (finding.problem_count, finding.problems) == (9, ("p0", "p1", "p2", "p3", "p4"))


class TestI1:
    """What the venue executed is booked, once."""

    @pytest.mark.parametrize(
        ("proof", "books", "problem"),
        [
            ({"events": [the_fill(), the_fill()]}, {}, "execution V-1 is booked twice"),
            ({}, {"fill_events": []}, "execution V-1 is booked but 0 times in fills.new"),
            ({}, {"fill_events": [EXEC, EXEC]}, "execution V-1 is booked but 2 times in fills.new"),
            ({}, {"transactions": {"1": an_opening()}}, "execution V-1 has no transaction in the ledger"),
            ({}, {"venue_fills": {}}, "execution V-1 is booked and the venue has no such execution"),
            ({"events": []}, {}, f"execution V-1 of {ORDER_ID} (10 IBM at 100) is at the venue and not booked"),
            ({}, {"venue_fills": {EXEC: a_venue_fill(last_qty=Decimal(9))}}, "execution V-1: the venue has BUY 9 IBM at 100, booked is BUY 10 IBM at 100"),
            ({}, {"venue_fills": {EXEC: a_venue_fill(last_price=Decimal(99))}}, "execution V-1: the venue has BUY 10 IBM at 99, booked is BUY 10 IBM at 100"),
            ({}, {"venue_fills": {EXEC: a_venue_fill(side=Side.SELL)}}, "execution V-1: the venue has SELL 10 IBM at 100, booked is BUY 10 IBM at 100"),
            ({}, {"venue_fills": {EXEC: a_venue_fill(symbol="AAPL")}}, "execution V-1: the venue has BUY 10 AAPL at 100, booked is BUY 10 IBM at 100"),
        ],
    )
    def test_fills_are_broken_when_the_two_sides_differ(self, proof: dict[str, Any], books: dict[str, Any], problem: str) -> None:
        """Each way to lose, double or change an execution is named."""
        assert problem in fills_are_conserved(evidence(**proof), ledgers(**books)).problems

    @pytest.mark.parametrize("way", [({}, {"broker_cursor": 0}), ({"unheard_executions": {EXEC}}, {})])
    def test_fill_is_pending_when_it_is_on_its_way(self, way: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """The venue's event has not reached the broker, or its report not the OMS."""
        proof, books = way
        finding = fills_are_conserved(evidence(events=[], **proof), ledgers(fill_events=[], **books))
        assert (finding.problems, finding.pending) == ((), 1)

    def test_fill_holds_when_it_is_in_suspense(self) -> None:
        """What no order of ours explains is booked to its own owner."""
        finding = fills_are_conserved(evidence(events=[]), ledgers(fill_events=[], suspense_exec_ids={EXEC}))
        assert (finding.problems, finding.pending) == ((), 0)


class TestI2:
    """Balances and positions follow from their entries, and are the venue's."""

    @pytest.mark.parametrize(
        ("books", "problem"),
        [
            ({"entries": {}}, "USD: opening and entries give 100000, the ledger says 98999.5"),
            ({"balances": {}}, "USD: opening and entries give 98999.5, the ledger says 0"),
            ({"transactions": {"1": an_opening()}}, "USD: the executions give 100000, the ledger says 98999.5"),
            ({"transactions": {"1": an_opening()}}, "IBM: the executions give 0, the ledger says 10"),
            ({"positions": {SYMBOL: Decimal(11)}}, "IBM: the executions give 10, the ledger says 11"),
            ({"venue_balances": {"USD": Decimal(1)}}, "USD: the venue says 1, the ledger says 98999.5"),
            ({"venue_positions": {SYMBOL: Decimal(9)}}, "IBM: the venue holds 9, the ledger 10"),
            ({"venue_positions": {"AAPL": Decimal(9), SYMBOL: QTY}}, "AAPL: the venue holds 9, the ledger 0"),
        ],
    )
    def test_balances_are_broken_when_a_sum_does_not_add_up(self, books: dict[str, Any], problem: str) -> None:
        """In the ledger, and against the venue."""
        assert problem in balances_follow_from_entries(evidence(), ledgers(**books)).problems

    @pytest.mark.parametrize("way", [({}, {"broker_cursor": 0}), ({"unheard_executions": {EXEC}}, {})])
    def test_difference_to_the_venue_is_pending_when_a_fill_is_on_its_way(self, way: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """It is a difference only when nothing explains it."""
        proof, books = way
        finding = balances_follow_from_entries(evidence(**proof), ledgers(venue_positions={SYMBOL: ZERO}, venue_balances={"USD": Decimal(100_000)}, **books))
        assert (finding.problems, finding.pending) == ((), 2)

    def test_own_books_are_broken_when_a_fill_is_on_its_way(self) -> None:
        """What is under way explains nothing within the ledger."""
        assert balances_follow_from_entries(evidence(unheard_executions={EXEC}), ledgers(entries={})).problems


class TestI3:
    """One order per intent, executed at most as wished."""

    @pytest.mark.parametrize(
        ("proof", "problem"),
        [
            ({"submitted": [a_submit_order(INTENT)] * 2}, f"order {ORDER_ID} was submitted 2 times"),
            ({"submitted": [a_submit_order(INTENT), a_submit_order(INTENT, client_order_id="z")]}, f"intent {INTENT.intent_id} became 2 orders: {ORDER_ID}, z"),
            ({"sent": [Sent("c1", a_request(), 1), Sent("c2", a_request(), 2)]}, f"order {ORDER_ID} reached the venue 2 times"),
            ({"sent": [Sent("c1", a_request(client_order_id="z"), 1)]}, "order z is at the venue and the OMS never submitted it"),
            ({"events": [the_fill(), the_fill(exec_id="V-2")]}, f"intent {INTENT.intent_id} wished 10, executed were 20"),
        ],
    )
    def test_lineage_is_broken_when_an_intent_became_too_much(self, proof: dict[str, Any], problem: str) -> None:
        """Two orders, two sends, or more executed than wished."""
        assert problem in intent_has_one_order(evidence(**proof), ledgers()).problems

    def test_too_much_holds_when_the_order_is_flagged(self) -> None:
        """The venue's facts are booked whatever they are; a flagged overfill is known and no breach."""
        events = [the_fill(), the_fill(exec_id="V-2", cum_qty=20, facets=("overfilled",))]
        assert intent_has_one_order(evidence(events=events), ledgers()).problems == ()


class TestI5:
    """One answer per intent, one known end per allowed one."""

    @pytest.mark.parametrize(
        ("proof", "problem"),
        [
            ({"decisions": [DECISION, DECISION]}, f"intent {INTENT.intent_id} was answered 2 times"),
            ({"decisions": []}, f"intent {INTENT.intent_id} was never answered"),
            ({"events": [], "submitted": []}, f"intent {INTENT.intent_id} was allowed and has no order"),
            ({"intents": {}}, f"decision for {INTENT.intent_id}, which no strategy wished"),
        ],
    )
    def test_answers_are_broken_when_there_is_not_exactly_one(self, proof: dict[str, Any], problem: str) -> None:
        """Also when other messages are under way: those that would explain it are not."""
        finding = intent_ends_once(evidence(unheard_intents={"another"}, unheard_decisions={"another"}, **proof), ledgers())
        assert problem in finding.problems

    @pytest.mark.parametrize(
        "proof",
        [
            {"decisions": [], "events": [], "unheard_intents": {INTENT.intent_id}},
            {"events": [], "submitted": [], "unheard_decisions": {INTENT.intent_id}},
            {"events": []},
            {"events": [an_order_event(INTENT, OrderStatus.PENDING)]},
            {"events": [an_order_event(INTENT, OrderStatus.SUBMITTED)]},
        ],
    )
    def test_intent_is_pending_when_it_is_on_its_way(self, proof: dict[str, Any]) -> None:
        """To risk, to the OMS, to the venue."""
        finding = intent_ends_once(evidence(**proof), ledgers())
        assert (finding.problems, finding.pending) == ((), 1)

    def test_intent_holds_when_it_was_denied_or_is_no_order(self) -> None:
        """A denial and a cancel end with their answer."""
        cancel = CancelIntent(intent_id="c", strategy_id="trend", target_intent_id=INTENT.intent_id, created_ns=NOW)
        decisions = [a_decision(INTENT, verdict=Verdict.DENIED, approval=None), msgspec.structs.replace(DECISION, intent=cancel, approval=None)]
        finding = intent_ends_once(evidence(intents={INTENT.intent_id: INTENT, "c": cancel}, decisions=decisions, events=[]), ledgers())
        assert (finding.problems, finding.pending) == ((), 0)


class TestI6:
    """Ordered is executed plus remaining."""

    @pytest.mark.parametrize(
        ("event", "problem"),
        [
            (the_fill(cum_qty=9), f"order {ORDER_ID}: cum_qty=9, its executions sum to 10 (before 0)"),
            (the_fill(leaves_qty=1), f"order {ORDER_ID}: order_qty=10 cum_qty=10 leaves_qty=1 while FILLED"),
            (
                the_fill(new_status=OrderStatus.PARTIALLY_FILLED, cum_qty=4, last_qty=4, leaves_qty=5),
                f"order {ORDER_ID}: order_qty=10 cum_qty=4 leaves_qty=5 while PARTIALLY_FILLED",
            ),
        ],
    )
    def test_quantities_are_broken_when_they_do_not_add_up(self, event: OrderStateChanged, problem: str) -> None:
        """The sum of executions, and what is left."""
        assert problem in quantities_add_up(evidence(events=[event]), ledgers()).problems

    @pytest.mark.parametrize("exec_type", [ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT])
    def test_executed_may_fall_when_the_venue_takes_it_back(self, exec_type: ExecType) -> None:
        """A bust or a correction, and nothing else."""
        taken_back = an_order_event(INTENT, OrderStatus.PARTIALLY_FILLED, exec_type=exec_type, cum_qty=4, leaves_qty=6)
        assert quantities_add_up(evidence(events=[the_fill(), taken_back]), ledgers()).problems == ()
        fallen = an_order_event(INTENT, OrderStatus.PARTIALLY_FILLED, exec_type=ExecType.RESTATED, cum_qty=4, leaves_qty=6)
        assert quantities_add_up(evidence(events=[the_fill(), fallen]), ledgers()).problems

    def test_remaining_is_not_asked_when_the_order_is_flagged(self) -> None:
        """More executed than ordered leaves less than nothing, which no quantity can say."""
        over = the_fill(cum_qty=20, last_qty=20, leaves_qty=0, new_status=OrderStatus.PARTIALLY_FILLED, facets=("overfilled",))
        assert quantities_add_up(evidence(events=[over]), ledgers()).problems == ()


class TestI7:
    """Nothing reached the venue but as approved."""

    @pytest.mark.parametrize(
        ("proof", "problem"),
        [
            ({"decisions": []}, f"order {ORDER_ID} reached the venue without an approval"),
            ({"decisions": [a_decision(INTENT, verdict=Verdict.DENIED)]}, f"order {ORDER_ID} reached the venue without an approval"),
            ({"decisions": [a_decision(INTENT, approval=None)]}, f"order {ORDER_ID} reached the venue without an approval"),
            ({"sent": [Sent("c1", a_request(order_qty=Decimal(11)), 1)]}, f"order {ORDER_ID} reached the venue with other terms than approved: BUY 11 IBM"),
            ({"settings": settings_with(account={"name": "other"})}, f"order {ORDER_ID} reached the venue with other terms than approved: BUY 10 IBM"),
        ],
    )
    def test_order_is_broken_when_it_was_not_approved_so(self, proof: dict[str, Any], problem: str) -> None:
        """Without an approval, or with other terms or for another account than approved."""
        assert problem in sent_is_approved(evidence(**proof), ledgers()).problems


class _Streams:
    """Two real journals: a strategy runner that says two intents, a risk engine that takes them in."""

    def __init__(self, root: Path) -> None:
        self.settings = settings_with()
        self.stream = StreamId(STRAT_INTENT.name(), "strategy_runner")
        codec = Codec()
        wishes = [an_intent(f"i{seq}") for seq in (1, 2)]
        self.wire = [codec.encode(wrap(Publish(self.stream.topic, wish), "strategy_runner", seq, "e", NOW, _CAUSE)) for seq, wish in enumerate(wishes, 1)]
        self.said = SqliteJournal(root / "strategy_runner.sqlite", 1)
        self.heard = SqliteJournal(root / "risk_engine.sqlite", 1)
        inputs = [InputRow(n, "Wake", "", "", 0, NOW, 0, b"{}", b"") for n in (1, 2)]
        self.said.commit(Batch(inputs=inputs, outputs=[OutputRow(self.stream.topic, seq, seq, data) for seq, data in enumerate(self.wire, 1)]))

    def hear(self, *messages: tuple[int, bytes], watermark: int) -> None:
        """Handle these at the risk engine."""
        rows = [InputRow(n, MESSAGE_KIND, *self.stream, seq, NOW, 0, data, b"") for n, (seq, data) in enumerate(messages, 1)]
        self.heard.commit(Batch(inputs=rows, watermarks={self.stream: (watermark, "e")}))

    def check(self, **changes: Any) -> Finding:
        """I11 over both."""
        journals = {"strategy_runner": JournalReader(self.said.path, "strategy_runner"), "risk_engine": JournalReader(self.heard.path, "risk_engine")}
        key = ("risk_engine", self.stream)
        values: dict[str, Any] = {
            "journals": journals,
            "specs": {name: node_spec(Daemon(name), self.settings) for name in journals},
            "heads": {self.stream: 2},
            "handled": {key: journals["risk_engine"].watermarks.get(self.stream, 0)},
        }
        try:
            return streams_are_contiguous(evidence(**(values | changes)), ledgers())
        finally:
            for reader in journals.values():
                reader.close()


_CAUSE = Wake(1)


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[_Streams]:
    """The two journals."""
    made = _Streams(tmp_path)
    yield made
    made.said.close()
    made.heard.close()


class TestI11:
    """Each message handled once, in order, as it was said."""

    def test_streams_hold_when_all_was_handled(self, streams: _Streams) -> None:
        """Both messages, as they were said."""
        streams.hear((1, streams.wire[0]), (2, streams.wire[1]), watermark=2)
        finding = streams.check()
        assert (finding.problems, finding.pending, finding.checked) == ((), 0, 2)

    def test_stream_is_pending_when_its_consumer_is_behind(self, streams: _Streams) -> None:
        """Said and not handled is under way, and so is a venue's event."""
        streams.hear((1, streams.wire[0]), watermark=1)
        assert streams.check().pending == 1
        assert streams_are_contiguous(evidence(), ledgers(broker_cursor=0)).pending == 1

    def test_stream_is_broken_when_a_message_was_skipped(self, streams: _Streams) -> None:
        """What came where another was next."""
        streams.hear((2, streams.wire[1]), watermark=2)
        assert "risk_engine: strat.intent of strategy_runner: message 2 was handled where 1 was next" in streams.check().problems

    def test_stream_is_broken_when_other_bytes_were_handled(self, streams: _Streams) -> None:
        """One bit is enough."""
        streams.hear((1, streams.wire[0] + b" "), (2, streams.wire[1]), watermark=2)
        assert "risk_engine: strat.intent of strategy_runner: message 1 differs from what was said" in streams.check().problems

    def test_stream_is_broken_when_rows_and_watermark_differ(self, streams: _Streams) -> None:
        """A handled message whose row is gone."""
        streams.hear((1, streams.wire[0]), watermark=2)
        assert "risk_engine: strat.intent of strategy_runner: 1 messages were handled, the watermark says 2" in streams.check().problems

    def test_stream_is_broken_when_more_was_handled_than_said(self, streams: _Streams) -> None:
        """The producer's journal lost history."""
        streams.hear((1, streams.wire[0]), (2, streams.wire[1]), watermark=2)
        assert "risk_engine: strat.intent of strategy_runner: message 2 was handled, only 1 were said" in streams.check(heads={streams.stream: 1}).problems

    def test_stream_is_broken_when_a_message_is_missing_where_it_was_said(self, streams: _Streams) -> None:
        """The producer says it said three."""
        streams.hear((1, streams.wire[0]), (2, streams.wire[1]), watermark=2)
        assert "strat.intent of strategy_runner: message 3 is missing where it was said" in streams.check(heads={streams.stream: 3}).problems


class TestI12:
    """Nothing left before it was written."""

    def test_request_is_broken_when_the_broker_never_attempted_it(self, tmp_path: Path) -> None:
        """The venue has a request whose attempt is in no journal."""
        SqliteJournal(tmp_path / "broker.sqlite", 1).close()
        with JournalReader(tmp_path / "broker.sqlite", "broker") as broker:
            finding = effects_follow_commits(evidence(journals={"broker": broker}, calls=set()), ledgers())
        assert finding.problems == ("the venue received request c1, the broker has no such attempt",)

    def test_journal_is_broken_when_a_row_was_changed(self, streams: _Streams) -> None:
        """The chain over its rows says so."""
        streams.hear((1, streams.wire[0]), watermark=1)
        with sqlite3.connect(streams.heard.path) as connection:
            connection.execute("update inputs set now_ns = 0")
        connection.close()
        with JournalReader(streams.heard.path, "risk_engine") as reader:
            finding = effects_follow_commits(evidence(journals={"risk_engine": reader}), ledgers())
        assert finding.problems == ("risk_engine: input 1 or what was said about it was changed after it was written",)

    def test_call_is_pending_when_it_has_no_outcome(self) -> None:
        """In doubt is never settled."""
        assert effects_follow_commits(evidence(open_calls=["c1"]), ledgers()).pending == 1


class TestI13:
    """A journal handled again."""

    def test_replay_is_broken_when_a_machine_says_something_else(self) -> None:
        """Whatever the replay found is passed on."""
        assert journals_replay(evidence(), ledgers(replay_problems=["oms: input 3"])).problems == ("oms: input 3",)


class TestI15:
    """Every entry is double."""

    def test_ledger_is_broken_when_a_transaction_does_not_sum_to_zero(self) -> None:
        """The transaction and the whole are named, per asset."""
        lame = a_booking(postings=(Posting("cash:USD", "USD", Decimal(-1)), Posting("counterparty", SYMBOL, Decimal(2))))
        assert set(entries_are_double(evidence(), ledgers(transactions={"2": lame})).problems) == {
            "transaction 2: USD sums to -1",
            "transaction 2: IBM sums to 2",
            "USD: the ledger sums to -1",
            "IBM: the ledger sums to 2",
        }

    def test_transactions_are_broken_when_two_errors_cancel_out(self) -> None:
        """Each entry by itself, not only their sum."""
        lame = a_booking(postings=(Posting("cash:USD", "USD", Decimal(-1)),))
        cure = a_booking(postings=(Posting("cash:USD", "USD", Decimal(1)),))
        assert entries_are_double(evidence(), ledgers(transactions={"2": lame, "3": cure})).problem_count == 2
