"""Reservations and positions: what a ledger event releases, and what it must not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.contracts import ExecType, OrderStateChanged, OrderStatus, OrderType, Side
from core.money import ZERO
from risk.exposure import NOTHING, Exposure, ExposureState, reservation_of
from tests.support.builders import SYMBOL, a_position, an_intent, an_order_event
from tests.support.risk_desk import numbers

_A, _P, _F, _C = OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED, OrderStatus.CANCELLED
_R, _E, _S = OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.SUBMITTED
DOUBT, LOST, REPLACING = ("in_doubt",), ("lost",), ("pending_replace",)


def _reserved(qty: int = 10, **changes: Any) -> Exposure:
    exposure = Exposure()
    exposure.reserve("a", reservation_of(an_intent("a", order_qty=qty, **changes)))
    return exposure


def _event(status: OrderStatus, **changes: Any) -> OrderStateChanged:
    return an_order_event(an_intent("a", order_qty=changes.pop("order_qty", 10)), status, **changes)


def _working(exposure: Exposure) -> int:
    return int(exposure.of(SYMBOL).working_buy_qty)


@pytest.mark.parametrize(
    ("event", "working", "held"),
    [
        (_event(OrderStatus.PENDING), 10, 0),
        (_event(_S), 10, 0),
        (_event(_A), 10, 0),
        (_event(_P, cum_qty=3, position=a_position(3)), 7, 3),
        (_event(_P, cum_qty=9, position=a_position(9)), 1, 9),
        (_event(_F, cum_qty=10, position=a_position(10)), 0, 10),
        (_event(_F, cum_qty=12, position=a_position(12), facets=("overfilled",)), 0, 12),
        (_event(_C), 0, 0),
        (_event(_C, cum_qty=4, position=a_position(4)), 0, 4),
        (_event(_R), 0, 0),
        (_event(_E, cum_qty=1, position=a_position(1)), 0, 1),
        (_event(_S, facets=DOUBT), 10, 0),
        (_event(_P, cum_qty=3, position=a_position(3), facets=DOUBT), 7, 3),
        (_event(_S, facets=LOST), 10, 0),
        (_event(_S, leaves_qty=0, facets=LOST), 10, 0),
        (_event(_C, cum_qty=3, position=a_position(3), facets=LOST), 7, 3),
        (_event(_C, cum_qty=3, position=a_position(3), facets=DOUBT), 7, 3),
        (_event(_A, leaves_qty=0, facets=("suspended",)), 0, 0),
    ],
)
def test_a_reservation_is_released_by_what_the_event_took_away(event: OrderStateChanged, working: int, held: int) -> None:
    """A fill releases what it filled, an end the remainder, doubt nothing; position and reservation change in one step."""
    exposure = _reserved()
    exposure.on_order(event)
    row = exposure.of(SYMBOL)

    assert numbers(row.working_buy_qty, row.position_qty, row.working_sell_qty) == (working, held, 0)


def test_partial_fills_release_one_after_the_other_until_nothing_is_left() -> None:
    """Position and working quantity always sum to what was approved, at every fill of an order."""
    exposure = _reserved()
    for cum in range(1, 10):
        exposure.on_order(_event(_P, cum_qty=cum, position=a_position(cum)))
        assert exposure.of(SYMBOL).position_qty + exposure.of(SYMBOL).working_buy_qty == 10
    exposure.on_order(_event(_F, cum_qty=10, position=a_position(10)))

    assert numbers(exposure.of(SYMBOL).position_qty, exposure.of(SYMBOL).working_buy_qty) == (10, 0)
    assert exposure.reservations == {}


def test_a_sells_reservation_counts_on_its_own_side() -> None:
    """Buys and sells are never netted: both could fill first."""
    exposure = _reserved(side=Side.SELL)
    exposure.reserve("b", reservation_of(an_intent("b", order_qty=4)))

    assert numbers(exposure.of(SYMBOL).working_buy_qty, exposure.of(SYMBOL).working_sell_qty) == (4, 10)
    assert exposure.of(SYMBOL).worst_qty == 10


def test_the_same_event_again_releases_nothing_more() -> None:
    """Quantities are the order's own totals, so a repeat cannot release twice."""
    exposure = _reserved()
    for _ in range(3):
        exposure.on_order(_event(_P, cum_qty=3, position=a_position(3)))

    assert numbers(_working(exposure), exposure.of(SYMBOL).position_qty) == (7, 3)


