"""What the simulated venue answers: acceptance, refusals, cancels, replaces, queries, events and their acknowledgement."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.contracts import OrderStatus, OrderType, SetTradingState, Side, TimeInForce, TradingState
from core.machine import NO_NEEDS, Answer, Command, ConfigLoaded, Input, Observed, Push, Settled
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    Accepted,
    AcknowledgeEvents,
    BrokerOrderAck,
    Cancel,
    FetchFills,
    FetchOpenOrders,
    FillsFetched,
    Lookup,
    NotFound,
    OrderFilled,
    OrderFound,
    OrdersFetched,
    OrderUpdated,
    Place,
    Replace,
    Subscribe,
    Subscribed,
)
from tests.support.builders import NOW, settings_with
from tests.support.venue import MINUTE, VenueDriver, a_request

D = Decimal
_LIMIT = OrderType.LIMIT


def _replace(old: str, new: str, **terms: Any) -> Replace:
    return Replace(orig_client_order_id=old, order=a_request(new, _LIMIT, **({"limit_price": "50"} | terms)))


def test_order_is_acknowledged_without_an_event_when_it_is_placed() -> None:
    """The reply is the acknowledgement; nothing is pushed, and the venue's id is derived from ours."""
    venue = VenueDriver()
    reply = venue.ask(Place(order=a_request("t123-abc", _LIMIT, limit_price="1")))
    assert reply == Accepted(ack=BrokerOrderAck(client_order_id="t123-abc", venue_order_id="V-t123-abc", accepted_ns=NOW))
    assert (venue.events, venue.venue.last_cursor) == ([], 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"symbol": "TSLA"}, "UNKNOWN_SYMBOL", id="not listed"),
        pytest.param({"client_order_id": ""}, "INVALID_TERMS", id="no id"),
        pytest.param({"order_qty": 0}, "INVALID_TERMS", id="no quantity"),
        pytest.param({"order_qty": -1}, "INVALID_TERMS", id="negative quantity"),
        pytest.param({"order_qty": "NaN"}, "INVALID_TERMS", id="not a number"),
        pytest.param({"order_qty": "sNaN"}, "INVALID_TERMS", id="a signalling one"),
        pytest.param({"order_qty": "Infinity"}, "INVALID_TERMS", id="infinite"),
        pytest.param({"order_qty": "1E+20"}, "INVALID_TERMS", id="beyond any amount"),
        pytest.param({"order_qty": "1.5"}, "INVALID_TERMS", id="off the lot"),
        pytest.param({"order_qty": 501}, "INVALID_TERMS", id="above the largest"),
        pytest.param({"limit_price": "10.005"}, "INVALID_TERMS", id="off the tick"),
        pytest.param({"limit_price": "0"}, "INVALID_TERMS", id="free of charge"),
        pytest.param({"limit_price": "NaN"}, "INVALID_TERMS", id="no price"),
        pytest.param({"limit_price": None}, "INVALID_TERMS", id="limit without limit"),
        pytest.param({"stop_price": "10"}, "INVALID_TERMS", id="limit with stop"),
        pytest.param({"order_qty": 1}, "BELOW_MINIMUM", id="below the smallest quantity"),
        pytest.param({"limit_price": "0.10"}, "BELOW_MINIMUM", id="below the smallest notional"),
        pytest.param({"order_qty": 300, "limit_price": "400"}, "INSUFFICIENT_FUNDS", id="beyond equity"),
        pytest.param({"order_type": OrderType.MARKET, "limit_price": None}, "INSUFFICIENT_FUNDS", id="market order before any print"),
    ],
)
def test_order_is_refused_when_it_cannot_be_taken(changes: dict[str, Any], code: str) -> None:
    """A refusal says why, does nothing, and leaves the id free."""
    instruments = {"IBM": {"order_qty_min": "2", "order_qty_max": "500", "order_notional_min": "5"}}
    venue = VenueDriver(settings_with(instruments=instruments, strategies={"trend": {"kind": "sma_cross", "symbols": ["IBM"]}}))
    before = venue.venue.snapshot()
    terms: dict[str, Any] = {"client_order_id": "o1", "order_type": _LIMIT, "limit_price": "10"} | changes
    assert venue.refusal(Place(order=a_request(**terms))) == code
    assert venue.venue.snapshot() == before
    venue.place("o1", _LIMIT, limit_price="10")


