"""Every row of the table of status changes is walked, by every cause it names; every illegal command of ours is refused."""

# A Decimal equals the int it is written as here, also inside a tuple.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import ExecType, OrderStatus, VenueReport
from core.errors import BrokerConfirmationRequiredError, ExecutionError, InvalidTransitionError, TerminalStateError
from core.order import (
    TRANSITIONS,
    Command,
    Evidence,
    Facet,
    Order,
    Transition,
    close_by_us,
    fold,
    request_cancel,
    request_replace,
    require_command,
    require_transition,
    transition_table,
)
from core.order.transitions import is_legal
from tests.support.builders import NOW
from tests.support.honest_venue import HonestVenue, asking, lives
from tests.support.orders import ORDER_ID, a_new_order, new, said, submitted, told, trade

_S = OrderStatus
_ATTEMPTED = said(ExecType.ATTEMPTED, evidence="GATEWAY")
_CANCELLED, _EXPIRED = said(ExecType.CANCELLED, at=5, cum_qty=6), said(ExecType.EXPIRED, at=5, cum_qty=6)


def _working() -> Order:
    """Accepted, with a replace under the id Y asked for."""
    return request_replace(told(submitted(), new()), "Y", "i", NOW, order_qty=Decimal(15), limit_price=None, stop_price=None)


def _bust(exec_ref_id: str, at: int = 2) -> VenueReport:
    return said(ExecType.TRADE_CANCEL, exec_id="b1", exec_ref_id=exec_ref_id, at=at)


def _correct(exec_ref_id: str, last_qty: int) -> VenueReport:
    return said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id=exec_ref_id, last_qty=last_qty, last_price=100, at=2)


def _terms(exec_type: ExecType, order_qty: int, client_order_id: str = ORDER_ID) -> VenueReport:
    return said(exec_type, client_order_id, order_qty=order_qty, status=_S.PARTIALLY_FILLED, at=9)


def _status(status: OrderStatus) -> VenueReport:
    return said(ExecType.ORDER_STATUS, status=status, evidence="QUERY")


_FOUR, _SIX, _TEN = trade(4, 4, at=1), trade(6, 10, exec_id="e2", at=3), trade(10, 10, at=1)
# Two executions of six of an order for ten: the first was busted before the second, but that is heard last.
_OVERTAKEN = (trade(6, 6, at=1), trade(6, 6, exec_id="e2", at=4))

