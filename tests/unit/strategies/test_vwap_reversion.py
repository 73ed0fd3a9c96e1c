"""VWAP reversion: its rules as tables, every exit at any hour, and no share sold twice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import CancelIntent, Intent, OrderIntent, OrderStatus, OrderType, Side, StrategyAction, TimeInForce
from core.errors import ConfigError
from core.machine import Effect
from strategies import vwap_reversion
from strategies.host import build_host
from strategies.vwap_reversion import VwapReversion
from tests.support.builders import SYMBOL, a_bar, settings_with
from tests.support.strategy_floor import EPOCH, Floor, new_york, published

DAY, NEXT_DAY, EARLY_CLOSE = date(2024, 3, 5), date(2024, 3, 6), date(2024, 11, 29)
MINUTE = 60 * 10**9


def a_floor(lot: str = "1", **params: Any) -> Floor:
    """The strategy on IBM, started."""
    instrument = {"tick": "0.01", "lot": lot, "order_qty_min": lot}
    floor = Floor(settings_with(instruments={"default": instrument}, strategies={"trend": {"kind": "vwap_reversion", "symbols": [SYMBOL], "params": params}}))
    floor.start()
    return floor


def warm(floor: Floor, *, day: date = DAY, bars: int = 30, until: str = "10:00", close: float = 100.0) -> Floor:
    """Bars at one price up to a time of day: the VWAP is that price."""
    end = new_york(day, until)
    for k in range(bars):
        floor.bar(close, at_ns=end - (bars - 1 - k) * MINUTE)
    return floor


def bought(day: date = DAY, price: float = 99.7, **params: Any) -> Floor:
    """Bought at 10:01, the stop resting at the venue."""
    floor = warm(a_floor(**params), day=day)
    floor.bar(99.7)
    floor.fill(floor.last, price)
    if floor.last.order_type is OrderType.STOP:
        floor.accept(floor.last)
    return floor


def asked(effects: list[Effect]) -> list[tuple[str, str]]:
    """Intents in short: what, and why."""
    return [(i.side.value if isinstance(i, OrderIntent) else "CANCEL", i.reason) for i in wishes(effects)]


def wishes(effects: list[Effect]) -> list[Intent]:
    """Orders and cancels in order."""
    return [*published(effects, CancelIntent), *published(effects, OrderIntent)]


# Ways in.


def test_buys_below_the_vwap_in_the_window() -> None:
    """At market, sized by the risk at the stop, with the stop as the plan."""
    floor = warm(a_floor(risk_dollars="9"))
    (order,) = published(floor.bar(99.7), OrderIntent)
    assert (order.side, order.order_type, order.reason) == (Side.BUY, OrderType.MARKET, "ENTRY")
    assert order.order_qty == 30  # 9 / 0.003 = 3,000 dollars at 99.70
    assert order.stop_loss == Decimal("99.40")


@pytest.mark.parametrize(
    ("lot", "params", "qty"),
    [("1", {}, "50"), ("1", {"notional_max": "2000"}, "20"), ("0.001", {"notional_max": "2000"}, "20.060"), ("1", {"risk_dollars": "3"}, "10"), ("1", {"stop": 0.006}, "25")],
)
def test_quantity_is_the_risk_capped_by_the_notional_floored_to_the_lot(lot: str, params: dict[str, Any], qty: str) -> None:
    """The smaller of both amounts of money decides; 0.001 share where the instrument has that lot."""
    floor = warm(a_floor(lot, **params))
    floor.bar(99.7)
    assert floor.last.order_qty == Decimal(qty)


@pytest.mark.parametrize(("close", "enters"), [(99.79, True), (99.81, False), (99.0, True)])
def test_the_threshold_is_the_vwap_less_the_deviation(close: float, enters: bool) -> None:
    """0.2 % below a VWAP of 100, give or take this bar's own weight."""
    floor = warm(a_floor())
    assert bool(floor.bar(close, volume=0.001) and floor.intents) is enters


def test_the_vwap_is_of_typical_prices_weighted_by_volume_since_the_day_began() -> None:
    """Yesterday does not count, a heavy bar does."""
    floor = warm(a_floor(), day=DAY, until="15:00", close=500.0)
    warm(floor, day=NEXT_DAY, bars=25, until="09:55")
    floor.bar(100.0, at_ns=new_york(NEXT_DAY, "09:56"), high=106.0, low=100.0, volume=100_000.0)
    state = floor.host._seats["trend"].strategy
    assert isinstance(state, VwapReversion)
    assert state.state.symbols[SYMBOL].vwap.value == pytest.approx((25 * 1_000 * 100.0 + 100_000 * 102.0) / 125_000)


