"""Whatever a broker asks and the market does: the venue's books balance, and a restored venue goes on as if nothing had been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import OrderStatus, OrderType, SessionPhase, Side, TimeInForce
from core.machine import Answer, Command, Push
from core.settings import Settings
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    AcknowledgeEvents,
    BrokerFill,
    BrokerOrderReq,
    BrokerOrderUpdate,
    Cancel,
    FetchFills,
    FetchOpenOrders,
    Lookup,
    OrderFilled,
    OrderUpdated,
    Place,
    Refused,
    Replace,
    Subscribe,
    VenueRequest,
)
from execution.venues.simulated import FILL_KIND, ORDER_KIND, VenueState, build_venue, fill_key
from tests.support.builders import settings_with
from tests.support.venue import MINUTE, VenueDriver, a_request

D = Decimal
_SYMBOLS = ["IBM", "MSFT"]
_HOUR = 60 * MINUTE
_SEEDS = st.integers(0, 10_000)

_Step = tuple[str, Any]


def _settings(seed: int = 1) -> Settings:
    rules = {"seed": seed, "fee_rate": 0.0007, "slippage_rate": 0.001, "partial_fill_probability": 0.5, "partial_fill_fraction": 0.3, "participation_max": 0.05}
    return settings_with(account={"opening_balances": {"USD": "100000"}}, feed={"symbols": _SYMBOLS}, venue=rules)


def _terms(dice: Random, name: str, symbol: str, order_type: OrderType, side: Side, time_in_force: TimeInForce) -> BrokerOrderReq:
    return a_request(
        name,
        order_type,
        side,
        symbol=symbol,
        time_in_force=time_in_force,
        order_qty=dice.randint(1, 60),
        limit_price=dice.randint(97, 103) if order_type.has_limit else None,
        stop_price=dice.randint(98, 102) if order_type.has_stop else None,
    )


def _script(seed: int) -> list[_Step]:
    """A busy hour and days of one account: orders of every kind, and races of all requests with bars, the clock and one another."""
    dice = Random(seed)
    placed: list[BrokerOrderReq] = []
    steps: list[_Step] = []

    def some_id() -> str:
        return dice.choice(placed).client_order_id if placed and dice.random() < 0.9 else f"o{dice.randint(0, 60)}"

    def a_place() -> VenueRequest:
        placed.append(_terms(dice, f"o{len(placed)}", dice.choice(_SYMBOLS), dice.choice(list(OrderType)), dice.choice(list(Side)), dice.choice(list(TimeInForce))))
        return Place(order=placed[-1])

    def a_replace() -> VenueRequest:
        if not placed:
            return FetchOpenOrders()
        old = placed[-dice.randint(1, min(6, len(placed)))]
        placed.append(_terms(dice, f"o{len(placed)}", old.symbol, old.order_type, old.side, old.time_in_force))
        return Replace(orig_client_order_id=old.client_order_id, order=placed[-1])

    requests: list[Callable[[], VenueRequest]] = [
        *[a_place] * 6,
        *[a_replace] * 4,
        lambda: Place(order=dice.choice(placed)) if placed else FetchOpenOrders(),
        lambda: Cancel(client_order_id=some_id()),
        lambda: Lookup(client_order_id=some_id()),
        lambda: FetchFills(cursor=dice.randint(0, 20), limit=dice.randint(1, 10)),
        lambda: FetchOpenOrders(symbol=dice.choice([None, *_SYMBOLS])),
        lambda: Subscribe(cursor=dice.randint(0, 20)),
        lambda: AcknowledgeEvents(cursor=dice.randint(0, 30)),
    ]
    for _ in range(80):
        match dice.randint(0, 19):
            case 0:
                steps.append(("clock", dice.choice([MINUTE, 5 * _HOUR, 24 * _HOUR])))
            case 1:
                steps.append(("end", None))
            case n if n < 9:
                steps.append(("bar", (dice.choice(_SYMBOLS), dice.randint(97, 103), dice.randint(97, 103), dice.randint(0, 2_000))))
            case _:
                steps.append(("ask", dice.choice(requests)()))
    return steps


def _what(effect: object) -> str:
    match effect:
        case Answer(reply=Refused(code=code)):
            return code
        case Answer(reply=reply):
            return type(reply).__name__
        case Push(event=OrderUpdated(order=order, orig_client_order_id=old)):
            return f"replaced {order.status}" if old else order.status.value
        case Push(event=OrderFilled(status=status)):
            return status.value
        case _:
            return type(effect).__name__


def _perform(venue: VenueDriver, step: _Step) -> list[object]:
    """One step; everything the venue did about it."""
    count = len(venue.effects)
    match step:
        case ("ask", request):
            venue.send(Command("c", "broker", request))
        case ("bar", (str(symbol), int(opened), int(close), int(volume))):
            venue.bar(float(close), symbol=symbol, open=float(opened), high=max(opened, close) + 1.0, low=min(opened, close) - 1.0, volume=float(volume))
        case ("clock", int(span)):
            venue.clock(venue.now_ns + span)
        case _:
            venue.clock(venue.now_ns, SessionPhase.ENDED)
    return list(venue.effects[count:])


def test_scripts_reach_everything_when_the_properties_below_run() -> None:
    """The claims below are about something: the scripts bring about every answer and every event many times."""
    seen: Counter[str] = Counter()
    for seed in range(20):
        venue = VenueDriver(_settings())
        for step in _script(seed):
            seen.update(map(_what, _perform(venue, step)))
    for wanted in ("Accepted", "OrderFound", "FillsFetched", "Subscribed", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "EXPIRED", "replaced ACCEPTED", "replaced PARTIALLY_FILLED"):
        assert seen[wanted] >= 3, (wanted, seen)
    for code in (DUPLICATE_CLIENT_ORDER_ID, "INSUFFICIENT_FUNDS", "UNKNOWN_ORDER", "ALREADY_DONE", "TOO_LATE"):
        assert seen[code] >= 1, (code, seen)


@given(_SEEDS)
@settings(max_examples=100)
def test_books_balance_when_anything_was_asked_and_happened(seed: int) -> None:
    """Σ fills is the position; cash moved by -Σ side x notional - fees; every order is live or has ended once, as archived."""
    venue = VenueDriver(_settings())
    for step in _script(seed):
        _perform(venue, step)
    held, cash = dict.fromkeys(_SYMBOLS, D(0)), D(100_000)
    first_id: dict[str, str] = {}
    for event in venue.events:
        if isinstance(event, OrderUpdated) and event.orig_client_order_id:
            first_id[event.order.client_order_id] = first_id.get(event.orig_client_order_id, event.orig_client_order_id)
    executed: Counter[str] = Counter()
    for fill in venue.fills:
        notional = fill.last_qty * fill.last_price
        assert fill.fee == (notional * D("0.0007")).quantize(D("0.01"), ROUND_HALF_EVEN)
        held[fill.symbol] += fill.side.sign * fill.last_qty
        cash -= fill.side.sign * notional + fill.fee
        lineage = first_id.get(fill.client_order_id, fill.client_order_id)
        executed[lineage] += int(fill.last_qty)
        assert fill.cum_qty == executed[lineage]
        assert D(0) < fill.last_qty <= fill.cum_qty <= fill.order_qty
        assert msgspec.json.decode(venue.archive[f"{FILL_KIND}/{fill_key(fill.cursor)}"], type=BrokerFill) == fill
    assert venue.venue.positions == {symbol: qty for symbol, qty in held.items() if qty}
    assert venue.venue.balances == {"USD": cash}
    assert len({fill.exec_id for fill in venue.fills}) == len(venue.fills)
    live = {order.client_order_id for order in venue.venue.open_orders}
    assert not live & venue.ends.keys()
    for name, status in venue.ends.items():
        last_word = msgspec.json.decode(venue.archive[f"{ORDER_KIND}/{name}"], type=BrokerOrderUpdate)
        assert (last_word.status, last_word.leaves_qty) == (status, D(0))
        assert (last_word.cum_qty == last_word.order_qty) is (status is OrderStatus.FILLED)
    state = venue.venue.snapshot()
    working = {symbol: sum(order.leaves_qty * order.side.sign for order in venue.venue.open_orders if order.symbol == symbol) for symbol in _SYMBOLS}
    assert {symbol: state.account.buys.get(symbol, D(0)) - state.account.sells.get(symbol, D(0)) for symbol in _SYMBOLS} == working


@given(_SEEDS)
@settings(max_examples=60)
def test_restored_venue_does_the_same_when_it_goes_on(seed: int) -> None:
    """A venue restored from its snapshot's bytes before every single step has the same effects, wakes and state as one that never stopped."""
    steady = VenueDriver(_settings())
    restarted = steady.restarted()
    for step in _script(seed):
        assert _perform(restarted, step) == _perform(steady, step)
        assert restarted.venue.next_wake_ns == steady.venue.next_wake_ns
        assert restarted.venue.snapshot() == steady.venue.snapshot()
        restarted = restarted.restarted()


