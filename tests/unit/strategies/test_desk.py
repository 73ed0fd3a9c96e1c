"""The desk: what it refuses, what it books, and that nothing leaves by halves."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.contracts import Alert, CancelIntent, Contract, ExecType, NoTrade, OrderIntent, OrderStatus, OrderType, ReplaceIntent, Severity, Side, TimeInForce
from core.machine import Publish
from strategies.desk import Balances, Book, Desk, Terms
from strategies.strategy import FLAT, StrategyError
from tests.support.builders import ACCOUNT, NOW, STRATEGY, SYMBOL, VENUE, a_position, an_instrument, an_order_event

TEN = Decimal(10)
MINUTE = 60 * 10**9


def a_desk(held: int = 0, **instrument: Any) -> Desk:
    """A desk in the midst of a callback."""
    desk = Desk(STRATEGY, (SYMBOL, "NOROW"), Terms(ACCOUNT, VENUE, "e", 10_000), {SYMBOL: an_instrument(**instrument)}, Balances())
    desk.begin(1, "bar:x", NOW)
    if held:
        desk.on_position(a_position(held, avg_price=100))
    return desk


def said(desk: Desk) -> list[Contract]:
    """What leaves when the callback ends well."""
    return [e.body for e in desk.commit() if isinstance(e, Publish)]


def working(desk: Desk, intent: OrderIntent | None, status: OrderStatus = OrderStatus.ACCEPTED) -> OrderIntent:
    """An order asked for and accepted."""
    assert intent is not None
    desk.commit()
    desk.on_order_changed(an_order_event(intent, status, position=a_position(int(desk.position(SYMBOL).qty))))
    return intent


# Asking.


@pytest.mark.parametrize(("ask", "side"), [(Desk.buy, Side.BUY), (Desk.sell, Side.SELL)])
def test_a_market_order_carries_what_every_intent_carries(ask: Callable[..., OrderIntent | None], side: Side) -> None:
    """Account, venue, time, freshness, trigger and plan come from the desk."""
    desk = a_desk()
    intent = ask(desk, SYMBOL, TEN, stop_loss=Decimal(90), reason="why")
    assert intent == OrderIntent(
        intent_id=f"{STRATEGY}:e:bar:x:0",
        strategy_id=STRATEGY,
        account=ACCOUNT,
        venue=VENUE,
        symbol=SYMBOL,
        side=side,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        order_qty=TEN,
        created_ns=NOW,
        expires_ns=NOW + 10 * 10**9,
        stop_loss=Decimal(90),
        trigger="bar:x",
        reason="why",
    )
    assert said(desk) == [intent]


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"order_qty": 10}, "order_qty: 10 (int) is not allowed, a Decimal is required"),
        ({"order_qty": 10.0}, "order_qty: 10.0 (float) is not allowed, a Decimal is required"),
        ({"order_qty": Decimal(0)}, "order_qty: 0 is not allowed"),
        ({"order_qty": Decimal("NaN")}, "order_qty: NaN is not allowed"),
        ({"order_qty": Decimal("1.5")}, "order_qty=1.5 is not a multiple of lot=1"),
        ({"order_qty": Decimal("0.001")}, "is below order_qty_min=1"),
        ({"side": "BUY "}, "side: 'BUY ' is not allowed, one of BUY, SELL is required"),
        ({"order_type": "MKT"}, "order_type: 'MKT' is not allowed"),
        ({"time_in_force": "DAYS"}, "time_in_force: 'DAYS' is not allowed"),
        ({"symbol": "TSLA"}, "symbol 'TSLA' is not allowed, it trades IBM, NOROW"),
        ({"symbol": "NOROW"}, "symbol 'NOROW' has no instrument"),
        ({"limit_price": Decimal(99)}, "limit_price: 99 is not allowed on a MARKET order"),
        ({"order_type": OrderType.LIMIT}, "limit_price: missing, a LIMIT order requires it"),
        ({"order_type": OrderType.LIMIT, "limit_price": Decimal("99.001")}, "price=99.001 is not a multiple of tick=0.01"),
        ({"order_type": OrderType.LIMIT, "limit_price": Decimal(99), "stop_loss": Decimal(99)}, "stop_loss: 99 is not allowed for a BUY at 99, it must lie below"),
        ({"order_type": OrderType.LIMIT, "limit_price": Decimal(99), "take_profit": Decimal(98)}, "take_profit: 98 is not allowed for a BUY at 99, it must lie above"),
        (
            {"side": Side.SELL, "order_type": OrderType.LIMIT, "limit_price": Decimal(99), "stop_loss": Decimal(98)},
            "stop_loss: 98 is not allowed for a SELL at 99, it must lie above",
        ),
        ({"stop_loss": 90.0}, "stop_loss: 90.0 (float) is not allowed"),
        ({"ttl_ms": 0}, "ttl_ms: 0 is not allowed"),
    ],
)
def test_a_malformed_wish_raises_where_it_is_made(terms: dict[str, object], why: str) -> None:
    """The message names the term, what it was, and what is allowed; nothing is drafted."""
    desk = a_desk()
    with pytest.raises(StrategyError) as refused:
        desk.submit(**({"symbol": SYMBOL, "side": Side.BUY, "order_type": OrderType.MARKET, "order_qty": TEN} | terms))  # type: ignore[arg-type]
    assert why in str(refused.value)
    assert said(desk) == []


def test_a_limit_order_with_a_sensible_plan_is_taken() -> None:
    """A stop below and a target above the price of a buy."""
    desk = a_desk()
    desk.submit(SYMBOL, Side.BUY, OrderType.LIMIT, TEN, limit_price=Decimal(99), stop_loss=Decimal(98), take_profit=Decimal(101))
    assert len(said(desk)) == 1


def test_what_is_left_of_a_position_may_be_smaller_than_the_smallest_entry() -> None:
    """The minimum binds entries; an exit below it is still an exit."""
    desk = a_desk(3, order_qty_min=5)
    assert desk.sell(SYMBOL, Decimal(3)) is not None
    with pytest.raises(StrategyError, match="below order_qty_min"):
        desk.buy(SYMBOL, Decimal(3))


@pytest.mark.parametrize(
    ("held", "instrument", "side", "qty"),
    [
        (7, {}, Side.SELL, "7"),
        (-7, {}, Side.BUY, "7"),
        (7, {"lot": 2}, Side.SELL, "6"),
        (7, {"order_qty_max": 5}, Side.SELL, "5"),
        (7, {"lot": 2, "order_qty_max": 5}, Side.SELL, "4"),
    ],
)
def test_close_takes_off_what_one_order_can(held: int, instrument: dict[str, object], side: Side, qty: str) -> None:
    """Whole lots, at most the instrument's largest order."""
    intent = a_desk(held, **instrument).close(SYMBOL, "OUT")
    assert intent is not None
    assert (intent.side, intent.order_type, intent.order_qty, intent.reason) == (side, OrderType.MARKET, Decimal(qty), "OUT")


