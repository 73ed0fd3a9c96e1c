"""The simulated venue on bars and on the clock: what trades, what it costs, what ends."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from core.contracts import OrderStatus, OrderType, SessionPhase, Side, TimeInForce
from core.machine import Wake
from core.venue import Cancel, Lookup, OrderFilled, OrderFound, OrderUpdated, Place, Replace
from tests.support.builders import NOW, a_bar, a_message, an_intent, settings_with
from tests.support.venue import MINUTE, VenueDriver, a_request

D = Decimal
_DAY = 24 * 60 * MINUTE


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("order_type", "side", "prices", "bar", "expected"),
    [
        pytest.param(OrderType.MARKET, Side.BUY, {}, {"open": 101.0}, "101.00", id="market buy"),
        pytest.param(OrderType.MARKET, Side.SELL, {}, {"open": 101.0}, "101.00", id="market sell"),
        pytest.param(OrderType.LIMIT, Side.BUY, {"limit_price": "99"}, {"low": 98.0}, "99.00", id="limit buy"),
        pytest.param(OrderType.LIMIT, Side.SELL, {"limit_price": "101"}, {"high": 102.0}, "101.00", id="limit sell"),
        pytest.param(OrderType.LIMIT, Side.BUY, {"limit_price": "99"}, {"open": 97.0, "low": 96.0}, "97.00", id="limit buy gapped"),
        pytest.param(OrderType.LIMIT, Side.SELL, {"limit_price": "101"}, {"open": 103.0, "high": 104.0}, "103.00", id="limit sell gapped"),
        pytest.param(OrderType.LIMIT, Side.BUY, {"limit_price": "99"}, {"low": 99.01}, None, id="limit buy missed"),
        pytest.param(OrderType.LIMIT, Side.SELL, {"limit_price": "101"}, {"high": 100.99}, None, id="limit sell missed"),
        pytest.param(OrderType.STOP, Side.BUY, {"stop_price": "101"}, {"high": 102.0}, "101.00", id="stop buy"),
        pytest.param(OrderType.STOP, Side.SELL, {"stop_price": "99"}, {"low": 98.0}, "99.00", id="stop sell"),
        pytest.param(OrderType.STOP, Side.BUY, {"stop_price": "101"}, {"open": 103.0, "high": 104.0}, "103.00", id="stop buy gapped"),
        pytest.param(OrderType.STOP, Side.SELL, {"stop_price": "99"}, {"open": 97.0, "low": 96.0}, "97.00", id="stop sell gapped"),
        pytest.param(OrderType.STOP, Side.SELL, {"stop_price": "99"}, {"low": 99.01}, None, id="stop sell missed"),
        pytest.param(OrderType.STOP_LIMIT, Side.BUY, {"stop_price": "101", "limit_price": "102"}, {"high": 105.0}, "101.00", id="stop-limit buy"),
        pytest.param(OrderType.STOP_LIMIT, Side.SELL, {"stop_price": "99", "limit_price": "98"}, {"open": 97.0, "close": 97.0}, None, id="stop-limit sell gapped away"),
    ],
)
def test_order_trades_as_its_type_says_when_the_next_bar_comes(order_type: OrderType, side: Side, prices: dict[str, str], bar: dict[str, float], expected: str | None) -> None:
    """A resting order meets the next bar of its symbol at the price of its type, or rests on."""
    venue = VenueDriver()
    venue.bar(100.0)
    venue.place("o1", order_type, side, **prices)
    venue.bar(**({"close": 100.0} | bar))
    assert venue.traded() == ([] if expected is None else [("o1", D(10), D(expected))])
    assert [order.client_order_id for order in venue.venue.open_orders] == ([] if expected else ["o1"])


def test_fill_names_everything_when_an_order_trades() -> None:
    """Cursor, execution, order, price, fee to the cent (half to even) and the time of the bar are in the fill, and in the books."""
    venue = VenueDriver(fee_rate=0.0005)
    venue.bar(100.0)
    venue.place("o1", order_qty=3)
    (event,) = venue.bar(100.0, open=107.0)
    assert isinstance(event, OrderFilled)
    assert event.status is OrderStatus.FILLED
    fill = event.fill
    assert (fill.cursor, fill.exec_id, fill.venue_order_id, fill.client_order_id) == (1, "V-o1-1", "V-o1", "o1")
    assert (fill.last_qty, fill.last_price, fill.cum_qty, fill.order_qty) == (D(3), D("107.00"), D(3), D(3))
    assert (fill.fee, fill.fee_asset, fill.occurred_ns) == (D("0.16"), "USD", venue.now_ns - 1)
    assert (venue.venue.balances, venue.venue.positions) == ({"USD": D("99678.84")}, {"IBM": D(3)})


@pytest.mark.parametrize(("price", "fee"), [(101.0, "0.05"), (90.0, "0.04"), (110.0, "0.06")])
def test_fee_is_rounded_half_to_even_when_it_falls_between_cents(price: float, fee: str) -> None:
    """0.0505 is 0.05; exactly half a cent goes to the even one: 0.045 to 0.04 and 0.055 to 0.06, not always upwards."""
    venue = VenueDriver(fee_rate=0.0005)
    venue.place(order_qty=1, order_type=OrderType.LIMIT, limit_price="200")
    venue.bar(price)
    assert venue.fills[0].fee == D(fee)


def test_order_waits_for_a_newer_bar_when_it_was_accepted_after_this_one() -> None:
    """A bar that was visible when the order was taken never fills it, however late it arrives."""
    venue = VenueDriver()
    venue.place("o1", OrderType.LIMIT, limit_price="200")
    venue.send(a_message("md.bars.1m.IBM", a_bar(close_ns=NOW)), NOW + 5)
    assert venue.traded() == []
    venue.bar(100.0)
    assert len(venue.fills) == 1


def test_bar_of_another_symbol_leaves_the_order_alone_when_it_comes() -> None:
    """An order meets bars of its own symbol only; symbols that are not listed are ignored."""
    venue = VenueDriver(settings_with(feed={"symbols": ["IBM", "MSFT"]}, strategies={"trend": {"kind": "sma_cross", "symbols": ["IBM"]}}))
    venue.place("o1", OrderType.LIMIT, limit_price="200")
    venue.bar(100.0, symbol="MSFT")
    venue.bar(100.0, symbol="TSLA")
    assert (venue.events, list(venue.venue.snapshot().account.marks)) == ([], ["MSFT"])


def test_ids_do_not_depend_on_each_other_when_bars_arrive_in_another_order() -> None:
    """Two symbols' bars of one instant may race: executions keep their names, times and prices, only cursors differ."""
    symbols = ["IBM", "MSFT"]

    def run(order: list[str]) -> dict[str, Any]:
        venue = VenueDriver(settings_with(feed={"symbols": symbols}, venue={"partial_fill_probability": 0.5}))
        for symbol in symbols:
            venue.place(f"o-{symbol}", OrderType.LIMIT, symbol=symbol, limit_price="200")
        bars = {symbol: a_bar(100.0 + k, symbol=symbol, close_ns=NOW + MINUTE) for k, symbol in enumerate(symbols)}
        for symbol in order:
            venue.send(a_message(f"md.bars.1m.{symbol}", bars[symbol]), NOW)
        return {fill.exec_id: (fill.last_qty, fill.last_price, fill.occurred_ns, fill.fee) for fill in venue.fills}

    assert run(["IBM", "MSFT"]) == run(["MSFT", "IBM"]) != {}


