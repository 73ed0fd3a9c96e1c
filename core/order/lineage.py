"""What we ask of an order after it was created: cancels and replaces, and closing it before the wire.

A request is a fact beside the order, never a change of its status: only the venue's answer changes that.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from core.contracts import OrderStatus
from core.errors import DuplicateOrderError, InvalidTransitionError
from core.order.facts import (
    Closure,
    Command,
    Request,
    RequestKind,
    RequestState,
    Terms,
)
from core.order.order import Order
from core.order.transitions import Evidence, require_command, require_transition

__all__ = ["close_by_us", "next_rank", "rank_of", "request_cancel", "request_of", "request_replace", "with_request"]


def request_of(order: Order, client_order_id: str) -> Request | None:
    """The request with this id, if the order has one."""
    return next((r for r in order.requests if r.client_order_id == client_order_id), None)


def with_request(requests: tuple[Request, ...], request: Request) -> tuple[Request, ...]:
    """These requests with this one in the place of its older self, or at the end."""
    if all(r.client_order_id != request.client_order_id for r in requests):
        return (*requests, request)
    return tuple(request if r.client_order_id == request.client_order_id else r for r in requests)


def rank_of(order: Order, client_order_id: str) -> int | None:
    """Which step of the lineage goes by this id; None when none does."""
    if client_order_id == order.origin.client_order_id:
        return 0
    request = request_of(order, client_order_id)
    return request.terms.rank if request is not None and request.terms is not None else None


def next_rank(order: Order) -> int:
    """One above every step of the lineage there is or was asked for."""
    return 1 + max([order.terms.rank, *(r.terms.rank for r in order.requests if r.terms is not None)])


def request_cancel(order: Order, request_id: str, reason: str, now_ns: int) -> Order:
    """The order with a cancel asked for. Cancelling what the venue shows live is always legal, whatever we believe.

    TerminalStateError: the order has ended. DuplicateOrderError: this request id was used before.
    """
    _require_fresh(order, request_id)
    if not order.is_shown_live:
        require_command(order.client_order_id, order.status, Command.CANCEL)
    request = Request(client_order_id=request_id, kind=RequestKind.CANCEL, state=RequestState.REQUESTED, created_ns=now_ns, reason=reason)
    return replace(order, requests=(*order.requests, request))


def request_replace(
    order: Order, client_order_id: str, intent_id: str, now_ns: int, *, order_qty: Decimal | None, limit_price: Decimal | None, stop_price: Decimal | None
) -> Order:
    """The order with other terms asked for under a new id; None leaves a term as it is confirmed now.

    InvalidTransitionError: the order is not working, or stands frozen in a disagreement with the venue.
    TerminalStateError: it has ended. DuplicateOrderError: the id was used before.
    """
    _require_fresh(order, client_order_id)
    require_command(order.client_order_id, order.status, Command.REPLACE)
    if order.is_disagreeing:
        raise InvalidTransitionError(f"order {order.client_order_id}: REPLACE is not allowed while the venue and we disagree about it")
    confirmed = order.terms
    terms = Terms(
        client_order_id=client_order_id,
        order_qty=confirmed.order_qty if order_qty is None else order_qty,
        limit_price=confirmed.limit_price if limit_price is None else limit_price,
        stop_price=confirmed.stop_price if stop_price is None else stop_price,
        rank=next_rank(order),
    )
    request = Request(
        client_order_id=client_order_id, kind=RequestKind.REPLACE, state=RequestState.REQUESTED, created_ns=now_ns, reason="REPLACE", intent_id=intent_id, terms=terms
    )
    return replace(order, requests=(*order.requests, request))


def close_by_us(order: Order, cause: str, now_ns: int) -> Order:
    """The order ended by us before anything was sent.

    BrokerConfirmationRequiredError: an attempt was made, so only the venue can say how it ended. TerminalStateError: it has ended.
    """
    require_command(order.client_order_id, order.status, Command.CLOSE)
    require_transition(order.client_order_id, order.status, OrderStatus.CANCELLED, Evidence.OURS)
    return replace(order, closure=Closure(status=OrderStatus.CANCELLED, cause=cause, at_ns=now_ns, by_us=True))


def _require_fresh(order: Order, client_order_id: str) -> None:
    if client_order_id == order.client_order_id or request_of(order, client_order_id) is not None:
        raise DuplicateOrderError(f"order {order.client_order_id}: request id {client_order_id} was used before")
