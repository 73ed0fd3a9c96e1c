"""What no order of ours explains: executions are kept and counted, orders are shown, nothing is dropped and nothing twice."""

# Decimals are compared with plain numbers, statuses with their names.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.contracts import AccountSnapshot, Alert, ExecType, FillEvent, LedgerAdjusted, PositionSnapshot, Severity, Side
from core.machine import Archive, Halt
from execution.suspense import SUSPENSE
from execution.transaction_log import LogEvent
from tests.support.builders import settings_with
from tests.support.oms import OmsBench


def test_execution_is_booked_to_suspense_when_its_order_is_unknown() -> None:
    """It counts in position and cash of the account, and a person hears of it."""
    bench = OmsBench()
    bench.fill("stranger", 3, 50, exec_id="S1", side=Side.SELL, fee="0.5", fee_asset="USD")
    adjusted = bench.all_said(LedgerAdjusted)[-1]
    assert (adjusted.reason, adjusted.exec_id, adjusted.evidence) == ("SUSPENSE", "S1", "PUSH")
    assert adjusted.position is not None
    assert (adjusted.position.strategy_id, adjusted.position.position_qty, adjusted.position.avg_price) == (SUSPENSE, -3, 50)
    assert [(b.asset, b.total) for b in adjusted.balances] == [("USD", Decimal("100149.5"))]
    assert bench.position_qty(SUSPENSE) == bench.oms.ledger.account_qty("IBM") == -3
    bench.wake()
    assert bench.all_said(PositionSnapshot)[-1].position_qty == adjusted.position.position_qty
    assert [b.total for b in bench.all_said(AccountSnapshot)[-1].balances] == [b.total for b in adjusted.balances]
    assert (bench.events, bench.all_said(FillEvent)) == ([], [])
    alert = bench.all_said(Alert)[-1]
    assert (alert.name, alert.severity) == ("Suspense", Severity.CRITICAL)
    assert [row.event for row in bench.log] == [LogEvent.TRADE_OPEN]
    assert ("exec", "sim|paper|IBM|V1|S1") in bench.archive


def test_unknown_execution_is_booked_once_for_ever_when_it_is_repeated() -> None:
    """The same key is the same execution, under whatever client order id it is told."""
    bench = OmsBench()
    for order_id in ("stranger", "stranger", "other"):
        bench.fill(order_id, 3, 50, exec_id="S1", side=Side.BUY)
    assert bench.position_qty(SUSPENSE) == 3
    assert bench.alerts == ["Suspense"]


def test_unknown_executions_add_up_when_they_differ_in_any_part_of_their_key() -> None:
    """Symbol, venue order and execution id make the key."""
    bench = OmsBench()
    for changes in ({}, {"exec_id": "S2"}, {"venue_order_id": "V2"}, {"symbol": "MSFT"}, {"exec_id": "S3", "side": Side.SELL}):
        values: dict[str, Any] = {"exec_id": "S1", "side": Side.BUY} | changes
        bench.fill("stranger", 1, 50, **values)
    assert (bench.position_qty(SUSPENSE), bench.position_qty(SUSPENSE, "MSFT")) == (2, 1)
    assert bench.alerts == ["Suspense"] * 5


def test_unknown_execution_is_taken_back_when_the_venue_busts_or_corrects_it() -> None:
    """Suspense follows the venue like any order does."""
    bench = OmsBench()
    bench.fill("stranger", 3, 50, exec_id="S1", side=Side.BUY)
    bench.fill("stranger", 2, 60, exec_id="S2", side=Side.BUY)
    bench.report(ExecType.TRADE_CANCEL, "stranger", exec_id="B1", exec_ref_id="S1", side=Side.BUY)
    bench.report(ExecType.TRADE_CORRECT, "stranger", exec_id="C1", exec_ref_id="S2", last_qty=1, last_price=60, side=Side.BUY)
    assert bench.position_qty(SUSPENSE) == 1
    assert bench.cash == 100_000 - 60
    bench.report(ExecType.TRADE_CANCEL, "nobody", venue_order_id="V9", exec_ref_id="S9", side=Side.BUY)
    assert bench.alerts == ["Suspense"] * 5
    assert bench.position_qty(SUSPENSE) == 1


