"""The books against the venue's statements: what is adopted, what is watched, what gives way, and what a person decides."""

# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.contracts import (
    Alert,
    ExecType,
    LedgerAdjusted,
    OrderStatus,
    ReconciliationReport,
    SettleSuspense,
    Severity,
    Side,
    SyncFromBroker,
    VenueReport,
    VenueStatement,
)
from core.machine import Answer, Command
from execution.ledger import TransactionKind
from execution.reconciliation.adjustments import ADJUSTMENT
from execution.reconciliation.external import EXTERNAL
from execution.suspense import SUSPENSE
from execution.venue_reports import exec_type_of
from tests.support.builders import NOW, STRATEGY, a_message, a_report, an_intent, settings_with
from tests.support.oms import OmsBench
from tests.support.statements import balances, open_orders, positions

DAY_NS = 86_400 * 10**9
AGREED = {"USD": 100_000}


def _state(bench: OmsBench, statement: VenueStatement) -> None:
    bench.give(a_message("broker.reports.sim", statement))


def _last(bench: OmsBench) -> ReconciliationReport:
    return bench.all_said(ReconciliationReport)[-1]


def _held(qty: int = 10) -> OmsBench:
    """The strategy holds so much of IBM, bought at 100 by event 3."""
    bench = OmsBench()
    bench.fill(bench.working(an_intent(order_qty=qty)), qty, cursor=3)
    return bench


def _command(bench: OmsBench, body: SyncFromBroker | SettleSuspense) -> str:
    (answer,) = [e for e in bench.give(Command("c", "ops", body)) if isinstance(e, Answer)]
    return str(answer.reply)


def _view(order_id: str, status: OrderStatus = OrderStatus.ACCEPTED, **changes: Any) -> VenueReport:
    values: dict[str, Any] = {"venue_order_id": f"V-{order_id}", "side": Side.BUY, "order_qty": 10, "cum_qty": 0, "evidence": "QUERY"} | changes
    return a_report(exec_type_of(status, ""), client_order_id=order_id, status=status, **values)


class TestStart:
    """The first comparison of a run."""

    def test_account_is_reconciled_when_both_agree(self) -> None:
        """One report, at the last statement of the cycle."""
        bench = _held()
        _state(bench, positions({"IBM": 10}, is_start=True, is_last=False))
        assert bench.all_said(ReconciliationReport) == []
        _state(bench, balances({"USD": bench.cash}, is_start=True))
        assert (_last(bench).verdict, _last(bench).is_reconciled, _last(bench).breaks) == ("CLEAN", True, ())
        assert bench.alerts == []

    def test_venue_is_adopted_by_a_double_entry_when_within_the_thresholds(self) -> None:
        """As of the statement's moment, to an owner of its own; position and cash each."""
        bench = _held(100)
        cash = bench.cash
        _state(bench, positions({"IBM": 104, "MSFT": 7}, is_start=True, is_last=False))
        _state(bench, balances({"USD": cash - 400}, is_start=True))
        assert (bench.position_qty(ADJUSTMENT), bench.position_qty(ADJUSTMENT, "MSFT"), bench.cash) == (4, 7, cash - 400)
        assert [(t.kind, t.as_of_ns) for t in bench.transactions][-3:] == [(TransactionKind.ADJUSTMENT, NOW)] * 3
        assert [(a.position.strategy_id, a.position.position_qty) for a in bench.all_said(LedgerAdjusted) if a.reason == "ADJUSTMENT" and a.position] == [
            (ADJUSTMENT, 4),
            (ADJUSTMENT, 7),
        ]
        assert (_last(bench).verdict, _last(bench).is_reconciled) == ("ADOPTED", True)
        assert bench.alerts == ["ReconciliationBreak"] * 3
        _state(bench, positions({"IBM": 104, "MSFT": 7}, cycle=2))
        assert (_last(bench).verdict, _last(bench).breaks) == ("CLEAN", ())

    @pytest.mark.parametrize("theirs", [{"IBM": 90}, {"IBM": 100, "A": 1, "B": 1, "C": 1, "D": 1}], ids=["drift", "missing"])
    def test_start_waits_for_a_person_when_a_threshold_is_passed(self, theirs: dict[str, int]) -> None:
        """Nothing is adopted, not the cash either; the report says so and why."""
        bench = _held(100)
        _state(bench, positions(theirs, is_start=True, is_last=False))
        _state(bench, balances({"USD": 1}, is_start=True))
        assert (_last(bench).verdict, _last(bench).is_reconciled) == ("HALTED", False)
        assert "are allowed" in _last(bench).reason
        assert (bench.position_qty(ADJUSTMENT), len(bench.transactions)) == (0, 2)
        assert bench.alerts.count("ReconciliationError") == 1
        _state(bench, positions({"IBM": 100}, is_start=True, cycle=2, is_last=False))
        _state(bench, balances({"USD": bench.cash}, is_start=True, cycle=2))
        assert (_last(bench).verdict, _last(bench).is_reconciled) == ("CLEAN", True)

    def test_position_that_only_we_have_is_an_error(self) -> None:
        """It is adopted within the thresholds, and a person hears of it as of nothing milder."""
        bench = _held()
        _state(bench, positions({}, is_start=True))
        (alert,) = bench.all_said(Alert)
        assert (alert.severity, "missing_broker IBM" in alert.text) == (Severity.CRITICAL, True)
        assert bench.oms.ledger.account_qty("IBM") == 0

    def test_position_is_an_error_at_the_next_start_when_its_strategy_holds_nothing_overnight(self) -> None:
        """Not in the session it was opened in, and not once it is closed."""
        bench = OmsBench(settings_with(strategies={STRATEGY: {"kind": "sma_cross", "symbols": ["IBM"], "overnight": "never"}}))
        bench.fill(bench.working(), 10)
        _state(bench, positions({"IBM": 10}, is_start=True, stated_ns=NOW + 60))
        assert _last(bench).errors == ()
        _state(bench, positions({"IBM": 10}, is_start=True, stated_ns=NOW + 2 * DAY_NS))
        assert _last(bench).errors == ("trend holds 10 IBM since a session that is over, and may hold nothing overnight",)
        assert bench.alerts == ["OvernightPosition"]