@pytest.mark.parametrize(("held", "lot"), [(0, 1), (1, 2)])
def test_close_asks_for_nothing_when_less_than_a_lot_is_held(held: int, lot: int) -> None:
    """None, and no order."""
    desk = a_desk(held, lot=lot)
    assert desk.close(SYMBOL, "OUT") is None
    assert said(desk) == []


@pytest.mark.parametrize(
    ("held", "side", "qty", "passes"), [(0, Side.BUY, 1, False), (5, Side.BUY, 1, False), (5, Side.SELL, 5, True), (5, Side.SELL, 6, False), (-5, Side.BUY, 5, True)]
)
def test_only_what_reduces_passes_when_entries_are_off(held: int, side: Side, qty: int, passes: bool) -> None:
    """A switched-off strategy may get out, never in, and never through zero."""
    desk = a_desk(held)
    desk.entries_enabled = False
    assert not desk.is_enabled
    intent = desk.submit(SYMBOL, side, OrderType.MARKET, Decimal(qty))
    assert (intent is not None) is passes
    assert desk.book.idle_reasons == ({} if passes else {"DISABLED": 1})


def test_cancel_is_asked_for_once() -> None:
    """A second cancel while one is under way, or of an unknown order, is nothing."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    cancel = desk.cancel(order.intent_id, "changed my mind")
    assert isinstance(cancel, CancelIntent)
    assert cancel.target_intent_id == order.intent_id
    assert desk.cancel(order.intent_id) is None
    desk.commit()
    assert desk.cancel(order.intent_id) is None
    assert desk.cancel("unknown") is None


@pytest.mark.parametrize("refusal", ["venue", "risk"])
def test_cancel_can_be_asked_for_again_after_it_was_refused(refusal: str) -> None:
    """CANCEL_REJECTED and a denial both end the request."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    cancel = desk.cancel(order.intent_id)
    assert cancel is not None
    desk.commit()
    if refusal == "venue":
        desk.on_order_changed(an_order_event(order, OrderStatus.ACCEPTED, exec_type=ExecType.CANCEL_REJECTED))
    else:
        news = desk.on_denied(cancel, ("NO",))
        assert (news.is_final, news.status, news.symbol) == (False, OrderStatus.ACCEPTED, SYMBOL)
    assert desk.cancel(order.intent_id) is not None


