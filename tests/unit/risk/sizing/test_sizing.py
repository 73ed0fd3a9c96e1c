"""Sizes: the worked examples of their docstrings, and no size without evidence."""

from __future__ import annotations

from decimal import Decimal
from math import log

import numpy as np
import pytest

from risk.sizing import (
    Throttle,
    ThrottleRules,
    composite,
    equity_curve_allows,
    fixed_fractional,
    kelly_fraction,
    kelly_fraction_of_returns,
    optimal_f,
    throttle_after,
    trades_allowed,
    volatility_target,
)

_D = Decimal


class TestFixedFractional:
    """A fixed part of the equity between entry and stop."""

    def test_the_stop_distance_decides_the_quantity(self) -> None:
        """1 % of 100,000 over two dollars is 500 units; a short's stop lies above, a contract of 50 needs a fiftieth."""
        assert fixed_fractional(_D(100_000), _D("0.01"), _D(50), _D(48)) == 500
        assert fixed_fractional(_D(100_000), _D("0.01"), _D(50), _D(52)) == 500
        assert fixed_fractional(_D(100_000), _D("0.01"), _D(50), _D(48), _D(50)) == 10

    @pytest.mark.parametrize(("equity", "stop"), [(_D(100_000), None), (_D(100_000), _D(50)), (_D(0), _D(48)), (_D(-5), _D(48))])
    def test_there_is_no_size_when_nobody_can_say_what_is_at_risk(self, equity: Decimal, stop: Decimal | None) -> None:
        """No stop, a stop at the entry, no equity."""
        assert fixed_fractional(equity, _D("0.01"), _D(50), stop) is None

    def test_a_composite_is_the_smallest_and_needs_every_opinion(self) -> None:
        """One without evidence is no size at all, and no opinion asks for less than nothing."""
        assert composite([_D(5), _D(3), _D(4)]) == 3
        assert composite([_D(5), None]) is None
        assert composite([]) is None
        assert composite([_D(5), _D(-1)]) == 0


class TestKelly:
    """Sizes from an edge that was measured."""

    def test_half_of_kelly_is_the_default(self) -> None:
        """55 % winners at even payoff: 10 % at full Kelly, 5 % at half; without an edge nothing."""
        assert kelly_fraction(0.55, 1.0, trades=100, share=1.0) == pytest.approx(0.10)
        assert kelly_fraction(0.55, 1.0, trades=100) == pytest.approx(0.05)
        assert kelly_fraction(0.40, 1.0, trades=100) == 0.0

    def test_there_is_no_size_when_there_are_too_few_trades(self) -> None:
        """Twenty-nine trades are no evidence, thirty are the least."""
        assert kelly_fraction(0.9, 3.0, trades=29) is None
        assert kelly_fraction(0.9, 3.0, trades=30) is not None

    def test_leverage_is_mean_by_variance(self) -> None:
        """Returns of 2 % and -1 % in turn: mean 0.5 %, and the sample variance of thirty of them."""
        returns = [0.02, -0.01] * 15
        assert kelly_fraction_of_returns(returns, share=1.0) == pytest.approx(0.005 / float(np.var(returns, ddof=1)))
        assert kelly_fraction_of_returns([-r for r in returns]) == 0.0
        assert kelly_fraction_of_returns(returns[:29]) is None
        assert kelly_fraction_of_returns([0.01] * 40) is None

    def test_optimal_f_grows_fastest(self) -> None:
        """A coin that pays two for one has its optimum at a quarter (Vince 1990); no other fraction grows faster."""
        trades = [2.0, -1.0] * 20
        best = optimal_f(trades)
        assert best == pytest.approx(0.25, abs=1e-9)

        def growth(f: float) -> float:
            return sum(log(1 + f * t) for t in trades)

        assert all(growth(0.25) >= growth(f / 100) for f in range(100))

    def test_optimal_f_needs_losses_to_measure_by(self) -> None:
        """Without a losing trade, or with too few trades, there is no size; losers on average get none either."""
        assert optimal_f([1.0] * 50) is None
        assert optimal_f([2.0, -1.0] * 10) is None
        assert optimal_f([]) is None
        assert optimal_f([1.0, -2.0] * 20) == 0.0

    @pytest.mark.parametrize(
        ("call", "problem"),
        [
            (lambda: kelly_fraction(1.1, 1.0, trades=50), "win_rate: 1.1"),
            (lambda: kelly_fraction(0.5, 0.0, trades=50), "payoff: 0.0"),
            (lambda: kelly_fraction(0.5, 1.0, trades=50, share=1.5), "share: 1.5"),
            (lambda: fixed_fractional(_D(1), _D(0), _D(1), None), "risk_fraction: 0"),
            (lambda: fixed_fractional(_D(1), _D(1), _D(0), None), "entry_price and multiplier: 0 and 1"),
            (lambda: volatility_target(0.2, 0.0), "target and leverage_max: 0.0 and 1.0"),
            (lambda: equity_curve_allows([], 0), "window: 0"),
        ],
    )
    def test_terms_that_make_no_sense_are_refused(self, call: object, problem: str) -> None:
        """With what was given and what is allowed."""
        assert callable(call)
        with pytest.raises(ValueError, match=problem):
            call()


