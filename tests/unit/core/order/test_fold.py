"""What each kind of report does to an order: FIX's cases beyond the matrices, and what venues get wrong."""

# A Decimal equals the int it is written as here, also inside a tuple.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import ExecType, OrderStatus, TimeInForce
from core.order import Facet, Order, RequestState, close_by_us, fold, request_cancel, request_replace
from core.order.executions import tally
from tests.support.builders import NOW
from tests.support.orders import ORDER_ID, VENUE_ORDER_ID, a_new_order, new, said, submitted, told, trade

_S = OrderStatus


def _live() -> Order:
    return told(submitted(), new(cum_qty=0))


def _part_filled() -> Order:
    return told(_live(), trade(4, 4, at=1))


def _with_replace(order: Order, order_qty: int | None = None, request_id: str = "Y") -> Order:
    return request_replace(order, request_id, "i", NOW, order_qty=None if order_qty is None else Decimal(order_qty), limit_price=None, stop_price=None)


def _state(order: Order) -> tuple[OrderStatus, Decimal, Decimal]:
    return order.status, order.cum_qty, order.leaves_qty


# How an order comes to be known.


def test_order_is_submitted_when_the_venue_only_says_that_it_is_pending() -> None:
    """A pending new is the venue's word, so nothing is in doubt, but no acceptance; neither is a query that says no more."""
    order = told(submitted(), said(ExecType.IN_DOUBT), said(ExecType.PENDING_NEW))
    assert (order.status, order.facets) == (_S.SUBMITTED, ())
    assert told(order, said(ExecType.ORDER_STATUS, status=_S.SUBMITTED)).status is _S.SUBMITTED


def test_delayed_acknowledgement_changes_nothing_when_the_order_is_filled_already() -> None:
    """A fill before its acknowledgement is a fill; the acknowledgement that follows halts nothing."""
    filled = told(submitted(), trade(10, 10))
    assert _state(filled) == (_S.FILLED, 10, 0)
    assert _state(told(filled, new())) == _state(filled)
    assert told(filled, new()).facets == ()


def test_venue_order_id_is_the_newest_steps_when_an_older_steps_report_comes_late() -> None:
    """What is said of a replaced step does not bring its venue order id back."""
    order = told(_with_replace(_live(), 12), said(ExecType.REPLACED, "Y", venue_order_id="V2", orig_client_order_id=ORDER_ID, order_qty=12, at=2))
    late = told(order, trade(4, 4, at=1))
    assert (late.venue_order_id, late.terms.client_order_id, late.cum_qty) == ("V2", "Y", 4)
    assert late.client_order_ids == (ORDER_ID, "Y")
    assert order.client_order_id == ORDER_ID


def test_stop_is_known_to_have_triggered_when_the_venue_says_so() -> None:
    """A triggered stop is accepted, and the trigger stays known."""
    order = told(submitted(), said(ExecType.TRIGGERED))
    assert (order.status, order.is_triggered) == (_S.ACCEPTED, True)


# In doubt, lost, never there.


def test_order_is_in_doubt_when_an_attempt_has_no_outcome_and_no_more_once_the_venue_speaks() -> None:
    """In doubt lasts from the unknown outcome to the venue's first word, and does not come back after it."""
    doubtful = told(submitted(), said(ExecType.IN_DOUBT))
    assert (doubtful.status, doubtful.facets) == (_S.SUBMITTED, (Facet.IN_DOUBT,))
    known = told(doubtful, new(), said(ExecType.IN_DOUBT))
    assert (known.status, known.facets) == (_S.ACCEPTED, ())


def test_lost_order_stays_submitted_when_nobody_can_say_what_became_of_it() -> None:
    """Lost is a reported end of the search: still submitted, all of it still reserved, and no longer in doubt."""
    order = told(submitted(), said(ExecType.IN_DOUBT), said(ExecType.LOST))
    assert (_state(order), order.facets) == ((_S.SUBMITTED, 0, 10), (Facet.LOST,))
    assert not order.is_in_doubt


def test_lost_order_is_found_when_evidence_comes_after_all() -> None:
    """Later evidence decides: the venue's word ends the facet, and a report of loss after it does not bring it back."""
    order = told(submitted(), said(ExecType.LOST), trade(10, 10), said(ExecType.LOST))
    assert (order.status, order.facets) == (_S.FILLED, ())


