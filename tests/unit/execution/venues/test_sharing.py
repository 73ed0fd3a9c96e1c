"""How one bar is shared among the orders of a symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import OrderType, Side, TimeInForce
from core.settings import VenueSettings
from execution.venues.orders import VenueOrder
from execution.venues.sharing import Listing, share_bar
from tests.support.builders import NOW, a_bar, an_instrument, dec
from tests.support.venue import a_request

_LISTING = Listing(an_instrument(), 0.01, 1.0)
_NEXT = NOW + 60 * 10**9


def _order(name: str, order_type: OrderType = OrderType.MARKET, side: Side = Side.BUY, *, cum_qty: int = 0, is_triggered: bool = False, **terms: Any) -> VenueOrder:
    return VenueOrder(terms=a_request(name, order_type, side, **terms), priority=1, accepted_ns=NOW, updated_ns=NOW, cum_qty=Decimal(cum_qty), is_triggered=is_triggered)


def _share(*orders: VenueOrder, bar: Any = None, **rules: Any) -> list[tuple[str, int, Decimal, bool]]:
    outcomes = share_bar(_LISTING, bar or a_bar(close_ns=_NEXT), orders, VenueSettings(**rules))
    return [(outcome.order.client_order_id, int(outcome.qty), outcome.price, outcome.is_over) for outcome in outcomes]


def test_best_price_trades_first_when_volume_is_short() -> None:
    """Market orders before limits, the further-reaching limit before the other, the older of equals; then nothing is left."""
    orders = [
        _order("low", OrderType.LIMIT, limit_price="99.50"),
        _order("older", OrderType.LIMIT, limit_price="100.50"),
        _order("younger", OrderType.LIMIT, limit_price="100.50"),
        _order("market"),
    ]
    bar = a_bar(100.0, low=99.0, high=101.0, volume=250.0, close_ns=_NEXT)
    assert _share(*orders, bar=bar, participation_max=0.1) == [("market", 10, Decimal(100), False), ("older", 10, Decimal(100), False), ("younger", 5, Decimal(100), False)]


def test_sides_share_one_volume_when_both_want_to_trade() -> None:
    """Buyers and sellers take from the same bar; whoever reaches further beyond the open comes first."""
    orders = [_order("buy", OrderType.LIMIT, limit_price="100.10"), _order("sell", OrderType.LIMIT, Side.SELL, limit_price="99.80")]
    bar = a_bar(100.0, volume=120.0, close_ns=_NEXT)
    assert _share(*orders, bar=bar, participation_max=0.1) == [("sell", 10, Decimal(100), False), ("buy", 2, Decimal(100), False)]


@pytest.mark.parametrize(("volume", "expected"), [(1000.0, 10), (59.0, 5), (9.0, 1), (0.0, 1)])
def test_participation_is_floored_to_lots_but_one_when_volume_is_thin(volume: float, expected: int) -> None:
    """A tenth of the volume in whole lots, one lot at least."""
    assert _share(_order("o"), bar=a_bar(volume=volume, close_ns=_NEXT), participation_max=0.1) == [("o", expected, Decimal(100), False)]


@pytest.mark.parametrize(("cum_qty", "qty", "expected"), [(0, 10, 4), (4, 10, 4), (8, 10, 2), (0, 1, 1), (0, 2, 1)])
def test_partial_fill_takes_its_fraction_of_the_order_when_chance_wills(cum_qty: int, qty: int, expected: int) -> None:
    """0.45 of the order in whole lots per bar, one lot at least, never more than what is left."""
    order = _order("o", order_qty=qty, cum_qty=cum_qty)
    assert _share(order, partial_fill_probability=1.0, partial_fill_fraction=0.45)[0][1] == expected


def test_chance_hangs_on_seed_and_bar_when_fills_are_partial() -> None:
    """The same seed draws the same for other client order ids; another seed and another bar draw differently."""
    rules: dict[str, Any] = {"partial_fill_probability": 0.5}

    def drawn(seed: int, name: str = "o") -> list[int]:
        return [_share(_order(name), bar=a_bar(close_ns=_NEXT + k), seed=seed, **rules)[0][1] for k in range(64)]

    assert drawn(1) == drawn(1, name="another")
    assert drawn(1) != drawn(2)
    assert 16 < drawn(1).count(10) < 48


def test_chance_is_independent_when_orders_or_symbols_share_an_instant() -> None:
    """Two orders on one bar, and one order on each of two symbols' bars of an instant, are not partial together."""
    bars = [a_bar(close_ns=_NEXT + k) for k in range(64)]
    pairs = [[qty for _, qty, _, _ in _share(_order("a"), _order("b"), bar=bar, partial_fill_probability=0.5)] for bar in bars]
    assert {tuple(pair) for pair in pairs} == {(5, 5), (5, 10), (10, 5), (10, 10)}
    there = [_share(_order("a"), bar=a_bar(symbol="MSFT", close_ns=bar.close_ns), partial_fill_probability=0.5)[0][1] for bar in bars]
    assert there != [first for first, _ in pairs]


@pytest.mark.parametrize(
    ("time_in_force", "volume", "expected"),
    [
        (TimeInForce.IOC, 1000.0, [("o", 10, Decimal(100), False)]),
        (TimeInForce.IOC, 40.0, [("o", 4, Decimal(100), True)]),
        (TimeInForce.FOK, 1000.0, [("o", 10, Decimal(100), False)]),
        (TimeInForce.FOK, 99.0, [("o", 0, Decimal(100), True)]),
    ],
)
def test_immediate_order_is_over_when_one_bar_does_not_fill_it(time_in_force: TimeInForce, volume: float, expected: list[tuple[str, int, Decimal, bool]]) -> None:
    """IOC keeps what it got, FOK wants all or nothing."""
    assert _share(_order("o", time_in_force=time_in_force), bar=a_bar(volume=volume, close_ns=_NEXT), participation_max=0.1) == expected