class TestReplacing:
    """An adjustment stands for executions that were not told, and gives way to them."""

    def _adjusted(self) -> OmsBench:
        """A strategy's working order; the venue holds ten and has paid 1000 and a fee of 1 for it as of event 5, nobody said why."""
        bench = OmsBench()
        self.order_id = bench.working()
        _state(bench, positions({"IBM": 10}, is_start=True, is_last=False))
        _state(bench, balances({"USD": 98_999}, is_start=True))
        assert (bench.position_qty(ADJUSTMENT), bench.cash) == (10, 98_999)
        return bench

    def test_real_fill_replaces_the_adjustment_and_never_adds_to_it(self) -> None:
        """The account holds and has what it did; now the strategy holds it and the adjustment nothing."""
        bench = self._adjusted()
        bench.fill(self.order_id, 10, cursor=4, fee="1", fee_asset="USD")
        assert (bench.position_qty(), bench.position_qty(ADJUSTMENT), bench.oms.ledger.account_qty("IBM")) == (10, 0, 10)
        assert bench.cash == 98_999
        last = bench.all_said(LedgerAdjusted)[-1]
        assert (last.reason, last.exec_id, [b.total for b in last.balances]) == ("ADJUSTMENT", "X1", [98_999])

    def test_fills_replace_it_part_by_part(self) -> None:
        """Each by exactly what it moved."""
        bench = self._adjusted()
        bench.fill(self.order_id, 4, cursor=3)
        assert (bench.position_qty(), bench.position_qty(ADJUSTMENT), bench.cash) == (4, 6, 98_999)
        bench.fill(self.order_id, 6, exec_id="X2", cursor=5)
        assert (bench.position_qty(), bench.position_qty(ADJUSTMENT), bench.cash) == (10, 0, 98_999)

    def test_fill_adds_when_it_happened_after_what_was_adopted(self) -> None:
        """By the venue's own numbers; by time where it has none."""
        bench = self._adjusted()
        bench.fill(self.order_id, 3, cursor=6)
        assert (bench.position_qty(), bench.position_qty(ADJUSTMENT), bench.cash) == (3, 10, 98_699)
        bench.fill(self.order_id, 2, exec_id="X2", occurred_ns=NOW + 1)
        assert bench.position_qty(ADJUSTMENT) == 10
        bench.fill(self.order_id, 2, exec_id="X3", occurred_ns=NOW)
        assert (bench.position_qty(ADJUSTMENT), bench.oms.ledger.account_qty("IBM")) == (8, 15)

    def test_unexplained_fill_replaces_it_as_well(self) -> None:
        """Whose it is is another question."""
        bench = self._adjusted()
        bench.fill("stranger", 10, cursor=4, side=Side.BUY)
        assert (bench.position_qty(SUSPENSE), bench.position_qty(ADJUSTMENT), bench.cash) == (10, 0, 99_999 - 1_000)


