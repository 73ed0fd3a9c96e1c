"""The host: who is told what, what is contained when a strategy raises, and that a restart changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from core.contracts import (
    Alert,
    BookLevel,
    BookSnapshot,
    BookUpdate,
    CancelAllOrders,
    CancelIntent,
    Heartbeat,
    OrderIntent,
    OrderStatus,
    OrderType,
    SessionPhase,
    Severity,
    Side,
    StrategyAction,
    Ticker,
    Trade,
)
from core.errors import ConfigError
from core.machine import NO_NEEDS, Command, ConfigLoaded, LinkStopped, Log, Observed, VenueLinkState, Wake
from strategies.host import QUARANTINE, StrategyHost, build_host
from strategies.seat import StrategyRecord
from tests.support.builders import NOW, STRATEGY, SYMBOL, a_bar, an_intent, settings_with
from tests.support.strategy_floor import EPOCH, Floor, answers, checkpoints, new_york, published
from tests.unit.strategies import puppet
from tests.unit.strategies.puppet import OTHER, a_floor

FLATTEN = {"on_quarantine": "flatten"}


@pytest.fixture(autouse=True)
def _puppets(monkeypatch: pytest.MonkeyPatch) -> None:
    puppet.puppets(monkeypatch)


def told(floor: Floor, strategy_id: str = STRATEGY) -> list[str]:
    """What a puppet was told."""
    state: list[str] = msgspec.json.decode(floor.host.snapshot().strategies[strategy_id].state)["told"]
    return state


def record(floor: Floor, strategy_id: str = STRATEGY) -> StrategyRecord:
    """Where a strategy stands."""
    return floor.host.snapshot().strategies[strategy_id]


def holding(floor: Floor, *, protected: bool) -> Floor:
    """The strategy holds ten shares; with a stop at the venue, or without."""
    floor.bar(100.0, volume=puppet.BUY)
    floor.fill(floor.last, 100)
    if protected:
        floor.bar(100.0, volume=puppet.PROTECT)
        floor.accept(floor.last)
    return floor


# Telling.


def test_each_strategy_hears_of_its_own_symbols_only() -> None:
    """A bar goes to the owner of its symbol and to nobody else."""
    floor = a_floor()
    floor.bar(101.0)
    floor.bar(202.0, symbol=OTHER)
    assert told(floor) == ["start", "bar 101.0"]
    assert told(floor, "calm") == ["start", "bar 202.0"]


def test_nothing_happens_when_nobody_owns_the_symbol() -> None:
    """A bar without an owner has no effect and leaves no trace."""
    floor = a_floor()
    before = floor.kept()
    assert floor.bar(1.0, symbol="ZZZ") == []
    assert floor.kept() == before


def test_a_bar_is_dropped_when_it_is_not_newer_than_the_last_of_its_stream() -> None:
    """A repeated or older bar reaches no strategy and is told in the log."""
    floor = a_floor()
    floor.bar(100.0, at_ns=NOW)
    for at_ns in (NOW, NOW - 60 * 10**9):
        effects = floor.show(a_bar(99.0, close_ns=at_ns))
        assert [e.event for e in effects if isinstance(e, Log)] == ["BAR_NOT_NEWER"]
    assert told(floor) == ["start", "bar 100.0"]


def test_ticks_quotes_and_books_reach_their_callbacks() -> None:
    """Every kind of market data has its callback, under a trigger that names datum and message."""
    floor = a_floor()
    level = BookLevel(price=1.0, size=1.0)
    floor.tell("md.trades.IBM", Trade(symbol=SYMBOL, price=1.0, size=1.0, exchange_ns=5))
    floor.tell("md.ticker.IBM", Ticker(symbol=SYMBOL, bid_price=1.0, ask_price=2.0, bid_size=1.0, ask_size=1.0, exchange_ns=6))
    floor.tell("md.book.IBM", BookSnapshot(symbol=SYMBOL, bids=(level,), asks=(), update_id=1, exchange_ns=7))
    floor.tell("md.book.IBM", BookUpdate(symbol=SYMBOL, bids=(), asks=(level,), previous_update_id=1, update_id=2, exchange_ns=8))
    assert told(floor) == ["start", "trade trade:IBM:5:1", "quote ticker:IBM:6:2", "book booksnapshot:IBM:7:3", "book bookupdate:IBM:8:4"]


def test_a_fill_is_told_before_the_news_of_its_order() -> None:
    """`on_fill` comes first and sees the new position."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BUY)
    floor.fill(floor.last, 100)
    assert told(floor)[-2:] == ["fill 10", "order FILLED"]