@pytest.mark.parametrize(
    ("clock", "enters"),
    [("09:59", False), ("10:00", True), ("11:30", True), ("11:31", False)],
)
def test_entries_keep_to_the_window(clock: str, enters: bool) -> None:
    """10:00 to 11:30 in New York."""
    at_ns = new_york(DAY, clock)
    floor = a_floor()
    for k in range(29):
        floor.bar(100.0, at_ns=at_ns - (29 - k) * MINUTE)
    floor.bar(99.7, at_ns=at_ns)
    assert bool(floor.intents) is enters
    if not enters:
        assert floor.reasons[-1] == "OUTSIDE_WINDOW"


def test_a_bar_that_waited_in_a_queue_is_no_reason_to_buy() -> None:
    """After an outage the bars of the past are history, even when both they and now lie in the window."""
    floor = warm(a_floor())
    floor.now_ns = new_york(DAY, "10:30")
    floor.show(a_bar(99.7, close_ns=new_york(DAY, "10:01")))
    assert (floor.intents, floor.reasons[-1]) == ([], "OUTSIDE_WINDOW")


def test_a_denied_entry_may_be_tried_again_and_a_filled_one_counts() -> None:
    """One trade a day means one that happened."""
    floor = warm(a_floor())
    floor.bar(99.7)
    floor.deny(floor.last)
    floor.bar(99.7)
    assert len(floor.intents) == 2
    floor.fill(floor.last, 99.7)
    floor.fill(floor.last, 99.4)
    floor.bar(99.3)
    assert floor.reasons[-1] == "MAX_TRADES_REACHED"


def test_an_entry_that_was_cancelled_after_a_part_counts() -> None:
    """A part is a trade."""
    floor = warm(a_floor())
    floor.bar(99.7)
    entry = floor.last
    floor.fill(entry, 99.7, 5)
    floor.end(entry)
    floor.fill(floor.last, 99.4)
    floor.bar(99.3)
    assert floor.reasons[-1] == "MAX_TRADES_REACHED"


def test_a_new_day_gives_new_trades() -> None:
    """The count starts anew with the first bar of another exchange day."""
    floor = bought()
    floor.fill(floor.last, 99.4)
    warm(floor, day=NEXT_DAY)
    floor.bar(99.7)
    assert floor.last.reason == "ENTRY"
    assert floor.last.created_ns == new_york(NEXT_DAY, "10:01")


def disabled(floor: Floor) -> None:
    floor.switch(StrategyAction.DISABLE)
    floor.bar(99.7)


def disabled_today(floor: Floor) -> None:
    floor.bar(99.7)
    floor.fill(floor.last, 99.7)
    floor.fill(floor.last, 98.6)
    floor.bar(99.7)


def in_position(floor: Floor) -> None:
    floor.bar(99.7)
    floor.fill(floor.last, 99.7)
    floor.bar(99.6)


def working(floor: Floor) -> None:
    floor.bar(99.7)
    floor.bar(99.7)


def max_trades(floor: Floor) -> None:
    floor.bar(99.7)
    floor.fill(floor.last, 99.7)
    floor.fill(floor.last, 99.7)
    floor.bar(99.6)


@pytest.mark.parametrize(
    ("reason", "params", "do"),
    [
        ("DISABLED", {}, disabled),
        ("DISABLED_TODAY", {"trades_per_day_max": 9}, disabled_today),
        ("MAX_TRADES_REACHED", {}, max_trades),
        ("IN_POSITION", {"trades_per_day_max": 9}, in_position),
        ("IN_POSITION", {"trades_per_day_max": 9}, working),
        ("OUTSIDE_WINDOW", {}, lambda floor: floor.bar(99.7, at_ns=new_york(DAY, "11:31"))),
        ("PRICE_ABOVE_THRESHOLD", {}, lambda floor: floor.bar(100.0)),
        ("SIZE_INVALID", {"notional_max": "99"}, lambda floor: floor.bar(99.7)),
        ("MARGINAL_DEVIATION", {"filters": ["deviation"]}, lambda floor: floor.bar(99.75)),
        ("MARGINAL_VOLUME", {"filters": ["deviation", "volume"]}, lambda floor: floor.bar(90.0, volume=100_000.0)),
        ("MARGINAL_SLOPE", {"filters": ["deviation", "volume", "slope"]}, lambda floor: floor.bar(90.0, volume=100_001.0)),
    ],
)
def test_every_reason_not_to_trade_is_given(reason: str, params: dict[str, Any], do: Any) -> None:
    """The last bar says why nothing was done, and it is counted."""
    floor = warm(a_floor(**params))
    do(floor)
    assert floor.reasons[-1] == reason
    assert floor.host.snapshot().strategies["trend"].book.idle_reasons[reason] >= 1


