"""An instrument's grid: what may be asked for, and what is wrong with what may not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.instrument import Instrument
from tests.support.builders import an_instrument

D = Decimal


@pytest.mark.parametrize("name", ["tick", "lot", "multiplier"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity"])
def test_an_instrument_needs_a_grid(name: str, value: str) -> None:
    """Without one every price would be legal."""
    with pytest.raises(ValueError, match=f"instrument IBM {name}"):
        an_instrument(**{name: value})


def test_prices_move_to_the_grid_on_the_side_that_is_asked_for() -> None:
    """A buyer's limit goes down, a seller's up."""
    stock = an_instrument(tick="0.05")
    assert (stock.price_at_or_below(D("10.07")), stock.price_at_or_above(D("10.07"))) == (D("10.05"), D("10.10"))
    assert stock.price_at_or_below(D("10.05")) == stock.price_at_or_above(D("10.05")) == D("10.05")


def test_quantities_always_round_down() -> None:
    """Never more than was asked for."""
    assert an_instrument(lot="0.1").qty_at_or_below(D("1.99")) == D("1.9")


def test_a_notional_counts_the_multiplier() -> None:
    """Ten contracts of fifty at two."""
    assert an_instrument(multiplier="50").notional(D(10), D(2)) == D(1000)


@pytest.mark.parametrize(
    ("changes", "qty", "prices", "found"),
    [
        ({}, "10", ("100.01",), []),
        ({}, "10.5", (), ["order_qty=10.5 is not a multiple of lot=1"]),
        ({}, "10", ("100.015", "1"), ["price=100.015 is not a multiple of tick=0.01"]),
        ({"order_qty_max": "9"}, "10", (), ["order_qty=10 is above order_qty_max=9"]),
        ({"order_qty_max": "10"}, "10", (), []),
        ({"order_qty_min": "11"}, "10", (), ["order_qty=10 is below order_qty_min=11"]),
        ({"order_qty_min": "11", "order_qty_max": "9"}, "10.5", ("0.001",), None),
    ],
)
def test_everything_that_is_wrong_with_the_terms_is_told(changes: dict[str, str], qty: str, prices: tuple[str, ...], found: list[str] | None) -> None:
    """All of it at once."""
    problems = an_instrument(**changes).problems(D(qty), *(D(price) for price in prices))
    assert problems == found if found is not None else len(problems) == 4


def test_a_small_order_is_refused_by_quantity_and_by_value() -> None:
    """The value is judged only where there is one."""
    stock = an_instrument(order_qty_min="5", order_notional_min="100")
    assert stock.minimum_problems(D(5)) == []
    assert stock.minimum_problems(D(5), D(100)) == []
    assert stock.minimum_problems(D(4), D(99)) == ["order_qty=4 is below order_qty_min=5", "order_notional=99 is below order_notional_min=100"]


def test_an_instrument_cannot_change() -> None:
    """Its facts are static."""
    with pytest.raises(AttributeError):
        an_instrument().tick = D(1)  # type: ignore[misc]
    assert isinstance(an_instrument(), Instrument)