def test_a_bust_gives_the_reservation_back_while_the_order_lives() -> None:
    """A busted fill can trade again; the position follows the ledger's word."""
    exposure = _reserved()
    exposure.on_order(_event(_P, cum_qty=3, position=a_position(3)))
    exposure.on_order(_event(_A, cum_qty=0, position=a_position(0), exec_type=ExecType.TRADE_CANCEL))

    assert numbers(_working(exposure), exposure.of(SYMBOL).position_qty) == (10, 0)


def test_a_correction_changes_the_position_of_an_ended_order() -> None:
    """After the end only the position moves."""
    exposure = _reserved()
    exposure.on_order(_event(_F, cum_qty=10, position=a_position(10)))
    exposure.on_order(_event(_F, cum_qty=8, position=a_position(8), exec_type=ExecType.TRADE_CORRECT))

    assert numbers(_working(exposure), exposure.of(SYMBOL).position_qty) == (0, 8)
    assert exposure.reservations == {}


def test_doubt_is_counted_until_it_is_resolved() -> None:
    """A symbol knows how many of its orders have an unknown outcome."""
    exposure = _reserved()
    exposure.on_order(_event(_S, facets=DOUBT))
    assert exposure.of(SYMBOL).in_doubt == 1
    exposure.on_order(_event(_S, facets=DOUBT))
    assert exposure.of(SYMBOL).in_doubt == 1
    exposure.on_order(_event(_A))

    assert exposure.of(SYMBOL).in_doubt == 0


@pytest.mark.parametrize(("wanted", "working"), [(15, 15), (10, 10), (4, 10)])
def test_a_pending_replace_counts_the_larger_side(wanted: int, working: int) -> None:
    """Until the venue has answered, either terms may be the ones that trade."""
    exposure = _reserved()
    exposure.reserve_replace("a", Decimal(wanted))

    assert _working(exposure) == working


@pytest.mark.parametrize(
    ("events", "working"),
    [
        ([_event(_A)], 15),
        ([_event(_P, cum_qty=3, position=a_position(3))], 12),
        ([_event(_A, facets=REPLACING)], 15),
        ([_event(_A, facets=REPLACING), _event(_P, cum_qty=3, position=a_position(3), facets=REPLACING)], 12),
        ([_event(_A, facets=REPLACING), _event(_A, order_qty=15, exec_type=ExecType.REPLACED)], 15),
        ([_event(_A, order_qty=15, exec_type=ExecType.REPLACED)], 15),
        ([_event(_A, facets=REPLACING), _event(_A, exec_type=ExecType.REPLACE_REJECTED)], 10),
        ([_event(_A, exec_type=ExecType.REPLACE_REJECTED)], 10),
        ([_event(_A, facets=REPLACING), _event(_A, exec_type=ExecType.NOT_SENT)], 10),
        ([_event(_A, exec_type=ExecType.REPLACE_REJECTED, facets=REPLACING)], 15),
        ([_event(_A, facets=(*DOUBT, *REPLACING))], 15),
        ([_event(_A, facets=REPLACING), _event(_F, cum_qty=10, position=a_position(10))], 0),
        ([_event(_F, cum_qty=10, position=a_position(10), facets=REPLACING)], 5),
        ([_event(_C)], 0),
        ([_event(_A, facets=REPLACING), _event(_C)], 0),
    ],
)
def test_a_replace_is_counted_until_the_ledger_shows_its_answer(events: list[OrderStateChanged], working: int) -> None:
    """A rejection gives the difference back, a confirmation keeps it, silence and older events change nothing."""
    exposure = _reserved()
    exposure.reserve_replace("a", Decimal(15))
    for event in events:
        exposure.on_order(event)

    assert _working(exposure) == working