def test_a_denied_cancel_of_an_order_that_has_ended_is_harmless() -> None:
    """The order may end while risk thinks."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    cancel = desk.cancel(order.intent_id)
    assert cancel is not None
    desk.commit()
    desk.on_order_changed(an_order_event(order, OrderStatus.FILLED, cum_qty=10))
    news = desk.on_denied(cancel, ("NO",))
    assert (news.order, news.symbol, news.is_final) == (None, "", False)


def test_replace_asks_for_other_terms() -> None:
    """The intent names the order it changes and only what changes."""
    desk = a_desk()
    order = working(desk, desk.submit(SYMBOL, Side.BUY, OrderType.LIMIT, TEN, limit_price=Decimal(99)))
    replace = desk.replace(order.intent_id, limit_price=Decimal(98))
    assert isinstance(replace, ReplaceIntent)
    assert (replace.target_intent_id, replace.limit_price, replace.order_qty, replace.stop_price) == (order.intent_id, Decimal(98), None, None)
    desk.commit()
    assert desk.book.replaces == {replace.intent_id: order.intent_id}


def test_events_under_the_id_of_a_replace_belong_to_the_order_it_changed() -> None:
    """The order keeps its first intent's name through its life, and its end clears the trail."""
    desk = a_desk()
    order = working(desk, desk.submit(SYMBOL, Side.BUY, OrderType.LIMIT, TEN, limit_price=Decimal(99)))
    replace = desk.replace(order.intent_id, order_qty=Decimal(7))
    assert replace is not None
    desk.commit()
    replaced = msgspec.structs.replace(order, intent_id=replace.intent_id, order_qty=Decimal(7))
    _, news = desk.on_order_changed(an_order_event(replaced, OrderStatus.ACCEPTED, exec_type=ExecType.REPLACED))
    assert news.intent_id == order.intent_id
    assert desk.book.working[order.intent_id].order_qty == 7
    _, news = desk.on_order_changed(an_order_event(replaced, OrderStatus.CANCELLED))
    assert (news.intent_id, news.is_final) == (order.intent_id, True)
    assert (desk.book.working, desk.book.replaces) == ({}, {})


def test_a_denied_replace_leaves_the_order_as_it_was() -> None:
    """The order works on under its old terms."""
    desk = a_desk()
    order = working(desk, desk.submit(SYMBOL, Side.BUY, OrderType.LIMIT, TEN, limit_price=Decimal(99)))
    replace = desk.replace(order.intent_id, limit_price=Decimal(98))
    assert replace is not None
    desk.commit()
    news = desk.on_denied(replace, ("A: x=1", "B"))
    assert (news.denials, news.is_final, news.intent_id) == (("A: x=1", "B"), False, order.intent_id)
    assert desk.book.replaces == {}
    assert desk.book.last_denial == "A: x=1; B"
    assert desk.book.working[order.intent_id].limit_price == 99


def test_replace_of_nothing_or_with_nothing_raises() -> None:
    """Only a working order can be changed, and a change must change something."""
    desk = a_desk()
    order = working(desk, desk.submit(SYMBOL, Side.BUY, OrderType.LIMIT, TEN, limit_price=Decimal(99)))
    with pytest.raises(StrategyError, match="is not a working order"):
        desk.replace("unknown", order_qty=TEN)
    with pytest.raises(StrategyError, match="changes nothing"):
        desk.replace(order.intent_id)
    with pytest.raises(StrategyError, match="is not a multiple of tick"):
        desk.replace(order.intent_id, limit_price=Decimal("0.001"))