def test_a_denial_is_told_and_ends_the_wish() -> None:
    """Risk's refusal reaches `on_order`, and nothing is working any more."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BUY)
    floor.deny(floor.last)
    assert told(floor)[-1] == "order DENIED"
    assert record(floor).book.working == {}
    assert record(floor).book.last_denial == "STALE_MARK: age_ms=9000"


def test_nothing_is_told_when_risk_allows() -> None:
    """An allowed decision is not news: the order's own events follow."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BUY)
    before = floor.kept()
    assert floor.allow(floor.last) == []
    assert floor.kept() == before


def test_decisions_and_events_of_strangers_change_nothing() -> None:
    """An order or denial of a strategy that is not here is none of the host's."""
    floor = a_floor()
    before = floor.kept().strategies
    stranger = an_intent("s:0", strategy_id="stranger")
    floor.orders[stranger.intent_id] = (stranger, Decimal(0))
    floor.deny(stranger)
    floor.accept(stranger)
    floor.adjust(5, strategy_id="_suspense")
    assert floor.kept().strategies == before


def test_balances_are_known_to_strategies_after_any_ledger_event() -> None:
    """The account view is the last balance the ledger reported."""
    floor = a_floor()
    assert floor.kept().balances == {}
    floor.adjust(0, usd=777)
    assert floor.kept().balances == {"USD": Decimal(777)}


def test_a_position_is_known_when_the_ledger_was_adjusted() -> None:
    """LedgerAdjusted moves the book without a callback."""
    floor = a_floor()
    floor.adjust(7)
    assert record(floor).book.positions[SYMBOL].qty == 7
    assert told(floor) == ["start"]


def test_a_timer_comes_when_its_time_has_come() -> None:
    """The host asks to be woken at the earliest timer and names the trigger after it."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.TIMER)
    due = floor.now_ns + 10**9
    assert floor.host.next_wake_ns == due
    floor.wake(due)
    assert told(floor)[-1] == "timer tea"
    assert floor.last.trigger == f"timer:tea:{due}"
    assert floor.host.next_wake_ns is None


def test_a_wake_too_early_wakes_nobody() -> None:
    """A timer fires at its time and not before."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.TIMER)
    floor.give(Wake(floor.now_ns))
    assert "timer tea" not in told(floor)


def test_no_wake_is_wanted_while_a_replayed_market_moves() -> None:
    """Between MARKET and DECIDE an order would meet the coming data by chance, so timers wait for DECIDE."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.TIMER)
    due = floor.host.next_wake_ns
    floor.clock(SessionPhase.MARKET)
    assert floor.host.next_wake_ns is None
    floor.clock(SessionPhase.DECIDE)
    assert floor.host.next_wake_ns == due


def test_on_start_comes_once_whatever_restarts() -> None:
    """Configuration is loaded at every start; a strategy starts once in its life."""
    floor = a_floor()
    floor.start()
    floor.restart()
    floor.start()
    assert told(floor) == ["start"]


def test_on_stop_comes_once_when_the_session_ends() -> None:
    """ENDED closes the session once, even when it is said again after a restart."""
    floor = a_floor()
    floor.clock(SessionPhase.ENDED)
    floor.restart()
    floor.clock(SessionPhase.ENDED)
    assert told(floor) == ["start", "stop"]


def test_other_inputs_change_nothing() -> None:
    """What is not meant for strategies is ignored."""
    floor = a_floor()
    before = floor.kept()
    assert floor.host.needs(ConfigLoaded("", "")) is NO_NEEDS
    assert floor.give(Observed(VenueLinkState(True))) == []
    assert floor.give(Observed(LinkStopped("md.bars.1m.IBM", "md_ingest", "poison"))) == []
    assert floor.tell("control.heartbeat", Heartbeat(daemon="oms", incarnation=1, ready=True, sent_ns=1)) == []
    assert floor.kept() == before


# Intents and checkpoints.


def test_an_intent_is_dated_now_and_named_after_its_trigger() -> None:
    """Id = (strategy, epoch, trigger, ordinal); fresh for as long as the limits say."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BUY)
    trigger = f"bar:IBM:1m:{floor.now_ns}"
    assert (floor.last.intent_id, floor.last.trigger) == (f"trend:{EPOCH}:{trigger}:0", trigger)
    assert (floor.last.created_ns, floor.last.expires_ns) == (floor.now_ns, floor.now_ns + 10_000 * 10**6)


