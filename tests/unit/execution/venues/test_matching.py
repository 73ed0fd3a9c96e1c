"""How a bar meets a resting order: every type, gap and side."""

from __future__ import annotations

from math import ceil, floor
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import OrderType, Side
from execution.venues.matching import SideBar, Touch, draw, nearest_tick, side_bar, slipped, touch, whole_steps
from tests.support.builders import a_bar

_NOTHING = Touch(None)


class _Case(NamedTuple):
    """Prices as a buyer's, in whole ticks around 100; a seller's case is the mirror image."""

    name: str
    order_type: OrderType
    limit: int
    stop: int
    open: int
    high: int
    low: int
    expected: Touch
    is_triggered: bool = False


_CASES = [
    _Case("market at the open", OrderType.MARKET, 0, 0, 100, 110, 90, Touch(100, is_taking=True)),
    _Case("limit not reached", OrderType.LIMIT, 95, 0, 100, 110, 96, _NOTHING),
    _Case("limit reached exactly", OrderType.LIMIT, 95, 0, 100, 110, 95, Touch(95)),
    _Case("limit passed", OrderType.LIMIT, 95, 0, 100, 110, 90, Touch(95)),
    _Case("limit gapped through", OrderType.LIMIT, 95, 0, 92, 110, 90, Touch(92)),
    _Case("limit at the open", OrderType.LIMIT, 100, 0, 100, 110, 90, Touch(100)),
    _Case("stop not reached", OrderType.STOP, 0, 111, 100, 110, 90, _NOTHING),
    _Case("stop reached exactly", OrderType.STOP, 0, 110, 100, 110, 90, Touch(110, is_triggered=True, is_taking=True)),
    _Case("stop passed", OrderType.STOP, 0, 105, 100, 110, 90, Touch(105, is_triggered=True, is_taking=True)),
    _Case("stop gapped through", OrderType.STOP, 0, 105, 108, 110, 90, Touch(108, is_triggered=True, is_taking=True)),
    _Case("stop at the open", OrderType.STOP, 0, 100, 100, 110, 90, Touch(100, is_triggered=True, is_taking=True)),
    _Case("stop triggered before goes on at market", OrderType.STOP, 0, 105, 100, 101, 90, Touch(100, is_triggered=True, is_taking=True), True),
    _Case("stop-limit not reached", OrderType.STOP_LIMIT, 107, 111, 100, 110, 90, _NOTHING),
    _Case("stop-limit reached, limit beyond", OrderType.STOP_LIMIT, 107, 105, 100, 110, 90, Touch(105, is_triggered=True, is_taking=True)),
    _Case("stop-limit reached, limit at the stop", OrderType.STOP_LIMIT, 105, 105, 100, 110, 90, Touch(105, is_triggered=True, is_taking=True)),
    _Case("stop-limit reached, limit better: the bar does not tell", OrderType.STOP_LIMIT, 103, 105, 100, 110, 90, Touch(None, is_triggered=True)),
    _Case("stop-limit gapped within the limit", OrderType.STOP_LIMIT, 109, 105, 108, 110, 90, Touch(108, is_triggered=True, is_taking=True)),
    _Case("stop-limit gapped beyond the limit, which comes back", OrderType.STOP_LIMIT, 106, 105, 108, 110, 106, Touch(106, is_triggered=True)),
    _Case("stop-limit gapped beyond the limit for good", OrderType.STOP_LIMIT, 106, 105, 108, 110, 107, Touch(None, is_triggered=True)),
    _Case("stop-limit triggered before rests as a limit", OrderType.STOP_LIMIT, 98, 105, 100, 101, 97, Touch(98, is_triggered=True), True),
    _Case("stop-limit triggered before, not reached", OrderType.STOP_LIMIT, 98, 105, 100, 101, 99, Touch(None, is_triggered=True), True),
    _Case("stop-limit triggered before, gapped through", OrderType.STOP_LIMIT, 98, 105, 96, 101, 95, Touch(96, is_triggered=True), True),
]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("side", Side)
def test_order_trades_where_the_rule_says_when_a_bar_meets_it(case: _Case, side: Side) -> None:
    """Each type trades at its documented price, gap or no gap; a seller's bar is the buyer's, mirrored at 200 ticks."""
    if side is Side.BUY:
        bar, limit, stop = a_bar(case.open, open=case.open, high=case.high, low=case.low), case.limit, case.stop
        expected = case.expected
    else:
        bar = a_bar(200 - case.open, open=200 - case.open, high=200 - case.low, low=200 - case.high)
        limit, stop = case.limit - 200, case.stop - 200
        expected = case.expected._replace(price=None if case.expected.price is None else case.expected.price - 200)
    assert touch(case.order_type, limit, stop, case.is_triggered, side_bar(bar, 1.0, side)) == expected