@pytest.mark.parametrize(("exec_type", "reason", "cause"), [(ExecType.NEVER_REACHED, "", "NEVER_REACHED"), (ExecType.NOT_SENT, "KILL_SWITCH", "KILL_SWITCH")])
def test_order_ends_cancelled_by_us_when_it_never_got_there(exec_type: ExecType, reason: str, cause: str) -> None:
    """A refusal of our own gate, or a conclusive not-found, ends the order with that as its cause; saying so twice changes nothing."""
    report = said(exec_type, evidence="GATEWAY", reject_reason=reason)
    order = told(submitted(), said(ExecType.IN_DOUBT), report)
    assert order.closure is not None
    assert (order.status, order.closure.cause, order.closure.by_us, order.facets) == (_S.CANCELLED, cause, True, ())
    assert told(order, report) is order


@pytest.mark.parametrize("exec_type", [ExecType.NEVER_REACHED, ExecType.NOT_SENT])
def test_order_disagrees_when_the_venue_knows_what_we_say_never_reached_it(exec_type: ExecType) -> None:
    """Whichever is heard first, the venue's evidence of an order that never reached it is shown, and the order can be cancelled."""
    ended_first, known_first = told(submitted(), said(exec_type), new()), told(submitted(), new(), said(exec_type))
    assert (ended_first.facets, known_first.facets) == ((Facet.DISAGREEMENT,), (Facet.DISAGREEMENT,))
    assert (ended_first.status, known_first.status) == (_S.CANCELLED, _S.ACCEPTED)
    for order in (ended_first, known_first):
        assert request_cancel(order, "C", "SHOWN_LIVE", NOW).requests[-1].state is RequestState.REQUESTED
    assert told(ended_first, said(ExecType.CANCELLED)).facets == ()


@pytest.mark.parametrize("end", [ExecType.REJECTED, ExecType.CANCELLED])
def test_nothing_disagrees_when_an_order_the_venue_ended_is_not_found(end: ExecType) -> None:
    """An order the venue rejected or cancelled may be gone from its books: the venue's end stands."""
    ended = told(submitted(), said(end))
    assert told(ended, said(ExecType.NEVER_REACHED)) is ended
    assert (ended.status, ended.facets) == (_S(end.value), ())


def test_execution_is_booked_and_shown_when_the_order_was_never_sent() -> None:
    """No ordering explains an execution of an order that was never sent: it counts all the same, and the order disagrees."""
    order = told(a_new_order(), trade(4, 4))
    assert (order.cum_qty, order.facets, order.disagreement) == (4, (Facet.DISAGREEMENT,), "an execution of an order that was never sent")


def test_external_order_is_followed_when_we_never_sent_it() -> None:
    """Somebody else's order takes its facts without an attempt of ours and without a disagreement."""
    order = told(a_new_order(external=True), new(), trade(4, 4), said(ExecType.CANCELLED))
    assert (order.status, order.cum_qty, order.facets) == (_S.CANCELLED, 4, (Facet.EXTERNAL,))


# Ends.


@pytest.mark.parametrize(("exec_type", "status"), [(ExecType.CANCELLED, _S.CANCELLED), (ExecType.EXPIRED, _S.EXPIRED)])
@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_immediate_order_ends_with_what_it_got_when_the_rest_is_cancelled(exec_type: ExecType, status: OrderStatus, time_in_force: TimeInForce) -> None:
    """FIX F.1: what an immediate order did not get ends at once, with nothing or a part of it executed."""
    end = said(exec_type, at=2)
    order = told(submitted(time_in_force=time_in_force), new())
    assert _state(told(order, end)) == (status, 0, 0)
    part_filled = told(order, trade(4, 4, at=1), end)
    assert (_state(part_filled), part_filled.avg_price) == ((status, 4, 0), 100)


def test_cancel_is_the_venues_own_when_nobody_asked_for_it() -> None:
    """An unsolicited cancel ends the order; the cause is the venue's reason, or that it was the venue."""
    order = told(_part_filled(), said(ExecType.CANCELLED, at=2))
    assert order.closure is not None
    assert (_state(order), order.closure.cause, order.closure.by_us) == ((_S.CANCELLED, 4, 0), "VENUE", False)
    reasoned = told(_part_filled(), said(ExecType.CANCELLED, reject_reason="SELF_TRADE"))
    assert reasoned.closure is not None and reasoned.closure.cause == "SELF_TRADE"


