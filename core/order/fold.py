"""Facts in, order out: how a report changes what is known of an order. Pure.

Theory of operation. Every report is merged into one of the parts of the order (executions, requests, terms, closure,
evidence), each of which gives the same result whatever the order of arrival. Nothing a venue says is refused. A report that
adds nothing gives back the very same object, so a caller sees with `is` whether anything changed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec.structs import replace

from core.contracts import ExecType, OrderStatus, VenueReport
from core.order.executions import execution_of, has_twin, tally
from core.order.facts import (
    Amendment,
    Closure,
    Execution,
    Request,
    RequestKind,
    RequestState,
    Terms,
)
from core.order.lineage import next_rank, rank_of, request_of, with_request
from core.order.order import Order
from core.order.transitions import is_legal

__all__ = ["Folded", "fold"]

_TRADES = (ExecType.TRADE, ExecType.TRADE_CORRECT, ExecType.TRADE_CANCEL)
_CLOSED_BY = {ExecType.CANCELLED: OrderStatus.CANCELLED, ExecType.REJECTED: OrderStatus.REJECTED, ExecType.EXPIRED: OrderStatus.EXPIRED}
_CLOSING = frozenset(_CLOSED_BY.values())
_SUSPENDS = (ExecType.SUSPENDED, ExecType.DONE_FOR_DAY)
_RESUMES = (ExecType.NEW, ExecType.TRADE, ExecType.TRIGGERED)
_LIVE = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
_UNACCEPTED = (OrderStatus.PENDING, OrderStatus.SUBMITTED)
_GATEWAY = (ExecType.ATTEMPTED, ExecType.NOT_SENT, ExecType.IN_DOUBT, ExecType.NEVER_REACHED, ExecType.LOST)
_ASKED = {ExecType.PENDING_CANCEL: RequestKind.CANCEL, ExecType.PENDING_REPLACE: RequestKind.REPLACE}
_DECLINED = {ExecType.CANCEL_REJECTED: RequestKind.CANCEL, ExecType.REPLACE_REJECTED: RequestKind.REPLACE}

_Changes = dict[str, Any]


class Folded(NamedTuple):
    """The order after a report, and what that means for the books: executions that no longer count, and those that now do."""

    order: Order
    undone: tuple[Execution, ...] = ()
    done: tuple[Execution, ...] = ()


def fold(order: Order, report: VenueReport) -> Folded:
    """Merge one report into an order."""
    if report.exec_type in _TRADES:
        folded = _fold_execution(order, report)
    elif report.exec_type in _GATEWAY:
        folded = Folded(_fold_gateway(order, report))
    elif report.exec_type in _DECLINED:
        folded = Folded(_decline(order, _DECLINED[report.exec_type], report))
    elif _refuses_replacement(order, report):
        folded = Folded(_decline(order, RequestKind.REPLACE, report))
    else:
        folded = Folded(_changed(order, _venue_changes(order, report)))
    return folded if folded.order is order else _checked(order, folded, report)


def _checked(old: Order, folded: Folded, report: VenueReport) -> Folded:
    """A change of status that the table does not hold is booked all the same, and shown."""
    new = folded.order
    before, after = old.status, new.status
    if before is after or is_legal(before, after) or old.origin.external or new.disagreement:
        return folded
    return folded._replace(order=replace(new, disagreement=f"{report.exec_type} led from {before} to {after}"))


def _changed(order: Order, changes: _Changes) -> Order:
    real = {name: value for name, value in changes.items() if getattr(order, name) != value}
    return replace(order, **real) if real else order


# The venue's word.


def _venue_changes(order: Order, report: VenueReport) -> _Changes:
    """Everything any report of the venue's proves, whatever it is about."""
    kind = report.exec_type
    changes: _Changes = {"is_known": True}
    if kind is not ExecType.PENDING_NEW and report.status not in _UNACCEPTED:
        changes["is_accepted"] = True
    if report.venue_order_id and _is_current(order, report):
        changes["venue_order_id"] = report.venue_order_id
    if report.cum_qty is not None and report.cum_qty > order.venue_cum_qty:
        changes["venue_cum_qty"] = report.cum_qty
    if kind in _SUSPENDS:
        suspended = (report.occurred_ns, kind is ExecType.DONE_FOR_DAY)
        changes["suspended_ns"], changes["is_done_for_day"] = max(suspended, (order.suspended_ns, order.is_done_for_day))
    if kind in _RESUMES and report.occurred_ns > order.resumed_ns:
        changes["resumed_ns"] = report.occurred_ns
    if kind is ExecType.REPLACED or (kind is ExecType.RESTATED and report.status in _LIVE):
        changes["reopened_ns"] = max(report.occurred_ns, order.reopened_ns)
    if kind is ExecType.TRIGGERED:
        changes["is_triggered"] = True
    changes |= _terms_changes(order, report)
    if (closure := _closure(order, report)) is not None:
        changes["closure"] = closure
    return changes


