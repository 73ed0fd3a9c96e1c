"""The loop leaves unsaid only what would change nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from backtest.config import BacktestConfig
from backtest.engine import prepare
from backtest.loop import LoopResult, run_loop
from backtest.subject import Leg, StrategyLike
from core.contracts import OrderStatus
from tests.support.bar_tables import QuickCross, Restless, a_table

_TABLE = a_table(450, ("ALFA", "BRVO", "CHRL"))


def _both(legs: StrategyLike | list[Leg], profile: str = "") -> tuple[LoopResult, LoopResult]:
    prepared = prepare(legs, _TABLE, BacktestConfig(results=None, profile=profile))
    return tuple(run_loop(prepared.settings, prepared.feed, load=prepared.subject.load, thorough=thorough) for thorough in (False, True))  # type: ignore[return-value]


@pytest.mark.parametrize("profile", ["", "stressed"])
@pytest.mark.parametrize(
    "legs",
    [
        "sma_cross",
        "vwap_reversion",
        Restless,
        [Leg(QuickCross, ("ALFA",), {"fast": 3, "slow": 8, "allow_short": True}), Leg(Restless, ("BRVO",)), Leg("vwap_reversion", ("CHRL",))],
    ],
    ids=["sma_cross", "vwap_reversion", "restless", "three"],
)
def test_same_is_said_when_everything_is_told_to_everyone(legs: StrategyLike | list[Leg], profile: str) -> None:
    """Decisions with their evidence, order events, executions and alerts, element by element, and the machines as they stand at the end."""
    quick, thorough = _both(legs, profile)
    assert quick.said == thorough.said
    assert len(quick.decisions) > 5
    for daemon, machine in quick.machines.items():
        assert machine.snapshot() == thorough.machines[daemon].snapshot(), daemon


def test_every_kind_of_end_occurs_when_restless_trades() -> None:
    """Otherwise the comparison above would compare less than it claims."""
    quick, _ = _both(Restless)
    ends = {event.new_status for event in quick.events}
    assert {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED} <= ends
    assert any(decision.intent.reason == "TIMER" for decision in quick.decisions)
    assert any(event.position.position_qty < Decimal(0) for event in quick.events)