def test_cancel_has_our_reason_as_its_cause_when_we_asked_for_it() -> None:
    """The end a cancel of ours brought about is told with what we asked it for, and the request is answered."""
    order = told(request_cancel(_part_filled(), "C", "TTL", NOW), said(ExecType.CANCELLED, at=2))
    assert order.closure is not None
    assert (order.closure.cause, order.requests[0].state, order.open_request) == ("TTL", RequestState.CONFIRMED, None)
    declined = told(request_cancel(_part_filled(), "C", "TTL", NOW), said(ExecType.CANCEL_REJECTED, "C"), said(ExecType.CANCELLED, at=2))
    assert declined.closure is not None and declined.closure.cause == "VENUE"


def test_closure_stays_the_first_when_it_is_told_again() -> None:
    """A query that repeats the end of an order changes nothing of it."""
    order = told(_part_filled(), said(ExecType.CANCELLED, at=2))
    assert told(order, said(ExecType.ORDER_STATUS, status=_S.CANCELLED, at=7)) is order
    assert told(_live(), said(ExecType.EXPIRED), said(ExecType.CANCELLED)).status is told(_live(), said(ExecType.CANCELLED), said(ExecType.EXPIRED)).status


def test_rejection_ends_the_order_when_the_venue_refuses_it() -> None:
    """The venue's refusal, at once or after an acceptance, is final and carries its reason."""
    for order in (submitted(), _live()):
        refused = told(order, said(ExecType.REJECTED, reject_reason="INSUFFICIENT_FUNDS"))
        assert refused.closure is not None
        assert (_state(refused), refused.closure.cause) == ((_S.REJECTED, 0, 0), "INSUFFICIENT_FUNDS")


@pytest.mark.parametrize("end", [ExecType.CANCELLED, ExecType.EXPIRED])
def test_late_fill_is_booked_when_the_order_has_ended(end: ExecType) -> None:
    """A fill on an ended order counts and is marked late; the status shows FILLED once the quantity is complete."""
    ended = told(_part_filled(), said(end, at=5))
    late = told(ended, trade(2, 6, exec_id="e2", at=3))
    assert (late.status, late.cum_qty, late.facets) == (ended.status, 6, (Facet.LATE_FILL,))
    complete = told(late, trade(4, 10, exec_id="e3", at=4))
    assert (_state(complete), complete.facets) == ((_S.FILLED, 10, 0), (Facet.LATE_FILL,))


def test_everything_is_booked_and_flagged_when_the_venue_executes_too_much() -> None:
    """More than was ordered is booked in full, and flagged."""
    order = told(_part_filled(), trade(8, 12, exec_id="e2"))
    assert (_state(order), order.facets, order.is_overfilled) == ((_S.FILLED, 12, 0), (Facet.OVERFILLED,), True)


# Executions.


def test_execution_counts_once_when_it_is_reported_again() -> None:
    """The same exec id a second time books nothing, whoever says it."""
    order = _part_filled()
    again = fold(order, trade(4, 4, at=1, evidence="QUERY"))
    assert (again.order, again.done, again.undone) == (order, (), ())


def test_executions_count_apart_when_they_differ_only_in_their_id() -> None:
    """Two pushes of equal quantity and price under two ids are two executions, even if the totals they name are stale."""
    order = told(_live(), trade(4, 4), trade(4, 4, exec_id="e2"))
    assert (order.cum_qty, order.facets) == (8, (Facet.DISAGREEMENT,))


def test_trade_after_a_bust_counts_when_a_backfill_tells_it_with_the_same_total() -> None:
    """A query's trade that reaches the busted one's total again is a new execution: the bust lies between the two."""
    bust = said(ExecType.TRADE_CANCEL, exec_id="b1", exec_ref_id="e1", cum_qty=0, at=2)
    again = trade(4, 4, exec_id="e2", evidence="QUERY", at=3)
    for order in (told(_part_filled(), bust, again), told(_part_filled(), again, bust)):
        assert (order.cum_qty, set(tally(order.executions.values()).live)) == (4, {f"{VENUE_ORDER_ID}|e2"})


def test_one_execution_is_undone_when_a_bust_names_its_other_name() -> None:
    """A bust may name either of the two names under which one execution was told."""
    order = told(_part_filled(), trade(4, 4, exec_id="activity-1", evidence="QUERY", at=1))
    assert order.cum_qty == 4
    for name in ("e1", "activity-1"):
        assert told(order, said(ExecType.TRADE_CANCEL, exec_id="b1", exec_ref_id=name, at=2)).cum_qty == 0