def _is_current(order: Order, report: VenueReport) -> bool:
    """Whether the report is about the newest confirmed step: an older step's venue id must not come back."""
    rank = rank_of(order, report.client_order_id)
    return (order.terms.rank if rank is None else rank) >= order.terms.rank


def _refuses_replacement(order: Order, report: VenueReport) -> bool:
    """Whether a rejection is about a replacement, which leaves the order as it is, and not about the order."""
    if report.exec_type is not ExecType.REJECTED and (report.exec_type, report.status) != (ExecType.ORDER_STATUS, OrderStatus.REJECTED):
        return False
    request = request_of(order, report.client_order_id)
    return request is not None and request.terms is not None and request.state is not RequestState.CONFIRMED


def _closure(order: Order, report: VenueReport) -> Closure | None:
    status = _CLOSED_BY.get(report.exec_type)
    if status is None and report.exec_type is ExecType.ORDER_STATUS and report.status in _CLOSING:
        status = report.status
    if status is None:
        return None
    closure = Closure(status=status, cause=_cause(order, status, report), at_ns=report.occurred_ns, rank=_closed_rank(order, report))
    return closure if order.closure is None or closure.precedence > order.closure.precedence else None


def _closed_rank(order: Order, report: VenueReport) -> int:
    """The step that ended: the one the venue names. What ends by a cancel of ours ends with every step we had asked for."""
    request = request_of(order, report.client_order_id)
    if request is not None and request.kind is RequestKind.CANCEL:
        return next_rank(order) - 1
    ranks = (rank_of(order, report.client_order_id), rank_of(order, report.orig_client_order_id))
    return next((rank for rank in ranks if rank is not None), order.terms.rank)


def _cause(order: Order, status: OrderStatus, report: VenueReport) -> str:
    """Why it ended: the venue's reason, or for a cancel what we asked for it (TTL, a strategy's wish)."""
    if status is OrderStatus.CANCELLED:
        asked = next((r.reason for r in order.requests if r.kind is RequestKind.CANCEL and r.state is not RequestState.REFUSED), "")
        return asked or report.reject_reason or "VENUE"
    return report.reject_reason or status.value


# Terms and requests.


def _terms_changes(order: Order, report: VenueReport) -> _Changes:
    kind = report.exec_type
    if kind in _ASKED:
        return {"requests": _asked(order, _ASKED[kind], report)}
    if kind is ExecType.REPLACED:
        return _confirmed(order, report)
    if not order.requests and kind is not ExecType.RESTATED:
        return {}
    changes: _Changes = {}
    request = request_of(order, report.client_order_id)
    terms = order.terms
    if request is not None and request.terms is not None:
        # The venue speaks of the replacement as of an order: so the replacement happened, even if nobody said so yet.
        terms = request.terms
        changes = _newer_terms(order, terms) | {"requests": with_request(order.requests, _answered(request, RequestState.CONFIRMED))}
    if kind is ExecType.RESTATED and _is_current(order, report) and _names_terms(report):
        changes |= _newer_terms(order, _terms_of(report, terms))
    if kind is ExecType.CANCELLED and (asked := _addressed(order, RequestKind.CANCEL, report)) is not None:
        changes["requests"] = with_request(changes.get("requests", order.requests), _answered(asked, RequestState.CONFIRMED))
    return changes