class TestContinuously:
    """Between starts a difference is watched, not adopted."""

    def test_difference_is_told_and_disarms_when_it_lasts(self) -> None:
        """First its symbol, then the account; nothing is adopted."""
        bench = _held()
        seen = []
        for cycle in range(2, 6):
            _state(bench, positions({"IBM": 11}, cycle=cycle))
            seen.append((_last(bench).verdict, _last(bench).disarmed_symbols, _last(bench).is_reconciled))
        assert seen == [("BROKEN", (), True), ("BROKEN", ("IBM",), True), ("BROKEN", ("IBM",), True), ("BROKEN", ("IBM",), False)]
        assert bench.position_qty(ADJUSTMENT) == 0
        assert bench.alerts == ["ReconciliationBreak"] * 2
        _state(bench, positions({"IBM": 10}, cycle=6))
        assert (_last(bench).verdict, _last(bench).disarmed_symbols, _last(bench).is_reconciled) == ("CLEAN", (), True)

    def test_venue_is_adopted_when_a_person_says_so(self) -> None:
        """Once, with the person's name and reason on the entry; and beyond the thresholds of a start."""
        bench = _held(100)
        assert _command(bench, SyncFromBroker(reason=" ")).startswith("refused: ")
        _state(bench, positions({"IBM": 50}, is_start=True))
        assert _last(bench).verdict == "HALTED"
        assert _command(bench, SyncFromBroker(reason="sold by phone")) == "the venue's next word on positions and cash is adopted"
        _state(bench, positions({"IBM": 50}, is_start=True, cycle=2, is_last=False))
        _state(bench, balances({"USD": 95_000}, is_start=True, cycle=2))
        assert (bench.oms.ledger.account_qty("IBM"), bench.cash) == (50, 95_000)
        assert [a.actor for a in bench.all_said(LedgerAdjusted) if a.reason == "ADJUSTMENT"] == ["ops: sold by phone"] * 2
        assert (_last(bench).verdict, _last(bench).is_reconciled) == ("ADOPTED", True)
        _state(bench, positions({"IBM": 40}, cycle=3))
        assert bench.oms.ledger.account_qty("IBM") == 50


class TestOrders:
    """The venue's list of orders."""

    def test_order_that_is_not_ours_is_registered_external_and_counted(self) -> None:
        """An event with the facet and what may still trade, an alarm, and an owner of its own for what it executes."""
        bench = OmsBench()
        _state(bench, open_orders(_view("web-1", cum_qty=0)))
        event = bench.events[-1]
        assert (event.client_order_id, event.strategy_id, event.new_status, event.leaves_qty, event.facets) == ("web-1", EXTERNAL, "ACCEPTED", 10, ("external",))
        assert "ExternalOrder" in bench.alerts and "ReconciliationBreak" in bench.alerts
        assert _last(bench).breaks[0].kind == "extra_order"
        assert bench.instructions == []
        _state(bench, open_orders(_view("web-1"), cycle=2))
        assert (_last(bench).verdict, len(bench.events)) == ("CLEAN", 1)
        bench.fill("web-1", 10, venue_order_id="V-web-1", side=Side.BUY)
        assert (bench.position_qty(EXTERNAL), bench.position_qty(SUSPENSE), bench.events[-1].new_status) == (10, 0, "FILLED")

    def test_end_of_an_order_that_nobody_told_is_the_venues_word_and_folded(self) -> None:
        """Found once, mended at once."""
        bench = OmsBench()
        order_id = bench.working()
        _state(bench, open_orders(_view(order_id, OrderStatus.CANCELLED, venue_order_id="V1")))
        assert (bench.events[-1].new_status, bench.events[-1].evidence) == ("CANCELLED", "QUERY")
        assert [b.kind for b in _last(bench).breaks] == ["status_mismatch"]
        _state(bench, open_orders(cycle=2))
        assert _last(bench).verdict == "CLEAN"

    def test_order_disarms_its_symbol_when_it_stays_missing(self) -> None:
        """The broker asks after it meanwhile; without an answer nobody trades on."""
        bench = OmsBench()
        order_id = bench.working()
        for cycle in (1, 2):
            _state(bench, open_orders(missing=(order_id,), cycle=cycle))
        assert ([b.kind for b in _last(bench).breaks], _last(bench).disarmed_symbols) == (["missing_order"], ("IBM",))

    def test_list_says_nothing_about_an_order_whose_own_answer_is_under_way(self) -> None:
        """Its attempt was told, its fate was not."""
        bench = OmsBench()
        order_id = bench.submit()
        bench.attempt(order_id)
        _state(bench, open_orders(_view(order_id, cum_qty=3), unsettled=(order_id,)))
        assert _last(bench).verdict == "CLEAN"

    def test_execution_that_is_told_again_is_booked_once(self) -> None:
        """While its order lives, and after it has ended."""
        bench = OmsBench()
        order_id = bench.working()
        for _ in range(2):
            bench.fill(order_id, 10, exec_id="X1", evidence="QUERY", cum_qty=10)
            bench.fill(order_id, 10, exec_id="X1", cum_qty=10)
        assert (bench.position_qty(), bench.cash) == (10, 99_000)