def test_books_move_by_the_difference_when_a_trade_is_corrected() -> None:
    """A correction undoes what stood and does what stands now; the average price follows."""
    folded = fold(_part_filled(), said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id="e1", last_qty=3, last_price=90, at=2))
    assert [(e.qty, e.price) for e in folded.undone] == [(4, 100)]
    assert [(e.qty, e.price) for e in folded.done] == [(3, 90)]
    assert (_state(folded.order), folded.order.avg_price, folded.order.facets) == ((_S.PARTIALLY_FILLED, 3, 7), 90, ())


def test_last_correction_stands_when_one_corrects_another() -> None:
    """A correction of a correction stands, even told at the same instant and before the one it corrects."""
    first = said(ExecType.TRADE_CORRECT, exec_id="c2", exec_ref_id="e1", last_qty=3, last_price=90, at=2)
    second = said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id="c2", last_qty=2, last_price=80, at=2)
    for reports in ((first, second), (second, first)):
        order = told(_part_filled(), *reports)
        assert (order.cum_qty, order.avg_price, order.missing_qty) == (2, 80, 0)


def test_bust_of_the_trade_undoes_its_corrections_too() -> None:
    """Whether the bust names the trade or its last correction, nothing of the execution is left."""
    corrected = told(_part_filled(), said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id="e1", last_qty=3, last_price=90, at=2))
    for name in ("e1", "c1"):
        order = told(corrected, said(ExecType.TRADE_CANCEL, exec_id="b1", exec_ref_id=name, at=3))
        assert (_state(order), order.facets) == ((_S.ACCEPTED, 0, 10), (Facet.BUSTED,))


def test_bust_finds_its_trade_when_the_order_has_another_venue_id_since() -> None:
    """After a replace the venue names the old execution under the order's new id; the exec id still tells which it is."""
    order = told(_with_replace(_part_filled(), 12), said(ExecType.REPLACED, "Y", venue_order_id="V2", order_qty=12, at=2))
    busted = told(order, said(ExecType.TRADE_CANCEL, "Y", venue_order_id="V2", exec_id="b1", exec_ref_id="e1", at=3))
    assert _state(busted) == (_S.ACCEPTED, 0, 12)


def test_filled_order_stays_filled_when_its_trade_is_busted_even_if_the_bust_is_heard_first() -> None:
    """Closure is latched: a busted FILLED order has no leaves, whichever of bust and trade is heard first."""
    fill, bust = trade(10, 10, at=1), said(ExecType.TRADE_CANCEL, exec_id="b1", exec_ref_id="e1", at=2)
    for reports in ((fill, bust), (bust, fill)):
        order = told(_live(), *reports)
        assert (_state(order), order.facets) == ((_S.FILLED, 0, 0), (Facet.BUSTED,))


def test_order_is_not_filled_when_a_bust_and_the_next_trade_happened_at_one_instant() -> None:
    """The venue's own totals tell that six, busted, and another six never were twelve, even where the times do not."""
    first, bust = trade(6, 6, at=1), said(ExecType.TRADE_CANCEL, exec_id="b1", exec_ref_id="e1", cum_qty=0, at=5)
    again = trade(6, 6, exec_id="e2", at=5)
    for reports in ((first, bust, again), (first, again, bust)):
        assert _state(told(_live(), *reports)) == (_S.PARTIALLY_FILLED, 6, 4)


def test_filled_order_stays_filled_when_its_replacement_was_an_order_of_its_own() -> None:
    """Where a replacement counts from zero, the two totals are no total of the order; what was filled across both stays filled."""
    order = told(_with_replace(_part_filled()), said(ExecType.REPLACED, "Y", venue_order_id="V2", order_qty=10, cum_qty=0, at=2))
    filled = told(order, trade(6, 6, exec_id="e2", client_order_id="Y", venue_order_id="V2", at=3))
    assert _state(filled) == (_S.FILLED, 10, 0)
    busted = told(filled, said(ExecType.TRADE_CANCEL, "Y", venue_order_id="V2", exec_id="b1", exec_ref_id="e2", cum_qty=0, at=4))
    assert (_state(busted), busted.facets) == ((_S.FILLED, 4, 0), (Facet.BUSTED,))


def test_correction_to_nothing_is_a_bust() -> None:
    """A correction to zero leaves no execution to book and shows as a bust."""
    folded = fold(_part_filled(), said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id="e1", at=2))
    assert (folded.done, [e.qty for e in folded.undone], folded.order.facets) == ((), [4], (Facet.BUSTED,))