@pytest.mark.parametrize(("qty", "passes"), [(5, True), (10, True), (11, False)])
def test_replace_passes_only_what_reduces_when_entries_are_off(qty: int, passes: bool) -> None:
    """An exit may be changed, not blown up beyond the position."""
    desk = a_desk(10)
    stop = working(desk, desk.submit(SYMBOL, Side.SELL, OrderType.STOP, TEN, stop_price=Decimal(90)))
    desk.entries_enabled = False
    assert (desk.replace(stop.intent_id, order_qty=Decimal(qty)) is not None) is passes
    assert desk.book.idle_reasons == ({} if passes else {"DISABLED": 1})


# Callbacks.


def test_nothing_leaves_when_the_callback_is_abandoned() -> None:
    """Orders, cancels, reasons and alerts of a callback that raised are gone."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    desk.sell(SYMBOL, TEN)
    desk.cancel(order.intent_id)
    desk.alert("A", Severity.INFO, "x")
    desk.no_trade(SYMBOL, "Y")
    desk.abandon()
    assert said(desk) == []
    assert list(desk.book.working) == [order.intent_id]
    assert not desk.book.working[order.intent_id].is_cancel_requested


def test_ordinals_go_on_within_an_input_and_start_anew_with_the_next() -> None:
    """Two callbacks of one input never name two wishes alike."""
    desk = a_desk()
    ids = [desk.buy(SYMBOL, TEN)]
    desk.begin(1, "bar:x", NOW)
    ids.append(desk.buy(SYMBOL, TEN))
    desk.begin(2, "bar:y", NOW + 1)
    ids.append(desk.buy(SYMBOL, TEN))
    assert [i.intent_id.removeprefix(f"{STRATEGY}:e:") for i in ids if i] == ["bar:x:0", "bar:x:1", "bar:y:0"]
    assert (desk.trigger, desk.now_ns) == ("bar:y", NOW + 1)


def test_a_draft_counts_as_working_at_once() -> None:
    """A strategy that looks again in the same callback sees what it has just asked for."""
    desk = a_desk()
    assert desk.working(SYMBOL) == ()
    desk.buy(SYMBOL, TEN)
    assert [o.order_qty for o in desk.working(SYMBOL)] == [TEN]
    assert desk.working("NOROW") == ()


def test_a_reason_is_published_when_it_is_news_for_its_symbol() -> None:
    """Repetitions are counted, not said."""
    desk = a_desk()
    for symbol, reason in ((SYMBOL, "A"), (SYMBOL, "A"), ("NOROW", "A"), (SYMBOL, "B"), (SYMBOL, "A")):
        desk.no_trade(symbol, reason)
    assert [(n.symbol, n.reason) for n in said(desk) if isinstance(n, NoTrade)] == [(SYMBOL, "A"), ("NOROW", "A"), (SYMBOL, "B"), (SYMBOL, "A")]
    assert desk.book.idle_reasons == {"A": 4, "B": 1}


def test_an_alert_names_its_strategy() -> None:
    """The text begins with who speaks."""
    desk = a_desk()
    desk.alert("ODD", Severity.WARNING, "look")
    assert said(desk) == [Alert(name="ODD", severity=Severity.WARNING, text=f"{STRATEGY}: look", daemon="strategy_runner", occurred_ns=NOW)]


def test_timers_come_earliest_first_and_once() -> None:
    """Due ones one by one, moved and forgotten ones not."""
    desk = a_desk()
    for name, minutes in (("b", 2), ("a", 1), ("c", 3), ("moved", 1), ("gone", 1)):
        desk.set_timer(name, NOW + minutes * MINUTE)
    desk.set_timer("moved", NOW + 9 * MINUTE)
    desk.cancel_timer("gone")
    desk.cancel_timer("never set")
    taken = [desk.take_due_timer(NOW + 2 * MINUTE) for _ in range(3)]
    assert taken == [(NOW + MINUTE, "a"), (NOW + 2 * MINUTE, "b"), None]


def test_a_timer_always_lies_ahead() -> None:
    """One set for the past could otherwise be set again for ever without time moving."""
    desk = a_desk()
    desk.set_timer("late", NOW - MINUTE)
    assert desk.take_due_timer(NOW) is None
    assert desk.take_due_timer(NOW + 10**6) == (NOW + 10**6, "late")


# Booking.


def test_a_fill_moves_the_position_and_is_told_once() -> None:
    """The fill carries the position it left behind, the order what is left of it."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    event = an_order_event(order, OrderStatus.PARTIALLY_FILLED, cum_qty=4, last_qty=4, last_price=100, exec_type=ExecType.TRADE, position=a_position(4, avg_price=100))
    fill, news = desk.on_order_changed(event)
    assert fill is not None
    assert (fill.last_qty, fill.position.qty, fill.intent_id) == (Decimal(4), Decimal(4), order.intent_id)
    assert news.order is not None
    assert (news.order.leaves_qty, news.is_final) == (Decimal(6), False)
    assert desk.position(SYMBOL).avg_price == 100


