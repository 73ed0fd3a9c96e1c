"""How a bar meets a resting order: pure functions on the tick grid.

Market data are floats, orders are Decimals; they meet as integers. A bar's prices become whole ticks, rounded so that
every comparison has its exact truth (low <= limit holds exactly when ceil(low) <= limit in ticks) and a fill at an
off-grid open is never better than the open was. Selling is buying with all prices negated, so each rule is written once.

What a bar hides is resolved against the order: a stop-limit whose stop was reached inside the bar and whose limit is better
than the stop waits for the next bar, because nobody knows whether the price came back after the trigger.
"""

from __future__ import annotations

from hashlib import blake2b
from math import ceil, floor
from typing import NamedTuple, assert_never

from core.contracts import Bar, OrderType, Side

__all__ = ["SideBar", "Touch", "draw", "nearest_tick", "side_bar", "slipped", "touch", "whole_steps"]

_ON_GRID = 1e-6
_DRAWS = 2.0**64


class SideBar(NamedTuple):
    """A bar as a buyer sees it, in ticks; for a seller every price is negated, so that low is still what is wanted.

    `open_pay` is what trading at the open costs, `open_reached` what the open certainly reached.
    """

    open_pay: int
    open_reached: int
    high: int
    low: int


class Touch(NamedTuple):
    """What a bar does to an order: `price` (signed ticks, None: no trade), whether its stop is now triggered, and
    whether the order takes liquidity (and therefore slips)."""

    price: int | None
    is_triggered: bool = False
    is_taking: bool = False


def whole_steps(value: float, step: float) -> int:
    """How many whole steps a measured value holds."""
    steps = value / step
    nearest = round(steps)
    return nearest if abs(steps - nearest) < _ON_GRID else floor(steps)


def _floor(price: float, tick: float) -> int:
    # Half a tick is still a price: nothing ever trades at zero.
    return max(1, whole_steps(price, tick))


def _ceil(price: float, tick: float) -> int:
    steps = price / tick
    nearest = round(steps)
    return max(1, nearest if abs(steps - nearest) < _ON_GRID else ceil(steps))


def nearest_tick(price: float, tick: float) -> int:
    """The tick nearest to a measured price, at least one."""
    return max(1, round(price / tick))


def side_bar(bar: Bar, tick: float, side: Side) -> SideBar:
    """The bar in ticks, seen from `side`."""
    open_up, open_down = _ceil(bar.open, tick), _floor(bar.open, tick)
    high, low = _floor(bar.high, tick), _ceil(bar.low, tick)
    if side is Side.BUY:
        return SideBar(open_up, open_down, high, low)
    return SideBar(-open_down, -open_up, -low, -high)


def touch(order_type: OrderType, limit: int, stop: int, is_triggered: bool, bar: SideBar) -> Touch:
    """Where a resting order trades in this bar. `limit` and `stop` are signed ticks like the bar's.

    A limit that the open has gapped through trades at the (better) open, a stop at the (worse) open. What a triggered stop
    could not trade at once is a market order from then on, of a triggered stop-limit a limit order.
    """
    match order_type:
        case OrderType.MARKET:
            return Touch(bar.open_pay, is_taking=True)
        case OrderType.LIMIT:
            return Touch(_limit_price(limit, bar))
        case OrderType.STOP:
            if is_triggered or bar.open_reached >= stop:
                return Touch(bar.open_pay, is_triggered=True, is_taking=True)
            return Touch(stop, is_triggered=True, is_taking=True) if bar.high >= stop else Touch(None)
        case OrderType.STOP_LIMIT:
            if is_triggered or bar.open_reached >= stop:
                return Touch(_limit_price(limit, bar), is_triggered=True, is_taking=not is_triggered and bar.open_pay <= limit)
            if bar.high < stop:
                return Touch(None)
            return Touch(stop, is_triggered=True, is_taking=True) if stop <= limit else Touch(None, is_triggered=True)
        case _:
            assert_never(order_type)


def _limit_price(limit: int, bar: SideBar) -> int | None:
    if bar.open_pay <= limit:
        return bar.open_pay
    return limit if bar.low <= limit else None


def slipped(price: int, rate: float) -> int:
    """A signed price moved against the order by `rate`, in whole ticks, never through zero."""
    if not rate:
        return price
    worse = price + ceil(round(abs(price) * rate, 9))
    return min(worse, -1) if price < 0 else worse


def draw(seed: int, key: str) -> float:
    """A number in [0, 1) that depends on seed and key alone: no generator, so nothing to store and no order to keep."""
    digest = blake2b(f"{seed}\x1f{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _DRAWS
