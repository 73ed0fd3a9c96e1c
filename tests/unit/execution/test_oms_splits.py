"""Splits: what is held multiplies for every owner, cash stays, and a venue that counts otherwise is heard."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import LedgerAdjusted, Side, StockSplit
from execution.ledger import TransactionKind
from tests.support.builders import ACCOUNT, NOW, SYMBOL, VENUE, a_message, an_intent
from tests.support.oms import OmsBench


def _split(bench: OmsBench, numerator: int, denominator: int, position_qty: int) -> None:
    split = StockSplit(venue=VENUE, account=ACCOUNT, symbol=SYMBOL, numerator=numerator, denominator=denominator, position_qty=Decimal(position_qty), occurred_ns=NOW, cursor=1)
    bench.give(a_message(f"broker.reports.{VENUE}", split, producer="broker"))


def _holding(side: Side = Side.BUY) -> OmsBench:
    bench = OmsBench()
    bench.fill(bench.working(an_intent(side=side)), 10)
    return bench


@pytest.mark.parametrize(("side", "numerator", "denominator", "qty", "price"), [(Side.BUY, 2, 1, 20, "50"), (Side.SELL, 3, 1, -30, "33.333333333333"), (Side.BUY, 1, 5, 2, "500")])
def test_position_and_average_follow_when_a_symbol_splits(side: Side, numerator: int, denominator: int, qty: int, price: str) -> None:
    """Also backwards, and short; the entry is double and moves no cash."""
    bench = _holding(side)
    cash = bench.cash
    _split(bench, numerator, denominator, qty)
    position = bench.oms.ledger.position(SYMBOL, "trend")
    assert (position.qty, position.avg_price, bench.cash) == (Decimal(qty), Decimal(price), cash)
    assert bench.transactions[-1].kind is TransactionKind.SPLIT
    assert "StockSplit" in bench.alerts
    told = bench.all_said(LedgerAdjusted)[-1]
    assert told.reason == "SPLIT"
    assert told.position is not None
    assert told.position.position_qty == qty


def test_nothing_is_booked_when_nothing_is_held() -> None:
    """A split of what nobody holds is news and no entry."""
    bench = OmsBench()
    count = len(bench.transactions)
    _split(bench, 2, 1, 0)
    assert len(bench.transactions) == count


def test_a_person_is_called_when_the_venue_counts_otherwise() -> None:
    """The split is booked by its ratio; that the venue holds something else is a difference to be looked at, not to be guessed away."""
    bench = _holding()
    _split(bench, 2, 1, 19)
    assert bench.position_qty() == 20
    assert "SplitDisagreement" in bench.alerts


@pytest.mark.parametrize("field", ["numerator", "denominator"])
def test_a_split_is_refused_when_its_ratio_is_none(field: str) -> None:
    """Nothing becomes of nothing."""
    ratio = {"numerator": 2, "denominator": 1} | {field: 0}
    with pytest.raises(ValueError, match="at least 1 is required"):
        StockSplit(venue=VENUE, account=ACCOUNT, symbol=SYMBOL, position_qty=Decimal(0), occurred_ns=NOW, **ratio)