@pytest.mark.parametrize(
    ("side", "expected"),
    [(Side.BUY, SideBar(open_pay=101, open_reached=100, high=102, low=100)), (Side.SELL, SideBar(open_pay=-100, open_reached=-101, high=-100, low=-102))],
)
def test_bar_rounds_against_the_order_when_it_lies_off_the_grid(side: Side, expected: SideBar) -> None:
    """An open between two ticks costs the worse one and has reached the nearer one only; extremes shrink to whole ticks."""
    assert side_bar(a_bar(100.4, open=100.4, high=102.6, low=99.7), 1.0, side) == expected


def test_price_counts_as_on_the_grid_when_only_float_noise_keeps_it_off() -> None:
    """0.1 + 0.2 is three tenths: noise of the float is not a tick."""
    assert side_bar(a_bar(0.1 + 0.2), 0.1, Side.BUY) == SideBar(3, 3, 3, 3)


def test_price_is_one_tick_at_least_when_the_market_is_below_the_grid() -> None:
    """Nothing trades, and nothing is valued, at zero."""
    assert side_bar(a_bar(0.004), 0.01, Side.SELL) == SideBar(-1, -1, -1, -1)
    assert side_bar(a_bar(1e-12), 0.01, Side.BUY) == SideBar(1, 1, 1, 1)
    assert nearest_tick(0.004, 0.01) == 1
    assert nearest_tick(100.016, 0.01) == 10002


def test_whole_steps_round_down_when_the_value_lies_between() -> None:
    """A share of a volume is whole lots, and float noise does not cost one."""
    assert [whole_steps(value, 0.1) for value in (0.29, 0.3, 0.1 * 3)] == [2, 3, 3]


@pytest.mark.parametrize(("price", "rate", "expected"), [(10000, 0.0, 10000), (10000, 0.001, 10010), (10001, 0.001, 10012), (-10000, 0.001, -9990), (-1, 0.09, -1), (-5, 0.05, -4)])
def test_price_moves_against_the_order_when_it_slips(price: int, rate: float, expected: int) -> None:
    """Slippage is rounded up to whole ticks, on both sides against the order, and never reaches zero."""
    assert slipped(price, rate) == expected


def test_draws_depend_on_seed_and_key_when_asked_again() -> None:
    """The same seed and key give the same number in [0, 1); another seed or key another one, spread evenly."""
    draws = [draw(1, str(key)) for key in range(2000)]
    assert draws == [draw(1, str(key)) for key in range(2000)]
    assert draws[:10] != [draw(2, str(key)) for key in range(10)]
    assert all(0 <= each < 1 for each in draws)
    assert 0.45 < sum(draws) / len(draws) < 0.55


_PRICES = st.floats(min_value=50.0, max_value=150.0, allow_nan=False)
_TICKS = st.integers(min_value=50, max_value=150)


@given(_PRICES, _PRICES, _PRICES, _TICKS, _TICKS, st.sampled_from(OrderType), st.booleans(), st.sampled_from(Side))
def test_order_never_trades_better_than_the_bar_nor_worse_than_its_limit(
    first: float, second: float, third: float, limit: int, stop: int, order_type: OrderType, is_triggered: bool, side: Side
) -> None:
    """For any bar: inside its range (to the tick), not beyond the limit, not before or better than the stop."""
    low, opened, high = sorted((first, second, third))
    bar = a_bar(opened, open=opened, high=high, low=low)
    found = touch(order_type, side.sign * limit, side.sign * stop, is_triggered, side_bar(bar, 1.0, side))
    if found.price is None:
        return
    price = abs(found.price)
    assert floor(low) <= price <= ceil(high)
    if order_type.has_limit:
        assert side.sign * price <= side.sign * limit
    if order_type is OrderType.STOP and not is_triggered:
        assert side.sign * price >= side.sign * stop
    if order_type.has_stop:
        assert found.is_triggered


@given(_TICKS, _TICKS, _TICKS, _TICKS, _TICKS, st.sampled_from(OrderType), st.booleans())
def test_buying_is_selling_when_all_prices_are_mirrored(first: int, second: int, third: int, limit: int, stop: int, order_type: OrderType, is_triggered: bool) -> None:
    """A buyer in one market and a seller in its mirror image trade at mirrored prices, or both do not."""
    low, opened, high = sorted((first, second, third))
    bar, mirrored = a_bar(opened, open=opened, high=high, low=low), a_bar(300 - opened, open=300 - opened, high=300 - low, low=300 - high)
    bought = touch(order_type, limit, stop, is_triggered, side_bar(bar, 1.0, Side.BUY))
    sold = touch(order_type, limit - 300, stop - 300, is_triggered, side_bar(mirrored, 1.0, Side.SELL))
    assert sold == bought._replace(price=None if bought.price is None else bought.price - 300)