def test_the_warm_up_is_twenty_bars_and_a_session_without_trades_has_no_vwap() -> None:
    """VWAP_WARMUP for nineteen bars; VWAP_INVALID after that while no volume was seen."""
    floor = a_floor()
    for k in range(25):
        floor.bar(100.0, at_ns=new_york(DAY, "10:00") + k * MINUTE, volume=0.0)
    assert floor.reasons == ["VWAP_WARMUP"] * 19 + ["VWAP_INVALID"] * 6


def test_every_reason_is_documented() -> None:
    """The module says what each means."""
    doc = vwap_reversion.__doc__ or ""
    nine = "DISABLED DISABLED_TODAY VWAP_WARMUP VWAP_INVALID OUTSIDE_WINDOW MAX_TRADES_REACHED IN_POSITION PRICE_ABOVE_THRESHOLD SIZE_INVALID"
    for reason in (*nine.split(), "MARGINAL_DEVIATION", "MARGINAL_VOLUME", "MARGINAL_SLOPE"):
        assert f"| {reason}" in doc or f", {reason}" in doc, reason


def test_no_filter_is_on_by_default_and_their_numbers_are_the_documented_ones() -> None:
    """1.5 times the deviation, 100,000 shares, a rising VWAP."""
    params = vwap_reversion.VwapReversionParams()
    assert (params.filters, params.filter_deviation_ratio, params.filter_volume_min) == ((), 1.5, 100_000.0)
    assert (params.entry_deviation, params.stop, params.trades_per_day_max, params.warmup_bars) == (0.002, 0.003, 1, 20)


def test_a_setup_that_passes_all_filters_is_taken() -> None:
    """A VWAP that rose, a deep fall, on volume."""
    floor = a_floor(filters=["deviation", "volume", "slope"])
    for k in range(30):
        floor.bar(100.0 + k, at_ns=new_york(DAY, "10:00") - (29 - k) * MINUTE, volume=150_000.0)
    floor.bar(105.0, volume=150_000.0)
    assert [i.reason for i in floor.intents] == ["ENTRY"]


def test_losing_trades_count_and_winners_are_not_set_off() -> None:
    """Win 50, lose 55: fifty-five are lost today, and that is too much; tomorrow is another day."""
    floor = warm(a_floor(trades_per_day_max=9))
    for price in (100.7, 98.6):
        floor.bar(99.7)
        entry = floor.last
        assert entry.reason == "ENTRY"
        floor.fill(entry, 99.7)
        floor.fill(floor.last, price)
    floor.bar(99.7)
    assert floor.reasons[-1] == "DISABLED_TODAY"
    warm(floor, day=NEXT_DAY)
    floor.bar(99.7)
    assert floor.last.reason == "ENTRY"


def test_a_loss_counts_on_the_day_it_was_made() -> None:
    """A stop that fills before the first bar of a new day belongs to that day, not to the one before."""
    floor = bought(daily_loss_max="10")
    floor.now_ns = new_york(NEXT_DAY, "09:30", 30)
    floor.fill(floor.last, 99.4)
    warm(floor, day=NEXT_DAY)
    floor.bar(99.7)
    assert floor.reasons[-1] == "DISABLED_TODAY"


# What is held.


def test_what_was_bought_is_covered_by_a_stop_at_the_venue() -> None:
    """GTC, protective, for what filled, 0.3 % below what was paid."""
    floor = bought(price=99.5)
    stop = floor.last
    assert (stop.side, stop.order_type, stop.time_in_force, stop.protective, stop.reason) == (Side.SELL, OrderType.STOP, TimeInForce.GTC, True, "PROTECTION")
    assert (stop.order_qty, stop.stop_price) == (floor.position().position_qty, Decimal("99.20"))


