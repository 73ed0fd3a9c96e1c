"""Volatility, beta, drawdown, concentration and stress, each with an example worked by hand."""

from __future__ import annotations

from decimal import Decimal
from math import sqrt

import pytest

from risk.metrics import (
    SCENARIOS,
    Concentration,
    Drawdown,
    Holding,
    Scenario,
    beta,
    concentration,
    ewma_volatility,
    max_drawdown,
    stress_losses,
    stress_table,
    volatility,
)


def test_volatility_is_the_sample_deviation_and_scales_with_the_root_of_time() -> None:
    """Two returns of one per cent up and down: the deviation is 0.01 x root of two."""
    assert volatility([0.01, -0.01]) == pytest.approx(0.01 * sqrt(2))
    assert volatility([0.01, -0.01], 252) == pytest.approx(0.01 * sqrt(2) * sqrt(252))


def test_ewma_weighs_the_newest_return_most() -> None:
    """The recursion by hand: v = 0.94 v + 0.06 r², begun with the first square."""
    variance = 0.02**2
    for r in (0.01, -0.03):
        variance = 0.94 * variance + 0.06 * r * r
    assert ewma_volatility([0.02, 0.01, -0.03]) == pytest.approx(sqrt(variance))
    assert ewma_volatility([0.0] * 99 + [0.05]) > ewma_volatility([0.05] + [0.0] * 99)


def test_beta_is_the_slope_on_the_market() -> None:
    """Twice the market and a constant has a beta of two; what moves against it a negative one."""
    market = [0.01, -0.02, 0.03, 0.0]
    assert beta([2 * m + 0.001 for m in market], market) == pytest.approx(2)
    assert beta([-0.5 * m for m in market], market) == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ([100, 120, 90, 110, 130, 125], Drawdown(0.25, 1, 2, 4)),
        ([100, 120, 90], Drawdown(0.25, 1, 2, None)),
        ([100, 101, 102], Drawdown(0.0, 0, 0, None)),
        ([100, 50, 100, 50], Drawdown(0.5, 0, 1, 2)),
        ([7], Drawdown(0.0, 0, 0, None)),
    ],
)
def test_the_deepest_fall_is_found_with_its_places(equity: list[float], expected: Drawdown) -> None:
    """Depth, peak, trough, and when the peak was seen again."""
    assert max_drawdown(equity) == expected


def test_concentration_counts_shorts_as_they_are_sized() -> None:
    """Half in one name, the rest in two quarters: the index is 3/8, as concentrated as 2.67 equal positions."""
    found = concentration({"A": Decimal(200), "B": Decimal(-100), "C": Decimal(100)})
    assert found == Concentration("A", 0.5, 0.375, pytest.approx(1 / 0.375))  # type: ignore[arg-type]


def test_a_book_is_shocked_by_class_and_beta() -> None:
    """A long of 10,000 at beta 1.2 loses 1.2 times the index; a short earns."""
    losses = {loss.scenario: loss for loss in stress_losses([Holding("X", Decimal(10_000), "equity", Decimal("1.2")), Holding("Y", Decimal(-5_000), "equity")])}
    assert losses["Global financial crisis 2007-2009"].pnl == Decimal("-3976.000")
    assert losses["Global financial crisis 2007-2009"].assumed == ()


def test_a_class_that_was_not_there_takes_its_worst_shock_and_says_so() -> None:
    """Bitcoin did not exist in 1987: its worst of all scenarios stands in."""
    (first, *_) = stress_losses([Holding("BTC", Decimal(1_000), "crypto")])
    assert (first.scenario, first.pnl, first.assumed) == ("Black Monday 1987", Decimal("-643.000"), ("crypto",))
    with pytest.raises(ValueError, match="bond has no shock in any scenario"):
        stress_losses([Holding("ZB", Decimal(1), "bond")], [Scenario("s", {"equity": Decimal(-1)}, "none")])


def test_the_stress_table_begins_with_the_worst() -> None:
    """One row per scenario."""
    rows = stress_table([Holding("X", Decimal(100), "equity")]).splitlines()[2:]
    assert len(rows) == len(SCENARIOS)
    assert rows[0].startswith("| Global financial crisis 2007-2009 | -56.80 | -")
    assert all(scenario.source for scenario in SCENARIOS)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: volatility([0.1]), "at least 2 are required"),
        (lambda: volatility([0.1, 0.2], 0), "periods_per_year: 0 is not allowed"),
        (lambda: ewma_volatility([0.1, 0.2], 1.0), "decay: 1.0 is not allowed"),
        (lambda: beta([0.1, 0.2], [0.1, 0.2, 0.3]), "2 and 3 numbers were given"),
        (lambda: beta([0.1, 0.2], [0.1, 0.1]), "a market that moves is required"),
        (lambda: max_drawdown([1, 0]), "equity must be above 0"),
        (lambda: max_drawdown([]), "at least 1 are required"),
        (lambda: concentration({}), "nothing is held"),
        (lambda: concentration({"A": Decimal(0)}), "nothing is held"),
    ],
)
def test_what_cannot_be_measured_is_refused(call: object, problem: str) -> None:
    """With what was given and what is required."""
    assert callable(call)
    with pytest.raises(ValueError, match=problem):
        call()