def test_last_price_values_the_order_when_it_has_none_of_its_own() -> None:
    """The smallest notional is judged at the market for a market order."""
    venue = VenueDriver(settings_with(instruments={"IBM": {"order_notional_min": "1000"}}))
    venue.bar(99.99)
    assert venue.refusal(Place(order=a_request(order_qty=10))) == "BELOW_MINIMUM"
    venue.bar(100.0)
    venue.place(order_qty=10)


def test_symbol_is_unknown_when_it_has_no_instrument() -> None:
    """Without a row in config/instruments.yaml nothing may trade."""
    settings = settings_with()
    venue = VenueDriver(settings.model_copy(update={"instruments": {}}))
    assert venue.refusal(Place(order=a_request())) == "UNKNOWN_SYMBOL"


def test_exit_passes_when_funds_are_gone() -> None:
    """An account in the red may close what it holds, and nothing else."""
    venue = VenueDriver()
    venue.bar(100.0)
    venue.place("entry", side=Side.SELL, order_qty=900)
    venue.bar(100.0)
    venue.bar(250.0)
    assert venue.refusal(Place(order=a_request("more", side=Side.SELL, order_qty=1))) == "INSUFFICIENT_FUNDS"
    venue.place("exit", order_qty=900)
    venue.bar(250.0)
    assert venue.venue.positions == {}


@pytest.mark.parametrize("state", ["live", "filled", "cancelled", "replaced", "replaced and cancelled"])
@pytest.mark.parametrize("is_acknowledged", [False, True], ids=["kept", "archived"])
def test_id_is_refused_for_ever_when_an_order_went_by_it(state: str, is_acknowledged: bool) -> None:
    """Live, ended, or given up in a replace, in memory or in the archive: an id is taken once."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="50")
    if state == "filled":
        venue.bar(40.0)
    if state.startswith("replaced"):
        venue.ask(_replace("o1", "o2", limit_price="49"))
    if "cancelled" in state:
        venue.ask(Cancel(client_order_id="o2" if "replaced" in state else "o1"))
    if is_acknowledged:
        venue.ask_nothing(AcknowledgeEvents(cursor=venue.venue.last_cursor))
    before = venue.venue.snapshot()
    assert venue.refusal(Place(order=a_request("o1", _LIMIT, limit_price="50"))) == DUPLICATE_CLIENT_ORDER_ID
    venue_id = "o2" if "replaced" in state else "o1"
    assert venue.refusal(_replace(venue_id, "o1")) == DUPLICATE_CLIENT_ORDER_ID
    assert venue.venue.snapshot() == before


def test_cancel_is_acknowledged_then_pushed_when_the_order_lives() -> None:
    """The reply says 'requested', the event says it is done."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", _LIMIT, limit_price="200")
    venue.bar(100.0, volume=40.0)
    effects = venue.send(Command("k1", "broker", Cancel(client_order_id="o1")))
    answer, push = effects[:2]
    assert answer == Answer("k1", Accepted(ack=BrokerOrderAck(client_order_id="o1", venue_order_id="V-o1", accepted_ns=NOW)))
    assert isinstance(push, Push) and isinstance(push.event, OrderUpdated)
    order = push.event.order
    assert (order.status, order.cum_qty, order.leaves_qty, order.updated_ns, order.reject_reason) == (OrderStatus.CANCELLED, D(4), D(0), venue.now_ns, "")
    venue.bar(100.0)
    assert len(venue.fills) == 1


@pytest.mark.parametrize("target", [{"client_order_id": "o1"}, {"client_order_id": "", "venue_order_id": "V-o1"}, {"client_order_id": "x", "venue_order_id": "V-o1"}])
def test_cancel_finds_the_order_when_it_names_it_either_way(target: dict[str, str]) -> None:
    """Our id, or the venue's: cancelling what is live is never refused for its wording. Once ended it is already done, for ever."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="50")
    assert isinstance(venue.ask(Cancel(**target)), Accepted)
    assert venue.refusal(Cancel(**target)) == "ALREADY_DONE"
    venue.ask_nothing(AcknowledgeEvents(cursor=1))
    assert venue.refusal(Cancel(**target)) == "ALREADY_DONE"


@pytest.mark.parametrize("target", [{"client_order_id": "o1"}, {"client_order_id": ""}, {"client_order_id": "", "venue_order_id": "X-o1"}])
def test_cancel_is_refused_when_no_order_is_meant(target: dict[str, str]) -> None:
    """Nothing ever went by this name."""
    assert VenueDriver().refusal(Cancel(**target)) == "UNKNOWN_ORDER"


def test_cancel_reaches_the_order_when_it_was_replaced_meanwhile() -> None:
    """A cancel by the id before the replace still means this order."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="50")
    venue.ask(_replace("o1", "o2", limit_price="51"))
    venue.ask(Cancel(client_order_id="o1"))
    assert venue.ends == {"o2": OrderStatus.CANCELLED}


