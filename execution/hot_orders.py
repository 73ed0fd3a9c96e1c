"""The orders that are alive, findable by every id they go by, and when we next ask the venue to end one.

Everything here but the orders themselves is derived from them, so a snapshot holds only orders.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from core.contracts import OrderStatus
from core.ids import request_id
from core.order import Order, Request, RequestKind
from core.order.order import NS_PER_MS
from execution.deadlines import Deadlines

__all__ = ["HotOrders", "cancels_of", "deadline_of", "is_over", "is_unwanted", "next_cancel_id"]

# A refused cancel is asked again after one second, then two, then four, at most every minute.
_BACKOFF_FIRST_NS = 1_000_000_000
_BACKOFF_MAX_NS = 60_000_000_000
_BACKOFF_DOUBLINGS_MAX = 6


class HotOrders:
    """Live orders by lineage id.

    Invariants: every client order id and request id of a live order leads to it, so does every intent it came from; an id
    leads to one order; the deadlines are those of the orders that have one.
    """

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._orders: dict[str, Order] = {}
        self._lineages: dict[str, str] = {}
        self._intents: dict[str, str] = {}
        self._deadlines = Deadlines()
        for order in orders:
            self.put(order)

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, client_order_id: str) -> bool:
        return client_order_id in self._lineages

    @property
    def all(self) -> tuple[Order, ...]:
        """Every live order, oldest first."""
        return tuple(self._orders.values())

    @property
    def next_due_ns(self) -> int | None:
        """When the earliest order must be asked to go."""
        return self._deadlines.next_ns

    def take_due(self, now_ns: int) -> list[Order]:
        """The orders that must be asked to go by now; each is given once per deadline."""
        return [self._orders[lineage] for lineage in self._deadlines.take_due(now_ns)]

    def find(self, *client_order_ids: str) -> Order | None:
        """The live order that goes, or went, by the first of these ids that is known."""
        for client_order_id in client_order_ids:
            if (lineage := self._lineages.get(client_order_id)) is not None:
                return self._orders[lineage]
        return None

    def of_intent(self, intent_id: str) -> Order | None:
        """The live order an intent became, or changed."""
        lineage = self._intents.get(intent_id)
        return None if lineage is None else self._orders[lineage]

    def put(self, order: Order) -> None:
        """Keep an order, or its newer self."""
        lineage = order.origin.client_order_id
        known = self._orders.get(lineage)
        self._orders[lineage] = order
        if known is None:
            self._lineages[lineage] = lineage
            self._intents[order.origin.intent_id] = lineage
        if order.requests and (known is None or known.requests is not order.requests):
            for request in order.requests:
                self._index(request, lineage)
        self._deadlines.put(lineage, deadline_of(order))

    def remove(self, order: Order) -> None:
        """Forget an order that has ended, if it is here."""
        known = self._orders.pop(order.origin.client_order_id, None)
        if known is None:
            return
        lineage = known.origin.client_order_id
        _forget(self._lineages, lineage, (lineage, *(r.client_order_id for r in known.requests)))
        _forget(self._intents, lineage, (known.origin.intent_id, *(r.intent_id for r in known.requests)))
        self._deadlines.put(lineage, None)

    def _index(self, request: Request, lineage: str) -> None:
        # A venue may name a request of its own as it likes: a name in use is never taken over.
        self._lineages.setdefault(request.client_order_id, lineage)
        if request.intent_id:
            self._intents.setdefault(request.intent_id, lineage)


def _forget(index: dict[str, str], lineage: str, names: Iterable[str]) -> None:
    for name in names:
        if index.get(name) == lineage:
            del index[name]


def is_unwanted(order: Order) -> bool:
    """Whether the venue shows an order that we had ended ourselves: it must go, and is not over before the venue says so."""
    return order.is_shown_live and order.status is OrderStatus.CANCELLED


def is_over(order: Order) -> bool:
    """Whether nothing of ours is left to do about an order."""
    return order.status.is_terminal and not is_unwanted(order)


def cancels_of(order: Order) -> list[Request]:
    """The cancels that were ever asked for."""
    return [request for request in order.requests if request.kind is RequestKind.CANCEL]


def next_cancel_id(order: Order) -> str:
    """The id of the next cancel: the first that no request of the order has gone by."""
    used = {request.client_order_id for request in order.requests}
    return next(name for k in count(1) if (name := request_id(order.client_order_id, "cancel", k)) not in used)


def deadline_of(order: Order) -> int | None:
    """When we next ask the venue to end a live order: its time to live is over, or it should not be there; None while we wait for an answer."""
    closure = order.closure
    if closure is not None and is_unwanted(order):
        due_ns = closure.at_ns
    elif order.origin.ttl_ms is not None and order.attempted_ns:
        due_ns = order.attempted_ns + order.origin.ttl_ms * NS_PER_MS
    else:
        return None
    cancels = cancels_of(order)
    if not cancels:
        return due_ns
    if any(request.state.is_open for request in cancels):
        return None
    backoff_ns = min(_BACKOFF_FIRST_NS << min(len(cancels) - 1, _BACKOFF_DOUBLINGS_MAX), _BACKOFF_MAX_NS)
    return max(due_ns, cancels[-1].created_ns + backoff_ns)