@given(_SEEDS)
@settings(max_examples=15)
def test_needs_change_nothing_when_they_are_asked_for(seed: int) -> None:
    """Asking what an input needs is free of consequences, and handling the same inputs again gives the same effects."""
    first, second = VenueDriver(_settings()), VenueDriver(_settings())
    for step in _script(seed):
        if step[0] == "ask":
            before = first.venue.snapshot()
            first.venue.needs(Command("c", "broker", step[1]))
            assert first.venue.snapshot() == before
        assert _perform(first, step) == _perform(second, step)


def _partials(seed: int) -> list[tuple[str, Decimal, Decimal]]:
    venue = VenueDriver(_settings(seed))
    for k in range(20):
        venue.place(f"o{k}", OrderType.LIMIT, limit_price="104", order_qty=30, time_in_force=TimeInForce.GTC)
        venue.bar(100.0)
    return venue.traded()


def test_fills_differ_when_only_the_seed_does() -> None:
    """Equal seeds give equal partial fills, another seed others."""
    assert _partials(1) == _partials(1)
    assert _partials(1) != _partials(2)


def test_snapshot_is_independent_when_the_venue_goes_on() -> None:
    """What was given away does not change, and the bytes give it back exactly."""
    venue = VenueDriver(_settings())
    venue.place("o1", OrderType.LIMIT, limit_price="104", order_qty=50, time_in_force=TimeInForce.GTC)
    venue.bar(100.0)
    state = venue.venue.snapshot()
    data = msgspec.json.encode(state)
    venue.bar(100.0)
    venue.ask(Cancel(client_order_id="o1"))
    venue.ask_nothing(AcknowledgeEvents(cursor=9))
    assert msgspec.json.encode(state) == data
    assert msgspec.json.decode(data, type=VenueState) == state


