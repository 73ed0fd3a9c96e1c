"""Sizing: money becomes a legal quantity, always rounded down."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies.sizing import legal_qty
from tests.support.builders import an_instrument


@pytest.mark.parametrize(
    ("instrument", "notional", "price", "qty"),
    [
        ({}, "5000", 100.0, "50"),
        ({}, "5000", 100.01, "49"),
        ({"lot": "0.001", "order_qty_min": "0"}, "5000", 333.33, "15.000"),
        ({"lot": "0.001", "order_qty_min": "0"}, "100", 333.33, "0.300"),
        ({"multiplier": "50"}, "5000", 10.0, "10"),
        ({}, "99", 100.0, "0"),
        ({"order_qty_min": "60"}, "5000", 100.0, "0"),
        ({"order_qty_max": "40"}, "5000", 100.0, "0"),
        ({"order_notional_min": "5001"}, "5000", 100.0, "0"),
        ({}, "5000", 27.123456789012345, "184"),
    ],
)
def test_money_buys_the_largest_legal_quantity(instrument: dict[str, str], notional: str, price: float, qty: str) -> None:
    """Rounded down to the lot; zero when the instrument would not take it."""
    assert legal_qty(an_instrument(**instrument), Decimal(notional), price) == Decimal(qty)


@given(st.decimals(min_value=1, max_value=10**6, places=2), st.floats(min_value=0.01, max_value=1e5))
def test_never_more_than_the_money(notional: Decimal, price: float) -> None:
    """Quantity times price stays within the notional, and one lot more would not."""
    instrument = an_instrument(lot="0.001", order_qty_min="0")
    qty = legal_qty(instrument, notional, price)
    value = Decimal(str(price))
    assert qty * value <= notional < (qty + instrument.lot) * value
