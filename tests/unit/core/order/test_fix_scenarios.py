"""FIX's order scenarios beyond the published vectors, as tables: what happens, and what the order is after it.

Letters are those of the FIX order state change matrices (FIX 4.4 and 5.0 SP2, appendix D). Each row is something the venue says or
we ask, then status, ordered, executed, remaining, and the facets beside the status.
"""

# A Decimal equals the int it is written as here, also inside a tuple.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from core.contracts import ExecType, OrderStatus, OrderType, TimeInForce, VenueReport
from core.errors import DuplicateOrderError, TerminalStateError
from core.order import Facet, Order, RequestState, request_cancel, request_replace
from tests.support.builders import NOW
from tests.support.orders import ORDER_ID, a_new_order, said, told, trade

_S, _X, _F = OrderStatus, ExecType, Facet
_Step = VenueReport | Callable[[Order], Order]


class _Row(NamedTuple):
    """One line of a scenario."""

    step: _Step
    status: OrderStatus
    order_qty: int
    cum_qty: int
    leaves_qty: int
    facets: tuple[Facet, ...] = ()


class _Scenario(NamedTuple):
    """A title after FIX's letter, the order it is about, and what happens."""

    title: str
    rows: tuple[_Row, ...]
    time_in_force: TimeInForce = TimeInForce.DAY
    changes: Mapping[str, Any] = MappingProxyType({})
    avg_price: str = "100"


def _cancel(request_id: str) -> Callable[[Order], Order]:
    return lambda order: request_cancel(order, request_id, "WISH", NOW)


def _replace(request_id: str, order_qty: int) -> Callable[[Order], Order]:
    return lambda order: request_replace(order, request_id, "i", NOW, order_qty=Decimal(order_qty), limit_price=None, stop_price=None)


_SENT = _Row(said(_X.ATTEMPTED, evidence="GATEWAY"), _S.SUBMITTED, 10, 0, 10)
_NEW = _Row(said(_X.NEW, status=_S.ACCEPTED), _S.ACCEPTED, 10, 0, 10)
_FOUR = _Row(trade(4, 4, at=1), _S.PARTIALLY_FILLED, 10, 4, 6)
_ALL = _Row(trade(10, 10, at=1), _S.FILLED, 10, 10, 0)
_HALT = (_F.SUSPENDED,)


def _bust(exec_ref_id: str, at: int, **changes: Any) -> VenueReport:
    return said(_X.TRADE_CANCEL, exec_id=f"b{exec_ref_id}", exec_ref_id=exec_ref_id, at=at, **changes)


def _correct(exec_ref_id: str, last_qty: int, last_price: int, at: int, **changes: Any) -> VenueReport:
    return said(_X.TRADE_CORRECT, exec_id=f"c{exec_ref_id}.{at}", exec_ref_id=exec_ref_id, last_qty=last_qty, last_price=last_price, at=at, **changes)