def test_fill_is_dated_alike_when_the_bar_overtakes_the_clock() -> None:
    """Bars and the clock travel on different streams: a fill is dated one instant before the bar is visible either way."""
    times = set()
    for clock_first in (True, False):
        venue = VenueDriver()
        venue.place("o1", OrderType.LIMIT, limit_price="200")
        if clock_first:
            venue.clock(NOW + MINUTE - 1, SessionPhase.MARKET)
        venue.send(a_message("md.bars.1m.IBM", a_bar(close_ns=NOW + MINUTE)))
        times.add(venue.fills[0].occurred_ns)
    assert times == {NOW + MINUTE - 1}


def test_order_fills_in_parts_when_the_volume_is_thin() -> None:
    """What a bar does not give stays working; each part is an execution of its own with the running total."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", OrderType.LIMIT, limit_price="200", time_in_force=TimeInForce.GTC)
    for volume in (40.0, 40.0, 1000.0):
        venue.bar(100.0, volume=volume)
    assert [(fill.exec_id, fill.last_qty, fill.cum_qty) for fill in venue.fills] == [("V-o1-1", D(4), D(4)), ("V-o1-2", D(4), D(8)), ("V-o1-3", D(2), D(10))]
    assert [event.status for event in venue.events if isinstance(event, OrderFilled)] == [OrderStatus.PARTIALLY_FILLED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED]
    assert venue.venue.positions == {"IBM": D(10)}


def test_stop_goes_on_at_market_when_it_was_triggered_and_not_filled() -> None:
    """A stop that got a part only is a market order from then on, even when the price comes back."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", OrderType.STOP, stop_price="105")
    venue.bar(106.0, open=100.0, volume=40.0)
    venue.bar(100.0)
    assert venue.traded() == [("o1", D(4), D(105)), ("o1", D(6), D(100))]


