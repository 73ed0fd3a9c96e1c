"""Whatever the order of arrival, the same facts lead to the same order, and nothing a venue can say is ever refused.

An honest venue tells the life of one order (with busts, corrections, replaces, halts); its reports arrive shuffled and
repeated, and the order must stand where the venue's own books stand.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import ExecType, OrderStatus, VenueReport
from core.money import ZERO
from core.order import Order, close_by_us, fold, is_order_stale
from core.order.executions import tally
from tests.support.builders import NOW
from tests.support.honest_venue import CANCEL_ID, HonestVenue, arrivals, asking
from tests.support.orders import ORDER_ID, a_new_order, new, said, submitted, told, trade


def _books(order: Order) -> tuple[Any, ...]:
    live = sorted((e.qty, e.price) for e in tally(order.executions.values()).live.values())
    return set(order.executions), live, order.cum_qty, order.notional, order.avg_price, order.leaves_qty, order.status, order.terms


def _assert_same_as(venue: HonestVenue, order: Order) -> None:
    """The venue's books and the order agree, and no order of arrival froze it on the way."""
    assert (order.cum_qty, order.notional, order.order_qty) == (venue.cum_qty, venue.notional, venue.order_qty)
    assert order.status is venue.status
    assert order.missing_qty == 0
    assert order.disagreement == ""
    assert not order.is_disagreeing


@given(arrivals())
def test_order_stands_where_the_venue_stands_when_reports_are_shuffled_and_repeated(arrival: tuple[HonestVenue, list[VenueReport]]) -> None:
    """Any permutation and duplication of the venue's reports ends in the same executions, quantities, price, terms and status: the venue's."""
    venue, reports = arrival
    in_order, shuffled = told(asking(), *venue.reports), told(asking(), *reports)
    _assert_same_as(venue, in_order)
    _assert_same_as(venue, shuffled)
    assert _books(shuffled) == _books(in_order)


@given(arrivals(says_totals=False))
def test_order_stands_where_the_venue_stands_when_no_report_names_a_total(arrival: tuple[HonestVenue, list[VenueReport]]) -> None:
    """The same holds for a venue that never says a cumulative quantity."""
    venue, reports = arrival
    shuffled = told(asking(), *reports)
    _assert_same_as(venue, shuffled)
    assert _books(shuffled) == _books(told(asking(), *venue.reports))


@settings(max_examples=60)
@given(arrivals(), st.data())
def test_one_execution_counts_once_when_a_query_calls_it_by_another_name(arrival: tuple[HonestVenue, list[VenueReport]], data: st.DataObject) -> None:
    """A backfill that repeats every trade under names of its own adds nothing, wherever it falls among the pushes."""
    venue, reports = arrival
    backfill = [
        msgspec.structs.replace(report, exec_id=f"q-{report.exec_id}", evidence="QUERY", occurred_ns=report.occurred_ns // 1000 * 1000)
        for report in venue.reports
        if report.exec_type is ExecType.TRADE
    ]
    order = told(asking(), *data.draw(st.permutations(reports + backfill)))
    _assert_same_as(venue, order)


_IDS = st.sampled_from([ORDER_ID, "Y", "Z", CANCEL_ID, "W", ""])
_AMOUNTS = st.sampled_from([0, 1, 4, 6, 10, 15])
_EXEC_IDS = st.sampled_from(["", "e1", "e2", "e3", "e4"])
_ANY_REPORT = st.builds(
    said,
    st.sampled_from(ExecType),
    _IDS,
    at=st.integers(0, 4),
    orig_client_order_id=_IDS,
    venue_order_id=st.sampled_from(["", "V1", "V2"]),
    exec_id=_EXEC_IDS,
    exec_ref_id=_EXEC_IDS,
    evidence=st.sampled_from(["PUSH", "QUERY"]),
    status=st.none() | st.sampled_from(OrderStatus),
    order_qty=st.none() | _AMOUNTS,
    limit_price=st.none() | st.just(99),
    cum_qty=st.none() | _AMOUNTS,
    last_qty=_AMOUNTS,
    last_price=st.sampled_from([100, 101]),
    reject_reason=st.sampled_from(["", "WHY"]),
)
_ANY_ORDER = st.sampled_from([a_new_order(), a_new_order(external=True), close_by_us(a_new_order(), "KILL_SWITCH", NOW), submitted(ttl_ms=1), asking()])


@given(_ANY_ORDER, st.lists(_ANY_REPORT, max_size=12))
def test_nothing_is_refused_whatever_the_venue_says(order: Order, reports: list[VenueReport]) -> None:
    """No report on any order raises, each can be told of and stored, and the books move by exactly what is undone and done."""
    for report in reports:
        folded = fold(order, report)
        moved = sum((e.qty for e in folded.done), ZERO) - sum((e.qty for e in folded.undone), ZERO)
        assert folded.order.cum_qty - order.cum_qty == moved
        assert set(order.executions) <= set(folded.order.executions)
        order = folded.order
        assert order.cum_qty == tally(order.executions.values()).cum_qty
        assert order.leaves_qty >= 0 and order.missing_qty >= 0
        assert (order.leaves_qty == 0) or not order.status.is_terminal
        assert len(set(order.facets)) == len(order.facets)
        assert is_order_stale(order, NOW) in (True, False)
        assert fold(order, report).order.status is order.status
    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order


def test_order_is_the_same_object_when_a_report_adds_nothing() -> None:
    """A repeated report gives back the very same order, which is how a caller sees that there is nothing to tell."""
    order = told(submitted(), new(), trade(4, 4))
    assert all(fold(order, report).order is order for report in (new(), trade(4, 4), said(ExecType.ATTEMPTED)))
