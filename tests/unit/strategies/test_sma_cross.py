"""SMA cross: in at the cross, out until out, and never two orders at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.contracts import OrderIntent, OrderStatus, Side, StrategyAction
from core.errors import ConfigError
from strategies.host import build_host
from strategies.sma_cross import SmaCross, SmaCrossParams
from tests.support.builders import SYMBOL, settings_with
from tests.support.strategy_floor import EPOCH, Floor, published

DOWN, UP = (110.0, 108.0, 106.0, 104.0), (120.0, 140.0)


def a_floor(**params: Any) -> Floor:
    """Averages of two and four bars."""
    floor = Floor(settings_with(strategies={"trend": {"kind": "sma_cross", "symbols": [SYMBOL], "params": {"fast": 2, "slow": 4} | params}}))
    floor.start()
    return floor


def shown(floor: Floor, *closes: float) -> list[tuple[Side, Decimal, str]]:
    """What is asked for while these bars close."""
    said = [effect for close in closes for effect in floor.bar(close)]
    return [(i.side, i.order_qty, i.reason) for i in published(said, OrderIntent)]


def long(**params: Any) -> Floor:
    """A floor on which the strategy has bought at the cross."""
    floor = a_floor(**params)
    shown(floor, *DOWN, 120.0)
    floor.fill(floor.last, 120)
    return floor


def test_buys_when_the_fast_average_crosses_above() -> None:
    """At the bar of the cross, at market, for the notional, rounded down to the lot."""
    floor = a_floor()
    assert shown(floor, *DOWN) == []
    assert shown(floor, 120.0) == [(Side.BUY, Decimal(41), "CROSS")]


def test_buys_the_fixed_quantity_when_one_is_set() -> None:
    """`order_qty` is taken as it is."""
    assert shown(a_floor(order_qty=7), *DOWN, 120.0) == [(Side.BUY, Decimal(7), "CROSS")]


def test_sells_out_when_the_fast_average_crosses_below() -> None:
    """The whole position, and no short."""
    floor = long()
    assert shown(floor, 120.0, 100.0, 80.0) == [(Side.SELL, Decimal(41), "CROSS_AGAINST")]
    floor.fill(floor.last, 80)
    assert shown(floor, 70.0, 60.0) == []


def test_tries_every_bar_to_get_out() -> None:
    """A denied exit is asked for again until it has worked; a denied entry is not."""
    floor = long()
    shown(floor, 120.0, 100.0, 80.0)
    for close in (79.0, 78.0):
        floor.deny(floor.last)
        assert shown(floor, close) == [(Side.SELL, Decimal(41), "CROSS_AGAINST")]


def test_a_denied_entry_waits_for_the_next_cross() -> None:
    """The signal is used up."""
    floor = a_floor()
    shown(floor, *DOWN, 120.0)
    floor.deny(floor.last)
    assert shown(floor, 140.0, 150.0) == []
    assert shown(floor, 90.0, 50.0) == []
    assert len(shown(floor, 120.0, 140.0)) == 1


def test_reverses_in_two_steps_when_short_is_allowed() -> None:
    """Closes first; opens the other side when the close is known, and covers it at the next cross."""
    floor = long(allow_short=True)
    assert shown(floor, 120.0, 100.0, 80.0) == [(Side.SELL, Decimal(41), "CROSS_AGAINST")]
    floor.fill(floor.last, 80)
    assert shown(floor, 79.0) == [(Side.SELL, Decimal(63), "CROSS")]
    floor.fill(floor.last, 79)
    assert shown(floor, 120.0, 140.0) == [(Side.BUY, Decimal(63), "CROSS_AGAINST")]


def test_nothing_is_doubled_while_an_order_works() -> None:
    """Neither the entry nor the exit is asked for again, and the signal is not lost."""
    floor = a_floor()
    shown(floor, *DOWN, 120.0)
    entry = floor.last
    floor.accept(entry)
    assert shown(floor, 140.0, 60.0, 40.0) == []
    floor.fill(entry, 120)
    assert shown(floor, 39.0) == [(Side.SELL, Decimal(41), "CROSS_AGAINST")]


def test_an_entry_that_waited_for_a_working_order_is_dropped_when_the_trend_turns() -> None:
    """A cross down takes the wish of the cross up back."""
    floor = long(allow_short=True)
    shown(floor, 120.0, 100.0, 80.0)
    exit_order = floor.last
    floor.accept(exit_order)
    assert shown(floor, 120.0, 140.0) == []
    floor.end(exit_order, OrderStatus.CANCELLED)
    assert shown(floor, 141.0) == []
    assert floor.reasons[-1] == "IN_POSITION"


def test_equal_averages_are_no_cross() -> None:
    """Touching is not crossing."""
    assert shown(a_floor(), *DOWN, 104.0, 104.0, 104.0, 104.0, 104.0, 103.0, 102.0) == []


def test_switched_off_it_opens_nothing_and_still_closes() -> None:
    """The desk refuses the entry as DISABLED; the exit passes."""
    floor = a_floor()
    floor.switch(StrategyAction.DISABLE)
    assert shown(floor, *DOWN, 120.0) == []
    assert floor.reasons[-1] == "DISABLED"
    held = long()
    held.switch(StrategyAction.DISABLE)
    assert len(shown(held, 120.0, 100.0, 80.0)) == 1


@pytest.mark.parametrize(
    ("reason", "params", "closes"),
    [
        ("WARMUP", {}, DOWN[:3]),
        ("NO_CROSS", {}, DOWN),
        ("WORKING", {}, (*DOWN, *UP)),
        ("SIZE_INVALID", {"order_notional": 100}, (*DOWN, 120.0)),
        ("SIZE_INVALID", {"order_qty": "0.5"}, (*DOWN, 120.0)),
    ],
)
def test_every_reason_not_to_trade_is_given(reason: str, params: dict[str, Any], closes: tuple[float, ...]) -> None:
    """The last bar says why nothing was done."""
    floor = a_floor(**params)
    shown(floor, *closes)
    assert floor.reasons[-1] == reason


def test_in_position_is_the_reason_while_the_position_is_the_wanted_one() -> None:
    """Long above."""
    floor = long()
    shown(floor, 140.0)
    assert floor.reasons[-1] == "IN_POSITION"


def test_less_than_a_lot_cannot_be_closed() -> None:
    """SIZE_INVALID, and no order that would be refused."""
    floor = long()
    floor.adjust("0.4")
    assert shown(floor, 120.0, 100.0, 80.0) == []
    assert floor.reasons[-1] == "SIZE_INVALID"


def test_averages_start_anew_when_their_lengths_were_changed() -> None:
    """A checkpoint of other parameters is not mixed with these."""
    floor = a_floor()
    shown(floor, *DOWN)
    floor.restart(settings_with(strategies={"trend": {"kind": "sma_cross", "symbols": [SYMBOL], "params": {"fast": 2, "slow": 5}}}))
    shown(floor, 120.0)
    assert floor.reasons[-1] == "WARMUP"


def test_the_shipped_defaults_fit_the_shipped_limits() -> None:
    """Five symbols at the default notional stay within the order, the position and the account."""
    settings, params = settings_with(), SmaCrossParams()
    assert params.order_notional <= min(settings.limits.order_notional_max, settings.limits.position_notional_max)
    assert 5 * params.order_notional <= settings.account.opening_balances["USD"]
    assert SmaCross.overnight == "allowed"


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"fast": 30}, "strategies.trend.params: fast: 30 is not allowed, it must be less than slow 30"),
        ({"fast": 0}, "strategies.trend.params.fast: 0 is not allowed: Input should be greater than or equal to 1"),
        ({"order_notional": "nan"}, "strategies.trend.params.order_notional: 'nan' is not allowed"),
        ({"order_notional": -1}, "strategies.trend.params.order_notional: -1 is not allowed"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any], why: str) -> None:
    """Before anything starts, by name."""
    with pytest.raises(ConfigError) as refused:
        build_host(settings_with(strategies={"trend": {"kind": "sma_cross", "symbols": [SYMBOL], "params": params}}), epoch=EPOCH)
    assert why in str(refused.value)
