"""Differences: typed, with both sides and the drift, and none where both agree."""

# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.contracts import BreakKind, ExecType, OrderStatus, ReconciliationBreak, Side, StatementSubject, VenueReport
from core.errors import ReconciliationError
from core.order import Order, fold
from core.settings import ReconciliationSettings
from execution.reconciliation.breaks import BreakBook, require_startable
from execution.reconciliation.diff import cash_breaks, drift_pct, order_break, position_breaks
from execution.reconciliation.external import external_order
from tests.support.builders import a_report
from tests.support.orders import a_new_order

SETTINGS = ReconciliationSettings()


def _amounts(**values: int | str) -> dict[str, Decimal]:
    return {name: Decimal(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("local", "broker", "expected"),
    [
        ({}, {"IBM": 5}, [("missing_local", "IBM", 0, 5, 100)]),
        ({"IBM": 5}, {}, [("missing_broker", "IBM", 5, 0, 100)]),
        ({"IBM": 100}, {"IBM": 96}, [("quantity_mismatch", "IBM", 100, 96, 4)]),
        ({"IBM": 5}, {"IBM": -5}, [("quantity_mismatch", "IBM", 5, -5, 200)]),
        ({"IBM": 5, "A": 0}, {"IBM": 5, "B": 0}, []),
        ({"B": 1}, {"A": 1}, [("missing_local", "A", 0, 1, 100), ("missing_broker", "B", 1, 0, 100)]),
    ],
)
def test_positions_differ_in_kind_and_by_how_much(local: dict[str, int], broker: dict[str, int], expected: list[Any]) -> None:
    """A flat position is none on either side; the order is that of the symbols."""
    found = position_breaks(_amounts(**local), _amounts(**broker))
    assert [(b.kind, b.name, b.local, b.broker, b.drift_pct) for b in found] == expected
    assert all(b.symbol == b.name for b in found)


def test_cash_differs_when_it_does_by_more_than_the_tolerance() -> None:
    """An asset that only one side has counts as zero on the other."""
    found = cash_breaks(_amounts(USD="100", EUR="1"), _amounts(USD="100.02", BTC="0.5"), Decimal("0.01"))
    assert [(b.kind, b.name, b.symbol, b.local, b.broker) for b in found] == [
        ("cash_mismatch", "BTC", "", 0, Decimal("0.5")),
        ("cash_mismatch", "EUR", "", 1, 0),
        ("cash_mismatch", "USD", "", 100, Decimal("100.02")),
    ]
    assert cash_breaks(_amounts(USD="100"), _amounts(USD="100.01"), Decimal("0.01")) == ()


def test_drift_is_told_in_percent_of_the_larger_side() -> None:
    """To four places, also where a ratio has no end."""
    assert drift_pct(Decimal(3), Decimal(2)) == Decimal("33.3333")
    assert drift_pct(Decimal(0), Decimal(0)) == 0


def _view(status: OrderStatus = OrderStatus.ACCEPTED, **changes: Any) -> VenueReport:
    values: dict[str, Any] = {"client_order_id": "o1", "venue_order_id": "V1", "side": Side.BUY, "order_qty": 10, "cum_qty": 0, "evidence": "QUERY"} | changes
    return a_report(ExecType.NEW, status=status, **values)


def _booked(*reports: VenueReport) -> Order:
    order = a_new_order(client_order_id="o1")
    for report in reports:
        order = fold(order, report).order
    return order


ATTEMPTED = a_report(ExecType.ATTEMPTED, client_order_id="o1", evidence="GATEWAY")
ENDED = a_report(ExecType.CANCELLED, client_order_id="o1", venue_order_id="V1", status=OrderStatus.CANCELLED)


class TestOrders:
    """The venue's view of one order against what was booked of it."""

    def test_view_differs_in_nothing_when_it_was_booked_so(self) -> None:
        """Live and ended."""
        assert order_break(_booked(ATTEMPTED, _view()), _view()) is None
        assert order_break(_booked(ATTEMPTED, ENDED), _view(OrderStatus.CANCELLED)) is None

    def test_order_is_extra_when_nobody_knows_it_and_it_is_open(self) -> None:
        """One that has ended is nobody's business any more."""
        found = order_break(None, _view())
        assert found is not None and (found.kind, found.name, found.broker) == (BreakKind.EXTRA_ORDER, "o1", 10)
        assert order_break(None, _view(OrderStatus.FILLED)) is None

    @pytest.mark.parametrize(("booked", "view"), [((ATTEMPTED, ENDED), _view()), ((ATTEMPTED, _view()), _view(OrderStatus.EXPIRED))])
    def test_status_differs_when_one_side_has_ended_it(self, booked: tuple[VenueReport, ...], view: VenueReport) -> None:
        """Either way round."""
        found = order_break(_booked(*booked), view)
        assert found is not None and found.kind is BreakKind.STATUS_MISMATCH

    def test_status_differs_when_more_was_executed_than_booked(self) -> None:
        """With both totals."""
        found = order_break(_booked(ATTEMPTED, _view()), _view(OrderStatus.PARTIALLY_FILLED, cum_qty=4))
        assert found is not None and (found.kind, found.local, found.broker) == (BreakKind.STATUS_MISMATCH, 0, 4)

    def test_executions_before_it_was_seen_are_no_difference_when_the_order_is_not_ours(self) -> None:
        """They were never told; its end is another matter."""
        order = external_order(_view(OrderStatus.PARTIALLY_FILLED, cum_qty=4), 1)
        assert order is not None
        assert order_break(order, _view(OrderStatus.PARTIALLY_FILLED, cum_qty=4)) is None
        assert order_break(order, _view(OrderStatus.CANCELLED)) is not None


def _break(kind: BreakKind = BreakKind.QUANTITY_MISMATCH, name: str = "IBM", drift: str = "1") -> ReconciliationBreak:
    symbol = "" if kind is BreakKind.CASH_MISMATCH else name
    return ReconciliationBreak(kind=kind, name=name, symbol=symbol, local=Decimal(1), broker=Decimal(2), drift_pct=Decimal(drift))


class TestThresholds:
    """What a start-up may mend by itself."""

    def test_start_goes_on_within_the_thresholds(self) -> None:
        """Three positions on one side only, and five percent of one, are just allowed."""
        require_startable([*(_break(BreakKind.MISSING_LOCAL, name) for name in "AB"), _break(BreakKind.MISSING_BROKER, "C"), _break(drift="5")], SETTINGS)

    @pytest.mark.parametrize(
        "breaks",
        [
            [_break(BreakKind.MISSING_LOCAL, name) for name in "ABCD"],
            [*(_break(BreakKind.MISSING_BROKER, name) for name in "ABC"), _break(BreakKind.MISSING_LOCAL, "D")],
            [_break(drift="5.0001")],
        ],
        ids=["four are only there", "four in all", "one is far off"],
    )
    def test_start_is_refused_when_a_threshold_is_passed(self, breaks: list[ReconciliationBreak]) -> None:
        """With the names a person needs."""
        with pytest.raises(ReconciliationError, match=r"at most (3|5) "):
            require_startable(breaks, SETTINGS)


class TestLasting:
    """How long a difference lasts decides what it stops."""

    def _found(self, times: int, *breaks: ReconciliationBreak) -> BreakBook:
        book = BreakBook(SETTINGS)
        for _ in range(times):
            book.update(StatementSubject.POSITIONS, breaks, is_adopted=False)
        return book

    @pytest.mark.parametrize(("times", "symbols", "stops_account"), [(1, (), False), (2, ("IBM",), False), (3, ("IBM",), False), (4, ("IBM",), True)])
    def test_symbol_is_disarmed_before_the_account_when_a_difference_lasts(self, times: int, symbols: tuple[str, ...], stops_account: bool) -> None:
        """At two and at four by default."""
        book = self._found(times, _break())
        assert (book.disarmed_symbols, bool(book.account_reason)) == (symbols, stops_account)

    def test_account_is_disarmed_when_cash_differs_twice(self) -> None:
        """There is no symbol to disarm."""
        assert self._found(1, _break(BreakKind.CASH_MISMATCH, "USD")).account_reason == ""
        assert "cash_mismatch USD" in self._found(2, _break(BreakKind.CASH_MISMATCH, "USD")).account_reason

    def test_nothing_is_disarmed_any_more_when_the_difference_has_gone(self) -> None:
        """And it begins anew when it comes back."""
        book = self._found(2, _break())
        book.update(StatementSubject.POSITIONS, (), is_adopted=False)
        assert book.disarmed_symbols == ()
        book.update(StatementSubject.POSITIONS, (_break(),), is_adopted=False)
        assert book.disarmed_symbols == ()

    def test_statement_about_something_else_does_not_count(self) -> None:
        """Orders are compared more often than positions."""
        book = self._found(1, _break())
        for _ in range(5):
            book.update(StatementSubject.OPEN_ORDERS, (), is_adopted=False)
        assert (book.disarmed_symbols, [b.cycles for b in book.all]) == ((), [1])

    def test_count_begins_anew_when_the_difference_is_adopted(self) -> None:
        """What is the venue's word now cannot differ from it."""
        book = self._found(3, _break())
        book.update(StatementSubject.POSITIONS, (_break(),), is_adopted=True)
        assert (book.disarmed_symbols, [(b.cycles, b.is_adopted) for b in book.all]) == ((), [(1, True)])