def test_replace_is_acknowledged_then_pushed_when_the_order_lives() -> None:
    """New terms under a new id and a new venue id; what was traded stays, and executions go on counting."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", _LIMIT, limit_price="200")
    venue.bar(100.0, volume=40.0)
    venue.now_ns += 5
    effects = venue.send(Command("k1", "broker", _replace("o1", "o2", order_qty=12, limit_price="150")))
    answer, push = effects
    assert answer == Answer("k1", Accepted(ack=BrokerOrderAck(client_order_id="o2", venue_order_id="V-o2", accepted_ns=venue.now_ns)))
    assert isinstance(push, Push) and isinstance(push.event, OrderUpdated)
    assert push.event.orig_client_order_id == "o1"
    order = push.event.order
    assert (order.client_order_id, order.venue_order_id, order.status) == ("o2", "V-o2", OrderStatus.PARTIALLY_FILLED)
    assert (order.order_qty, order.cum_qty, order.leaves_qty, order.limit_price) == (D(12), D(4), D(8), D(150))
    venue.bar(100.0)
    assert [(fill.exec_id, fill.cum_qty) for fill in venue.fills] == [("V-o1-1", D(4)), ("V-o2-2", D(12))]


def test_untraded_order_is_still_accepted_when_it_is_replaced() -> None:
    """Without an execution the replacement is ACCEPTED."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="50")
    venue.ask(_replace("o1", "o2", limit_price="51"))
    (event,) = venue.events
    assert isinstance(event, OrderUpdated) and event.order.status is OrderStatus.ACCEPTED


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        pytest.param(_replace("nobody", "o2"), "UNKNOWN_ORDER", id="unknown order"),
        pytest.param(_replace("o1", "o2", order_qty=4), "TOO_LATE", id="no more than traded"),
        pytest.param(_replace("o1", "o2", order_qty=3), "TOO_LATE", id="less than traded"),
        pytest.param(_replace("o1", "o2", side=Side.SELL), "INVALID_TERMS", id="another side"),
        pytest.param(_replace("o1", "o2", time_in_force=TimeInForce.GTC), "INVALID_TERMS", id="another life"),
        pytest.param(_replace("o1", "o2", limit_price="50.001"), "INVALID_TERMS", id="off the tick"),
        pytest.param(_replace("o1", "o2", order_qty=5_000), "INSUFFICIENT_FUNDS", id="beyond equity"),
    ],
)
def test_replace_is_refused_when_it_cannot_be_done(request_: Replace, code: str) -> None:
    """A refusal leaves the order as it is and the new id free."""
    venue = VenueDriver(participation_max=0.1)
    venue.place("o1", _LIMIT, limit_price="200")
    venue.bar(100.0, volume=40.0)
    before = venue.venue.snapshot()
    assert venue.refusal(request_) == code
    assert venue.venue.snapshot() == before