class TestVolatilityTarget:
    """Leverage by measured volatility."""

    def test_twice_the_volatility_is_half_the_size(self) -> None:
        """A target of 10 % at a measured 20 % is half; a quiet market is capped."""
        assert volatility_target(0.20, 0.10) == 0.5
        assert volatility_target(0.01, 0.10) == 1.0
        assert volatility_target(0.01, 0.10, leverage_max=3.0) == 3.0

    @pytest.mark.parametrize("volatility", [None, 0.0, -0.1, float("nan"), float("inf")])
    def test_there_is_no_size_without_a_volatility(self, volatility: float | None) -> None:
        """Missing, zero, negative, not a number."""
        assert volatility_target(volatility, 0.10) is None


class TestThrottle:
    """Smaller after losses."""

    @pytest.mark.parametrize(
        ("today", "week", "expected"),
        [("249", "249", "1"), ("250", "250", "0.5"), ("0", "1199", "1"), ("0", "1200", "0.25"), ("250", "1200", "0.25")],
    )
    def test_sizes_shrink_at_the_stated_shares(self, today: str, week: str, expected: str) -> None:
        """Half at half the daily 500, a quarter at 60 % of the weekly 2,000."""
        found = throttle_after(_D(today), _D(week), _D(500), _D(2000), Throttle(), is_new_week=False, was_profitable_day=False, rules=ThrottleRules())
        assert found.factor == _D(expected)
        assert bool(found.reason) == (found.factor < 1)

    def test_a_throttle_stays_until_a_new_week_or_a_profitable_day(self) -> None:
        """It never loosens by itself within the week, and losses of the new period can tighten it at once."""
        before = Throttle(_D("0.25"), "WEEKLY_LOSS")

        def after(today: int, **how: bool) -> Decimal:
            return throttle_after(_D(today), _D(today), _D(500), _D(2000), before, rules=ThrottleRules(), **{"is_new_week": False, "was_profitable_day": False, **how}).factor

        assert after(0) == _D("0.25")
        assert after(0, is_new_week=True) == 1
        assert after(0, was_profitable_day=True) == 1
        assert after(300, is_new_week=True) == _D("0.5")

    @pytest.mark.parametrize(
        ("atr", "mean", "usual", "hard_max", "expected"),
        [
            ("1.51", "1", 1, 5, 0),
            ("1.5", "1", 1, 5, 1),
            ("0.79", "1", 1, 5, 2),
            ("0.79", "1", 1, 1, 1),
            ("0.8", "1", 1, 5, 1),
            (None, "1", 1, 5, 0),
            ("1", None, 1, 5, 0),
            ("1", "0", 1, 5, 0),
        ],
    )
    def test_a_wild_day_has_no_trades_and_a_quiet_one_no_more_than_the_limit(self, atr: str | None, mean: str | None, usual: int, hard_max: int, expected: int) -> None:
        """The raise to two never passes the hard limit, and an unknown range allows nothing."""
        assert trades_allowed(None if atr is None else _D(atr), None if mean is None else _D(mean), usual, hard_max) == expected

    def test_a_strategy_stops_when_its_mean_was_below_zero_for_a_whole_window(self) -> None:
        """Thirty-nine losers are twenty means below zero in a row; one fewer, or one good mean among them, is not."""
        assert not equity_curve_allows([_D(-1)] * 39)
        assert equity_curve_allows([_D(-1)] * 38)
        assert equity_curve_allows([_D(100), *[_D(-1)] * 38])
        assert not equity_curve_allows([_D(100), *[_D(-1)] * 39])
