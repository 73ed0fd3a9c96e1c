"""Faults of trading, against the real gateway and OMS: the venue's books and ours agree whatever it executed, undid or made up."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import ExecType, LedgerAdjusted, OrderStatus, OrderType, TimeInForce
from core.order import Facet
from core.topics import Daemon
from core.venue import Cancel
from execution.reconciliation.external import EXTERNAL
from tests.support.faulty_floor import FaultyFloor

_DAY_MIN = 24 * 60


def test_partial_then_cancel_race_books_the_part_when_the_cancel_wins_the_rest() -> None:
    """Five were executed while the cancel came in: they are held, and the order is CANCELLED with five."""
    floor = FaultyFloor({"partial_then_cancel_race": 1.0})
    intent = floor.submit()
    floor.cancel(intent)
    order = floor.order(intent)
    assert (order.status, order.cum_qty, order.leaves_qty, floor.position()) == (OrderStatus.CANCELLED, Decimal(5), Decimal(0), 5)
    floor.require_whole()


@pytest.mark.parametrize("seed", range(1, 5))
def test_cancel_rejected_then_fill_leaves_the_order_when_the_venue_says_no(seed: int) -> None:
    """Refused at once or after having been taken: the fill stands, and nobody asks for a cancel of what has ended."""
    floor = FaultyFloor({"cancel_rejected_then_fill": 1.0}, seed=seed)
    intent = floor.submit()
    floor.cancel(intent)
    floor.run_for(120_000)
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    assert ExecType.CANCEL_REJECTED in [report.exec_type for report in floor.reports]
    assert floor.requests(Cancel) == 1
    floor.require_whole()


def test_cancel_rejected_then_fill_takes_both_ways_when_seeds_differ() -> None:
    """The test above sees an outright refusal and one after an acknowledgement."""
    pending = set()
    for seed in range(1, 5):
        floor = FaultyFloor({"cancel_rejected_then_fill": 1.0}, seed=seed)
        floor.cancel(floor.submit())
        pending.add(ExecType.PENDING_CANCEL in [report.exec_type for report in floor.reports])
    assert pending == {True, False}


@pytest.mark.parametrize("seed", range(1, 5))
def test_replace_race_keeps_what_was_executed_when_the_replacement_comes_in(seed: int) -> None:
    """Half of it traded: the replacement holds for the rest. All of it traded: the replacement is refused and the order stands."""
    floor = FaultyFloor({"replace_race": 1.0}, seed=seed)
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=100)
    floor.replace(intent, order_qty=14, limit_price=101)
    executed = floor.order(intent).cum_qty
    is_refused = ExecType.REPLACE_REJECTED in [report.exec_type for report in floor.reports]
    assert (executed, is_refused) in [(Decimal(5), False), (Decimal(10), True)]
    floor.bar()
    floor.run_for(1_000)
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10 if is_refused else 14)
    floor.require_whole()


def test_replace_race_goes_both_ways_when_seeds_differ() -> None:
    """The test above sees a whole execution and a partial one."""
    executed = set()
    for seed in range(1, 5):
        floor = FaultyFloor({"replace_race": 1.0}, seed=seed)
        intent = floor.submit(order_type=OrderType.LIMIT, limit_price=100)
        floor.replace(intent, order_qty=14, limit_price=101)
        executed.add(floor.order(intent).cum_qty)
    assert executed == {5, 10}


def test_out_of_order_fills_are_both_booked_when_the_second_is_told_first() -> None:
    """The larger total comes first; each print is booked as what it is."""
    floor = FaultyFloor({"out_of_order_fills": 1.0})
    intent = floor.submit()
    floor.bar()
    told = [(report.last_qty, report.cum_qty) for report in floor.reports if report.exec_type is ExecType.TRADE]
    assert told == [(Decimal(5), Decimal(10)), (Decimal(5), Decimal(5))]
    assert (floor.status(intent), floor.facets(intent), floor.position()) == (OrderStatus.FILLED, (), 10)
    floor.require_whole()


def test_partial_fill_stall_ends_by_the_time_to_live_when_the_venue_trades_no_more() -> None:
    """Half is executed and then nothing: the order works until its time is over, and ends with its half."""
    floor = FaultyFloor({"partial_fill_stall": 1.0}, stall_ms=3_600_000)
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=101, ttl_ms=150_000)
    floor.bar()
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.PARTIALLY_FILLED, 5)
    floor.bar()
    order = floor.order(intent)
    assert (order.status, order.closure is not None and order.closure.cause, floor.position()) == (OrderStatus.CANCELLED, "TTL", 5)
    floor.require_whole()


def test_late_fill_after_cancel_is_booked_when_the_order_has_ended() -> None:
    """A second after CANCELLED half of it turns out executed: booked, flagged, alerted, and the order stays ended."""
    floor = FaultyFloor({"late_fill_after_cancel": 1.0})
    intent = floor.submit()
    floor.cancel(intent)
    assert (floor.status(intent), floor.position()) == (OrderStatus.CANCELLED, 0)
    floor.run_for(1_100)
    assert (floor.status(intent), floor.facets(intent), floor.position()) == (OrderStatus.CANCELLED, (Facet.LATE_FILL,), 5)
    assert "LateFill" in floor.alerts
    floor.require_whole()


def test_overfill_is_held_and_flagged_when_the_venue_executes_too_much() -> None:
    """Eleven were executed of ten: eleven are held, and people hear of it."""
    floor = FaultyFloor({"overfill": 1.0})
    intent = floor.submit()
    floor.bar()
    floor.run_for(1_100)
    order = floor.order(intent)
    assert (order.status, order.cum_qty, floor.facets(intent), floor.position()) == (OrderStatus.FILLED, Decimal(11), (Facet.OVERFILLED,), 11)
    assert "Overfill" in floor.alerts
    floor.require_whole()


def test_trade_bust_is_reversed_when_the_order_has_ended() -> None:
    """Position and cash are as if it had not traded; the order stays FILLED, so no phantom shares are bought."""
    floor = FaultyFloor({"trade_bust": 1.0})
    intent = floor.submit()
    cash = floor.oms.ledger.balances["USD"]
    floor.bar()
    floor.run_for(1_100)
    assert (floor.status(intent), floor.facets(intent)) == (OrderStatus.FILLED, (Facet.BUSTED,))
    assert (floor.position(), floor.oms.ledger.balances["USD"]) == (0, cash)
    floor.bar()
    assert floor.placed(intent) == 1
    floor.require_whole()


def test_trade_bust_gives_the_shares_back_when_the_order_still_works() -> None:
    """The only execution of a working order is taken back: it is ACCEPTED again and fills anew."""
    floor = FaultyFloor({"trade_bust": 1.0, "partial_fill_stall": 1.0}, stall_ms=90_000)
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=101)
    floor.bar()
    assert floor.status(intent) is OrderStatus.PARTIALLY_FILLED
    floor.run_for(1_100)
    order = floor.order(intent)
    assert (order.status, order.leaves_qty, floor.position()) == (OrderStatus.ACCEPTED, Decimal(10), 0)
    floor.bar()
    floor.bar()
    assert (floor.status(intent), floor.position()) == (OrderStatus.FILLED, 10)
    floor.require_whole()


def test_trade_correct_rebooks_the_execution_when_its_price_was_wrong() -> None:
    """Same shares, another price, another fee: reversed and booked anew."""
    floor = FaultyFloor({"trade_correct": 1.0})
    intent = floor.submit()
    floor.bar()
    before = floor.oms.ledger.balances["USD"]
    floor.run_for(1_100)
    order = floor.order(intent)
    assert (order.status, order.avg_price, floor.position()) == (OrderStatus.FILLED, Decimal("100.01"), 10)
    assert before - floor.oms.ledger.balances["USD"] == Decimal("0.10")
    floor.require_whole()


def test_split_overnight_multiplies_what_is_held_when_a_new_day_begins() -> None:
    """Ten become twenty at half the average, cash stays, resting orders are ended by the venue, and everyone is told by the one stream."""
    floor = FaultyFloor({"split_overnight": 1.0})
    floor.submit()
    resting = floor.submit(2, order_type=OrderType.LIMIT, limit_price=90, time_in_force=TimeInForce.GTC)
    floor.bar()
    before, cash = floor.oms.ledger.position("IBM", "trend"), floor.oms.ledger.balances["USD"]
    floor.bar(minutes=_DAY_MIN)
    after = floor.oms.ledger.position("IBM", "trend")
    assert (after.qty, after.avg_price * 2, floor.oms.ledger.balances["USD"]) == (before.qty * 2, before.avg_price, cash)
    order = floor.order(resting)
    assert (order.status, order.closure is not None and order.closure.cause) == (OrderStatus.CANCELLED, "SPLIT")
    assert "StockSplit" in floor.alerts
    (adjusted,) = [body for body in floor.said if isinstance(body, LedgerAdjusted) and body.reason == "SPLIT"]
    assert adjusted.position is not None and adjusted.position.position_qty == 20
    floor.require_whole()


def test_foreign_order_is_held_apart_when_somebody_trades_by_hand() -> None:
    """Shown as external, never managed: what it executed is held by nobody's strategy, and counts."""
    floor = FaultyFloor({"foreign_order": 1.0})
    floor.bar()
    assert abs(floor.position(EXTERNAL)) == 1
    assert floor.position() == 0
    assert "ExternalOrder" in floor.alerts
    assert floor.gateway.snapshot().orders == ()
    (told,) = {event.strategy_id for event in floor.events}
    assert told == EXTERNAL
    floor.require_whole()