def test_the_checkpoint_comes_with_the_intent() -> None:
    """The effects of an input with an intent hold that strategy's state after it, and only that strategy's."""
    floor = a_floor()
    effects = floor.bar(100.0, volume=puppet.BUY)
    assert checkpoints(effects) == [STRATEGY]
    kept = msgspec.json.decode(effects[-1].data, type=StrategyRecord)  # type: ignore[union-attr]
    assert kept == record(floor)
    assert list(kept.book.working) == [floor.last.intent_id]
    assert (kept.version, kept.state) == (1, '{"told":["start","bar 100.0"]}')


def test_no_checkpoint_comes_without_an_intent() -> None:
    """A reason not to trade is not worth a row."""
    floor = a_floor()
    effects = floor.bar(100.0, volume=puppet.IDLE)
    assert effects
    assert checkpoints(effects) == []


def test_idle_reasons_are_counted_and_published_when_they_change() -> None:
    """Every reason counts; only news is published."""
    floor = a_floor()
    for _ in range(3):
        floor.bar(100.0, volume=puppet.IDLE)
    assert record(floor).book.idle_reasons == {"BORED": 3}
    assert floor.published_reasons == ["BORED"]
    assert floor.reasons == ["BORED"] * 3


def test_order_news_are_named_alike_whatever_happens_to_other_orders() -> None:
    """Events of a live order are counted; one after its end takes the message's number, so no name comes twice."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    order = floor.last
    desk = floor.host._seats[STRATEGY].desk
    names = []
    for status in (OrderStatus.SUBMITTED, OrderStatus.ACCEPTED, OrderStatus.CANCELLED):
        floor.news(order, status)
        names.append(desk.trigger.rpartition(":")[2])
    for old, new in ((OrderStatus.CANCELLED, OrderStatus.CANCELLED), (OrderStatus.CANCELLED, OrderStatus.ACCEPTED), (OrderStatus.ACCEPTED, OrderStatus.FILLED)):
        floor.news(order, new, old_status=old)
        names.append(desk.trigger.rpartition(":")[2])
    assert names == ["1", "2", "3", "5", "6", "7"]
    assert record(floor).book.news == {}


# Quarantine.


def test_a_raising_strategy_is_quarantined_alone() -> None:
    """Its half-done wishes vanish, it is told nothing more, a CRITICAL alert names the cause, and the others go on."""
    floor = a_floor()
    effects = floor.bar(100.0, volume=puppet.RAISE_AFTER_BUY)
    (alert,) = published(effects, Alert)
    assert (alert.name, alert.severity) == ("STRATEGY_QUARANTINED", Severity.CRITICAL)
    assert alert.text == f"trend: quarantined (keep_protective_stops): bar:IBM:1m:{floor.now_ns}: IndexError: list index out of range"
    assert floor.intents == []
    floor.bar(101.0)
    floor.bar(201.0, symbol=OTHER, volume=puppet.BUY)
    assert told(floor) == ["start", "bar 100.0"]
    assert floor.last.strategy_id == "calm"


def test_what_was_half_asked_for_does_not_leave_with_the_winding_down() -> None:
    """The order of the callback that raised is gone for good: the only order is the one that closes the position."""
    floor = holding(a_floor(**FLATTEN), protected=False)
    effects = floor.bar(100.0, volume=puppet.RAISE_AFTER_BUY)
    assert [(i.side, i.reason) for i in published(effects, OrderIntent)] == [(Side.SELL, QUARANTINE)]
    assert "HALF_WAY" not in floor.alerts


@pytest.mark.parametrize("callback", ["start", "bar", "trade", "quote", "book", "fill", "order", "timer", "stop"])
def test_every_callback_is_guarded(callback: str) -> None:
    """Wherever a strategy raises, it is quarantined and the host goes on."""
    floor = a_floor(fails_in=callback)
    level = BookLevel(price=1.0, size=1.0)
    floor.tell("md.trades.IBM", Trade(symbol=SYMBOL, price=1.0, size=1.0, exchange_ns=5))
    floor.tell("md.ticker.IBM", Ticker(symbol=SYMBOL, bid_price=1.0, ask_price=2.0, bid_size=1.0, ask_size=1.0, exchange_ns=6))
    floor.tell("md.book.IBM", BookSnapshot(symbol=SYMBOL, bids=(level,), asks=(), update_id=1, exchange_ns=7))
    floor.bar(100.0, volume=puppet.TIMER)
    floor.bar(100.0, volume=puppet.BUY)
    for order, _ in list(floor.orders.values()):
        floor.fill(order, 100)
    floor.wake(floor.now_ns)
    floor.clock(SessionPhase.ENDED)
    floor.bar(200.0, symbol=OTHER, volume=puppet.BUY)
    assert floor.alerts == ["STRATEGY_QUARANTINED"]
    assert "ZeroDivisionError" in record(floor).quarantine
    assert floor.last.strategy_id == "calm"


def test_the_host_dies_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not the strategy's own trouble and would not end again on a replay: it is not contained."""

    def exhausted(self: puppet.Puppet, what: str) -> None:
        raise MemoryError

    floor = a_floor()
    monkeypatch.setattr(puppet.Puppet, "_told", exhausted)
    with pytest.raises(MemoryError):
        floor.bar(100.0)