# From a status to another: an order there, and the reports of which each makes the change.
_WALKS: tuple[tuple[OrderStatus, OrderStatus, Callable[[], Order], tuple[VenueReport, ...]], ...] = (
    (_S.PENDING, _S.SUBMITTED, a_new_order, (_ATTEMPTED,)),
    (
        _S.SUBMITTED,
        _S.ACCEPTED,
        submitted,
        (
            *(said(kind) for kind in (ExecType.NEW, ExecType.TRIGGERED, ExecType.SUSPENDED, ExecType.DONE_FOR_DAY, ExecType.STOPPED, ExecType.CALCULATED)),
            *(said(kind) for kind in (ExecType.RESTATED, ExecType.REPLACED, ExecType.PENDING_CANCEL, ExecType.PENDING_REPLACE)),
            _status(_S.ACCEPTED),
            _bust("unheard of"),
            _correct("unheard of", 0),
        ),
    ),
    (_S.SUBMITTED, _S.PARTIALLY_FILLED, submitted, (_FOUR, _correct("unheard of", 4))),
    (_S.SUBMITTED, _S.FILLED, submitted, (_TEN, _correct("unheard of", 10))),
    (
        _S.SUBMITTED,
        _S.CANCELLED,
        submitted,
        (
            _CANCELLED,
            _status(_S.CANCELLED),
            said(ExecType.NOT_SENT, evidence="GATEWAY", reject_reason="KILL_SWITCH"),
            said(ExecType.NEVER_REACHED, evidence="GATEWAY"),
        ),
    ),
    (_S.SUBMITTED, _S.REJECTED, submitted, (said(ExecType.REJECTED), _status(_S.REJECTED))),
    (_S.SUBMITTED, _S.EXPIRED, submitted, (_EXPIRED, _status(_S.EXPIRED))),
    (_S.ACCEPTED, _S.PARTIALLY_FILLED, _working, (_FOUR, _correct("unheard of", 4))),
    (_S.ACCEPTED, _S.FILLED, _working, (_TEN, _correct("unheard of", 10))),
    (_S.ACCEPTED, _S.FILLED, lambda: told(_working(), _FOUR, _bust("e1", at=20)), (_terms(ExecType.REPLACED, 4), _terms(ExecType.RESTATED, 4))),
    (_S.ACCEPTED, _S.CANCELLED, _working, (_CANCELLED, _status(_S.CANCELLED))),
    (_S.ACCEPTED, _S.REJECTED, _working, (said(ExecType.REJECTED), _status(_S.REJECTED))),
    (_S.ACCEPTED, _S.EXPIRED, _working, (_EXPIRED, _status(_S.EXPIRED))),
    (
        _S.PARTIALLY_FILLED,
        _S.FILLED,
        lambda: told(_working(), _FOUR),
        (_SIX, _correct("e1", 10), _terms(ExecType.REPLACED, 4), _terms(ExecType.RESTATED, 4)),
    ),
    (_S.PARTIALLY_FILLED, _S.CANCELLED, lambda: told(_working(), _FOUR), (_CANCELLED, _status(_S.CANCELLED))),
    (_S.PARTIALLY_FILLED, _S.EXPIRED, lambda: told(_working(), _FOUR), (_EXPIRED, _status(_S.EXPIRED))),
    (_S.PARTIALLY_FILLED, _S.ACCEPTED, lambda: told(_working(), _FOUR), (_bust("e1"), _correct("e1", 0))),
    (
        _S.CANCELLED,
        _S.FILLED,
        lambda: told(_working(), _FOUR, _CANCELLED),
        (_SIX, _correct("e1", 10), _terms(ExecType.REPLACED, 4), _terms(ExecType.RESTATED, 4)),
    ),
    (
        _S.EXPIRED,
        _S.FILLED,
        lambda: told(_working(), _FOUR, _EXPIRED),
        (_SIX, _correct("e1", 10), _terms(ExecType.REPLACED, 4), _terms(ExecType.RESTATED, 4)),
    ),
    (
        _S.FILLED,
        _S.PARTIALLY_FILLED,
        lambda: told(_working(), *_OVERTAKEN),
        (_bust("e1"), _correct("e1", 1), _terms(ExecType.REPLACED, 15), _terms(ExecType.RESTATED, 15)),
    ),
    (_S.FILLED, _S.ACCEPTED, lambda: told(_working(), _TEN, _bust("e1")), (_terms(ExecType.REPLACED, 15), _terms(ExecType.RESTATED, 15))),
    (_S.FILLED, _S.CANCELLED, lambda: told(_working(), _CANCELLED, *_OVERTAKEN), (_bust("e1"), _correct("e1", 1))),
    (_S.FILLED, _S.EXPIRED, lambda: told(_working(), _EXPIRED, *_OVERTAKEN), (_bust("e1"), _correct("e1", 1))),
    (_S.CANCELLED, _S.ACCEPTED, lambda: told(_working(), _CANCELLED), (_terms(ExecType.REPLACED, 15, "Y"), _terms(ExecType.RESTATED, 15, "Y"))),
    (
        _S.CANCELLED,
        _S.PARTIALLY_FILLED,
        lambda: told(_working(), _FOUR, _CANCELLED),
        (_terms(ExecType.REPLACED, 15, "Y"), _terms(ExecType.RESTATED, 15, "Y")),
    ),
    (_S.FILLED, _S.ACCEPTED, lambda: told(_working(), trade(6, 6, at=1), _terms(ExecType.REPLACED, 6)), (_bust("e1"), _correct("e1", 0))),
)
_CAUSES = [(row, cause) for row in TRANSITIONS for cause in row.causes]