def test_stop_limit_rests_as_a_limit_when_it_was_triggered() -> None:
    """The trigger is remembered across bars."""
    venue = VenueDriver()
    venue.place("o1", OrderType.STOP_LIMIT, stop_price="105", limit_price="99")
    venue.bar(106.0, open=100.0)
    venue.bar(101.0, low=98.0)
    assert venue.traded() == [("o1", D(10), D(99))]


@pytest.mark.parametrize(
    ("time_in_force", "order_qty", "limit", "traded", "end"),
    [
        (TimeInForce.IOC, 5, "100", 5, OrderStatus.FILLED),
        (TimeInForce.IOC, 20, "100", 10, OrderStatus.CANCELLED),
        (TimeInForce.IOC, 5, "99", 0, OrderStatus.CANCELLED),
        (TimeInForce.FOK, 10, "100", 10, OrderStatus.FILLED),
        (TimeInForce.FOK, 11, "100", 0, OrderStatus.CANCELLED),
        (TimeInForce.FOK, 5, "99", 0, OrderStatus.CANCELLED),
    ],
)
def test_immediate_order_ends_when_the_next_bar_has_judged_it(time_in_force: TimeInForce, order_qty: int, limit: str, traded: int, end: OrderStatus) -> None:
    """IOC keeps what it got and cancels the rest, FOK trades whole or not at all; the reason is the time in force."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", OrderType.LIMIT, order_qty=order_qty, limit_price=limit, time_in_force=time_in_force)
    venue.bar(100.0, volume=100.0)
    assert (sum(fill.last_qty for fill in venue.fills), venue.ends) == (traded, {"o1": end})
    if isinstance(venue.events[-1], OrderUpdated):
        last_word = venue.events[-1].order
        assert (last_word.reject_reason, last_word.cum_qty, last_word.leaves_qty) == (time_in_force.value, D(traded), D(0))
    assert venue.venue.open_orders == ()


def test_resting_quantity_is_free_again_when_an_order_ends() -> None:
    """An order that ended by cancel, expiry or fill no longer weighs on the account."""
    venue = VenueDriver()
    venue.bar(100.0)
    order_qty = 1_000
    for name, time_in_force in (("cancelled", TimeInForce.GTC), ("expired", TimeInForce.DAY), ("filled", TimeInForce.DAY)):
        assert venue.refusal(Place(order=a_request("too much", order_qty=order_qty + 1))) == "INSUFFICIENT_FUNDS"
        limit = "100" if name == "filled" else "1"
        venue.place(name, OrderType.LIMIT, order_qty=order_qty, limit_price=limit, time_in_force=time_in_force)
        assert venue.refusal(Place(order=a_request("one more", order_qty=1))) == "INSUFFICIENT_FUNDS"
        if name == "cancelled":
            venue.ask(Cancel(client_order_id=name))
        elif name == "expired":
            venue.clock(venue.now_ns + 3 * _DAY)
    venue.bar(100.0)
    assert venue.ends == {"cancelled": OrderStatus.CANCELLED, "expired": OrderStatus.EXPIRED, "filled": OrderStatus.FILLED}
    venue.place("exit", side=Side.SELL, order_qty=order_qty)


# NOW is Tuesday, 14 November 2023, 22:13 UTC: the session is over in New York.


@pytest.mark.parametrize(
    ("placed", "end"),
    [
        pytest.param("2023-11-14T15:00", "2023-11-14T21:00", id="today"),
        pytest.param("2023-11-17T21:00", "2023-11-20T21:00", id="over the weekend"),
        pytest.param("2023-11-22T21:00", "2023-11-24T18:00", id="over a holiday, to an early close"),
    ],
)
def test_day_order_expires_when_its_session_ends(placed: str, end: str) -> None:
    """The venue wakes at the close and expires the order then, not a moment before; good-till-cancelled stays."""
    venue = VenueDriver()
    venue.now_ns = _ns(placed)
    venue.place("day", OrderType.LIMIT, limit_price="1")
    venue.place("gtc", OrderType.LIMIT, limit_price="1", time_in_force=TimeInForce.GTC)
    assert venue.next_wake_ns == _ns(end)
    assert venue.clock(_ns(end) - 1) == []
    venue.send(Wake(_ns(end)), _ns(end))
    assert venue.ends == {"day": OrderStatus.EXPIRED}
    assert [order.client_order_id for order in venue.venue.open_orders] == ["gtc"]
    assert venue.next_wake_ns is None


def test_day_ends_at_midnight_when_the_instrument_trades_around_the_clock() -> None:
    """The session of the instrument decides."""
    venue = VenueDriver(settings_with(instruments={"IBM": {"session": "24/7"}}))
    venue.place("day", OrderType.LIMIT, limit_price="1")
    assert venue.venue.next_wake_ns == _ns("2023-11-15T00:00")


def test_order_is_expired_before_it_can_trade_when_the_bar_belongs_to_a_later_session() -> None:
    """The bar of the next day arrives before the clock has moved: the day order expires and does not trade on it."""
    venue = VenueDriver()
    venue.now_ns = _ns("2023-11-14T20:59")
    venue.place("day", OrderType.LIMIT, limit_price="200")
    venue.place("gtc", OrderType.LIMIT, limit_price="200", time_in_force=TimeInForce.GTC)
    venue.send(a_message("md.bars.1m.IBM", a_bar(close_ns=_ns("2023-11-15T14:31"))))
    assert venue.ends == {"day": OrderStatus.EXPIRED, "gtc": OrderStatus.FILLED}


def test_order_trades_on_the_last_bar_of_its_day_when_the_clock_has_passed_the_end() -> None:
    """Daily bars stamped after the close reach back into the session: the market half of their instant ends no order."""
    venue = VenueDriver()
    venue.now_ns = _ns("2023-11-14T00:00")
    venue.place("fills", OrderType.LIMIT, limit_price="200")
    venue.place("rests", OrderType.LIMIT, limit_price="1")
    midnight = _ns("2023-11-15T00:00")
    assert venue.clock(midnight - 1, SessionPhase.MARKET) == []
    assert venue.venue.next_wake_ns is None
    venue.show(a_bar(100.0, close_ns=midnight, minutes=24 * 60))
    assert venue.ends == {"fills": OrderStatus.FILLED}
    venue.clock(midnight)
    assert venue.ends == {"fills": OrderStatus.FILLED, "rests": OrderStatus.EXPIRED}


@pytest.mark.parametrize("request_", [Cancel(client_order_id="day"), Replace(orig_client_order_id="day", order=a_request("new", OrderType.LIMIT, limit_price="2"))])
def test_order_is_expired_first_when_a_request_comes_after_its_day(request_: Cancel | Replace) -> None:
    """The first input past the end expires the order; the request finds it ended."""
    venue = VenueDriver()
    venue.place("day", OrderType.LIMIT, limit_price="1")
    venue.now_ns += 3 * _DAY
    assert venue.refusal(request_) == ("ALREADY_DONE" if isinstance(request_, Cancel) else "UNKNOWN_ORDER")
    assert venue.ends == {"day": OrderStatus.EXPIRED}


def test_immediate_order_is_cancelled_when_no_bar_comes_before_the_day_ends() -> None:
    """An IOC order without a bar does not outlive its day, and it does not 'expire'."""
    venue = VenueDriver()
    venue.place("ioc", time_in_force=TimeInForce.IOC, order_type=OrderType.LIMIT, limit_price="1")
    (event,) = venue.clock(venue.now_ns + 3 * _DAY)
    assert isinstance(event, OrderUpdated)
    assert (event.order.status, event.order.reject_reason, event.order.updated_ns) == (OrderStatus.CANCELLED, "IOC", venue.now_ns)


def test_everything_but_good_till_cancelled_ends_when_the_session_is_closed() -> None:
    """ENDED closes the market: day orders expire, immediate ones are cancelled, GTC orders stay."""
    venue = VenueDriver()
    for time_in_force in TimeInForce:
        venue.place(time_in_force.value, OrderType.LIMIT, limit_price="1", time_in_force=time_in_force)
    venue.clock(venue.now_ns, SessionPhase.ENDED)
    assert venue.ends == {"DAY": OrderStatus.EXPIRED, "IOC": OrderStatus.CANCELLED, "FOK": OrderStatus.CANCELLED}
    assert [order.client_order_id for order in venue.venue.open_orders] == ["GTC"]


def test_nothing_happens_when_an_input_is_not_the_venues() -> None:
    """Messages of other topics change nothing."""
    venue = VenueDriver()
    before = venue.venue.snapshot()
    assert venue.send(a_message("strat.intent", an_intent())) == []
    assert venue.venue.snapshot() == before


def test_lookup_shows_the_last_change_when_an_order_has_traded() -> None:
    """The view of a live order carries quantities, status and when it last changed."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", OrderType.LIMIT, limit_price="200", time_in_force=TimeInForce.GTC)
    venue.bar(100.0, volume=40.0)
    venue.now_ns += MINUTE
    (view,) = venue.venue.open_orders
    assert (view.status, view.cum_qty, view.leaves_qty, view.updated_ns) == (OrderStatus.PARTIALLY_FILLED, D(4), D(6), NOW + MINUTE - 1)
    assert venue.ask(Lookup(client_order_id="o1")) == OrderFound(order=view)