@pytest.mark.parametrize("end", ["filled", "cancelled", "replaced"])
def test_replace_is_refused_when_the_order_went_on_before_it_came(end: str) -> None:
    """A fill, a cancel or another replace won the race: terms are never changed on an old belief."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="50")
    if end == "filled":
        venue.bar(40.0)
    else:
        venue.ask(Cancel(client_order_id="o1") if end == "cancelled" else _replace("o1", "o1b", limit_price="49"))
    assert venue.refusal(_replace("o1", "o2")) == "UNKNOWN_ORDER"
    assert isinstance(venue.ask(Lookup(client_order_id="o2")), NotFound)


def test_replaced_quantity_weighs_on_the_account_when_it_changes() -> None:
    """More quantity is more exposure, less frees it."""
    venue = VenueDriver()
    venue.bar(100.0)
    venue.place("o1", _LIMIT, limit_price="50", order_qty=600)
    venue.ask(_replace("o1", "o2", order_qty=1_000))
    assert venue.refusal(Place(order=a_request("x", order_qty=1))) == "INSUFFICIENT_FUNDS"
    venue.ask(_replace("o2", "o3", order_qty=100))
    venue.place("y", order_qty=900)


@pytest.mark.parametrize(
    ("changes", "first"), [({"order_qty": 8}, "new"), ({"order_qty": 10}, "new"), ({"order_qty": 11}, "b"), ({"limit_price": "100.01"}, "new"), ({"limit_price": "99.99"}, "b")]
)
def test_place_in_the_queue_is_kept_when_only_less_is_wanted(changes: dict[str, Any], first: str) -> None:
    """Less at the same price keeps its place in time, more goes behind; price comes before time."""
    venue = VenueDriver(participation_max=0.1)
    for name in ("a", "b"):
        venue.place(name, _LIMIT, limit_price="100")
    venue.ask(_replace("a", "new", **({"limit_price": "100"} | changes)))
    venue.bar(99.0, volume=50.0)
    assert [fill.client_order_id for fill in venue.fills] == [first]


@pytest.mark.parametrize("is_acknowledged", [False, True], ids=["kept", "archived"])
def test_lookup_finds_the_order_by_every_id_when_it_was_replaced(is_acknowledged: bool) -> None:
    """Each id of the lineage leads to the order as it is, or as it ended, from memory and from the archive alike."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="50")
    venue.ask(_replace("o1", "o2", limit_price="51"))
    venue.ask(_replace("o2", "o3", limit_price="52"))
    names = ("o1", "o2", "o3")
    assert {venue.ask(Lookup(client_order_id=name)) for name in names} == {OrderFound(order=venue.venue.open_orders[0])}
    venue.bar(45.0)
    if is_acknowledged:
        venue.ask_nothing(AcknowledgeEvents(cursor=venue.venue.last_cursor))
        assert venue.venue.snapshot().ended == ()
    (ended,) = {venue.ask(Lookup(client_order_id=name)) for name in names}
    assert isinstance(ended, OrderFound)
    assert (ended.order.client_order_id, ended.order.status, ended.order.cum_qty) == ("o3", OrderStatus.FILLED, D(10))


def test_lookup_finds_nothing_when_no_order_went_by_the_id() -> None:
    """Not found is an answer of its own."""
    assert VenueDriver().ask(Lookup(client_order_id="o1")) == NotFound()


def test_open_orders_are_told_oldest_first_when_asked_for() -> None:
    """Of all symbols or of one; an empty answer is an answer."""
    venue = VenueDriver(settings_with(feed={"symbols": ["IBM", "MSFT"]}))
    assert venue.ask(FetchOpenOrders()) == OrdersFetched(orders=())
    for name, symbol in (("z", "IBM"), ("a", "MSFT"), ("m", "IBM")):
        venue.place(name, _LIMIT, symbol=symbol, limit_price="50")

    def names(symbol: str | None) -> list[str]:
        reply = venue.ask(FetchOpenOrders(symbol=symbol))
        assert isinstance(reply, OrdersFetched)
        return [order.client_order_id for order in reply.orders]

    assert (names(None), names("IBM"), names("MSFT"), names("TSLA")) == (["z", "a", "m"], ["z", "m"], ["a"], [])


def _venue_with_events(count: int) -> VenueDriver:
    """Every third event is a cancel, the others are fills."""
    venue = VenueDriver()
    for k in range(1, count + 1):
        venue.place(f"o{k}", _LIMIT, limit_price="200" if k % 3 else "1", order_qty=1)
        if k % 3:
            venue.bar(100.0)
        else:
            venue.ask(Cancel(client_order_id=f"o{k}"))
    assert venue.venue.last_cursor == count
    return venue


@pytest.mark.parametrize("acknowledged", [0, 1, 5, 9])
@pytest.mark.parametrize(
    ("cursor", "limit", "expected"), [(0, 500, [1, 2, 4, 5, 7, 8]), (0, 3, [1, 2]), (3, 3, [4, 5]), (2, 1, []), (6, 3, [7, 8]), (6, 2, [7, 8]), (9, 3, []), (50, 3, [])]
)
def test_fills_are_paged_by_event_number_when_asked_for(acknowledged: int, cursor: int, limit: int, expected: list[int]) -> None:
    """A page covers `limit` event numbers, from the archive and from memory; the last one says so."""
    venue = _venue_with_events(9)
    venue.ask_nothing(AcknowledgeEvents(cursor=acknowledged))
    reply = venue.ask(FetchFills(cursor=cursor, limit=limit))
    assert isinstance(reply, FillsFetched)
    assert [fill.cursor for fill in reply.fills] == expected
    assert list(reply.fills) == [fill for fill in venue.fills if fill.cursor in expected]
    assert reply.is_last is (cursor + limit >= 9)


