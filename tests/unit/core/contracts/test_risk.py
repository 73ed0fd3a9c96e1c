"""What risk answers: denials in the words of operators, amounts that are amounts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import Denial, Evidence, PositionSnapshot, TradingState
from tests.support.builders import NOW, a_position, an_approval, an_intent


def test_a_denial_reads_code_then_evidence() -> None:
    """`CODE: key=value`, or the code alone."""
    assert str(Denial(code="KILL_SWITCH")) == "KILL_SWITCH"
    assert str(Denial(code="ORDER_QTY", evidence="order_qty=11, allowed=10")) == "ORDER_QTY: order_qty=11, allowed=10"


def test_evidence_is_made_of_amounts() -> None:
    """A position may be short; what works on a side counts from zero."""
    assert Evidence(trading_state=TradingState.ACTIVE, position_qty=Decimal(-5)).position_qty == -5
    with pytest.raises(ValueError, match="worst_notional"):
        Evidence(trading_state=TradingState.ACTIVE, worst_notional=Decimal("NaN"))
    with pytest.raises(ValueError, match="working_buy_qty"):
        Evidence(trading_state=TradingState.ACTIVE, working_buy_qty=Decimal(-1))


def test_an_approval_refers_to_a_price_or_to_none() -> None:
    """Never to something between."""
    with pytest.raises(ValueError, match="reference_price"):
        an_approval(an_intent(), reference_price=Decimal("Infinity"))


def test_a_position_may_be_short_and_is_always_a_number() -> None:
    """An average may have as many digits as it takes."""
    assert a_position(-3).position_qty == -3
    fine = PositionSnapshot(account="a", symbol="s", strategy_id="x", position_qty=Decimal(3), avg_price=Decimal(10) / 3, realized_pnl=Decimal(0), as_of_ns=NOW)
    assert fine.avg_price > 3
    with pytest.raises(ValueError, match="avg_price"):
        a_position(1, avg_price="NaN")