def test_each_part_of_an_entry_is_covered_as_it_fills() -> None:
    """The stops together are never more than what is held."""
    floor = warm(a_floor())
    floor.bar(99.7)
    entry = floor.last
    floor.fill(entry, 99.7, 20)
    floor.fill(entry, 99.7, 30)
    stops = [i for i in floor.intents if isinstance(i, OrderIntent) and i.protective]
    assert [stop.order_qty for stop in stops] == [20, 30]


def test_a_refused_stop_is_asked_for_again_with_the_next_bar_and_not_at_once() -> None:
    """Answering a denial at once could go on for ever."""
    floor = bought()
    assert asked(floor.deny(floor.last)) == []
    assert asked(floor.bar(99.6)) == [("SELL", "PROTECTION")]


def test_too_much_cover_is_taken_off() -> None:
    """When somebody else sold a part, the stops would sell more than there is."""
    floor = bought()
    stop = floor.last
    floor.adjust(20)
    effects = floor.bar(99.6)
    assert asked(effects) == [("CANCEL", "TOO_MUCH_COVER")]
    floor.end(stop)
    floor.bar(99.6)
    assert floor.last.order_qty == 20


def test_stops_go_when_somebody_else_closed_the_position() -> None:
    """A stop of nothing would open a short."""
    floor = bought()
    floor.adjust(0)
    assert asked(floor.bar(99.6)) == [("CANCEL", "NOTHING_HELD")]


def test_a_position_smaller_than_a_lot_is_not_covered_and_harms_nothing() -> None:
    """No order can be made of it."""
    floor = bought()
    floor.end(floor.last)
    floor.adjust("0.4")
    assert asked(floor.bar(99.6)) == []
    assert floor.alerts == []


@pytest.mark.parametrize(
    ("reason", "params", "act"),
    [
        ("REVERSION", {}, lambda floor: floor.bar(100.0)),
        ("REVERSION", {}, lambda floor: floor.bar(100.0, at_ns=new_york(DAY, "14:00"))),
        ("STOP", {}, lambda floor: floor.bar(99.3)),
        ("STOP", {}, lambda floor: floor.bar(99.3, at_ns=new_york(DAY, "14:00"))),
        ("FLAT", {}, lambda floor: floor.bar(99.7, at_ns=new_york(DAY, "15:55"))),
        ("FLAT", {}, lambda floor: floor.wake(new_york(DAY, "15:55", 5))),
        ("MAX_TIME", {"time_in_trade_s_max": 600}, lambda floor: floor.bar(99.7, at_ns=new_york(DAY, "10:11"))),
        ("MAX_TIME", {"time_in_trade_s_max": 600}, lambda floor: floor.wake(new_york(DAY, "10:11", 5))),
        ("OVERNIGHT", {}, lambda floor: floor.bar(99.7, at_ns=new_york(NEXT_DAY, "09:31"))),
    ],
)
@pytest.mark.parametrize("switched", [StrategyAction.ENABLE, StrategyAction.DISABLE])
def test_every_exit_cancels_the_stop_and_then_sells(reason: str, params: dict[str, Any], act: Any, switched: StrategyAction) -> None:
    """Inside and outside the entry window, switched on or off; nothing is sold while the stop could still fill."""
    floor = bought(**params)
    stop, held = floor.last, floor.position().position_qty
    floor.switch(switched)
    assert asked(act(floor)) == [("CANCEL", reason)]
    assert asked(floor.end(stop)) == [("SELL", reason)]
    assert (floor.last.order_type, floor.last.order_qty) == (OrderType.MARKET, held)
    floor.fill(floor.last, 99.8)
    assert floor.host.next_wake_ns is None
    assert floor.orders == {}


@pytest.mark.parametrize(
    ("clock", "leaves"),
    [("12:54", False), ("12:55", True)],
)
def test_on_an_early_close_it_is_flat_five_minutes_before(clock: str, leaves: bool) -> None:
    """The session of the day after Thanksgiving ends at 13:00."""
    floor = bought(EARLY_CLOSE)
    assert asked(floor.bar(99.7, at_ns=new_york(EARLY_CLOSE, clock))) == ([("CANCEL", "FLAT")] if leaves else [])