def test_unsolicited_cancel_is_an_end_when_nobody_asked_for_it() -> None:
    """The venue ended it, for the venue's reason; nothing goes in its place."""
    floor = FaultyFloor({"unsolicited_cancel": 1.0})
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=90)
    floor.bar()
    order = floor.order(intent)
    assert (order.status, order.closure is not None and order.closure.cause) == (OrderStatus.CANCELLED, "VENUE_RISK")
    floor.require_whole()


def test_unsolicited_replace_keeps_the_order_ours_when_it_goes_by_another_id() -> None:
    """Known by the id the venue gave it, it can still be cancelled, and its executions are the strategy's."""
    floor = FaultyFloor({"unsolicited_replace": 1.0})
    intent = floor.submit(order_type=OrderType.LIMIT, limit_price=90)
    other = floor.submit(2, order_type=OrderType.LIMIT, limit_price=95)
    floor.bar()
    order = floor.order(intent)
    assert order.terms.client_order_id != order.client_order_id
    floor.bar(89.0)
    assert (floor.status(intent), floor.status(other), floor.position()) == (OrderStatus.FILLED, OrderStatus.FILLED, 20)
    floor.require_whole()
    again = FaultyFloor({"unsolicited_replace": 1.0})
    intent = again.submit(order_type=OrderType.LIMIT, limit_price=90)
    again.bar()
    again.cancel(intent)
    assert again.status(intent) is OrderStatus.CANCELLED
    again.require_whole()


@pytest.mark.parametrize(("kind", "left"), [("late_fill_after_cancel", 0), ("overfill", 10)])
def test_a_late_execution_is_taken_back_when_it_is_busted(kind: str, left: int) -> None:
    """An execution after the end, then its bust: the last word about the order follows both."""
    floor = FaultyFloor({kind: 1.0, "trade_bust": 1.0}, strikes_max=None)
    intent = floor.submit()
    if kind == "overfill":
        floor.bar()
    else:
        floor.cancel(intent)
    floor.run_for(10_000)
    assert floor.position() == left
    assert any(key.startswith("amendment/") for key in floor.archives[Daemon.PAPER_VENUE])
    assert floor.facets(intent) == ((Facet.LATE_FILL, Facet.BUSTED) if left == 0 else (Facet.BUSTED,))
    assert set(floor.strikes) == {kind, "trade_bust"}
    floor.require_whole()