def test_volume_is_left_for_others_when_a_fill_or_kill_is_killed() -> None:
    """An order that trades nothing uses up nothing."""
    orders = [_order("fok", time_in_force=TimeInForce.FOK), _order("day")]
    assert _share(*orders, bar=a_bar(volume=50.0, close_ns=_NEXT), participation_max=0.1) == [("fok", 0, Decimal(100), True), ("day", 5, Decimal(100), False)]


def test_fill_or_kill_is_killed_when_chance_makes_it_partial() -> None:
    """A partial fill is no fill for it."""
    assert _share(_order("o", time_in_force=TimeInForce.FOK), partial_fill_probability=1.0) == [("o", 0, Decimal(100), True)]


@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_immediate_limit_is_over_when_the_bar_does_not_reach_it(time_in_force: TimeInForce) -> None:
    """What cannot trade on this bar will not wait for another."""
    assert _share(_order("o", OrderType.LIMIT, limit_price="99.00", time_in_force=time_in_force)) == [("o", 0, Decimal(0), True)]


def test_order_is_left_out_when_the_bar_does_nothing_to_it() -> None:
    """No trade, no trigger, no end: no outcome."""
    assert _share(_order("o", OrderType.LIMIT, limit_price="99.00"), _order("s", OrderType.STOP, stop_price="101.00")) == []


def test_trigger_is_kept_when_the_order_cannot_trade_at_once() -> None:
    """A stop-limit whose limit lies better than its stop is triggered without a trade, once."""
    order = _order("o", OrderType.STOP_LIMIT, limit_price="100.50", stop_price="101.00")
    bar = a_bar(100.0, high=102.0, close_ns=_NEXT)
    assert [(o.qty, o.is_triggered, o.is_over) for o in share_bar(_LISTING, bar, [order], VenueSettings())] == [(Decimal(0), True, False)]
    again = _order("o", OrderType.STOP_LIMIT, limit_price="99.00", stop_price="101.00", is_triggered=True)
    assert _share(again, bar=bar) == []


@pytest.mark.parametrize(
    ("order_type", "side", "prices", "expected"),
    [
        (OrderType.MARKET, Side.BUY, {}, "101.00"),
        (OrderType.MARKET, Side.SELL, {}, "99.00"),
        (OrderType.LIMIT, Side.BUY, {"limit_price": "99.00"}, "99.00"),
        (OrderType.LIMIT, Side.BUY, {"limit_price": "102.00"}, "100.00"),
        (OrderType.STOP, Side.BUY, {"stop_price": "102.00"}, "103.02"),
        (OrderType.STOP, Side.SELL, {"stop_price": "98.00"}, "97.02"),
        (OrderType.STOP_LIMIT, Side.BUY, {"stop_price": "102.00", "limit_price": "102.50"}, "102.50"),
        (OrderType.STOP_LIMIT, Side.SELL, {"stop_price": "98.00", "limit_price": "90.00"}, "97.02"),
    ],
)
def test_taking_orders_slip_when_a_rate_is_set(order_type: OrderType, side: Side, prices: dict[str, Any], expected: str) -> None:
    """Market orders and stops pay one percent, resting limits do not, and no limit is passed."""
    bar = a_bar(100.0, high=103.0, low=97.0, close_ns=_NEXT)
    assert _share(_order("o", order_type, side, **prices), bar=bar, slippage_rate=0.01) == [("o", 10, dec(expected), False)]


_ORDERS = st.lists(
    st.tuples(st.sampled_from(OrderType), st.sampled_from(Side), st.integers(1, 30), st.integers(90, 110), st.integers(90, 110), st.sampled_from(TimeInForce)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60)
@given(_ORDERS, st.integers(0, 400), st.sampled_from([None, 0.1, 0.5]), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.01]))
def test_bar_gives_no_more_than_allowed_when_shared(orders: list[Any], volume: int, share: float | None, chance: float, slippage: float) -> None:
    """Whatever rests: no order gets more than it wants or pays beyond its limit, and together they keep to the volume."""
    resting = [
        _order(
            str(k),
            order_type,
            side,
            order_qty=qty,
            time_in_force=tif,
            limit_price=limit if order_type.has_limit else None,
            stop_price=stop if order_type.has_stop else None,
        )
        for k, (order_type, side, qty, limit, stop, tif) in enumerate(orders)
    ]
    bar = a_bar(100.0, open=101.0, high=105.0, low=96.0, volume=float(volume), close_ns=_NEXT)
    rules = VenueSettings(participation_max=share, partial_fill_probability=chance, slippage_rate=slippage)
    outcomes = share_bar(_LISTING, bar, resting, rules)
    assert len({outcome.order.client_order_id for outcome in outcomes}) == len(outcomes)
    for order, qty, price, _, is_over in outcomes:
        assert 0 <= qty <= order.terms.order_qty
        assert is_over is (order.is_immediate and qty < order.terms.order_qty)
        if qty and order.terms.limit_price is not None:
            assert order.terms.side.sign * price <= order.terms.side.sign * order.terms.limit_price
        if order.terms.time_in_force is TimeInForce.FOK:
            assert qty in (0, order.terms.order_qty)
    if share is not None:
        assert sum(outcome.qty for outcome in outcomes) <= max(1, volume * share)