def test_amendment_is_told_apart_when_the_venue_gives_it_the_trades_id_or_none() -> None:
    """A bust under the id of the trade it busts, or under none, is not mistaken for the trade again."""
    for exec_id in ("e1", ""):
        bust = said(ExecType.TRADE_CANCEL, exec_id=exec_id, exec_ref_id="e1", at=2)
        assert told(_part_filled(), bust, bust).cum_qty == 0


def test_fills_are_told_apart_when_the_venue_names_none_of_them() -> None:
    """Without exec ids, fills that differ in anything are different, and the same one repeated is the same."""
    first, second = trade(4, 4, exec_id="", at=1), trade(2, 6, exec_id="", at=1)
    assert told(_live(), first, second, first).cum_qty == 6


def test_amendment_of_nothing_is_shown_and_counts_for_nothing() -> None:
    """A correction that names no execution cannot be booked; it is no additional quantity, and the order disagrees."""
    order = told(_part_filled(), said(ExecType.TRADE_CORRECT, exec_id="c1", last_qty=3, last_price=90))
    assert (order.cum_qty, order.disagreement) == (4, "TRADE_CORRECT names no execution")


def test_trade_of_nothing_is_an_acknowledgement() -> None:
    """A trade without a quantity books nothing; that the venue has the order it does say."""
    folded = fold(submitted(), said(ExecType.TRADE, exec_id="e1"))
    assert (folded.order.status, folded.order.executions, folded.done) == (_S.ACCEPTED, {}, ())


def test_references_in_a_circle_end_when_a_venue_sends_them() -> None:
    """Two corrections of each other are nonsense and still an answer."""
    one = said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id="c2", last_qty=1, last_price=100, at=1)
    other = said(ExecType.TRADE_CORRECT, exec_id="c2", exec_ref_id="c1", last_qty=2, last_price=100, at=2)
    assert told(_live(), one, other).cum_qty == told(_live(), other, one).cum_qty


def test_fills_under_way_are_known_when_the_venues_total_is_ahead_of_its_reports() -> None:
    """A status query that names a larger total says how much is still to be fetched, and creates no fill."""
    order = told(_part_filled(), said(ExecType.ORDER_STATUS, status=_S.PARTIALLY_FILLED, cum_qty=7, evidence="QUERY"))
    assert (order.missing_qty, order.cum_qty, order.facets) == (3, 4, ())
    assert told(order, trade(3, 7, exec_id="e2")).missing_qty == 0


def test_order_is_not_filled_when_the_venue_says_so_before_its_fills_came() -> None:
    """A status of FILLED creates no fill (FIX I): the order is filled when its executions are."""
    order = told(_part_filled(), said(ExecType.ORDER_STATUS, status=_S.FILLED, cum_qty=10, evidence="QUERY"))
    assert (_state(order), order.missing_qty) == ((_S.PARTIALLY_FILLED, 4, 6), 6)


def test_order_disagrees_when_more_was_booked_than_the_venue_has_executed() -> None:
    """Executions beyond the largest total the venue ever named are a disagreement, unless they named no total."""
    order = told(_live(), trade(4, 4, exec_id="e1"), trade(3, 3, exec_id="e2"))
    assert order.facets == (Facet.DISAGREEMENT,)
    assert told(_live(), trade(4, 4, exec_id="e1"), trade(3, exec_id="e2")).facets == ()


# Halts and the day's end.


@pytest.mark.parametrize("resume", [ExecType.NEW, ExecType.TRIGGERED])
def test_order_is_suspended_from_halt_to_resumption(resume: ExecType) -> None:
    """A halt is a facet that the next word of trading ends; the order keeps its status and its leaves."""
    halted = told(_part_filled(), said(ExecType.SUSPENDED, at=2))
    assert (_state(halted), halted.facets) == ((_S.PARTIALLY_FILLED, 4, 6), (Facet.SUSPENDED,))
    assert told(halted, said(resume, at=3)).facets == ()
    assert told(halted, trade(2, 6, exec_id="e2", at=3)).facets == ()


def test_order_stays_suspended_when_a_trade_from_before_the_halt_is_told_late() -> None:
    """Only what happened after the halt ends it, and at one and the same instant the halt is the last word."""
    for at in (1, 2):
        late = told(_live(), said(ExecType.SUSPENDED, at=2), trade(4, 4, at=at))
        assert late.facets == (Facet.SUSPENDED,)


