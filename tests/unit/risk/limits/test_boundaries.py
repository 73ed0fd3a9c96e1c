"""Each limit at its edge: what is exactly allowed passes, the smallest step beyond is denied and says by how much."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest

from core.contracts import OrderType, RiskDecision, Side, Verdict
from tests.support.builders import NOW, SYMBOL, an_intent, settings_with
from tests.support.risk_desk import RiskDesk, a_replace_intent, codes


def _desk(price: float = 100.0, instrument: dict[str, str] | None = None, **limits: Any) -> RiskDesk:
    row = {"tick": "0.01", "lot": "1", "order_qty_min": "1"} | (instrument or {})
    return RiskDesk(settings_with(limits=limits, instruments={"default": row}), price=price)


def _evidence(decision: RiskDecision, code: str) -> str:
    (found,) = [denial.evidence for denial in decision.denials if denial.code == code]
    return found


@pytest.mark.parametrize(("qty", "expected"), [(100, []), (101, ["ORDER_QTY_MAX"])])
def test_an_orders_quantity_is_denied_only_when_it_is_above_the_limit(qty: int, expected: list[str]) -> None:
    """order_qty_max itself is allowed."""
    decision = _desk(price=1.0, order_qty_max=100).ask(an_intent(order_qty=qty))

    assert codes(decision) == expected
    if expected:
        assert _evidence(decision, "ORDER_QTY_MAX") == "order_qty=101, order_qty_max=100"


@pytest.mark.parametrize(
    ("side", "terms", "expected"),
    [
        (Side.BUY, {"order_qty": 100}, []),
        (Side.BUY, {"order_qty": 101}, ["ORDER_NOTIONAL_MAX"]),
        (Side.SELL, {"order_qty": 100}, []),
        (Side.SELL, {"order_qty": 101}, ["ORDER_NOTIONAL_MAX"]),
        (Side.BUY, {"order_qty": 100, "order_type": OrderType.LIMIT, "limit_price": "100.00"}, []),
        (Side.BUY, {"order_qty": 100, "order_type": OrderType.LIMIT, "limit_price": "100.01"}, ["ORDER_NOTIONAL_MAX"]),
        (Side.BUY, {"order_qty": 101, "order_type": OrderType.LIMIT, "limit_price": "1.00"}, ["ORDER_NOTIONAL_MAX"]),
        (Side.BUY, {"order_qty": 100, "order_type": OrderType.STOP, "stop_price": "100.01"}, ["ORDER_NOTIONAL_MAX"]),
        (Side.SELL, {"order_qty": 100, "order_type": OrderType.LIMIT, "limit_price": "150.00"}, []),
    ],
)
def test_an_orders_value_is_denied_only_when_it_is_above_the_limit(side: Side, terms: dict[str, Any], expected: list[str]) -> None:
    """Value is quantity at the mark, for a buy at its own price where that is dearer: a low limit never makes an order small."""
    decision = _desk(order_notional_max=10_000).ask(an_intent(side=side, **terms))

    assert codes(decision) == expected


def test_an_orders_value_counts_the_multiplier() -> None:
    """A contract of fifty units is worth fifty times its price."""
    desk = _desk(order_notional_max=10_000, instrument={"multiplier": "50"})

    assert codes(desk.ask(an_intent("a", order_qty=2))) == []
    assert codes(desk.ask(an_intent("b", order_qty=3))) == ["ORDER_NOTIONAL_MAX"]


@pytest.mark.parametrize(
    ("held", "side", "qty", "expected"),
    [
        ("90", Side.BUY, 10, []),
        ("90", Side.BUY, 11, ["POSITION_QTY_MAX"]),
        ("-90", Side.SELL, 10, []),
        ("-90", Side.SELL, 11, ["POSITION_QTY_MAX"]),
        ("50", Side.SELL, 100, []),
        ("1", Side.SELL, 100, []),
        ("-60", Side.BUY, 100, []),
        ("100", Side.SELL, 100, []),
        ("150", Side.SELL, 100, []),
        ("-150", Side.BUY, 100, []),
        ("150", Side.SELL, 1, []),
        ("150", Side.BUY, 1, ["POSITION_QTY_MAX"]),
    ],
)
def test_a_position_is_judged_on_the_side_it_ends_at(held: str, side: Side, qty: int, expected: list[str]) -> None:
    """The limit holds for the resulting position, long or short; what only reduces passes even from beyond the limit."""
    desk = _desk(price=1.0, order_qty_max=100, position_qty_max=100)
    desk.hold(held)

    assert codes(desk.ask(an_intent(side=side, order_qty=qty))) == expected


@pytest.mark.parametrize(("held", "qty", "expected"), [("50", 151, ["ORDER_QTY_MAX", "POSITION_QTY_MAX"]), ("-40", 141, ["ORDER_QTY_MAX", "POSITION_QTY_MAX"])])
def test_an_order_through_zero_is_denied_when_it_ends_beyond_the_limit(held: str, qty: int, expected: list[str]) -> None:
    """A limit is not bypassed by crossing zero: fifty long less a hundred and fifty-one is more than a hundred short."""
    desk = _desk(price=1.0, order_qty_max=100, position_qty_max=100)
    desk.hold(held)
    decision = desk.ask(an_intent(side=Side.SELL if Decimal(held) > 0 else Side.BUY, order_qty=qty))

    assert codes(decision) == expected
    assert abs(Decimal(decision.evidence.worst_qty or 0)) == 101


def test_an_order_through_zero_is_denied_while_the_other_side_is_beyond_the_limit() -> None:
    """An excess that the venue's facts made can be reduced to zero, and not be traded through to the other side."""
    desk = _desk(price=1.0, order_qty_max=200, position_qty_max=200)
    desk.hold("-201")

    assert codes(desk.ask(an_intent("a", side=Side.BUY, order_qty=202))) == ["ORDER_QTY_MAX", "POSITION_QTY_MAX"]
    assert codes(desk.ask(an_intent("b", side=Side.BUY, order_qty=201))) == []


