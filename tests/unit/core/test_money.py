"""Decimal rules: finite, believable, on a grid, and spelled in one way."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import (
    ceil_to,
    decimal_of,
    floor_to,
    is_on_grid,
    normal,
    require_amounts,
    require_finite,
    require_not_negative,
    require_positive,
    round_to,
)

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False, places=6)
STEPS = st.sampled_from([Decimal(text) for text in ("0.01", "0.05", "0.125", "1", "5", "0.00000001")])


@pytest.mark.parametrize("text", ["0", "1", "-1", "0.000000000001", "999999999999999", "-999999999999999", "0E-20"])
def test_a_real_amount_is_taken_as_it_is(text: str) -> None:
    """Up to fifteen digits before the point and twelve after it."""
    assert require_finite("x", Decimal(text)) == Decimal(text)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+15", "1000000000000000", "0.0000000000001", "1E-999"])
def test_what_is_no_real_amount_is_refused(text: str) -> None:
    """By name and value."""
    with pytest.raises(ValueError, match=r"^x: "):
        require_finite("x", Decimal(text))


@pytest.mark.parametrize("text", ["0", "-0", "-1", "NaN", "Infinity"])
def test_zero_and_below_are_not_positive(text: str) -> None:
    """An order of nothing is no order."""
    with pytest.raises(ValueError, match=r"^x: "):
        require_positive("x", Decimal(text))
    assert require_positive("x", Decimal("0.5")) == Decimal("0.5")


def test_a_computed_amount_may_be_finer_than_a_price() -> None:
    """An average has as many digits as the division gave; it must still be a number of a believable size."""
    holder = SimpleNamespace(a=Decimal(1) / 3, b=None, c=Decimal(-1))
    require_amounts(holder, "a", "b", "c")
    for bad in ("NaN", "sNaN", "Infinity", "1E+15"):
        with pytest.raises(ValueError, match=r"^a: .* is not an amount"):
            require_amounts(SimpleNamespace(a=Decimal(bad)), "a")


def test_a_quantity_below_zero_is_refused_where_there_is_none() -> None:
    """None is no quantity at all."""
    require_not_negative(SimpleNamespace(a=Decimal(0), b=None), "a", "b")
    with pytest.raises(ValueError, match=r"^a: -1 is not allowed, it must be at least 0"):
        require_not_negative(SimpleNamespace(a=Decimal(-1)), "a")
    with pytest.raises(ValueError, match="is not an amount"):
        require_not_negative(SimpleNamespace(a=Decimal("NaN")), "a")


@pytest.mark.parametrize(("value", "amount"), [("1.50", "1.50"), (3, "3"), (0.1, "0.1"), (Decimal("2"), "2")])
def test_a_number_becomes_the_decimal_of_its_shortest_text(value: str | int | float | Decimal, amount: str) -> None:
    """0.1 is a tenth and not its binary neighbour."""
    assert decimal_of(value) == Decimal(amount)


@pytest.mark.parametrize("value", ["", "one", "1,5", float("nan"), float("inf"), "1E+40", True])
def test_what_is_no_number_is_refused(value: str | float) -> None:
    """It says what was given."""
    with pytest.raises(ValueError, match=r"number|out of range"):
        decimal_of(value)


@given(AMOUNTS, STEPS)
def test_rounding_lands_on_the_grid_on_the_right_side(value: Decimal, step: Decimal) -> None:
    """Floor at or below, ceiling at or above, never more than a step away; nearest is one of the two."""
    below, above, nearest = floor_to(value, step), ceil_to(value, step), round_to(value, step)
    assert below <= value <= above
    assert above - below in (0, step)
    assert nearest in (below, above)
    assert all(is_on_grid(x, step) for x in (below, above, nearest))
    assert is_on_grid(value, step) == (below == value)


def test_ties_go_to_even() -> None:
    """Rounding up every half would drift."""
    assert [round_to(Decimal(text), Decimal(1)) for text in ("0.5", "1.5", "2.5", "-0.5")] == [0, 2, 2, 0]


@pytest.mark.parametrize(("text", "spelled"), [("1.00", "1"), ("1E+2", "100"), ("-0", "0"), ("0.00", "0"), ("-0.10", "-0.1"), ("1.230", "1.23"), ("100", "100"), ("0E+3", "0")])
def test_a_number_has_one_spelling(text: str, spelled: str) -> None:
    """So that equal amounts hash alike."""
    assert normal(Decimal(text)) == spelled


@given(AMOUNTS, AMOUNTS)
def test_spellings_are_equal_exactly_when_amounts_are(one: Decimal, other: Decimal) -> None:
    """And they are still the number."""
    assert (normal(one) == normal(other)) == (one == other)
    assert Decimal(normal(one)) == one