def _asked(order: Order, kind: RequestKind, report: VenueReport) -> tuple[Request, ...]:
    """A pending cancel or replace. It carries the old terms and never changes them; after the answer it says nothing."""
    known = _addressed(order, kind, report) or _foreign(order, kind, report)
    return with_request(order.requests, replace(known, state=RequestState.PENDING, in_doubt=False)) if known.state.is_open else order.requests


def _addressed(order: Order, kind: RequestKind, report: VenueReport) -> Request | None:
    """The request a report is about: by its own id, else (the venue names only the order) the last open one of its kind."""
    named = request_of(order, report.client_order_id)
    if named is not None and named.kind is kind:
        return named
    if _is_foreign(order, report):
        return None
    return next((r for r in reversed(order.requests) if r.kind is kind and r.state.is_open), None)


def _is_foreign(order: Order, report: VenueReport) -> bool:
    """Whether the report names a request that somebody else made."""
    return bool(report.client_order_id) and rank_of(order, report.client_order_id) is None and request_of(order, report.client_order_id) is None


def _foreign(order: Order, kind: RequestKind, report: VenueReport) -> Request:
    """A request we did not make. One without an id of its own gets one that names no order."""
    named = report.client_order_id if _is_foreign(order, report) else f"{order.client_order_id}!{kind}"
    return Request(client_order_id=named, kind=kind, state=RequestState.REQUESTED, created_ns=report.occurred_ns, reason="VENUE")


def _confirmed(order: Order, report: VenueReport) -> _Changes:
    """A replace happened. It makes a step of the lineage under the id the venue names; under an id the order had already it changes that step."""
    request = _addressed(order, RequestKind.REPLACE, report) or (_foreign(order, RequestKind.REPLACE, report) if _is_foreign(order, report) else None)
    asked = order.terms if request is None or request.terms is None else request.terms
    rank = rank_of(order, report.client_order_id) if report.client_order_id else asked.rank
    named = report.client_order_id or asked.client_order_id
    terms = replace(_terms_of(report, asked), client_order_id=named, rank=next_rank(order) if rank is None else rank)
    changes = _newer_terms(order, terms)
    if "terms" in changes and report.venue_order_id:
        changes["venue_order_id"] = report.venue_order_id
    if request is not None:
        known = request if request.terms is not None or rank is not None else replace(request, terms=terms)
        changes["requests"] = with_request(order.requests, _answered(known, RequestState.CONFIRMED))
    return changes


def _names_terms(report: VenueReport) -> bool:
    return any(term is not None for term in (report.order_qty, report.limit_price, report.stop_price))


def _terms_of(report: VenueReport, asked: Terms) -> Terms:
    """What the venue confirms: its own words where it has any (it may amend what we asked), else what was asked."""
    return replace(
        asked,
        order_qty=asked.order_qty if report.order_qty is None else report.order_qty,
        limit_price=asked.limit_price if report.limit_price is None else report.limit_price,
        stop_price=asked.stop_price if report.stop_price is None else report.stop_price,
        said_by_venue=True,
        confirmed_ns=report.occurred_ns,
    )


def _newer_terms(order: Order, terms: Terms) -> _Changes:
    return {"terms": terms} if terms.precedence > order.terms.precedence else {}


def _answered(request: Request, state: RequestState) -> Request:
    """A request with its answer. A confirmation outweighs a refusal: what the venue has done, it has done."""
    if request.state is RequestState.CONFIRMED or request.state is state:
        return request
    return replace(request, state=state, in_doubt=False)


def _decline(order: Order, kind: RequestKind, report: VenueReport) -> Order:
    """A cancel or replace was refused: the order is as it was. The refusal restates a status and never changes a quantity."""
    request = _addressed(order, kind, report) or request_of(order, report.client_order_id)
    if request is None:
        if not _is_foreign(order, report):
            return order
        request = _foreign(order, kind, report)
    return _changed(order, {"requests": with_request(order.requests, _answered(request, RequestState.REFUSED))})