def test_a_malformed_wish_quarantines() -> None:
    """Half a share off the lot is the author's mistake."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BAD_ORDER)
    assert "StrategyError: trend: IBM: order_qty=0.5 is not a multiple of lot=1" in record(floor).quarantine


def test_the_book_of_a_quarantined_strategy_goes_on() -> None:
    """Fills, ends and denials after the quarantine still move its positions and orders."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BUY)
    order = floor.last
    floor.bar(100.0, volume=puppet.RAISE)
    floor.fill(order, 100)
    assert record(floor).book.positions[SYMBOL].qty == 10
    assert record(floor).book.working == {}


def test_keep_protective_stops_cancels_entries_and_leaves_exits() -> None:
    """After a raise the resting entry is cancelled and the stop stays."""
    floor = holding(a_floor(), protected=True)
    stop = floor.last
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    entry = floor.last
    floor.accept(entry)
    effects = floor.bar(100.0, volume=puppet.RAISE)
    (cancel,) = published(effects, CancelIntent)
    assert (cancel.target_intent_id, cancel.reason) == (entry.intent_id, QUARANTINE)
    assert checkpoints(effects) == [STRATEGY]
    floor.end(entry)
    assert list(record(floor).book.working) == [stop.intent_id]
    assert published(floor.said[-1:], OrderIntent) == []
    assert floor.host.next_wake_ns is None


