"""What risk makes of a difference with the venue, and of executions that belong to nobody."""

# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from core.contracts import ArmAccount, LedgerAdjusted, Side, TradingState
from tests.support.builders import ACCOUNT, NOW, a_position, an_intent, settings_with
from tests.support.risk_desk import RiskDesk, codes


def _suspense(desk: RiskDesk, qty: int, price: int = 100) -> None:
    position = a_position(qty, strategy_id="_suspense", avg_price=price)
    desk.tell(LedgerAdjusted(account=ACCOUNT, reason="SUSPENSE", evidence="PUSH", occurred_ns=NOW, position=position))


def test_entries_are_denied_in_a_disarmed_symbol_and_exits_pass() -> None:
    """Until the report that no longer names it."""
    desk = RiskDesk()
    desk.hold(10)
    desk.reconciled(symbols=("IBM",))
    assert codes(desk.ask(an_intent("a"))) == ["RECONCILIATION_BREAK"]
    assert codes(desk.ask(an_intent("b", side=Side.SELL, order_qty=5))) == []
    desk.reconciled()
    assert [e.event for e in desk.events()][-2:] == ["RECONCILIATION_BREAK", "RECONCILIATION_BREAK_ENDED"]
    assert codes(desk.ask(an_intent("c"))) == []


def test_account_is_disarmed_when_it_differs_and_cannot_be_armed() -> None:
    """Only a person arms it again, once it agrees."""
    desk = RiskDesk(settings_with(venue={"arming": "lease"}))
    assert desk.command(ArmAccount(phrase="ARM paper 25000", reason="open")) == "armed"
    desk.reconciled("cash_mismatch USD")
    assert not desk.engine.arm_state.is_armed
    assert desk.command(ArmAccount(phrase="ARM paper 25000", reason="open")) == "refused: the account is not reconciled with its venue"
    desk.reconciled()
    assert not desk.engine.arm_state.is_armed


def test_suspense_counts_and_trips_to_reducing_when_it_is_worth_too_much() -> None:
    """At what it cost, either way round; below the bound it only counts."""
    desk = RiskDesk()
    _suspense(desk, -100)
    assert (desk.engine.snapshot().switches.tripped, desk.engine.snapshot().exposure.symbols["IBM"].position_qty) == (TradingState.ACTIVE, -100)
    _suspense(desk, -101)
    assert desk.engine.snapshot().switches.tripped is TradingState.REDUCING
    assert "SUSPENSE" in desk.alerts()[-1].text
    assert desk.reborn().snapshot() == desk.engine.snapshot()
