"""The one table of status changes, and the checks our own commands have to pass.

Theory of operation. A status is derived from facts (core/order/order.py); this table says which changes of that derived
status are legal and what proves them. It is used in two ways:

* Our commands are refused when the table does not hold the change they ask for: nothing happens, an error is raised.
* The venue's facts are never refused. When one leads to a change the table does not hold, the fact is booked all the same
  and the order carries the facet `disagreement` until a person or a reconciliation has looked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from core.contracts import ExecType, OrderStatus
from core.errors import (
    BrokerConfirmationRequiredError,
    InvalidTransitionError,
    TerminalStateError,
)
from core.order.facts import Command

__all__ = ["TRANSITIONS", "Evidence", "Transition", "is_legal", "require_command", "require_transition", "transition_table"]


class Evidence(StrEnum):
    """What proves a change.

    OURS: our own committed act. NOT_SENT: our last gate refused before the wire. VENUE: a venue order id, an execution, or a
    definite negative reply. CONCLUSIVE: the venue was asked until not-found could no longer be a question.
    """

    OURS = "OURS"
    NOT_SENT = "NOT_SENT"
    VENUE = "VENUE"
    CONCLUSIVE = "CONCLUSIVE"


class Transition(NamedTuple):
    """One legal change: from, to, the reports that can cause it, and the evidence it needs."""

    old: OrderStatus
    new: OrderStatus
    causes: tuple[ExecType, ...]
    evidence: Evidence


_P, _S, _A = OrderStatus.PENDING, OrderStatus.SUBMITTED, OrderStatus.ACCEPTED
_PF, _F = OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED
_C, _R, _E = OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED
_FILLS = (ExecType.TRADE, ExecType.TRADE_CORRECT)
_UNDONE = (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
# Anything the venue says of an order shows that it has it, even a request pending, or the bust of a trade still unheard of.
_NEWS = (
    ExecType.NEW,
    ExecType.ORDER_STATUS,
    ExecType.TRIGGERED,
    ExecType.SUSPENDED,
    ExecType.DONE_FOR_DAY,
    ExecType.STOPPED,
    ExecType.CALCULATED,
    ExecType.RESTATED,
    ExecType.REPLACED,
    ExecType.PENDING_CANCEL,
    ExecType.PENDING_REPLACE,
    *_UNDONE,
)
_CANCELLED = (ExecType.CANCELLED, ExecType.ORDER_STATUS)
_REJECTED = (ExecType.REJECTED, ExecType.ORDER_STATUS)
_EXPIRED = (ExecType.EXPIRED, ExecType.ORDER_STATUS)
# New terms fill an order when they ask for no more than was done, even where all of that was busted after them.
_TERMS = (ExecType.REPLACED, ExecType.RESTATED)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(_P, _S, (ExecType.ATTEMPTED,), Evidence.OURS),
    Transition(_P, _C, (), Evidence.OURS),
    Transition(_S, _A, _NEWS, Evidence.VENUE),
    Transition(_S, _PF, _FILLS, Evidence.VENUE),
    Transition(_S, _F, _FILLS, Evidence.VENUE),
    Transition(_S, _C, _CANCELLED, Evidence.VENUE),
    Transition(_S, _C, (ExecType.NOT_SENT,), Evidence.NOT_SENT),
    Transition(_S, _C, (ExecType.NEVER_REACHED,), Evidence.CONCLUSIVE),
    Transition(_S, _R, _REJECTED, Evidence.VENUE),
    Transition(_S, _E, _EXPIRED, Evidence.VENUE),
    Transition(_A, _PF, _FILLS, Evidence.VENUE),
    Transition(_A, _F, (*_FILLS, *_TERMS), Evidence.VENUE),
    Transition(_A, _C, _CANCELLED, Evidence.VENUE),
    Transition(_A, _R, _REJECTED, Evidence.VENUE),
    Transition(_A, _E, _EXPIRED, Evidence.VENUE),
    Transition(_PF, _F, (*_FILLS, *_TERMS), Evidence.VENUE),
    Transition(_PF, _C, _CANCELLED, Evidence.VENUE),
    Transition(_PF, _E, _EXPIRED, Evidence.VENUE),
    Transition(_PF, _A, _UNDONE, Evidence.VENUE),
    Transition(_C, _F, (*_FILLS, *_TERMS), Evidence.VENUE),
    Transition(_E, _F, (*_FILLS, *_TERMS), Evidence.VENUE),
    # A confirmed replace is the only thing that reopens an order. The end of the step it replaced may be heard first.
    Transition(_F, _PF, _TERMS, Evidence.VENUE),
    Transition(_F, _A, _TERMS, Evidence.VENUE),
    Transition(_C, _A, _TERMS, Evidence.VENUE),
    Transition(_C, _PF, _TERMS, Evidence.VENUE),
    # An execution, or a replace, overtook a bust that came before it: the quantity looked complete and never was.
    Transition(_F, _PF, _UNDONE, Evidence.VENUE),
    Transition(_F, _A, _UNDONE, Evidence.VENUE),
    Transition(_F, _C, _UNDONE, Evidence.VENUE),
    Transition(_F, _E, _UNDONE, Evidence.VENUE),
)

_LEGAL: dict[tuple[OrderStatus, OrderStatus], tuple[Transition, ...]] = {
    (row.old, row.new): tuple(r for r in TRANSITIONS if (r.old, r.new) == (row.old, row.new)) for row in TRANSITIONS
}
_COMMANDS: dict[Command, frozenset[OrderStatus]] = {
    Command.SUBMIT: frozenset({_P}),
    Command.CANCEL: frozenset({_P, _S, _A, _PF}),
    Command.REPLACE: frozenset({_A, _PF}),
    Command.CLOSE: frozenset({_P}),
}


def is_legal(old: OrderStatus, new: OrderStatus) -> bool:
    """Whether an order may go from `old` to `new` at all; staying where it is always is."""
    return old is new or (old, new) in _LEGAL


def require_transition(order_id: str, old: OrderStatus, new: OrderStatus, evidence: Evidence) -> None:
    """Check a change we want to make ourselves.

    TerminalStateError: the order has ended. InvalidTransitionError: the table has no such change.
    BrokerConfirmationRequiredError: the change is the venue's to tell, and the venue has not.
    """
    rows = _LEGAL.get((old, new), ())
    # A venue-only change of an ended order is still the venue's; everything of ours is over.
    if old.is_terminal and evidence is not Evidence.VENUE:
        raise TerminalStateError(f"order {order_id}: {old} → {new} is not allowed, the order has ended")
    if not rows:
        allowed = ", ".join(row.new for row in TRANSITIONS if row.old is old)
        raise InvalidTransitionError(f"order {order_id}: {old} → {new} is not allowed, only {allowed or 'nothing'}")
    if all(row.evidence is not evidence for row in rows):
        needed = " or ".join(row.evidence for row in rows)
        raise BrokerConfirmationRequiredError(f"order {order_id}: {old} → {new} on evidence {evidence} is not allowed, it needs {needed}")


def require_command(order_id: str, status: OrderStatus, command: Command) -> None:
    """Check a command of ours against where the order stands; TerminalStateError or InvalidTransitionError when it is illegal."""
    allowed = _COMMANDS[command]
    if status in allowed:
        return
    if status.is_terminal:
        raise TerminalStateError(f"order {order_id}: {command} is not allowed, the order has ended {status}")
    if command is Command.CLOSE:
        raise BrokerConfirmationRequiredError(f"order {order_id}: it is {status}, from here on only the venue can say how it ended")
    raise InvalidTransitionError(f"order {order_id}: {command} is not allowed while {status}, only while {', '.join(s for s in OrderStatus if s in allowed)}")


def transition_table() -> str:
    """The table as Markdown, for docs/ARCHITECTURE.md."""
    lines = ["| From | To | Caused by | Evidence |", "|---|---|---|---|"]
    lines += [f"| {row.old} | {row.new} | {', '.join(row.causes) or 'our own decision'} | {row.evidence} |" for row in TRANSITIONS]
    return "\n".join(lines)