def test_a_refused_cancel_is_tried_again_after_a_pause_and_not_before() -> None:
    """CANCEL_REJECTED is not answered at once, which could go on for ever, but when the retry is due."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    entry = floor.last
    floor.accept(entry)
    floor.bar(100.0, volume=puppet.RAISE)
    assert floor.reject_cancel(entry) == []
    effects = floor.wake(floor.now_ns + 5 * 10**9)
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [entry.intent_id]
    floor.end(entry)
    assert floor.host.next_wake_ns is None


def test_flatten_cancels_then_closes_at_market() -> None:
    """The stop is cancelled first and the position sold only when it has ended, so it cannot be sold twice."""
    floor = holding(a_floor(**FLATTEN), protected=True)
    stop = floor.last
    effects = floor.bar(100.0, volume=puppet.RAISE)
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [stop.intent_id]
    assert published(effects, OrderIntent) == []
    (close,) = published(floor.end(stop), OrderIntent)
    assert (close.side, close.order_type, close.order_qty, close.reason) == (Side.SELL, OrderType.MARKET, Decimal(10), QUARANTINE)
    floor.fill(close, 99)
    assert floor.position().position_qty == 0
    assert floor.host.next_wake_ns is None


def test_flatten_sells_only_the_rest_when_the_stop_fills_meanwhile() -> None:
    """What the stop sold while its cancel was under way is not there to be sold again."""
    floor = holding(a_floor(**FLATTEN), protected=True)
    stop = floor.last
    floor.bar(100.0, volume=puppet.RAISE)
    floor.fill(stop, 90, 4)
    (close,) = published(floor.end(stop), OrderIntent)
    assert close.order_qty == 6


def test_flatten_sends_nothing_when_the_stop_has_sold_everything() -> None:
    """A stop that wins the race ends the winding down."""
    floor = holding(a_floor(**FLATTEN), protected=True)
    stop = floor.last
    floor.bar(100.0, volume=puppet.RAISE)
    assert published(floor.fill(stop, 90), OrderIntent) == []
    assert floor.host.next_wake_ns is None


@pytest.mark.parametrize("how", ["denied", "rejected", "cancelled after a part"])
def test_flatten_is_tried_again_until_flat(how: str) -> None:
    """A closing order that ends without flattening is sent again after a pause, as often as it takes, each under a new id."""
    floor = holding(a_floor(**FLATTEN), protected=False)
    floor.bar(100.0, volume=puppet.RAISE)
    seen = {floor.last.intent_id}
    for _ in range(3):
        close = floor.last
        if how == "denied":
            effects = floor.deny(close)
        else:
            if how == "cancelled after a part":
                floor.fill(close, 99, 1)
            effects = floor.end(close, OrderStatus.REJECTED if how == "rejected" else OrderStatus.CANCELLED)
        assert published(effects, OrderIntent) == []
        floor.wake(floor.now_ns + 5 * 10**9)
        assert floor.last.intent_id not in seen
        seen.add(floor.last.intent_id)
    floor.fill(floor.last, 98)
    assert floor.position().position_qty == 0
    assert floor.host.next_wake_ns is None


def test_flatten_waits_while_its_order_works() -> None:
    """A closing order at the venue is left alone: it is neither cancelled nor doubled."""
    floor = holding(a_floor(**FLATTEN), protected=False)
    floor.bar(100.0, volume=puppet.RAISE)
    floor.accept(floor.last)
    assert floor.wake(floor.now_ns + 5 * 10**9) == []
    assert floor.host.next_wake_ns == floor.now_ns + 5 * 10**9


def test_flatten_follows_a_position_that_appears_later() -> None:
    """A late fill or an adjustment after everything had ended is closed too, a short one by buying."""
    floor = a_floor(**FLATTEN)
    floor.bar(100.0, volume=puppet.RAISE)
    (close,) = published(floor.adjust(-3), OrderIntent)
    assert (close.side, close.order_qty) == (Side.BUY, Decimal(3))


def test_less_than_a_lot_is_not_closed() -> None:
    """No order can close a third of a share where a lot is one; the host does not try for ever."""
    floor = a_floor(**FLATTEN)
    floor.bar(100.0, volume=puppet.RAISE)
    assert floor.adjust("0.3") == []
    assert floor.host.next_wake_ns is None


def test_timers_of_a_quarantined_strategy_do_not_come() -> None:
    """It is not called, so nobody needs to wake up for it."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.TIMER)
    floor.bar(100.0, volume=puppet.RAISE)
    assert floor.host.next_wake_ns is None
    floor.give(Wake(floor.now_ns))
    assert "timer tea" not in told(floor)


def test_quarantine_survives_a_restart_and_is_said_again() -> None:
    """A restart does not forgive, and tells whoever starts it."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.RAISE)
    floor.restart()
    effects = floor.start()
    assert [a.name for a in published(effects, Alert)] == ["STRATEGY_QUARANTINED"]
    floor.bar(101.0)
    assert told(floor) == ["start", "bar 100.0"]


def test_enable_ends_the_quarantine() -> None:
    """An operator's ENABLE lets it be called again, with the state it had."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.RAISE)
    assert answers(floor.switch(StrategyAction.ENABLE)) == ["strategy 'trend': ENABLE"]
    floor.bar(101.0, volume=puppet.BUY)
    assert told(floor) == ["start", "bar 100.0", "bar 101.0"]
    assert floor.last.strategy_id == STRATEGY


def test_a_start_that_raised_is_made_up_for_when_enabled() -> None:
    """`on_start` has not run until it has ended well."""
    floor = a_floor(fails_in="start")
    assert not record(floor).is_started
    floor.switch(StrategyAction.ENABLE)
    assert told(floor) == ["start", "start"]


def test_a_state_that_cannot_be_exported_quarantines_when_the_checkpoint_is_due() -> None:
    """The intent stands, the checkpoint says why it holds no state, and a restart finds the strategy quarantined."""
    floor = a_floor("broken_export")
    effects = floor.bar(100.0, volume=puppet.BUY)
    assert [a.name for a in published(effects, Alert)] == ["STRATEGY_QUARANTINED"]
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [floor.last.intent_id]
    assert checkpoints(effects) == [STRATEGY]
    kept = msgspec.json.decode(effects[-1].data, type=StrategyRecord)  # type: ignore[union-attr]
    assert kept.quarantine == "export_state: KeyError: 'state'"
    assert kept.state == ""


def test_a_snapshot_never_fails_for_one_strategy() -> None:
    """A state that msgspec cannot encode comes back as a quarantine of that strategy; the others come back whole."""
    floor = a_floor("broken_export")
    floor.bar(201.0, symbol=OTHER)
    floor.restart()
    floor.start()
    assert record(floor).quarantine == "export_state: KeyError: 'state'"
    assert told(floor, "calm") == ["start", "bar 201.0"]