@pytest.mark.parametrize(
    ("held", "side", "qty", "expected"), [("90", Side.BUY, 10, []), ("90", Side.BUY, 11, ["POSITION_NOTIONAL_MAX"]), ("-90", Side.SELL, 11, ["POSITION_NOTIONAL_MAX"])]
)
def test_a_positions_value_is_denied_only_when_it_could_pass_the_limit(held: str, side: Side, qty: int, expected: list[str]) -> None:
    """A hundred units at a hundred are exactly ten thousand."""
    desk = _desk(order_notional_max=10_000, position_notional_max=10_000)
    desk.hold(held)

    assert codes(desk.ask(an_intent(side=side, order_qty=qty))) == expected


def test_an_entry_is_denied_while_the_other_side_is_worth_too_much() -> None:
    """A short that a price move took beyond its value limit must be reduced before it is turned."""
    desk = _desk(order_notional_max=10_000, position_notional_max=10_000)
    desk.hold("-60")
    desk.mark(200.0)

    assert codes(desk.ask(an_intent("a", side=Side.BUY, order_qty=61))) == ["ORDER_NOTIONAL_MAX", "POSITION_NOTIONAL_MAX"]
    assert codes(desk.ask(an_intent("b", side=Side.BUY, order_qty=60))) == []


def test_everything_working_counts_when_a_position_is_judged() -> None:
    """Two orders that would each be within the limit are not allowed together."""
    desk = _desk(price=1.0, order_qty_max=100, position_qty_max=100)

    assert codes(desk.ask(an_intent("a", order_qty=60))) == []
    assert codes(desk.ask(an_intent("b", order_qty=41))) == ["POSITION_QTY_MAX"]
    assert codes(desk.ask(an_intent("c", order_qty=40))) == []
    assert codes(desk.ask(an_intent("d", order_qty=100, side=Side.SELL))) == []
    assert codes(desk.ask(an_intent("e", order_qty=1, side=Side.SELL))) == ["POSITION_QTY_MAX"]


