"""What the venue said: an execution has a price, and no quantity is below zero."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import ExecType
from tests.support.builders import a_report


def test_an_execution_has_a_price() -> None:
    """A quantity without one cannot be booked; a price without one is a reference."""
    assert a_report(ExecType.TRADE, last_qty=1, last_price="2.5").last_price == Decimal("2.5")
    assert a_report(ExecType.NEW, last_price=1).last_qty == 0
    with pytest.raises(ValueError, match="last_price: missing, an execution requires it"):
        a_report(ExecType.TRADE, last_qty=1)
    with pytest.raises(ValueError, match="last_price: 0 is not allowed"):
        a_report(ExecType.TRADE, last_qty=1, last_price=0)


@pytest.mark.parametrize("name", ["order_qty", "cum_qty", "leaves_qty", "last_qty"])
@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "1E+20", "0.0000000000001"])
def test_what_is_no_quantity_is_refused(name: str, value: str) -> None:
    """Whatever the venue meant by it."""
    with pytest.raises(ValueError, match=f"^{name}: "):
        a_report(ExecType.TRADE, **{name: value})


def test_a_rebate_is_a_fee_below_zero() -> None:
    """A venue may pay."""
    assert a_report(ExecType.TRADE, fee="-0.1").fee == Decimal("-0.1")
    with pytest.raises(ValueError, match=r"^fee: "):
        a_report(ExecType.TRADE, fee="NaN")


def test_what_the_venue_did_not_say_is_none() -> None:
    """Missing is not zero."""
    report = a_report(ExecType.NEW)
    assert (report.cum_qty, report.leaves_qty, report.status) == (None, None, None)