def test_resumption_holds_when_an_older_word_of_trading_comes_late() -> None:
    """What happened before the halt does not undo the resumption after it."""
    order = told(_live(), said(ExecType.SUSPENDED, at=2), trade(4, 4, at=3), trade(2, 2, exec_id="e0", at=1))
    assert not order.is_suspended


@pytest.mark.parametrize(("time_in_force", "leaves_qty"), [(TimeInForce.DAY, 0), (TimeInForce.GTC, 6)])
def test_only_a_day_order_has_no_leaves_when_it_is_done_for_the_day(time_in_force: TimeInForce, leaves_qty: int) -> None:
    """FIX A.1.b and H: done for the day is the end of a day order's leaves; an order good till cancelled keeps them."""
    order = told(submitted(time_in_force=time_in_force), new(), trade(4, 4, at=1), said(ExecType.DONE_FOR_DAY, at=2), said(ExecType.SUSPENDED, at=2))
    assert (_state(order), order.facets) == ((_S.PARTIALLY_FILLED, 4, leaves_qty), (Facet.SUSPENDED,))


def test_order_good_till_cancelled_goes_on_when_it_is_restated_the_next_day() -> None:
    """FIX H: restated in the morning with its quantities, resumed by the first trade, filled by the last."""
    evening = told(submitted(time_in_force=TimeInForce.GTC), new(), trade(4, 4, at=1), said(ExecType.DONE_FOR_DAY, at=2))
    morning = told(evening, said(ExecType.RESTATED, order_qty=10, cum_qty=4, leaves_qty=6, status=_S.PARTIALLY_FILLED, at=3))
    assert (_state(morning), morning.terms.order_qty) == ((_S.PARTIALLY_FILLED, 4, 6), 10)
    assert _state(told(morning, trade(6, 10, exec_id="e2", at=4))) == (_S.FILLED, 10, 0)


# Terms.


def test_terms_are_the_restated_ones_when_the_venue_changes_them_on_its_own() -> None:
    """An unsolicited restatement names the terms that hold now: quantity, price or both; the younger word holds."""
    order = told(_part_filled(), said(ExecType.RESTATED, order_qty=8, at=2))
    assert _state(order) == (_S.PARTIALLY_FILLED, 4, 4)
    priced = told(order, said(ExecType.RESTATED, limit_price=99, at=3), said(ExecType.RESTATED, order_qty=9, at=1), said(ExecType.RESTATED, at=9))
    assert (priced.terms.order_qty, priced.terms.limit_price) == (8, 99)


def test_unsolicited_replace_under_the_same_id_changes_the_order_and_leaves_it_closable() -> None:
    """A venue that amends an order under its own id makes no new step: what it says of that id later still holds."""
    order = told(_part_filled(), said(ExecType.REPLACED, order_qty=6, limit_price=99, at=2))
    assert (_state(order), order.terms.limit_price, order.requests) == ((_S.PARTIALLY_FILLED, 4, 2), 99, ())
    assert _state(told(order, said(ExecType.CANCELLED, at=3))) == (_S.CANCELLED, 4, 0)


def test_unsolicited_replace_under_another_id_is_a_step_of_the_lineage() -> None:
    """An operator's replace at the venue is followed under the id it made, and once it is known not made twice."""
    replaced = said(ExecType.REPLACED, "W", orig_client_order_id=ORDER_ID, venue_order_id="V2", order_qty=15, at=3)
    order = told(_part_filled(), said(ExecType.PENDING_REPLACE, "W", at=2))
    assert order.facets == (Facet.PENDING_REPLACE,)
    order = told(order, replaced, replaced)
    assert (_state(order), order.facets, order.client_order_ids) == ((_S.PARTIALLY_FILLED, 4, 11), (), (ORDER_ID, "W"))
    assert (order.terms.rank, order.venue_order_id) == (1, "V2")
    assert _state(told(order, said(ExecType.CANCELLED, "W", at=4))) == (_S.CANCELLED, 4, 0)
    assert told(_part_filled(), replaced).terms == order.terms


def test_replace_of_ours_is_answered_when_the_venue_keeps_the_orders_id() -> None:
    """Venues that amend in place answer under the order's own id: the request is confirmed and the order stays that step."""
    order = told(_with_replace(_part_filled(), 12), said(ExecType.REPLACED, order_qty=12, at=2))
    assert (_state(order), order.requests[0].state, order.facets) == ((_S.PARTIALLY_FILLED, 4, 8), RequestState.CONFIRMED, ())
    assert _state(told(order, said(ExecType.CANCELLED, at=3))) == (_S.CANCELLED, 4, 0)