@pytest.mark.parametrize(("limit", "expected"), [(3, []), (2, ["OPEN_POSITIONS_MAX"])])
def test_a_new_symbol_is_denied_only_when_it_would_be_one_too_many(limit: int, expected: list[str]) -> None:
    """Held and worked symbols count, whoever owns them, and so does the order's own."""
    desk = RiskDesk(settings_with(feed={"symbols": [SYMBOL, "B", "C"]}, limits={"open_positions_max": limit}))
    desk.hold(5, "B", "_external")
    desk.ask(an_intent("c", symbol="C"))
    decision = desk.ask(an_intent("a"))

    assert codes(decision) == expected
    assert decision.evidence.open_positions == 3


def test_more_of_an_open_symbol_is_allowed_when_the_limit_is_reached() -> None:
    """Adding to what is held opens no further position; a symbol that is closed counts no more."""
    desk = RiskDesk(settings_with(feed={"symbols": [SYMBOL, "B"]}, limits={"open_positions_max": 1}))
    desk.hold(5)

    assert codes(desk.ask(an_intent("a"))) == []
    assert codes(desk.ask(an_intent("b", symbol="B"))) == ["OPEN_POSITIONS_MAX"]


@pytest.mark.parametrize(("age_ms", "expected"), [(0, []), (5_000, []), (5_000.000001, ["STALE_PRICE"]), (-0.000001, ["STALE_PRICE"])])
def test_a_mark_is_stale_only_when_it_is_older_than_the_limit_or_from_the_future(age_ms: float, expected: list[str]) -> None:
    """Age runs from the moment the market made the price to now; what is dated after now has no age."""
    desk = _desk(mark_age_ms_max=5_000)
    desk.mark(100.0, age_ms=age_ms)
    decision = desk.ask(an_intent())

    assert codes(decision)[:1] == expected
    assert decision.evidence.reference_price == 100
    if expected:
        assert {denial.code for denial in decision.denials[1:]} == {"CANNOT_EVALUATE"}
        assert decision.evidence.order_notional is None


@pytest.mark.parametrize("price", [nan, inf, -inf, 0.0, -1.0, 1e-13, 1e15])
def test_what_is_not_a_price_is_a_missing_price(price: float) -> None:
    """NaN, infinity, zero, less than zero and sizes beyond belief never value anything."""
    desk = _desk()
    desk.mark(price)
    decision = desk.ask(an_intent())

    assert codes(decision) == ["NO_REFERENCE_PRICE", "CANNOT_EVALUATE", "CANNOT_EVALUATE"]
    assert decision.evidence.reference_price is None


def test_a_mark_of_another_symbol_is_a_missing_price() -> None:
    """A price is only ever used for its own symbol."""
    desk = _desk()
    desk.mark(100.0, symbol="OTHER")
    desk.marks[SYMBOL] = desk.marks["OTHER"]

    assert codes(desk.ask(an_intent()))[0] == "NO_REFERENCE_PRICE"


def test_a_marks_noise_behind_twelve_places_is_cut() -> None:
    """0.1 + 0.2 is the price 0.3: a float's noise is no reason to do without a price."""
    desk = _desk(price=0.1 + 0.2)

    assert desk.ask(an_intent()).evidence.reference_price == Decimal("0.3")


@pytest.mark.parametrize(("age_ms", "expected"), [(0, []), (10_000, []), (10_000.000001, ["INTENT_STALE"]), (-0.000001, ["INTENT_FROM_FUTURE"])])
def test_an_intent_is_stale_only_when_it_is_older_than_the_limit(age_ms: float, expected: list[str]) -> None:
    """A wish dated after now has no age to be judged by."""
    created_ns = NOW - int(age_ms * 10**6)

    assert codes(_desk(intent_age_ms_max=10_000).ask(an_intent(created_ns=created_ns))) == expected


@pytest.mark.parametrize(("late_ns", "expected"), [(0, []), (1, ["INTENT_STALE"])])
def test_an_intent_is_never_sent_after_its_own_deadline(late_ns: int, expected: list[str]) -> None:
    """The deadline itself is in time; an exit is held to it too, it is its owner's word."""
    for side, held in ((Side.BUY, "0"), (Side.SELL, "10")):
        desk = _desk()
        desk.hold(held)
        assert codes(desk.ask(an_intent(side=side, expires_ns=NOW - late_ns))) == expected