@pytest.mark.parametrize(("row", "cause"), _CAUSES, ids=[f"{row.old} → {row.new} by {cause}" for row, cause in _CAUSES])
def test_status_changes_when_a_cause_of_the_table_is_reported(row: Transition, cause: ExecType) -> None:
    """Every row of the table is reached by each of the reports it names as a cause, and no such change is a disagreement."""
    start, report = next((start, report) for old, new_status, start, reports in _WALKS for report in reports if (old, new_status, report.exec_type) == (row.old, row.new, cause))
    order = start()
    assert order.status is row.old
    after = told(order, report)
    assert (after.status, after.disagreement) == (row.new, "")
    assert after.is_known is (row.evidence is Evidence.VENUE)


def test_only_a_close_of_ours_has_no_report_as_its_cause() -> None:
    """The one row without a cause is PENDING → CANCELLED, which is our own decision."""
    assert [(row.old, row.new, row.evidence) for row in TRANSITIONS if not row.causes] == [(_S.PENDING, _S.CANCELLED, Evidence.OURS)]
    order = close_by_us(a_new_order(), "KILL_SWITCH", NOW)
    assert order.closure is not None
    assert (order.status, order.closure.cause, order.closure.by_us) == (_S.CANCELLED, "KILL_SWITCH", True)


def test_table_has_no_row_twice_and_no_way_back_from_the_venues_no() -> None:
    """Rows are unique, nothing follows a rejection, and only the venue's evidence leads out of an ended order."""
    assert len({(row.old, row.new, row.evidence, row.causes) for row in TRANSITIONS}) == len(TRANSITIONS)
    assert not [row for row in TRANSITIONS if row.old is _S.REJECTED]
    assert {row.evidence for row in TRANSITIONS if row.old.is_terminal} == {Evidence.VENUE}


@given(lives())
def test_table_names_the_cause_when_an_honest_venues_report_changes_a_status(venue: HonestVenue) -> None:
    """Told in the order it happened, each change of status stands in the table with the report that caused it."""
    order = asking()
    for report in venue.reports:
        after = fold(order, report).order
        # A report about a replacement confirms it, whatever else it says.
        causes = {report.exec_type} | ({ExecType.REPLACED} if after.terms != order.terms else set())
        if after.status is not order.status:
            assert any(causes & set(row.causes) for row in TRANSITIONS if (row.old, row.new) == (order.status, after.status))
        order = after


def test_order_disagrees_when_the_venue_leads_it_where_the_table_does_not() -> None:
    """A fact that no ordering explains is booked and shown: a rejection of what was partly executed."""
    order = told(_working(), _FOUR, said(ExecType.REJECTED, at=2))
    assert (order.status, order.cum_qty) == (_S.REJECTED, 4)
    assert order.has_facet(Facet.DISAGREEMENT)
    assert order.disagreement == "REJECTED led from PARTIALLY_FILLED to REJECTED"


def _at(status: OrderStatus) -> Order:
    return next(told(start(), reports[0]) for _, new_status, start, reports in _WALKS if new_status is status)


_ORDERS = {status: a_new_order() if status is _S.PENDING else _at(status) for status in OrderStatus}
_TERMINAL = {_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}

# Commands that are legal, by status; the error of every other one.
_LEGAL: dict[Command, set[OrderStatus]] = {
    Command.SUBMIT: {_S.PENDING},
    Command.CANCEL: {_S.PENDING, _S.SUBMITTED, _S.ACCEPTED, _S.PARTIALLY_FILLED},
    Command.REPLACE: {_S.ACCEPTED, _S.PARTIALLY_FILLED},
    Command.CLOSE: {_S.PENDING},
}