def test_execution_without_side_is_kept_and_alerted_once_when_no_order_tells_it() -> None:
    """What cannot be booked is not forgotten."""
    bench = OmsBench()
    for _ in range(2):
        bench.fill("stranger", 3, 50, exec_id="S1")
    assert bench.alerts == ["SuspenseWithoutSide"]
    assert bench.cash == 100_000
    assert ("exec", "sim|paper|IBM|V1|S1") in bench.archive


def test_unknown_order_is_registered_once_when_it_is_reported_without_an_execution() -> None:
    """Foreign orders are shown and never managed."""
    bench = OmsBench()
    bench.report(ExecType.NEW, "stranger")
    assert bench.report(ExecType.CANCELLED, "stranger") == []
    bench.report(ExecType.NEW, "second", venue_order_id="")
    assert bench.alerts == ["ExternalOrder", "ExternalOrder"]
    assert {key for kind, key in bench.archive if kind == "external"} == {"sim|paper|V1", "sim|paper|second"}
    assert bench.instructions == []


@pytest.mark.parametrize("is_over", [False, True], ids=["while it works", "after it ended"])
@pytest.mark.parametrize(("changes", "symbol"), [({"symbol": "MSFT", "side": Side.BUY}, "MSFT"), ({"side": Side.SELL}, "IBM")], ids=["symbol", "side"])
def test_execution_goes_to_suspense_and_the_order_freezes_when_it_cannot_be_the_orders(is_over: bool, changes: dict[str, Any], symbol: str) -> None:
    """A report that names an order and contradicts it is a disagreement; its execution still counts."""
    bench = OmsBench()
    order_id = bench.working()
    if is_over:
        bench.report(ExecType.CANCELLED, order_id)
    bench.fill(order_id, 4, 50, exec_id="W1", **changes)
    assert abs(bench.position_qty(SUSPENSE, symbol)) == 4
    assert bench.position_qty() == 0
    event = bench.events[-1]
    assert event.facets == ("disagreement",)
    assert (event.last_qty, event.cum_qty) == (0, 0)
    assert bench.alerts == ["StateDisagreement", "Suspense"]
    bench.fill(order_id, 1, 50, exec_id="W2", **changes)
    assert bench.alerts == ["StateDisagreement", "Suspense", "Suspense"]
    bench.fill(order_id, 4, 100, exec_id="X1")
    assert bench.position_qty() == 4


def test_order_freezes_when_a_report_without_execution_contradicts_it() -> None:
    """The report changes nothing else."""
    bench = OmsBench()
    order_id = bench.working()
    bench.report(ExecType.CANCELLED, order_id, symbol="MSFT")
    assert (bench.events[-1].new_status, bench.events[-1].facets) == ("ACCEPTED", ("disagreement",))
    assert bench.report(ExecType.CANCELLED, order_id, symbol="MSFT") == []
    assert bench.alerts == ["StateDisagreement"]


@pytest.mark.parametrize("said", [{"qty": "1E14"}, {"qty": "1E10", "price": "1E5"}, {"qty": 1, "fee": "-1E13"}], ids=["quantity", "notional", "fee"])
def test_oms_halts_and_books_nothing_when_an_execution_is_beyond_belief(said: dict[str, Any]) -> None:
    """Numbers the books cannot hold are a person's business, not a crash and not a booking."""
    bench = OmsBench()
    order_id = bench.working()
    effects = bench.fill(order_id, **said)
    assert [type(e) for e in effects if isinstance(e, Halt | Archive)] == [Archive, Halt]
    assert bench.alerts == ["UnbelievableExecution"]
    assert bench.cash == 100_000


def test_symbol_without_instrument_is_booked_as_a_plain_one_when_it_comes_from_the_venue() -> None:
    """An execution is booked whether or not anyone configured its symbol."""
    settings = settings_with().model_copy(update={"instruments": {}})
    bench = OmsBench(settings)
    assert settings.instrument("UNHEARD") is None
    bench.fill("stranger", 1, 50, exec_id="S1", symbol="UNHEARD", side=Side.BUY)
    assert bench.position_qty(SUSPENSE, "UNHEARD") == 1
    assert bench.cash == 99_950


def test_both_are_kept_when_two_executions_without_a_name_differ() -> None:
    """A missing execution id is no reason to take one execution for another."""
    bench = OmsBench()
    for cum_qty in (1, 1, 2):
        bench.fill("stranger", 1, 50, exec_id="", cum_qty=cum_qty, side=Side.BUY)
    assert bench.position_qty(SUSPENSE) == 2