@pytest.mark.parametrize(("gap_ms", "expected"), [(999.999999, ["DUPLICATE_ORDER"]), (1_000, [])])
def test_the_same_order_is_denied_only_when_it_comes_within_the_window(gap_ms: float, expected: list[str]) -> None:
    """The window is closed at its length; the denied order does not begin a new one."""
    desk = _desk(duplicate_window_ms=1_000)
    desk.ask(an_intent("a"))
    desk.later(500)
    assert codes(desk.ask(an_intent("b", order_qty="10.0"))) == ["DUPLICATE_ORDER"]
    desk.later(gap_ms - 500)

    assert codes(desk.ask(an_intent("c"))) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"side": Side.SELL},
        {"order_qty": 9},
        {"order_type": OrderType.LIMIT, "limit_price": 100},
        {"order_type": OrderType.STOP, "stop_price": 101},
        {"symbol": "B"},
        {"strategy_id": "second"},
    ],
)
def test_another_order_is_no_duplicate_when_one_term_differs(other: dict[str, Any]) -> None:
    """Strategy, symbol, side, quantity and both prices make an order the same order."""
    second = {"kind": "sma_cross", "symbols": ["B"]}
    desk = RiskDesk(settings_with(feed={"symbols": [SYMBOL, "B"]}, strategies={"second": second}))
    desk.ask(an_intent("a"))

    assert codes(desk.ask(an_intent("b", **other))) == []


@pytest.mark.parametrize(("terms", "expected"), [({"order_qty": 10}, []), ({"order_qty": 9}, ["BELOW_MINIMUM"])])
def test_an_entry_is_too_small_only_when_it_is_below_the_minimum_value(terms: dict[str, Any], expected: list[str]) -> None:
    """The venue's smallest value is allowed."""
    assert codes(_desk(instrument={"order_notional_min": "1000"}).ask(an_intent(**terms))) == expected


def test_an_entry_is_denied_when_its_minimum_value_cannot_be_told() -> None:
    """Without a price nobody knows whether the order is large enough."""
    desk = _desk(instrument={"order_notional_min": "1000"})
    desk.marks.clear()
    decision = desk.ask(an_intent())

    assert decision.denials[0].evidence == "control=order_minimum, missing=price"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"order_qty": 100}, []),
        ({"order_qty": 101}, ["OFF_GRID"]),
        ({"order_qty": "1.5"}, ["OFF_GRID"]),
        ({"order_type": OrderType.LIMIT, "limit_price": "99.99"}, []),
        ({"order_type": OrderType.LIMIT, "limit_price": "99.991"}, ["OFF_GRID"]),
        ({"order_type": OrderType.STOP, "stop_price": "100.001"}, ["OFF_GRID"]),
    ],
)
def test_terms_are_denied_only_when_they_are_off_the_instruments_grid(terms: dict[str, Any], expected: list[str]) -> None:
    """Quantities are whole lots up to the venue's largest, prices whole ticks."""
    assert codes(_desk(instrument={"order_qty_max": "100"}).ask(an_intent(**terms))) == expected


def test_a_disabled_strategy_is_no_strategy() -> None:
    """Only what the configuration enables may add risk."""
    off = {"kind": "sma_cross", "symbols": ["B"], "enabled": False}
    desk = RiskDesk(settings_with(feed={"symbols": [SYMBOL, "B"]}, strategies={"off": off}))

    assert codes(desk.ask(an_intent(strategy_id="off", symbol="B"))) == ["UNKNOWN_STRATEGY"]


def test_every_denial_is_listed_when_several_controls_object() -> None:
    """A decision tells everything that is wrong, in the order of the registry, the first first."""
    desk = _desk(order_qty_max=1)
    desk.marks.clear()
    decision = desk.ask(an_intent(order_qty="1.5", strategy_id="nobody"))

    assert codes(decision) == ["OFF_GRID", "UNKNOWN_STRATEGY", "NO_REFERENCE_PRICE", "ORDER_QTY_MAX", "CANNOT_EVALUATE", "CANNOT_EVALUATE"]