@pytest.mark.parametrize("exec_type", [ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT])
def test_a_revision_is_news_and_no_fill(exec_type: ExecType) -> None:
    """What takes an execution back must not look like another one."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    fill, news = desk.on_order_changed(an_order_event(order, OrderStatus.ACCEPTED, last_qty=4, last_price=100, exec_type=exec_type))
    assert fill is None
    assert news.exec_type is exec_type


def test_an_order_ends_with_its_last_event() -> None:
    """It is told as it was before, and works no more."""
    desk = a_desk()
    order = working(desk, desk.buy(SYMBOL, TEN))
    _, news = desk.on_order_changed(an_order_event(order, OrderStatus.CANCELLED))
    assert news.is_final
    assert news.order is not None
    assert desk.working(SYMBOL) == ()
    _, again = desk.on_order_changed(an_order_event(order, OrderStatus.CANCELLED))
    assert again.order is None


@pytest.mark.parametrize(
    ("prices", "kind"),
    [
        ({}, OrderType.MARKET),
        ({"limit_price": Decimal(9)}, OrderType.LIMIT),
        ({"stop_price": Decimal(9)}, OrderType.STOP),
        ({"limit_price": Decimal(9), "stop_price": Decimal(9)}, OrderType.STOP_LIMIT),
    ],
)
def test_an_order_that_someone_else_sent_is_found(prices: dict[str, Decimal], kind: OrderType) -> None:
    """Risk's or an operator's order of this strategy works in its book too."""
    desk = a_desk()
    desk.on_order_changed(an_order_event(None, OrderStatus.ACCEPTED, **prices))
    assert [o.order_type for o in desk.working(SYMBOL)] == [kind]


def test_a_denied_order_never_works() -> None:
    """It leaves the book, and the news says why."""
    desk = a_desk()
    intent = desk.buy(SYMBOL, TEN)
    assert intent is not None
    desk.commit()
    news = desk.on_denied(intent, ("CODE: a=1",))
    assert (news.status, news.denials, news.is_final, news.symbol) == (None, ("CODE: a=1",), True, SYMBOL)
    assert desk.working(SYMBOL) == ()


@pytest.mark.parametrize(
    ("side", "protective", "qty", "is_exit"),
    [(Side.SELL, False, 10, True), (Side.SELL, False, 11, False), (Side.BUY, False, 1, False), (Side.SELL, True, 11, True)],
)
def test_an_exit_protects_or_reduces(side: Side, protective: bool, qty: int, is_exit: bool) -> None:
    """Everything else opens risk."""
    desk = a_desk(10)
    desk.submit(SYMBOL, side, OrderType.STOP, Decimal(qty), stop_price=Decimal(90), protective=protective)
    (order,) = desk.working(SYMBOL)
    assert desk.is_exit(order) is is_exit


def test_what_is_not_known_is_not_zero() -> None:
    """No balance is None, no position is flat."""
    desk = a_desk()
    assert desk.account.balance("USD") is None
    assert desk.position(SYMBOL) == FLAT


def test_a_copied_book_is_independent() -> None:
    """Every field is copied."""
    filled = Book({"a": FLAT}, {}, {"r": "a"}, {"a": 1}, {"t": 1}, {"X": 1}, {"a": "X"}, "no")
    copy = filled.copy()
    assert copy == filled
    for name in Book.__struct_fields__:
        if name != "last_denial":
            getattr(copy, name)["new"] = 1
            assert "new" not in getattr(filled, name), name