def test_a_confirmed_replace_to_less_releases_the_difference() -> None:
    """The larger side counts only while the replace is pending."""
    exposure = _reserved()
    exposure.reserve_replace("a", Decimal(4))
    exposure.on_order(_event(_A, order_qty=4, exec_type=ExecType.REPLACED))

    assert numbers(_working(exposure), exposure.reservations["a"].order_qty, exposure.reservations["a"].revision) == (4, 4, 1)


def test_an_order_nobody_approved_is_counted_too() -> None:
    """A live order that risk does not know (another's, or one that came back) takes part in the worst case."""
    exposure = Exposure()
    exposure.on_order(_event(_P, cum_qty=3, position=a_position(3, strategy_id="_external"), intent_id="", strategy_id="_external"))

    assert numbers(_working(exposure), exposure.of(SYMBOL).position_qty) == (7, 3)
    (found,) = exposure.reservations.values()
    assert found.order_type is None
    assert list(exposure.reservations) == [_event(_A).client_order_id]


def test_the_end_of_an_unknown_order_leaves_nothing_behind() -> None:
    """A late fill of an ended order moves the position and reserves nothing."""
    exposure = Exposure()
    exposure.on_order(_event(_C, cum_qty=3, position=a_position(3)))

    assert numbers(exposure.of(SYMBOL).position_qty) == (3,)
    assert exposure.reservations == {}


def test_the_accounts_position_is_the_sum_of_its_owners() -> None:
    """Suspense, adjustments and other people's orders count like a strategy's own."""
    exposure = Exposure()
    for owner, qty in (("trend", 10), ("_external", 5), ("_suspense", -3), ("_adjustment", 1), ("trend", 8)):
        exposure.on_position(a_position(qty, strategy_id=owner))

    assert exposure.of(SYMBOL).position_qty == 11


def test_a_symbol_is_open_while_it_is_held_or_worked() -> None:
    """The number of open positions falls when the last order ends without a position."""
    exposure = _reserved()
    assert (exposure.open_positions_with(SYMBOL), exposure.open_positions_with("B")) == (1, 2)
    exposure.on_order(_event(_C))

    assert (exposure.open_positions_with(SYMBOL), exposure.symbols) == (1, {})
    exposure.on_position(a_position(5))
    exposure.on_position(a_position(0))
    assert exposure.symbols == {}


def test_a_symbol_nobody_touched_has_nothing() -> None:
    """The empty row is shared and stays empty."""
    exposure = _reserved(symbol="B")
    exposure.on_position(a_position(5, symbol="C"))

    assert exposure.of(SYMBOL) is NOTHING
    assert (NOTHING.position_qty, NOTHING.working_buy_qty, NOTHING.owners, NOTHING.is_open) == (ZERO, ZERO, {}, False)


def test_a_snapshot_is_the_whole_exposure_and_independent_of_it() -> None:
    """What is restored from JSON is equal, goes on equally, and the old object's changes do not reach it."""
    exposure = _reserved(order_type=OrderType.LIMIT, limit_price="99.50")
    exposure.reserve_replace("a", Decimal("15.0"))
    exposure.on_order(_event(_P, cum_qty=3, position=a_position(3), facets=(*DOUBT, *REPLACING)))
    exposure.on_position(a_position("-2.50", symbol="B"))
    state = msgspec.json.decode(msgspec.json.encode(exposure.snapshot()), type=ExposureState)
    assert state == exposure.snapshot()

    other = Exposure()
    other.restore(state)
    exposure.on_position(a_position(7, strategy_id="_external"))
    assert other.snapshot() == state
    other.on_position(a_position(7, strategy_id="_external"))
    assert other.snapshot() == exposure.snapshot()
