"""The same facts of a venue end in the same books, however they were ordered, repeated, delayed, lost and found again.

End to end through the OMS: orders, positions, cash and suspense must stand where the venue's own books stand. On every input the
bench checks that entries sum to zero per asset and that a restored twin acts alike.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import ExecType, OrderStateChanged, OrderStatus
from core.money import ZERO
from tests.property.venue_days import Day, Desk, books_of, days, stand_as
from tests.support.honest_venue import HonestVenue


@settings(max_examples=25)
@given(days(), st.data())
def test_books_are_the_venues_when_facts_are_shuffled_and_repeated(day: Day, data: st.DataObject) -> None:
    """Any permutation and duplication of every report comes to the venue's status, quantities, position, cash and suspense."""
    repeated = data.draw(st.lists(st.sampled_from(day.facts), max_size=6))
    desk = Desk(day)
    desk.hear(data.draw(st.permutations(day.facts + repeated)))
    stand_as(desk, day.books)


@settings(max_examples=20)
@given(days(says_totals=False), st.data())
def test_books_are_the_venues_when_it_never_says_a_total(day: Day, data: st.DataObject) -> None:
    """A venue that names no cumulative quantity is followed as well."""
    desk = Desk(day)
    desk.hear(data.draw(st.permutations(day.facts)))
    stand_as(desk, day.books)


@settings(max_examples=25)
@given(days(), st.data())
def test_books_are_the_venues_when_lost_facts_are_found_again(day: Day, data: st.DataObject) -> None:
    """A stream that dropped some reports and is read again from before the first of them leaves no trace of the loss."""
    lost = set(data.draw(st.lists(st.sampled_from(day.facts), min_size=1, max_size=8)))
    cursor = min(day.facts.index(fact) for fact in lost)
    overlap = data.draw(st.integers(0, 3))
    desk = Desk(day)
    desk.hear(data.draw(st.permutations([fact for fact in day.facts if fact not in lost])))
    desk.hear(day.facts[max(0, cursor - overlap) :])
    stand_as(desk, day.books)


@settings(max_examples=20)
@given(days(), st.data())
def test_books_are_the_venues_when_a_backfill_names_executions_differently(day: Day, data: st.DataObject) -> None:
    """Lost or not: a query that tells every execution of ours under another name, before or after the stream does, adds nothing."""
    ours = [fact for fact in day.facts if fact[0] != 2]
    lost = set(data.draw(st.lists(st.sampled_from(day.facts), max_size=6)))
    desk = Desk(day)
    desk.hear(data.draw(st.permutations([fact for fact in day.facts if fact not in lost])))
    desk.hear_by_query(ours)
    desk.hear(data.draw(st.permutations(sorted(lost))))
    stand_as(desk, day.books)


@settings(max_examples=20)
@given(days(), st.data())
def test_books_do_not_move_when_everything_is_told_again(day: Day, data: st.DataObject) -> None:
    """After the last fact the whole day told once more, in any order, changes neither books nor what was said of them."""
    desk = Desk(day)
    desk.hear(day.facts)
    before, said = books_of(desk), len(desk.bench.events)
    desk.hear(data.draw(st.permutations(day.facts)))
    assert books_of(desk) == before == day.books
    assert [event for event in desk.bench.events[said:] if event.last_qty] == []


@settings(max_examples=25)
@given(days(), st.data())
def test_ordered_is_executed_and_remaining_when_facts_arrive_in_any_order(day: Day, data: st.DataObject) -> None:
    """At every single change: ordered = executed + remaining while an order lives, nothing remains once it has ended, filled
    means all of it unless something was amended, and executed falls only by an amendment (or a trade that explains an earlier one)."""
    desk = Desk(day)
    desk.hear(data.draw(st.permutations(day.facts)))
    amendments = (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
    amended = {order_id for order_id, venue in zip(desk.order_ids, day.venues, strict=False) if any(r.exec_type in amendments for r in venue.reports)}
    last: dict[str, OrderStateChanged] = {}
    for event in desk.bench.events:
        alive = not event.new_status.is_terminal
        assert event.leaves_qty == (max(event.order_qty - event.cum_qty, ZERO) if alive else ZERO)
        if event.new_status is OrderStatus.FILLED and event.client_order_id not in amended:
            assert event.cum_qty >= event.order_qty
        if (known := last.get(event.client_order_id)) is not None:
            assert event.old_status is known.new_status
            assert event.cum_qty >= known.cum_qty or event.cause in ("TRADE_CANCEL", "TRADE_CORRECT", "TRADE")
        last[event.client_order_id] = event


@pytest.mark.xfail(strict=True, reason="an amendment that is heard before its stranger's order is known stays in suspense, and the trade it amends is booked beside it")
def test_strangers_execution_counts_once_when_its_correction_comes_before_its_order_is_known() -> None:
    """Corrected from four to three by the venue, whatever was heard first."""
    day = Day((HonestVenue(says_totals=True), HonestVenue(says_totals=True), HonestVenue(says_totals=True)))
    stranger = day.venues[2]
    stranger.act("trade", 3)
    stranger.act("correct", 2)
    desk = Desk(day)
    told = {report.exec_type: (2, n) for n, report in enumerate(stranger.reports)}
    desk.hear([told[ExecType.TRADE_CORRECT], told[ExecType.NEW], told[ExecType.TRADE]])
    assert books_of(desk).unexplained_qty == stranger.cum_qty == 3