class TestSuspense:
    """What belongs to nobody is settled by a match or by a person."""

    def test_executions_are_settled_by_match_when_their_order_turns_up(self) -> None:
        """A foreign order that traded before anybody saw it: what was kept goes to it, cash as it was."""
        bench = OmsBench()
        bench.fill("web-1", 4, venue_order_id="V-web-1", side=Side.BUY, cum_qty=4)
        assert bench.position_qty(SUSPENSE) == 4
        _state(bench, open_orders(_view("web-1", OrderStatus.PARTIALLY_FILLED, cum_qty=4)))
        assert (bench.position_qty(SUSPENSE), bench.position_qty(EXTERNAL), bench.cash) == (0, 4, 99_600)
        assert (bench.events[-1].cum_qty, bench.events[-1].leaves_qty) == (4, 6)
        assert bench.oms.suspense_table == []

    def test_execution_is_settled_by_match_when_it_is_told_again_with_its_order(self) -> None:
        """A report without a name, then the venue's own list of executions: booked once, to the order."""
        bench = OmsBench()
        order_id = bench.submit()
        bench.attempt(order_id)
        bench.fill("", 10, exec_id="X1", side=Side.BUY)
        assert (bench.position_qty(SUSPENSE), bench.position_qty()) == (10, 0)
        bench.fill(order_id, 10, exec_id="X1", evidence="QUERY")
        assert (bench.position_qty(SUSPENSE), bench.position_qty(), bench.cash) == (0, 10, 99_000)

    def test_person_gives_suspense_to_an_owner(self) -> None:
        """At what it cost; no cash moves, and it is not booked again when the venue repeats it."""
        bench = OmsBench()
        bench.fill("stranger", 3, 50, exec_id="S1", side=Side.BUY)
        (row,) = bench.oms.suspense_table
        assert (row["quantity"], row["notional"], row["executions"]) == ("3", "150", 1)
        key = str(row["suspense_key"])
        assert _command(bench, SettleSuspense(suspense_key=key, owner="nobody", reason="r")).startswith("refused: owner 'nobody' is not known")
        assert _command(bench, SettleSuspense(suspense_key=key, owner=STRATEGY, reason="")) == "refused: settling needs a reason"
        assert _command(bench, SettleSuspense(suspense_key=key, owner=STRATEGY, reason="mine")) == "3 IBM go to trend"
        assert (bench.position_qty(), bench.position_qty(SUSPENSE), bench.cash) == (3, 0, 99_850)
        assert bench.oms.ledger.position("IBM", STRATEGY).avg_price == 50
        assert _command(bench, SettleSuspense(suspense_key=key, owner=STRATEGY, reason="again")) == f"refused: {key} is not in suspense"
        bench.fill("stranger", 3, 50, exec_id="S1", side=Side.BUY)
        assert bench.oms.ledger.account_qty("IBM") == 3

    def test_settled_execution_is_not_booked_again_when_it_is_told_with_an_order(self) -> None:
        """A person has said whose it is."""
        bench = OmsBench()
        order_id = bench.working()
        bench.fill("stranger", 3, 50, exec_id="S1", side=Side.BUY, venue_order_id="V9")
        key = str(bench.oms.suspense_table[0]["suspense_key"])
        _command(bench, SettleSuspense(suspense_key=key, owner=STRATEGY, reason="mine"))
        bench.fill(order_id, 3, 50, exec_id="S1", venue_order_id="V9", evidence="QUERY")
        assert bench.oms.ledger.account_qty("IBM") == 3


def test_execution_a_person_vouched_for_is_replaced_when_the_venue_tells_it() -> None:
    """Never added: the account holds what the venue executed, at its price."""
    bench = OmsBench()
    order_id = bench.submit()
    bench.attempt(order_id)
    bench.report(ExecType.LOST, order_id, venue_order_id="", evidence="QUERY")
    bench.fill(order_id, 10, 101, exec_id="operator-1", venue_order_id="", evidence="OPERATOR")
    assert (bench.events[-1].new_status, bench.cash) == ("FILLED", 98_990)
    bench.fill(order_id, 10, 100, exec_id="X1", cum_qty=10)
    assert (bench.position_qty(), bench.cash) == (10, Decimal(99_000))