# Switching.


def test_disable_cancels_entries_keeps_exits_and_lets_exits_through() -> None:
    """Switched off, a strategy goes on being called: it may reduce, and what would open risk counts as DISABLED."""
    floor = holding(a_floor(), protected=True)
    stop = floor.last
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    entry = floor.last
    effects = floor.switch(StrategyAction.DISABLE)
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [entry.intent_id]
    assert answers(effects) == ["strategy 'trend': DISABLE"]
    floor.end(entry)
    assert list(record(floor).book.working) == [stop.intent_id]
    assert published(floor.bar(100.0, volume=puppet.BUY), OrderIntent) == []
    assert floor.reasons == ["DISABLED"]
    (sell,) = published(floor.bar(100.0, volume=puppet.SELL), OrderIntent)
    assert sell.side is Side.SELL


def test_disable_survives_a_restart_and_enable_ends_it() -> None:
    """The switch is part of the state."""
    floor = a_floor()
    floor.switch(StrategyAction.DISABLE)
    floor.restart()
    assert published(floor.bar(100.0, volume=puppet.BUY), OrderIntent) == []
    floor.switch(StrategyAction.ENABLE)
    assert len(published(floor.bar(100.0, volume=puppet.BUY), OrderIntent)) == 1


def test_disable_of_a_quarantined_strategy_leaves_it_quarantined() -> None:
    """Both are off; ENABLE ends both."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.RAISE)
    floor.switch(StrategyAction.DISABLE)
    assert record(floor).quarantine
    assert not record(floor).entries_enabled
    floor.switch(StrategyAction.ENABLE)
    assert (record(floor).quarantine, record(floor).entries_enabled) == ("", True)


def test_entries_asked_for_before_a_disable_are_cancelled_after_a_restart_too() -> None:
    """Unfinished winding down goes on where it was."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    entry = floor.last
    floor.accept(entry)
    floor.switch(StrategyAction.DISABLE)
    floor.reject_cancel(entry)
    floor.restart()
    floor.start()
    effects = floor.wake(floor.now_ns + 5 * 10**9)
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [entry.intent_id]


def test_unknown_strategies_and_commands_are_answered() -> None:
    """An operator always learns what became of a command."""
    floor = a_floor()
    assert answers(floor.switch(StrategyAction.DISABLE, "nobody")) == ["strategy 'nobody' is not known, there are: trend, calm"]
    assert answers(floor.give(Command("op-1", "olga", CancelAllOrders(reason="x")))) == ["CancelAllOrders is not for the strategy_runner"]