def test_no_entry_after_the_flat_time_of_an_early_close() -> None:
    """A window that reaches beyond it is cut."""
    floor = warm(a_floor(window_end="13:30"), day=EARLY_CLOSE, until="12:54")
    floor.bar(99.7)
    assert (floor.intents, floor.reasons[-1]) == ([], "OUTSIDE_WINDOW")


def test_an_entry_still_at_work_at_the_flat_time_is_cancelled() -> None:
    """What has not filled by then must not fill later."""
    floor = warm(a_floor())
    floor.bar(99.7)
    entry = floor.last
    floor.accept(entry)
    assert asked(floor.bar(99.7, at_ns=new_york(DAY, "15:55"))) == [("CANCEL", "FLAT")]
    assert asked(floor.end(entry)) == []


def test_the_rest_of_an_entry_is_cancelled_before_an_exit_sells() -> None:
    """Half an entry has filled when the price is back: entry and stop go, then the half is sold."""
    floor = warm(a_floor())
    floor.bar(99.7)
    entry = floor.last
    floor.fill(entry, 99.7, 20)
    stop = floor.last
    assert asked(floor.bar(100.0)) == [("CANCEL", "REVERSION")] * 2
    assert asked(floor.end(stop)) == []
    assert asked(floor.end(entry)) == [("SELL", "REVERSION")]
    assert floor.last.order_qty == 20


@pytest.mark.parametrize("last_of_stop", [10, 50])
def test_shares_the_stop_sold_while_it_was_being_cancelled_are_not_sold_again(last_of_stop: int) -> None:
    """The race between stop and exit: only the rest is sold, and nothing when there is none."""
    floor = bought()
    stop, held = floor.last, floor.position().position_qty
    assert held == 50
    assert asked(floor.bar(100.0)) == [("CANCEL", "REVERSION")]
    assert asked(floor.fill(stop, 99.4, last_of_stop)) == []
    if last_of_stop < held:
        assert asked(floor.end(stop)) == [("SELL", "REVERSION")]
        assert floor.last.order_qty == held - last_of_stop
        floor.fill(floor.last, 99.5)
    assert floor.position().position_qty == 0
    assert asked(floor.bar(100.0)) == []


@pytest.mark.parametrize("failure", ["denied", "rejected", "cancelled after a part"])
def test_an_exit_is_tried_again_until_flat(failure: str) -> None:
    """Not at once, but with every bar, and by the timer when no bar comes."""
    floor = bought()
    stop = floor.last
    floor.bar(99.7, at_ns=new_york(DAY, "15:55"))
    floor.end(stop)
    for again in ("bar", "timer", "bar"):
        exit_order = floor.last
        floor.now_ns += 1_000_000
        if failure == "denied":
            effects = floor.deny(exit_order)
        else:
            if failure == "cancelled after a part":
                floor.fill(exit_order, 99.7, 5)
            effects = floor.end(exit_order, OrderStatus.REJECTED if failure == "rejected" else OrderStatus.CANCELLED)
        assert asked(effects) == []
        assert asked(floor.bar(99.7) if again == "bar" else floor.wake(floor.now_ns + 65 * 10**9)) == [("SELL", "FLAT")]
        assert floor.last.order_qty == floor.position().position_qty
    floor.fill(floor.last, 99.7)
    assert floor.position().position_qty == 0
    assert asked(floor.bar(99.7)) == []


def test_an_exit_that_failed_is_not_tried_twice_in_one_moment() -> None:
    """A replay stands still while things happen: a wake at the same time changes nothing."""
    floor = bought()
    stop = floor.last
    floor.bar(99.7, at_ns=new_york(DAY, "15:55"))
    floor.end(stop)
    floor.deny(floor.last)
    assert asked(floor.show(a_bar(99.7, close_ns=floor.now_ns + 1))) == []


def test_a_cancel_that_was_refused_is_asked_for_again() -> None:
    """With the next bar; the exit waits for it."""
    floor = bought()
    stop = floor.last
    floor.bar(100.0)
    assert asked(floor.reject_cancel(stop)) == []
    assert asked(floor.bar(100.0)) == [("CANCEL", "REVERSION")]