def test_replace_of_ours_is_answered_when_the_venue_names_only_its_own_id() -> None:
    """A report without any client order id answers the request that is open."""
    order = told(_with_replace(_part_filled(), 12), said(ExecType.REPLACED, "", order_qty=12, at=2))
    assert (_state(order), order.terms.client_order_id) == ((_S.PARTIALLY_FILLED, 4, 8), "Y")


def test_replace_happened_when_the_venue_speaks_of_the_replacement() -> None:
    """A fill of the replacement proves the replacement, in the terms that were asked for, until the venue names its own."""
    order = told(_with_replace(_part_filled(), 12), trade(2, 6, exec_id="e2", client_order_id="Y", at=3))
    assert (_state(order), order.terms.said_by_venue, order.facets) == ((_S.PARTIALLY_FILLED, 6, 6), False, ())
    said_later = told(order, said(ExecType.REPLACED, "Y", order_qty=11, at=2))
    assert (said_later.terms.order_qty, said_later.terms.said_by_venue) == (11, True)


def test_restatement_of_the_replacement_holds_when_the_replace_is_heard_after_it() -> None:
    """What is restated of a step belongs to that step, whenever the step itself is confirmed."""
    replaced, restated = said(ExecType.REPLACED, "Y", order_qty=12, at=2), said(ExecType.RESTATED, "Y", order_qty=13, at=3)
    older = said(ExecType.RESTATED, order_qty=9, at=4)
    for reports in ((replaced, restated, older), (older, restated, replaced)):
        assert told(_with_replace(_part_filled(), 12), *reports).order_qty == 13


@pytest.mark.parametrize("status", [None, _S.REJECTED])
def test_order_is_as_it_was_when_the_replacement_is_rejected(status: OrderStatus | None) -> None:
    """A rejection under the replacement's id, pushed or found by a query, refuses the replace and not the order."""
    asked = _with_replace(_part_filled(), 12)
    report = said(ExecType.REJECTED if status is None else ExecType.ORDER_STATUS, "Y", status=status, at=2)
    order = told(asked, report)
    assert (_state(order), order.requests[0].state, order.facets) == (_state(asked), RequestState.REFUSED, ())


def test_replace_reopens_a_filled_order_and_nothing_else_does() -> None:
    """FIX: FILLED becomes PARTIALLY_FILLED when a larger quantity is confirmed; a repeated acknowledgement does not do it."""
    filled = told(_with_replace(_part_filled(), 15), trade(6, 10, exec_id="e2", at=2))
    assert _state(told(filled, new(at=3), said(ExecType.RESTATED, order_qty=10, status=_S.FILLED, at=3))) == (_S.FILLED, 10, 0)
    assert _state(told(filled, said(ExecType.REPLACED, "Y", order_qty=15, at=3))) == (_S.PARTIALLY_FILLED, 10, 5)


def test_end_of_the_replaced_step_does_not_end_the_order() -> None:
    """Some venues cancel the old order when they replace it; in either order of arrival the replacement lives."""
    end, replaced = said(ExecType.CANCELLED, at=2), said(ExecType.REPLACED, "Y", orig_client_order_id=ORDER_ID, order_qty=12, at=2)
    for reports in ((end, replaced), (replaced, end)):
        order = told(_with_replace(_part_filled(), 12), *reports)
        assert (_state(order), order.disagreement) == ((_S.PARTIALLY_FILLED, 4, 8), "")


def test_order_ends_with_every_step_when_a_cancel_of_ours_is_answered_under_its_own_id() -> None:
    """A cancel that crossed a replace ends the order, even where the answer names only the cancel."""
    asked = request_cancel(_with_replace(_part_filled(), 12), "C", "WISH", NOW)
    end, replaced = said(ExecType.CANCELLED, "C", at=3), said(ExecType.REPLACED, "Y", order_qty=12, at=2)
    for reports in ((end, replaced), (replaced, end)):
        assert _state(told(asked, *reports)) == (_S.CANCELLED, 4, 0)


# Requests.