# Our own gateway's facts.


def _fold_gateway(order: Order, report: VenueReport) -> Order:
    request = request_of(order, report.client_order_id)
    if request is not None:
        return _fold_request_fact(order, request, report)
    match report.exec_type:
        case ExecType.ATTEMPTED:
            return order if order.attempted_ns else replace(order, attempted_ns=max(report.occurred_ns, 1))
        case ExecType.IN_DOUBT:
            return order if order.is_known or order.closure is not None else _changed(order, {"was_in_doubt": True})
        case ExecType.LOST:
            return order if order.is_known or order.closure is not None else _changed(order, {"was_lost": True})
        case _:
            return _never_there(order, report)


def _never_there(order: Order, report: VenueReport) -> Order:
    """Our gate refused, or the venue conclusively never got it. The venue's own evidence of the order outweighs both."""
    if order.effective_closure is not None:
        return order
    if order.is_known:
        return _changed(order, {"disagreement": f"{report.exec_type} although the venue knows the order"})
    cause = report.reject_reason or report.exec_type.value
    return replace(order, closure=Closure(status=OrderStatus.CANCELLED, cause=cause, at_ns=report.occurred_ns, by_us=True))


def _fold_request_fact(order: Order, request: Request, report: VenueReport) -> Order:
    """The same facts about a cancel or replace: the order itself is untouched."""
    match report.exec_type:
        case ExecType.IN_DOUBT if request.state.is_open:
            return _changed(order, {"requests": with_request(order.requests, replace(request, in_doubt=True))})
        case ExecType.NOT_SENT | ExecType.NEVER_REACHED:
            return _changed(order, {"requests": with_request(order.requests, _answered(request, RequestState.REFUSED))})
        case _:
            return order


# Executions.


def _fold_execution(order: Order, report: VenueReport) -> Folded:
    entry = execution_of(report)
    changes = _venue_changes(order, report)
    if entry.key in order.executions or (entry.kind is Amendment.TRADE and not entry.qty):
        return Folded(_changed(order, changes))
    if entry.kind is not Amendment.TRADE and not entry.ref:
        return Folded(_changed(order, changes | {"disagreement": order.disagreement or f"{report.exec_type} names no execution"}))
    changes["executions"] = {**order.executions, entry.key: entry}
    done: tuple[Execution, ...] = (entry,)
    undone: tuple[Execution, ...] = ()
    if order.is_amended or entry.kind is not Amendment.TRADE or has_twin(order.executions.values(), entry):
        counted, undone, done = _recounted(order.executions, changes["executions"])
        changes |= counted | {"was_busted": order.was_busted or entry.kind is Amendment.BUST}
    else:
        changes |= _added(order, entry)
    if done and order.effective_closure is not None:
        changes["was_late"] = True
    if not order.attempted_ns and not order.origin.external:
        changes["disagreement"] = order.disagreement or "an execution of an order that was never sent"
    return Folded(replace(order, **changes), undone, done)


def _added(order: Order, entry: Execution) -> _Changes:
    """The sums with one more trade, while nothing was ever amended: the usual case, without a recount."""
    changes = {"cum_qty": order.cum_qty + entry.qty, "notional": order.notional + entry.qty * entry.price, "gross_qty": order.gross_qty + entry.qty}
    return changes if entry.cum_qty is not None else changes | {"silent_qty": order.silent_qty + entry.qty}


def _recounted(old: dict[str, Execution], new: dict[str, Execution]) -> tuple[_Changes, tuple[Execution, ...], tuple[Execution, ...]]:
    """The sums over a ledger that repeats or amends itself, and what counts no longer and now."""
    before, after = tally(old.values()).live, tally(new.values())
    undone = tuple(e for key, e in before.items() if key not in after.live)
    done = tuple(e for key, e in after.live.items() if key not in before)
    counted = {name: getattr(after, name) for name in ("cum_qty", "notional", "gross_qty", "silent_qty")}
    return counted | {"is_amended": True}, undone, done