@pytest.mark.parametrize(("cursor", "limit"), [(-1, 10), (0, 0), (0, -5), (0, 1_001), (0, 10**30)])
def test_page_is_refused_when_it_is_out_of_bounds(cursor: int, limit: int) -> None:
    """One request may not ask for the whole archive."""
    venue = _venue_with_events(3)
    assert venue.refusal(FetchFills(cursor=cursor, limit=limit)) == "INVALID_TERMS"


@pytest.mark.parametrize(("cursor", "acknowledged", "expected"), [(0, 0, [1, 2, 3, 4]), (2, 0, [3, 4]), (4, 0, []), (9, 0, []), (2, 2, [3, 4]), (0, 3, [4]), (-1, 0, [1, 2, 3, 4])])
def test_kept_events_are_pushed_again_when_the_account_subscribes(cursor: int, acknowledged: int, expected: list[int]) -> None:
    """The newest number, then every kept event above the cursor, as it was; subscribing acknowledges nothing."""
    venue = _venue_with_events(4)
    venue.ask_nothing(AcknowledgeEvents(cursor=acknowledged))
    for _ in range(2):
        answer, *pushes = venue.send(Command("s", "broker", Subscribe(cursor=cursor)))
        assert answer == Answer("s", Subscribed(last_cursor=4))
        assert pushes == [Push(event) for event in venue.events if event.cursor in expected]


def test_events_are_forgotten_when_they_are_acknowledged() -> None:
    """Acknowledging twice, or an older one, changes nothing more; what comes after goes on counting."""
    venue = _venue_with_events(4)
    for cursor, kept in ((3, [4]), (3, [4]), (1, [4]), (4, []), (100, [])):
        venue.ask_nothing(AcknowledgeEvents(cursor=cursor))
        state = venue.venue.snapshot()
        assert [event.cursor for event in state.events] == [ended.cursor for ended in state.ended] == kept
    venue.place("next", _LIMIT, limit_price="200")
    venue.bar(100.0)
    assert venue.events[-1].cursor == 5


def test_order_is_asked_of_the_archive_only_when_memory_does_not_know_it() -> None:
    """What is alive costs no lookup; what was acknowledged is one row."""
    venue = VenueDriver()
    venue.place("live", _LIMIT, limit_price="1")
    assert venue.venue.needs(Command("c", "b", Lookup(client_order_id="live"))) is NO_NEEDS
    assert venue.venue.needs(Command("c", "b", Lookup(client_order_id="old"))).archived == (("order", "old"),)
    assert venue.venue.needs(Command("c", "b", FetchFills(cursor=0))) is NO_NEEDS
    assert venue.venue.needs(Command("c", "b", Subscribe(cursor=0))) is NO_NEEDS


def test_command_is_answered_with_a_text_when_an_operator_sends_it() -> None:
    """Operators have nothing to ask of the venue; they are told so, and nothing changes."""
    venue = VenueDriver()
    before = venue.venue.snapshot()
    command = Command("c", "operator", SetTradingState(trading_state=TradingState.HALTED, reason="test"))
    assert venue.send(command) == [Answer("c", "paper_venue takes no SetTradingState, only requests of a broker")]
    assert venue.venue.snapshot() == before


@pytest.mark.parametrize("event", [ConfigLoaded("h", "{}"), Observed(Settled(1))], ids=lambda event: type(event).__name__)
def test_input_is_ignored_when_it_says_nothing_to_a_venue(event: Input) -> None:
    """Facts of the shell and the configuration change nothing: the machine was built from the settings."""
    venue = VenueDriver()
    before = venue.venue.snapshot()
    assert venue.send(event) == []
    assert venue.venue.snapshot() == before


def test_fill_is_not_late_when_the_cancel_comes_after_it() -> None:
    """Cancel of an order that filled first: already done, the fill stands."""
    venue = VenueDriver()
    venue.place("o1", _LIMIT, limit_price="200")
    venue.bar(100.0)
    venue.now_ns += MINUTE
    assert venue.refusal(Cancel(client_order_id="o1")) == "ALREADY_DONE"
    assert isinstance(venue.events[-1], OrderFilled) and venue.venue.positions == {"IBM": D(10)}