def test_a_short_it_never_meant_is_bought_back() -> None:
    """Whatever made it, an exit follows."""
    floor = warm(a_floor())
    floor.adjust(-5)
    assert asked(floor.bar(100.0)) == [("BUY", "UNEXPECTED_SHORT")]


def test_an_exit_at_work_is_left_alone() -> None:
    """Bars, parts and timers do not double it."""
    floor = bought()
    stop = floor.last
    floor.bar(100.0)
    floor.end(stop)
    exit_order = floor.last
    floor.accept(exit_order)
    floor.fill(exit_order, 100, 5)
    assert asked(floor.bar(100.0)) == []
    assert asked(floor.wake(floor.now_ns + 65 * 10**9)) == []


def test_news_of_orders_it_does_not_know_change_nothing() -> None:
    """An order of risk's that has ended before it was heard of."""
    floor = bought()
    stranger = OrderIntent(**{f: getattr(floor.last, f) for f in floor.last.__struct_fields__} | {"intent_id": "kill:0"})
    assert asked(floor.news(stranger, OrderStatus.CANCELLED)) == []


def test_a_restart_in_the_middle_of_an_exit_goes_on_with_it() -> None:
    """The checkpointed reason and book are enough."""
    floor = bought()
    stop = floor.last
    floor.bar(100.0)
    floor.restart()
    assert asked(floor.end(stop)) == [("SELL", "REVERSION")]


def test_it_is_alerted_when_it_holds_at_the_close() -> None:
    """`overnight = never`: the host watches over it."""
    floor = bought()
    floor.bar(99.7, at_ns=new_york(DAY, "16:00"))
    assert floor.alerts == ["POSITION_AT_CLOSE"]


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"window_start": "25:00"}, "strategies.trend.params.window_start: '25:00' is not a time of day, HH:MM is required"),
        ({"window_start": "11:30"}, "window_start 11:30, window_end 11:30 and flat_time 15:55 are not in this order"),
        ({"flat_time": "11:00"}, "window_start 10:00, window_end 11:30 and flat_time 11:00 are not in this order"),
        ({"warmup_bars": 19}, "strategies.trend.params.warmup_bars: 19 is not allowed"),
        ({"stop": 0}, "strategies.trend.params.stop: 0 is not allowed"),
        ({"filters": ["luck"]}, "strategies.trend.params.filters.0: 'luck' is not allowed"),
        ({"deviation": 0.1}, "strategies.trend.params.deviation: is not a known parameter"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any], why: str) -> None:
    """Before anything starts, by name."""
    with pytest.raises(ConfigError) as refused:
        build_host(settings_with(strategies={"trend": {"kind": "vwap_reversion", "symbols": [SYMBOL], "params": params}}), epoch=EPOCH)
    assert why in str(refused.value)


def chance(floor: Floor, choice: int) -> None:
    """One thing that may happen next: a bar, time, or an answer of risk's or the venue's to any live order."""
    orders = list(floor.orders.values())
    order, cum = orders[choice // 16 % len(orders)] if orders else (None, Decimal(0))
    kind = choice % 8 if order is not None else choice % 2
    if kind == 0 or order is None:
        floor.bar((99.3, 99.7, 99.7, 100.0, 100.5)[choice // 16 % 5])
    elif kind == 1:
        floor.wake(floor.now_ns + 20 * 10**9)
    elif kind == 2:
        floor.fill(order, 99.5)
    elif kind == 3 and order.order_qty - cum > 1:
        floor.fill(order, 99.5, 1)
    elif kind == 4:
        floor.end(order)
    elif kind == 5:
        floor.reject_cancel(order)
    elif kind == 6 and not cum:
        floor.deny(order)
    else:
        floor.accept(order)


@given(st.lists(st.integers(min_value=0, max_value=16 * 60 - 1), max_size=60))
def test_never_more_is_being_sold_than_is_held(choices: list[int]) -> None:
    """Whatever fills, fails, ends or is refused, in whatever order: live sells never exceed the position, which is never short,
    and the strategy is never quarantined."""
    floor = warm(a_floor(trades_per_day_max=9, daily_loss_max="100000"))
    for choice in choices:
        chance(floor, choice)
        selling = sum((order.order_qty - cum for order, cum in floor.orders.values() if order.side is Side.SELL), Decimal(0))
        assert selling <= floor.position().position_qty
    assert floor.alerts == []