def _command(order: Order, command: Command) -> Order | None:
    match command:
        case Command.CANCEL:
            return request_cancel(order, "C", "WISH", NOW)
        case Command.REPLACE:
            return request_replace(order, "R", "i", NOW, order_qty=None, limit_price=None, stop_price=None)
        case Command.CLOSE:
            return close_by_us(order, "WISH", NOW)
        case Command.SUBMIT:
            require_command(order.client_order_id, order.status, Command.SUBMIT)
            return None


def _error(status: OrderStatus, command: Command) -> type[ExecutionError]:
    if status in _TERMINAL:
        return TerminalStateError
    return BrokerConfirmationRequiredError if command is Command.CLOSE else InvalidTransitionError


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("status", OrderStatus)
def test_command_is_refused_by_name_when_the_order_does_not_allow_it(status: OrderStatus, command: Command) -> None:
    """Every command is either legal where the order stands or refused with the error that says why, and the order is as it was."""
    order = _ORDERS[status]
    assert order.status is status
    before = told(order)
    if status in _LEGAL[command]:
        after = _command(order, command)
        assert after is None or after.status is (_S.CANCELLED if command is Command.CLOSE else status)
    else:
        with pytest.raises(ExecutionError, match=ORDER_ID) as refusal:
            _command(order, command)
        assert type(refusal.value) is _error(status, command)
    assert order == before


def _expected(old: OrderStatus, new_status: OrderStatus, evidence: Evidence) -> type[ExecutionError] | None:
    rows = [row for row in TRANSITIONS if (row.old, row.new) == (old, new_status)]
    if old in _TERMINAL and evidence is not Evidence.VENUE:
        return TerminalStateError
    if not rows:
        return InvalidTransitionError
    return None if evidence in {row.evidence for row in rows} else BrokerConfirmationRequiredError


@given(st.sampled_from(OrderStatus), st.sampled_from(OrderStatus), st.sampled_from(Evidence))
def test_change_of_ours_is_refused_by_name_when_the_table_or_the_evidence_does_not_hold_it(old: OrderStatus, new_status: OrderStatus, evidence: Evidence) -> None:
    """A change passes exactly when the table has it with this evidence; otherwise one of three errors says what is missing."""
    expected = _expected(old, new_status, evidence)
    if expected is None:
        require_transition(ORDER_ID, old, new_status, evidence)
        return
    with pytest.raises(ExecutionError, match=ORDER_ID) as refusal:
        require_transition(ORDER_ID, old, new_status, evidence)
    assert type(refusal.value) is expected


@pytest.mark.parametrize("new_status", [_S.REJECTED, _S.EXPIRED, _S.FILLED])
def test_venues_word_is_not_ours_to_say_when_the_venue_has_not_said_it(new_status: OrderStatus) -> None:
    """REJECTED, EXPIRED and FILLED of a submitted order need the venue's evidence; claiming them is refused by name."""
    with pytest.raises(BrokerConfirmationRequiredError, match="it needs VENUE"):
        require_transition(ORDER_ID, _S.SUBMITTED, new_status, Evidence.OURS)


def test_staying_is_always_legal_and_skipping_the_wire_is_not() -> None:
    """A status may stay as it is; an order that was never sent can neither be accepted nor filled."""
    assert all(is_legal(status, status) for status in OrderStatus)
    assert not is_legal(_S.PENDING, _S.ACCEPTED)
    assert not is_legal(_S.PENDING, _S.FILLED)


def test_table_is_told_as_markdown_row_by_row() -> None:
    """The documentation's table has a head and one line per row, in the table's order."""
    lines = transition_table().splitlines()
    assert lines[:2] == ["| From | To | Caused by | Evidence |", "|---|---|---|---|"]
    assert len(lines) == 2 + len(TRANSITIONS)
    assert lines[2] == "| PENDING | SUBMITTED | ATTEMPTED | OURS |"
    assert lines[3] == "| PENDING | CANCELLED | our own decision | OURS |"
    assert "| SUBMITTED | CANCELLED | NOT_SENT | NOT_SENT |" in lines
    assert all(line.count("|") == 5 for line in lines)