_SCENARIOS = (
    # Replaces: C.
    _Scenario(
        "C.1.a zero-filled, replace to increase",
        (
            _SENT,
            _NEW,
            _Row(_replace("Y", 11), _S.ACCEPTED, 10, 0, 10, (_F.PENDING_REPLACE,)),
            _Row(said(_X.PENDING_REPLACE, "Y", order_qty=10, at=2), _S.ACCEPTED, 10, 0, 10, (_F.PENDING_REPLACE,)),
            _Row(said(_X.REPLACED, "Y", order_qty=11, at=3), _S.ACCEPTED, 11, 0, 11),
            _Row(trade(11, 11, client_order_id="Y", at=4), _S.FILLED, 11, 11, 0),
        ),
    ),
    _Scenario(
        "C.1.c filled while the replace to increase is under way, which reopens it",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(_replace("Y", 12), _S.PARTIALLY_FILLED, 10, 4, 6, (_F.PENDING_REPLACE,)),
            _Row(said(_X.PENDING_REPLACE, "Y", order_qty=10, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, (_F.PENDING_REPLACE,)),
            _Row(trade(6, 10, exec_id="e2", at=3), _S.FILLED, 10, 10, 0, (_F.PENDING_REPLACE,)),
            _Row(said(_X.REPLACED, "Y", order_qty=12, cum_qty=10, status=_S.PARTIALLY_FILLED, at=4), _S.PARTIALLY_FILLED, 12, 10, 2),
            _Row(trade(2, 12, exec_id="e3", client_order_id="Y", at=5), _S.FILLED, 12, 12, 0),
        ),
    ),
    # Unsolicited: E.
    _Scenario(
        "E.1.a telephoned order: somebody else's, followed from its acknowledgement",
        (
            _Row(_NEW.step, _S.ACCEPTED, 10, 0, 10, (_F.EXTERNAL,)),
            _Row(_FOUR.step, _S.PARTIALLY_FILLED, 10, 4, 6, (_F.EXTERNAL,)),
            _Row(trade(6, 10, exec_id="e2", at=2), _S.FILLED, 10, 10, 0, (_F.EXTERNAL,)),
        ),
        changes={"external": True},
    ),
    _Scenario("E.1.b unsolicited cancel of a part-filled order", (_SENT, _NEW, _FOUR, _Row(said(_X.CANCELLED, cum_qty=4, at=2), _S.CANCELLED, 10, 4, 0))),
    _Scenario(
        "E.1.b unsolicited cancel, overtaken by the fill before it",
        (_SENT, _NEW, _Row(said(_X.CANCELLED, cum_qty=4, at=2), _S.CANCELLED, 10, 0, 0), _Row(_FOUR.step, _S.CANCELLED, 10, 4, 0, (_F.LATE_FILL,))),
    ),
    _Scenario(
        "E.1.c unsolicited replacement under the same id",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.REPLACED, order_qty=8, cum_qty=4, at=2), _S.PARTIALLY_FILLED, 8, 4, 4),
            _Row(trade(4, 8, exec_id="e2", at=3), _S.FILLED, 8, 8, 0),
        ),
    ),
    _Scenario(
        "E.1.c unsolicited replacement under a new id, pending first",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.PENDING_REPLACE, "W", orig_client_order_id=ORDER_ID, order_qty=10, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, (_F.PENDING_REPLACE,)),
            _Row(said(_X.REPLACED, "W", orig_client_order_id=ORDER_ID, order_qty=8, at=3), _S.PARTIALLY_FILLED, 8, 4, 4),
            _Row(said(_X.CANCELLED, "W", at=4), _S.CANCELLED, 8, 4, 0),
        ),
    ),
    _Scenario(
        "E unsolicited cancel while our replace is under way: the replace is over with it",
        (
            _SENT,
            _NEW,
            _Row(_replace("Y", 12), _S.ACCEPTED, 10, 0, 10, (_F.PENDING_REPLACE,)),
            _Row(said(_X.CANCELLED, at=2), _S.CANCELLED, 10, 0, 0),
            _Row(said(_X.REPLACE_REJECTED, "Y", at=3), _S.CANCELLED, 10, 0, 0),
        ),
    ),
    # Used ids: F.
    _Scenario(
        "F.1.a acknowledgement and execution delivered twice",
        (_SENT, _NEW, _NEW, _FOUR, _FOUR, _Row(_NEW.step, _S.PARTIALLY_FILLED, 10, 4, 6)),
    ),
    _Scenario(
        "F.1.a replace refused because its id was used before at the venue",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(_replace("Y", 12), _S.PARTIALLY_FILLED, 10, 4, 6, (_F.PENDING_REPLACE,)),
            _Row(said(_X.REJECTED, "Y", reject_reason="DUPLICATE_CLIENT_ORDER_ID", at=2), _S.PARTIALLY_FILLED, 10, 4, 6),
            _Row(trade(6, 10, exec_id="e2", at=3), _S.FILLED, 10, 10, 0),
        ),
    ),
    _Scenario(
        "F.1.b refused because it was submitted verbally before",
        (_SENT, _Row(said(_X.REJECTED, reject_reason="DUPLICATE_OF_A_VERBAL_ORDER", at=1), _S.REJECTED, 10, 0, 0)),
        avg_price="0",
    ),
    # Good till cancelled: H.
    _Scenario(
        "H.1.a restated in the morning, filled the next day",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.DONE_FOR_DAY, cum_qty=4, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
            _Row(said(_X.RESTATED, order_qty=10, cum_qty=4, leaves_qty=6, status=_S.PARTIALLY_FILLED, at=3), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
            _Row(said(_X.NEW, status=_S.ACCEPTED, at=4), _S.PARTIALLY_FILLED, 10, 4, 6),
            _Row(trade(6, 10, exec_id="e2", at=5), _S.FILLED, 10, 10, 0),
        ),
        TimeInForce.GTC,
    ),
    _Scenario(
        "H.1.a not restated: the first trade of the next day resumes it",
        (_SENT, _NEW, _FOUR, _Row(said(_X.DONE_FOR_DAY, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT), _Row(trade(6, 10, exec_id="e2", at=3), _S.FILLED, 10, 10, 0)),
        TimeInForce.GTC,
    ),
    _Scenario(
        "H.1.c not restated with a fill of the day before, told the next morning",
        (
            _SENT,
            _NEW,
            _Row(said(_X.DONE_FOR_DAY, at=2), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(said(_X.RESTATED, order_qty=10, cum_qty=4, at=3), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(_FOUR.step, _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
        ),
        TimeInForce.GTC,
    ),
    _Scenario(
        "H.1 cancelled overnight by the venue",
        (_SENT, _NEW, _FOUR, _Row(said(_X.DONE_FOR_DAY, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT), _Row(said(_X.CANCELLED, at=3), _S.CANCELLED, 10, 4, 0, _HALT)),
        TimeInForce.GTC,
    ),
    _Scenario(
        "A.1.b done for the day, then expired at its end",
        (_SENT, _NEW, _FOUR, _Row(said(_X.DONE_FOR_DAY, at=2), _S.PARTIALLY_FILLED, 10, 4, 0, _HALT), _Row(said(_X.EXPIRED, at=3), _S.EXPIRED, 10, 4, 0, _HALT)),
    ),
    _Scenario(
        "A.1.b done for the day, and a fill of before it told after it",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.DONE_FOR_DAY, at=4), _S.PARTIALLY_FILLED, 10, 4, 0, _HALT),
            _Row(trade(3, 7, exec_id="e2", at=3), _S.PARTIALLY_FILLED, 10, 7, 0, _HALT),
        ),
    ),
    # Immediate orders: I.
    _Scenario("I.1.a fill or kill that cannot be filled", (_SENT, _NEW, _Row(said(_X.CANCELLED, cum_qty=0, at=1), _S.CANCELLED, 10, 0, 0)), TimeInForce.FOK, avg_price="0"),
    _Scenario("I.1.a fill or kill without an acknowledgement", (_SENT, _Row(said(_X.CANCELLED, cum_qty=0, at=1), _S.CANCELLED, 10, 0, 0)), TimeInForce.FOK, avg_price="0"),
    _Scenario("I.1 fill or kill that fills", (_SENT, _ALL), TimeInForce.FOK),
    _Scenario("I.1.b immediate or cancel that gets nothing", (_SENT, _NEW, _Row(said(_X.EXPIRED, cum_qty=0, at=1), _S.EXPIRED, 10, 0, 0)), TimeInForce.IOC, avg_price="0"),
    _Scenario("I.1.b immediate or cancel that gets a part", (_SENT, _NEW, _FOUR, _Row(said(_X.CANCELLED, cum_qty=4, at=2), _S.CANCELLED, 10, 4, 0)), TimeInForce.IOC),
    _Scenario(
        "I.1.b immediate or cancel whose end overtakes its part",
        (
            _SENT,
            _Row(said(_X.CANCELLED, cum_qty=4, at=2), _S.CANCELLED, 10, 0, 0),
            _Row(_FOUR.step, _S.CANCELLED, 10, 4, 0, (_F.LATE_FILL,)),
            _Row(_NEW.step, _S.CANCELLED, 10, 4, 0, (_F.LATE_FILL,)),
        ),
        TimeInForce.IOC,
    ),
    # Busts and corrections: J.
    _Scenario(
        "J.1.a filled, then one execution corrected and the other busted: no leaves come back",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(trade(6, 10, exec_id="e2", at=2), _S.FILLED, 10, 10, 0),
            _Row(_correct("e1", 3, 110, 3, cum_qty=9), _S.FILLED, 10, 9, 0),
            _Row(_bust("e2", 4, cum_qty=3), _S.FILLED, 10, 3, 0, (_F.BUSTED,)),
        ),
        avg_price="110",
    ),
    _Scenario(
        "J.1.a the same of an order that was part-filled: its leaves grow",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(_correct("e1", 3, 110, 2, cum_qty=3), _S.PARTIALLY_FILLED, 10, 3, 7),
            _Row(_bust("e1", 3, cum_qty=0), _S.ACCEPTED, 10, 0, 10, (_F.BUSTED,)),
        ),
        avg_price="0",
    ),
    _Scenario(
        "J.1.b cancelled, then its execution busted and another one told",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.CANCELLED, cum_qty=4, at=2), _S.CANCELLED, 10, 4, 0),
            _Row(_bust("e1", 3, cum_qty=0), _S.CANCELLED, 10, 0, 0, (_F.BUSTED,)),
            _Row(trade(5, 5, exec_id="e2", last_price=90, at=4), _S.CANCELLED, 10, 5, 0, (_F.LATE_FILL, _F.BUSTED)),
        ),
        avg_price="90",
    ),
    _Scenario(
        "J.1.b expired, then corrected up to everything",
        (_SENT, _NEW, _FOUR, _Row(said(_X.EXPIRED, at=2), _S.EXPIRED, 10, 4, 0), _Row(_correct("e1", 10, 100, 3), _S.FILLED, 10, 10, 0, (_F.LATE_FILL,))),
    ),
    _Scenario(
        "J.1.c good till cancelled: restated, then yesterday's execution corrected",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.DONE_FOR_DAY, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
            _Row(said(_X.RESTATED, order_qty=10, cum_qty=4, at=3), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
            _Row(_correct("e1", 2, 100, 4, cum_qty=2), _S.PARTIALLY_FILLED, 10, 2, 8, _HALT),
            _Row(trade(8, 10, exec_id="e2", at=5), _S.FILLED, 10, 10, 0),
        ),
        TimeInForce.GTC,
    ),
    _Scenario(
        "J the bust is heard before what it busts, on an ended order",
        (
            _SENT,
            _NEW,
            _Row(said(_X.CANCELLED, at=4), _S.CANCELLED, 10, 0, 0),
            _Row(_bust("e1", 3), _S.CANCELLED, 10, 0, 0, (_F.BUSTED,)),
            _Row(_FOUR.step, _S.CANCELLED, 10, 0, 0, (_F.BUSTED,)),
        ),
        avg_price="0",
    ),
    # Trading halts: K.
    _Scenario(
        "K.1.a halted and reinstated",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.SUSPENDED, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
            _Row(said(_X.NEW, status=_S.ACCEPTED, at=3), _S.PARTIALLY_FILLED, 10, 4, 6),
            _Row(trade(6, 10, exec_id="e2", at=4), _S.FILLED, 10, 10, 0),
        ),
    ),
    _Scenario(
        "K.1.b halted and cancelled by the venue",
        (_SENT, _NEW, _Row(said(_X.SUSPENDED, at=2), _S.ACCEPTED, 10, 0, 10, _HALT), _Row(said(_X.CANCELLED, at=3), _S.CANCELLED, 10, 0, 0, _HALT)),
        avg_price="0",
    ),
    _Scenario(
        "K cancel asked for during the halt, and taken",
        (
            _SENT,
            _NEW,
            _FOUR,
            _Row(said(_X.SUSPENDED, at=2), _S.PARTIALLY_FILLED, 10, 4, 6, _HALT),
            _Row(_cancel("C"), _S.PARTIALLY_FILLED, 10, 4, 6, (_F.PENDING_CANCEL, _F.SUSPENDED)),
            _Row(said(_X.PENDING_CANCEL, "C", at=3), _S.PARTIALLY_FILLED, 10, 4, 6, (_F.PENDING_CANCEL, _F.SUSPENDED)),
            _Row(said(_X.CANCELLED, "C", at=4), _S.CANCELLED, 10, 4, 0, _HALT),
        ),
    ),
    _Scenario(
        "K replace asked for before the halt, refused in it, resumed after it",
        (
            _SENT,
            _NEW,
            _Row(_replace("Y", 12), _S.ACCEPTED, 10, 0, 10, (_F.PENDING_REPLACE,)),
            _Row(said(_X.SUSPENDED, at=2), _S.ACCEPTED, 10, 0, 10, (_F.PENDING_REPLACE, _F.SUSPENDED)),
            _Row(said(_X.REPLACE_REJECTED, "Y", reject_reason="HALTED", at=3), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(said(_X.TRIGGERED, at=4), _S.ACCEPTED, 10, 0, 10),
            _ALL,
        ),
    ),
    _Scenario(
        "K replace taken during the halt: new terms, still halted",
        (
            _SENT,
            _NEW,
            _Row(said(_X.SUSPENDED, at=2), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(_replace("Y", 12), _S.ACCEPTED, 10, 0, 10, (_F.PENDING_REPLACE, _F.SUSPENDED)),
            _Row(said(_X.REPLACED, "Y", order_qty=12, at=3), _S.ACCEPTED, 12, 0, 12, _HALT),
            _Row(trade(12, 12, client_order_id="Y", at=4), _S.FILLED, 12, 12, 0),
        ),
    ),
    _Scenario(
        "K halted twice, the word of the first reopening told late",
        (
            _SENT,
            _NEW,
            _Row(said(_X.SUSPENDED, at=4), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(said(_X.NEW, status=_S.ACCEPTED, at=3), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(said(_X.SUSPENDED, at=2), _S.ACCEPTED, 10, 0, 10, _HALT),
            _Row(said(_X.NEW, status=_S.ACCEPTED, at=5), _S.ACCEPTED, 10, 0, 10),
        ),
        avg_price="0",
    ),
    # Others: L.
    _Scenario(
        "L.1.a guaranteed before it is executed",
        (_SENT, _NEW, _Row(said(_X.STOPPED, at=1), _S.ACCEPTED, 10, 0, 10), _ALL),
    ),
    _Scenario(
        "L stop order: held, triggered, filled",
        (_SENT, _NEW, _Row(said(_X.TRIGGERED, at=1), _S.ACCEPTED, 10, 0, 10), _Row(trade(10, 10, at=2), _S.FILLED, 10, 10, 0)),
        changes={"order_type": OrderType.STOP},
    ),
    _Scenario(
        "calculated after the day: what was executed is all there will be",
        (_SENT, _NEW, _FOUR, _Row(said(_X.CALCULATED, cum_qty=4, at=2), _S.PARTIALLY_FILLED, 10, 4, 6)),
    ),
)


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=[scenario.title for scenario in _SCENARIOS])
def test_order_is_as_the_table_says_after_every_row(scenario: _Scenario) -> None:
    """Status, quantities and facets after each step, the average price at the end, and a second telling of all of it changes nothing."""
    order = a_new_order(10, time_in_force=scenario.time_in_force, **scenario.changes)
    for number, row in enumerate(scenario.rows):
        order = row.step(order) if callable(row.step) else told(order, row.step)
        assert (order.status, order.order_qty, order.cum_qty, order.leaves_qty, order.facets) == row[1:], f"after row {number}"
    assert order.avg_price == Decimal(scenario.avg_price if order.cum_qty else "0")
    assert told(order, *(row.step for row in scenario.rows if not callable(row.step))) == order


# Status requests: G.

_KNOWN: dict[OrderStatus, tuple[VenueReport, ...]] = {
    _S.ACCEPTED: (said(_X.NEW, status=_S.ACCEPTED),),
    _S.PARTIALLY_FILLED: (said(_X.NEW, status=_S.ACCEPTED), trade(4, 4, at=1)),
    _S.FILLED: (said(_X.NEW, status=_S.ACCEPTED), trade(10, 10, at=1)),
    _S.CANCELLED: (said(_X.NEW, status=_S.ACCEPTED), trade(4, 4, at=1), said(_X.CANCELLED, at=2)),
    _S.REJECTED: (said(_X.REJECTED, reject_reason="NO_FUNDS", at=1),),
    _S.EXPIRED: (said(_X.NEW, status=_S.ACCEPTED), trade(4, 4, at=1), said(_X.EXPIRED, at=2)),
}


def _asked(status: OrderStatus, **changes: Any) -> VenueReport:
    """The answer to a status request."""
    values: dict[str, Any] = {"evidence": "QUERY", "order_qty": 10, "at": 9} | changes
    return said(_X.ORDER_STATUS, status=status, **values)


@pytest.mark.parametrize("status", _KNOWN)
def test_nothing_changes_when_a_status_request_says_what_is_known(status: OrderStatus) -> None:
    """G.1.c: in every state, an answer that repeats it gives back the very same order."""
    order = told(a_new_order(10), said(_X.ATTEMPTED), *_KNOWN[status])
    assert order.status is status
    assert told(order, _asked(status, cum_qty=order.cum_qty)) is order


@pytest.mark.parametrize("status", _KNOWN)
def test_status_is_learnt_without_inventing_a_fill_when_only_a_status_request_tells_it(status: OrderStatus) -> None:
    """G.1.c after a loss: ends and acceptance are learnt from the answer, executions never; how many are missing is known."""
    done = 10 if status is _S.FILLED else 4 if status is not _S.REJECTED else 0
    order = told(a_new_order(10), said(_X.ATTEMPTED), _asked(status, cum_qty=done))
    # What it did is not ours to invent, so an order whose fills are under way is working until they are here.
    assert order.status is (_S.ACCEPTED if status in (_S.PARTIALLY_FILLED, _S.FILLED) else status)
    assert (order.cum_qty, order.missing_qty) == (0, done)


@pytest.mark.parametrize("late", [_S.ACCEPTED, _S.PARTIALLY_FILLED])
@pytest.mark.parametrize("status", [_S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED])
def test_end_stands_when_an_older_status_answer_comes_after_it(status: OrderStatus, late: OrderStatus) -> None:
    """An answer that was under way while the order ended is not news, and nothing disagrees."""
    order = told(a_new_order(10), said(_X.ATTEMPTED), *_KNOWN[status])
    after = told(order, _asked(late, cum_qty=0, at=0))
    assert (after.status, after.cum_qty, after.leaves_qty, after.facets) == (order.status, order.cum_qty, 0, order.facets)


def test_pending_requests_stay_pending_when_a_status_request_is_answered_meanwhile() -> None:
    """A status answer is not the answer to a cancel or a replace."""
    order = told(a_new_order(10), said(_X.ATTEMPTED), *_KNOWN[_S.PARTIALLY_FILLED])
    order = _cancel("C")(_replace("Y", 12)(order))
    after = told(order, _asked(_S.PARTIALLY_FILLED, cum_qty=4))
    assert after.facets == (_F.PENDING_CANCEL, _F.PENDING_REPLACE)
    assert [request.state for request in after.requests] == [RequestState.REQUESTED] * 2


# What stands beside the tables.


@pytest.mark.parametrize("used", [ORDER_ID, "Y", "C"])
def test_request_is_refused_when_its_id_was_used_before(used: str) -> None:
    """F.1.a on our side: an id names one thing for ever, whether it was the order's, a replace's or a cancel's."""
    order = _cancel("C")(_replace("Y", 12)(told(a_new_order(10), said(_X.ATTEMPTED), *_KNOWN[_S.ACCEPTED])))
    for act in (_cancel(used), _replace(used, 13)):
        with pytest.raises(DuplicateOrderError, match=used):
            act(order)


@pytest.mark.parametrize("status", [_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED])
def test_nothing_can_be_asked_when_the_order_has_ended_even_by_a_halted_venue(status: OrderStatus) -> None:
    """An end during a halt is an end: suspended is no way back."""
    order = told(a_new_order(10), said(_X.ATTEMPTED), *_KNOWN[status], said(_X.SUSPENDED, at=5))
    assert (order.status, order.leaves_qty) == (status, 0)
    for act in (_cancel("C"), _replace("Y", 12)):
        with pytest.raises(TerminalStateError):
            act(order)


def test_split_is_shown_and_not_booked_when_the_venue_restates_for_it() -> None:
    """H.1.b: after a 2:1 split the venue restates twice the quantity, ordered and executed. The terms follow; a total that no
    execution explains stays a difference to be resolved, because only an execution or an adjustment moves the books."""
    order = told(a_new_order(10, time_in_force=TimeInForce.GTC), said(_X.ATTEMPTED), *_KNOWN[_S.PARTIALLY_FILLED], said(_X.DONE_FOR_DAY, at=2))
    restated = told(order, said(_X.RESTATED, order_qty=20, cum_qty=8, leaves_qty=12, limit_price=50, status=_S.PARTIALLY_FILLED, at=3))
    assert (restated.order_qty, restated.terms.limit_price, restated.cum_qty, restated.missing_qty) == (20, 50, 4, 4)
