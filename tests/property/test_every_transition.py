"""Every row of the table of status changes is reached by generated histories, and no history leaves the table unseen.

From an order that is new, sent, about to be replaced, or ended, everything a venue, our gateway or we ourselves can do is tried on every kind of order that was reached,
shortest histories first. A ledger counts the changes: a row or cause that none of them makes is dead.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from core.contracts import ExecType, OrderStatus, VenueReport
from core.errors import ExecutionError
from core.order import TRANSITIONS, Order, close_by_us, fold, request_replace
from core.order.transitions import is_legal
from tests.support.builders import NOW
from tests.support.orders import a_new_order, new, said, submitted, told, trade

_EXPANSIONS = 600
_OURS = "our own decision"
_ENDS = (OrderStatus.ACCEPTED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED)
_AMENDMENTS = (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)


class _Change(NamedTuple):
    old: OrderStatus
    new: OrderStatus
    cause: str


class _Ledger(NamedTuple):
    """What all histories came to: how often each change was seen, and those the table does not hold that were not shown."""

    changes: Counter[_Change]
    unshown: list[_Change]


def _facts() -> Iterator[VenueReport]:
    """Everything that may be said of an order for ten, in the few sizes, names and times that make a difference."""
    yield from (said(kind, at=6, last_price=100) for kind in ExecType if kind not in (ExecType.TRADE, *_AMENDMENTS))
    yield from (said(ExecType.ORDER_STATUS, status=status, at=6, evidence="QUERY") for status in _ENDS)
    yield from (trade(4, exec_id="e1", at=1), trade(6, exec_id="e1", at=1), trade(6, exec_id="e2", at=4), trade(10, exec_id="e1", at=1))
    for at in (2, 20):  # before the second execution happened, and long after it
        yield said(ExecType.TRADE_CANCEL, exec_id=f"b{at}", exec_ref_id="e1", at=at)
        yield from (said(ExecType.TRADE_CORRECT, exec_id=f"c{at}.{qty}", exec_ref_id="e1", last_qty=qty, last_price=100, at=at) for qty in (0, 1, 10))
    for kind in (ExecType.REPLACED, ExecType.RESTATED):
        yield from (said(kind, order_qty=qty, status=OrderStatus.PARTIALLY_FILLED, at=9) for qty in (4, 6, 15))
        yield said(kind, "Y", order_qty=15, status=OrderStatus.ACCEPTED, at=9)


def _acts() -> tuple[Callable[[Order], Order], ...]:
    """What we may do: end it, or ask for more."""
    return (
        lambda order: close_by_us(order, "WISH", NOW),
        lambda order: request_replace(order, "Y", "i", NOW, order_qty=Decimal(15), limit_price=None, stop_price=None),
    )


def _kind(order: Order) -> tuple[object, ...]:
    """What makes an order another one, as far as its status can tell."""
    closure = order.closure
    executed = frozenset(order.executions), order.cum_qty
    asked = any(request.terms is not None for request in order.requests)
    return order.status, closure and (closure.status, closure.rank), executed, order.terms.order_qty, order.terms.rank, asked


@cache
def _tried() -> _Ledger:
    facts, acts, ledger = tuple(_facts()), _acts(), _Ledger(Counter(), [])
    working = told(submitted(10), new())
    ended = (told(working, said(kind, at=6)) for kind in (ExecType.CANCELLED, ExecType.EXPIRED))
    starts = (a_new_order(10), submitted(10), *(order for order, _ in _done(working, acts)), *ended)
    seen, waiting = {_kind(order) for order in starts}, deque(starts)
    for _ in range(_EXPANSIONS):
        order = waiting.popleft()
        for after, cause in (*((fold(order, fact).order, fact.exec_type.value) for fact in facts), *_done(order, acts)):
            _note(order, after, cause, ledger)
            if (kind := _kind(after)) not in seen:
                seen.add(kind)
                waiting.append(after)
    return ledger


def _done(order: Order, acts: tuple[Callable[[Order], Order], ...]) -> Iterator[tuple[Order, str]]:
    for act in acts:
        try:
            yield act(order), _OURS
        except ExecutionError:
            continue


def _note(order: Order, after: Order, cause: str, ledger: _Ledger) -> None:
    if after.status is order.status:
        return
    change = _Change(order.status, after.status, cause)
    ledger.changes[change] += 1
    if not is_legal(order.status, after.status) and not after.disagreement:
        ledger.unshown.append(change)


def test_every_row_and_cause_of_the_table_is_reached_when_everything_is_tried() -> None:
    """No row of the table, and no report it names as a cause, is only there on paper."""
    promised = {_Change(row.old, row.new, cause.value) for row in TRANSITIONS for cause in row.causes}
    promised |= {_Change(row.old, row.new, _OURS) for row in TRANSITIONS if not row.causes}
    assert sorted(change for change in promised if not _tried().changes[change]) == []


def test_change_is_shown_when_the_table_does_not_hold_it() -> None:
    """A status that goes where the table does not lead is a disagreement that everybody sees, and such changes were tried."""
    ledger = _tried()
    assert ledger.unshown == []
    assert any(not is_legal(change.old, change.new) for change in ledger.changes)