@pytest.mark.parametrize("topic", ["orders.events", "risk.decision"])
def test_entries_are_switched_off_when_the_ledger_can_no_longer_be_heard(topic: str) -> None:
    """A stopped link hides what is held: no entries until a person enables them, entries at work are cancelled."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    entry = floor.last
    effects = floor.give(Observed(LinkStopped(topic, "oms", "poison")))
    assert [a.name for a in published(effects, Alert)] == ["STRATEGY_BLIND", "STRATEGY_BLIND"]
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [entry.intent_id]
    assert published(floor.bar(100.0, volume=puppet.BUY), OrderIntent) == []
    assert published(floor.give(Observed(LinkStopped(topic, "oms", "poison"))), Alert) == []


# Overnight.


def test_a_position_that_should_not_be_there_is_alerted_at_the_close_and_on_the_next_day() -> None:
    """`overnight = never`: CRITICAL once at the close, once on the first bar of another day, and not in between."""
    floor = a_floor("nightless")
    first, second = date(2024, 3, 5), date(2024, 3, 6)
    floor.bar(100.0, at_ns=new_york(first, "15:58"), volume=puppet.BUY)
    floor.fill(floor.last, 100)
    for day, clock, alerts in (
        (first, "15:59", 0),
        (first, "16:00", 1),
        (first, "16:01", 1),
        (second, "09:31", 2),
        (second, "09:32", 2),
        (second, "16:00", 3),
    ):
        floor.bar(100.0, at_ns=new_york(day, clock))
        assert len(floor.alerts) == alerts, clock
    assert floor.alerts == ["POSITION_AT_CLOSE", "POSITION_OVERNIGHT", "POSITION_AT_CLOSE"]


def test_a_position_found_overnight_is_alerted_when_the_process_starts() -> None:
    """A start on another day does not wait for the first bar."""
    floor = a_floor("nightless")
    floor.bar(100.0, at_ns=new_york(date(2024, 3, 5), "15:58"), volume=puppet.BUY)
    floor.fill(floor.last, 100)
    floor.restart()
    floor.now_ns = new_york(date(2024, 3, 6), "08:00")
    (alert,) = published(floor.start(), Alert)
    assert (alert.name, alert.text) == ("POSITION_OVERNIGHT", "trend: position found overnight: IBM 10")


@pytest.mark.parametrize(("kind", "buys"), [("nightless", False), ("puppet", True)])
def test_no_overnight_alert_when_flat_or_when_holding_is_allowed(kind: str, buys: bool) -> None:
    """Nothing held, or nothing forbidden: nothing to say."""
    floor = a_floor(kind)
    floor.bar(100.0, at_ns=new_york(date(2024, 3, 5), "15:58"), volume=puppet.BUY if buys else puppet.QUIET)
    if buys:
        floor.fill(floor.last, 100)
    floor.bar(100.0, at_ns=new_york(date(2024, 3, 5), "16:00"))
    floor.bar(100.0, at_ns=new_york(date(2024, 3, 6), "09:31"))
    assert floor.alerts == []


# Restarting.


NEVER = -1


def _day_of_events(floor: Floor, restart_at: int) -> list[int | None]:
    """A little of everything, with a restart before event `restart_at`; when the host wants to wake after each."""
    events: list[Callable[[], object]] = [
        lambda: floor.bar(100.0, volume=puppet.BUY),
        lambda: floor.fill(floor.last, 100, 4),
        lambda: floor.bar(101.0, volume=puppet.TIMER),
        lambda: floor.bar(50.0, symbol=OTHER, volume=puppet.LIMIT_BUY),
        lambda: floor.accept(floor.last),
        lambda: floor.wake(floor.now_ns + 10**9),
        lambda: floor.bar(102.0, volume=puppet.PROTECT),
        lambda: floor.switch(StrategyAction.DISABLE, "calm"),
        lambda: floor.reject_cancel(next(i for i in floor.intents if isinstance(i, OrderIntent) and i.symbol == OTHER)),
        lambda: floor.bar(103.0, volume=puppet.RAISE),
        lambda: floor.deny(floor.last),
        lambda: floor.wake(floor.now_ns + 5 * 10**9),
        lambda: floor.clock(SessionPhase.ENDED),
    ]
    wakes = []
    for k, event in enumerate(events):
        if k == restart_at:
            floor.restart()
        event()
        wakes.append(floor.host.next_wake_ns)
    return wakes


@pytest.mark.parametrize("upto", range(13))
def test_a_restored_host_goes_on_exactly_as_the_one_that_died(upto: int) -> None:
    """From any point on, effects, wakes and the final state are those of the host that was never restarted."""
    lived, restarted = a_floor(**FLATTEN), a_floor(**FLATTEN)
    assert _day_of_events(lived, NEVER) == _day_of_events(restarted, upto)
    assert lived.said == restarted.said
    assert msgspec.json.encode(lived.host.snapshot()) == msgspec.json.encode(restarted.host.snapshot())
    ids = [i.intent_id for i in lived.intents]
    assert len(ids) == len(set(ids))


def test_a_snapshot_is_not_changed_by_what_comes_after_it() -> None:
    """A snapshot is a copy."""
    floor = a_floor()
    floor.bar(100.0, volume=puppet.BUY)
    taken = floor.host.snapshot()
    before = msgspec.json.encode(taken)
    floor.fill(floor.last, 100)
    assert msgspec.json.encode(taken) == before


def _settings(kind: str) -> dict[str, object]:
    return {"feed": {"symbols": [SYMBOL, OTHER]}, "strategies": {"trend": {"kind": kind, "symbols": [SYMBOL]}, "calm": {"kind": "puppet", "symbols": [OTHER]}}}


def test_an_older_state_is_upgraded() -> None:
    """A release with another state version reads the checkpoint through `upgrade_state`."""
    floor = a_floor()
    floor.bar(100.0)
    floor.restart(settings_with(**_settings("next")))
    assert told(floor) == ["upgraded", "start", "bar 100.0"]
    assert record(floor).version == 2


def test_a_checkpoint_that_cannot_be_read_quarantines_that_strategy_and_is_kept() -> None:
    """The strategy waits, its record unharmed, for a release that can read it; the others run."""
    floor = a_floor()
    floor.bar(100.0)
    before = record(floor)
    floor.restart(settings_with(**_settings("forgetful")))
    assert [a.name for a in published(floor.start(), Alert)] == ["STRATEGY_QUARANTINED"]
    assert answers(floor.switch(StrategyAction.ENABLE))[0].startswith("strategy 'trend' cannot run: checkpoint: StrategyError: checkpoint version 1")
    floor.bar(101.0)
    floor.bar(201.0, symbol=OTHER)
    assert told(floor, "calm") == ["start", "bar 201.0"]
    after = record(floor)
    assert (after.version, after.state, after.is_started) == (before.version, before.state, True)
    floor.restart(floor.settings)
    floor.switch(StrategyAction.ENABLE)
    floor.bar(102.0)
    assert told(floor) == ["start", "bar 100.0", "bar 102.0"]


def test_a_strategy_taken_out_of_the_configuration_is_not_forgotten() -> None:
    """Its book goes on, its entries are cancelled, an alert says that nobody runs it, and it comes back with its state."""
    floor = holding(a_floor(), protected=True)
    stop = floor.last
    floor.bar(100.0, volume=puppet.LIMIT_BUY)
    entry = floor.last
    floor.restart(settings_with(strategies={"trend": {"kind": "puppet", "symbols": [SYMBOL], "enabled": False}}))
    effects = floor.start()
    assert [a.name for a in published(effects, Alert)] == ["STRATEGY_MISSING"]
    assert [c.target_intent_id for c in published(effects, CancelIntent)] == [entry.intent_id]
    floor.end(entry)
    floor.fill(stop, 90)
    assert answers(floor.switch(StrategyAction.ENABLE)) == ["strategy 'trend' cannot run: the configuration does not run it"]
    floor.restart(floor.settings)
    assert record(floor).book.positions[SYMBOL].qty == 0
    assert told(floor)[0] == "start"
    assert published(floor.start(), Alert) == []


def test_a_missing_strategy_without_anything_open_is_not_worth_an_alert() -> None:
    """Taking a flat strategy out is ordinary."""
    floor = a_floor()
    floor.restart(settings_with(strategies={"trend": {"kind": "puppet", "symbols": [SYMBOL], "enabled": False}}))
    assert published(floor.start(), Alert) == []


def test_a_strategy_that_is_new_in_the_configuration_starts_after_a_restart() -> None:
    """Others keep their state; the new one has its `on_start`."""
    floor = Floor(settings_with(strategies={"trend": {"kind": "puppet", "symbols": [SYMBOL]}}))
    floor.start()
    floor.restart(settings_with(**_settings("puppet")))
    floor.start()
    assert told(floor) == ["start"]
    assert told(floor, "calm") == ["start"]


# Building.


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    """A bad kind, bad parameters and a missing instrument are one refusal, each named by its place in the configuration."""
    settings = settings_with(
        feed={"symbols": ["A", "B", "C", "D"]},
        strategies={
            "trend": {"kind": "nonsense", "symbols": ["A"]},
            "b": {"kind": "puppet", "symbols": ["B"], "params": {"lots": "many", "color": "red", "on_quarantine": "pray"}},
            "c": {"kind": "unmakeable", "symbols": ["C"]},
            "d": {"kind": "puppet", "symbols": ["D"]},
        },
    )
    settings = settings.model_copy(update={"instruments": dict.fromkeys("ABC", settings.instruments["default"])})
    with pytest.raises(ConfigError) as refused:
        build_host(settings, epoch=EPOCH)
    found = "\n".join(refused.value.problems)
    for expected in (
        "strategies.trend.kind: strategy kind 'nonsense' is not known, available are broken_export,",
        "strategies.b.params.lots: 'many' is not allowed: ",
        "strategies.b.params.color: is not a known parameter",
        "strategies.b.params.on_quarantine: 'pray' is not allowed: ",
        "strategies.c.kind: unmakeable cannot be made: OSError: no licence",
        "strategies.d.symbols: D has no instrument, a row in config/instruments.yaml is required",
    ):
        assert expected in found
    assert len(refused.value.problems) == 6


def test_a_disabled_strategy_is_not_even_loaded() -> None:
    """`enabled: false` keeps a broken strategy from keeping the suite down."""
    settings = settings_with(strategies={"trend": {"kind": "nonsense", "symbols": [SYMBOL], "enabled": False}})
    host: StrategyHost = build_host(settings, epoch=EPOCH)
    assert host.snapshot().strategies == {}