@pytest.mark.parametrize("half", ["before", "after"])
def test_market_half_survives_when_the_venue_restarts_in_it(half: str) -> None:
    """Between the clock's MARKET and the bars of the instant a restart does not make the clock end what the bars may still fill."""
    venue = VenueDriver(_settings())
    venue.place("o1", OrderType.LIMIT, limit_price="104", order_qty=1)
    late = venue.now_ns + 3 * 24 * _HOUR
    if half == "before":
        venue = venue.restarted()
    venue.clock(late - 1, SessionPhase.MARKET)
    if half == "after":
        venue = venue.restarted()
    assert venue.venue.next_wake_ns is None
    venue.bar(100.0, close_ns=late, minutes=5 * 24 * 60)
    assert venue.ends == {"o1": OrderStatus.FILLED}


def test_venue_opens_with_the_balances_of_the_settings() -> None:
    """Until a snapshot says otherwise the account holds its opening balances and nothing else."""
    venue = build_venue(settings_with(account={"opening_balances": {"USD": "5", "EUR": "7.50"}}))
    assert (venue.balances, venue.positions, venue.last_cursor, venue.open_orders) == ({"USD": D(5), "EUR": D("7.50")}, {}, 0, ())


def test_events_are_pushed_in_the_order_of_their_numbers_when_a_bar_does_much() -> None:
    """One bar that expires one order and fills two others tells it in one contiguous sequence, best price first."""
    venue = VenueDriver(settings_with(venue={"participation_max": 0.1}))
    venue.place("expires", OrderType.LIMIT, limit_price="104")
    venue.place("part", OrderType.LIMIT, limit_price="103", time_in_force=TimeInForce.GTC)
    venue.place("whole", OrderType.LIMIT, limit_price="104", time_in_force=TimeInForce.GTC)
    told = venue.bar(100.0, close_ns=venue.now_ns + 48 * _HOUR, volume=120.0)
    assert [event.cursor for event in told] == [1, 2, 3]
    assert [type(event) for event in told] == [OrderUpdated, OrderFilled, OrderFilled]
    assert venue.traded() == [("whole", D(10), D(100)), ("part", D(2), D(100))]