def test_request_is_pending_from_asking_to_the_answer() -> None:
    """A pending facet begins with the request; the refusal ends it and leaves the order as it was."""
    asked = request_cancel(_part_filled(), "C", "WISH", NOW)
    assert (asked.status, asked.facets, asked.open_request) == (_S.PARTIALLY_FILLED, (Facet.PENDING_CANCEL,), asked.requests[0])
    refused = told(asked, said(ExecType.PENDING_CANCEL, "C"), said(ExecType.CANCEL_REJECTED, "C"))
    assert (_state(refused), refused.facets, refused.open_request) == (_state(asked), (), None)
    assert told(refused, said(ExecType.PENDING_CANCEL, "C")) is refused


def test_foreign_cancel_is_pending_when_somebody_else_asked_for_it() -> None:
    """A pending cancel nobody here asked for is shown, whether it names an id of its own or only the order."""
    for client_order_id in ("W", ORDER_ID, ""):
        pending = told(_part_filled(), said(ExecType.PENDING_CANCEL, client_order_id))
        assert pending.facets == (Facet.PENDING_CANCEL,)
        assert pending.client_order_ids == (ORDER_ID,)
        assert told(pending, said(ExecType.CANCEL_REJECTED, client_order_id)).facets == ()


def test_refusal_counts_when_it_overtakes_the_pending_report() -> None:
    """A refused foreign request stays refused when its pending report comes late; one that names nobody's request says nothing."""
    order = told(_part_filled(), said(ExecType.CANCEL_REJECTED, "W"), said(ExecType.PENDING_CANCEL, "W"))
    assert order.facets == ()
    assert fold(_part_filled(), said(ExecType.CANCEL_REJECTED)).order == _part_filled()


def test_refusal_is_the_named_requests_when_the_venue_mistakes_its_kind() -> None:
    """A refused replace that the venue calls a refused cancel is known by its id."""
    order = told(_with_replace(_part_filled(), 12), said(ExecType.CANCEL_REJECTED, "Y"))
    assert (order.requests[0].state, order.facets) == (RequestState.REFUSED, ())


def test_confirmation_outweighs_a_refusal() -> None:
    """What the venue has done it has done, whatever it says of the request before or after."""
    replaced, refused = said(ExecType.REPLACED, "Y", order_qty=12, at=2), said(ExecType.REPLACE_REJECTED, "Y", at=3)
    for reports in ((replaced, refused), (refused, replaced)):
        order = told(_with_replace(_part_filled(), 12), *reports)
        assert (order.order_qty, order.requests[0].state) == (12, RequestState.CONFIRMED)


def test_request_in_doubt_is_a_doubt_of_the_order_until_it_is_answered_or_the_order_ends() -> None:
    """A cancel without an outcome is in doubt; its answer, our gate's refusal, or the order's end settles it."""
    doubtful = told(request_cancel(_part_filled(), "C", "WISH", NOW), said(ExecType.ATTEMPTED, "C"), said(ExecType.IN_DOUBT, "C"))
    assert (_state(doubtful), doubtful.facets) == ((_S.PARTIALLY_FILLED, 4, 6), (Facet.IN_DOUBT, Facet.PENDING_CANCEL))
    assert told(doubtful, said(ExecType.PENDING_CANCEL, "C")).facets == (Facet.PENDING_CANCEL,)
    for settled in (said(ExecType.CANCEL_REJECTED, "C"), said(ExecType.NOT_SENT, "C"), said(ExecType.NEVER_REACHED, "C"), said(ExecType.CANCELLED)):
        assert not told(doubtful, settled).is_in_doubt
    assert not told(doubtful, trade(6, 10, exec_id="e2")).is_in_doubt


def test_order_itself_is_untouched_when_its_cancel_never_got_there() -> None:
    """Facts of our gateway about a request are about the request alone."""
    asked = request_cancel(_part_filled(), "C", "WISH", NOW)
    assert told(asked, said(ExecType.NOT_SENT, "C", reject_reason="RATE")).closure is None
    assert told(asked, said(ExecType.LOST, "C")) is asked


def test_attempt_is_dated_by_the_first_report_of_it() -> None:
    """A repeated attempt does not make an order younger."""
    assert told(submitted(), said(ExecType.ATTEMPTED, at=9)).attempted_ns == NOW


def test_end_by_us_stands_when_the_gateway_reports_after_it() -> None:
    """What the gateway says of an order we had ended before the wire changes nothing."""
    ended = close_by_us(a_new_order(), "WISH", NOW)
    for exec_type in (ExecType.NOT_SENT, ExecType.NEVER_REACHED, ExecType.IN_DOUBT, ExecType.LOST):
        assert told(ended, said(exec_type)) is ended