def test_an_order_beyond_belief_is_denied_and_its_sums_are_not_told() -> None:
    """Amounts that no message may carry are denied as what cannot be evaluated; nothing raises."""
    desk = _desk(price=1e14)
    decision = desk.ask(an_intent(order_qty="9E14"))

    assert decision.verdict is Verdict.DENIED
    assert {"ORDER_QTY_MAX", "CANNOT_EVALUATE", "POSITION_QTY_MAX"} == set(codes(decision))
    assert (decision.evidence.order_notional, decision.evidence.worst_notional) == (None, None)


def test_a_replace_is_held_to_the_limits_of_an_order() -> None:
    """More than the largest quantity or value is denied whichever way it is asked for."""
    desk = _desk(order_qty_max=100, order_notional_max=5_000)
    desk.ask(an_intent("a"))

    assert codes(desk.ask(a_replace_intent("a", "r1", order_qty=101))) == ["ORDER_QTY_MAX", "ORDER_NOTIONAL_MAX"]
    assert codes(desk.ask(a_replace_intent("a", "r2", order_qty=51))) == ["ORDER_NOTIONAL_MAX"]
    assert codes(desk.ask(a_replace_intent("a", "r3", order_qty="9.5"))) == ["OFF_GRID"]
    assert codes(desk.ask(a_replace_intent("a", "r4", order_qty=50))) == []


@pytest.mark.parametrize(
    ("held", "others", "qty", "expected"),
    [
        ("10", [], 10, []),
        ("10", [], 11, ["CLOSING_QTY"]),
        ("10", [(Side.SELL, 4)], 6, []),
        ("10", [(Side.SELL, 4)], 7, ["CLOSING_QTY"]),
        ("0", [], 1, ["CLOSING_QTY"]),
        ("-10", [], 1, ["CLOSING_QTY"]),
        ("0", [(Side.BUY, 5)], 5, []),
        ("0", [(Side.BUY, 5)], 6, ["CLOSING_QTY"]),
    ],
)
def test_what_closes_is_denied_only_when_more_would_be_sold_than_is_held(held: str, others: list[tuple[Side, int]], qty: int, expected: list[str]) -> None:
    """What closes already counts, and an entry that has no end yet counts as held: its fill may just not have been heard of."""
    desk = _desk()
    desk.hold(held)
    for n, (side, order_qty) in enumerate(others):
        assert codes(desk.ask(an_intent(f"other{n}", side=side, order_qty=order_qty, reduce_only=side is Side.SELL))) == []

    assert codes(desk.ask(an_intent("exit", side=Side.SELL, order_qty=qty, reduce_only=True))) == expected


def test_what_closes_is_held_against_its_own_strategys_position() -> None:
    """Another owner's short does not keep a strategy from closing its long, and another owner's exit does not use it up."""
    desk = _desk()
    desk.hold(10)
    desk.hold(-10, owner="_external")
    decision = desk.ask(an_intent("exit", side=Side.SELL, order_qty=10, reduce_only=True))

    assert codes(decision) == []
    assert codes(desk.ask(an_intent("again", side=Side.SELL, order_qty=11, reduce_only=True))) == ["CLOSING_QTY"]
    assert codes(desk.ask(an_intent("plain", side=Side.SELL, order_qty=11))) == []


def test_a_replace_of_what_closes_keeps_its_promise() -> None:
    """A stop that may not sell more than is held may not be enlarged beyond it either."""
    desk = _desk()
    desk.hold(10)
    stop = an_intent("stop", side=Side.SELL, order_qty=6, order_type=OrderType.STOP, stop_price="90", protective=True)
    assert codes(desk.ask(stop)) == []

    assert codes(desk.ask(a_replace_intent("stop", "r1", order_qty=11))) == ["CLOSING_QTY"]
    assert codes(desk.ask(a_replace_intent("stop", "r2", order_qty=10))) == []
