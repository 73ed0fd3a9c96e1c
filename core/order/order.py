"""One order: its facts, and the status, quantities and facets derived from them."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.contracts import OrderStatus, TimeInForce
from core.money import ZERO, normal
from core.order.executions import peak_qty
from core.order.facts import (
    Closure,
    Execution,
    Facet,
    Origin,
    Request,
    RequestKind,
    RequestState,
    Terms,
)

__all__ = ["NS_PER_MS", "Order", "is_order_stale", "new_order"]

NS_PER_MS = 1_000_000
_AVG_PLACES = Decimal("1E-12")
_PENDING_FACET = {RequestKind.CANCEL: Facet.PENDING_CANCEL, RequestKind.REPLACE: Facet.PENDING_REPLACE}


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The facts of one lineage of orders. A new fact makes a new Order (core/order/fold.py).

    Invariants: `executions` holds one entry per execution key for ever; `cum_qty` and `notional` are the sums over its live
    entries, `silent_qty` over those of them whose report named no total of the venue's, `gross_qty` over all trades, busted ones
    included; `terms` are the last the venue confirmed, `reopened_ns` the last time it confirmed any of a live order; one closure
    of the highest lineage step is kept and nothing but a confirmed later step opens the order again.
    """

    origin: Origin
    terms: Terms
    requests: tuple[Request, ...] = ()
    executions: dict[str, Execution] = msgspec.field(default_factory=dict)
    closure: Closure | None = None
    venue_order_id: str = ""
    attempted_ns: int = 0
    is_known: bool = False
    is_accepted: bool = False
    is_triggered: bool = False
    was_in_doubt: bool = False
    was_lost: bool = False
    was_late: bool = False
    was_busted: bool = False
    is_amended: bool = False
    disagreement: str = ""
    suspended_ns: int = 0
    resumed_ns: int = 0
    is_done_for_day: bool = False
    reopened_ns: int = 0
    cum_qty: Decimal = ZERO
    notional: Decimal = ZERO
    gross_qty: Decimal = ZERO
    silent_qty: Decimal = ZERO
    venue_cum_qty: Decimal = ZERO

    @property
    def client_order_id(self) -> str:
        """The id of the lineage."""
        return self.origin.client_order_id

    @property
    def order_qty(self) -> Decimal:
        """The confirmed quantity."""
        return self.terms.order_qty

    @property
    def effective_closure(self) -> Closure | None:
        """The closure, unless a later step of the lineage has been confirmed since."""
        closure = self.closure
        return closure if closure is not None and closure.rank >= self.terms.rank else None

    @property
    def status(self) -> OrderStatus:
        """Where the order stands, derived."""
        # Asked of every order several times for every report: the short cuts say what `_is_filled` and `effective_closure` say.
        if self.cum_qty >= self.terms.order_qty > 0 or (self.is_amended and self._is_filled):
            return OrderStatus.FILLED
        closure = self.closure
        if closure is not None and closure.rank >= self.terms.rank:
            return closure.status
        if self.cum_qty > 0:
            return OrderStatus.PARTIALLY_FILLED
        if self.is_accepted:
            return OrderStatus.ACCEPTED
        return OrderStatus.SUBMITTED if self.attempted_ns else OrderStatus.PENDING

    @property
    def _is_filled(self) -> bool:
        wanted = self.terms.order_qty
        if self.cum_qty >= wanted > 0:
            return True
        if not self.is_amended or not self.gross_qty or self.gross_qty < wanted:
            return False
        # Latched: once every share had traded, a bust leaves a filled order filled, so no phantom leaves appear.
        return peak_qty(self.executions.values(), self.reopened_ns) >= wanted

    @property
    def leaves_qty(self) -> Decimal:
        """What may still trade; nothing once the order has ended, or for a day order that is done for the day."""
        if self.status.is_terminal:
            return ZERO
        if self.is_done_for_day and self.is_suspended and self.origin.time_in_force is TimeInForce.DAY:
            return ZERO
        return max(self.terms.order_qty - self.cum_qty, ZERO)

    @property
    def avg_price(self) -> Decimal:
        """The quantity-weighted price of the live executions to 12 places; zero when there are none."""
        return Decimal(normal((self.notional / self.cum_qty).quantize(_AVG_PLACES))) if self.cum_qty else ZERO

    @property
    def is_suspended(self) -> bool:
        """Done for the day, halted or held, by the younger of the venue's words: of two at one time, the end of trading."""
        return 0 < self.suspended_ns >= self.resumed_ns

    @property
    def is_in_doubt(self) -> bool:
        """Whether an attempt, or a request, has no known outcome."""
        if self.was_in_doubt and not self.is_known and self.closure is None and not self.was_lost:
            return True
        return any(r.in_doubt and r.state.is_open for r in self.requests) and not self.status.is_terminal

    @property
    def is_overfilled(self) -> bool:
        """More was executed than was ordered."""
        return self.cum_qty > self.terms.order_qty

    @property
    def missing_qty(self) -> Decimal:
        """What the venue says it has executed beyond what it has reported: fills that are still under way."""
        return ZERO if self.terms.rank else max(self.venue_cum_qty - self.gross_qty, ZERO)

    @property
    def is_disagreeing(self) -> bool:
        """Whether the venue and we differ in a way no order of arrival explains."""
        if self.disagreement or self.is_shown_live:
            return True
        return not self.terms.rank and self.cum_qty - self.silent_qty > self.venue_cum_qty

    @property
    def is_shown_live(self) -> bool:
        """Whether the venue has shown an order that we had ended ourselves."""
        closure = self.effective_closure
        return closure is not None and closure.by_us and self.is_known

    @property
    def facets(self) -> tuple[Facet, ...]:
        """Everything that stands beside the status, in one fixed order."""
        found = [*self._doubts, *self._pending] if self.requests or self.was_in_doubt or self.was_lost else []
        if self.is_suspended:
            found.append(Facet.SUSPENDED)
        if self.origin.external:
            found.append(Facet.EXTERNAL)
        if self.was_late:
            found.append(Facet.LATE_FILL)
        if self.is_overfilled:
            found.append(Facet.OVERFILLED)
        if self.was_busted:
            found.append(Facet.BUSTED)
        if self.is_disagreeing:
            found.append(Facet.DISAGREEMENT)
        return tuple(found)

    @property
    def _doubts(self) -> tuple[Facet, ...]:
        found: tuple[Facet, ...] = (Facet.IN_DOUBT,) if self.is_in_doubt else ()
        return (*found, Facet.LOST) if self.was_lost and not self.is_known and self.closure is None else found

    @property
    def _pending(self) -> tuple[Facet, ...]:
        if not self.requests or self.effective_closure is not None:
            return ()
        filled = self._is_filled
        kinds = {r.kind for r in self.requests if r.state.is_open and (not filled or r.state is RequestState.PENDING)}
        return tuple(_PENDING_FACET[kind] for kind in RequestKind if kind in kinds)

    def has_facet(self, facet: Facet) -> bool:
        """Whether this facet stands beside the status."""
        return facet in self.facets

    @property
    def client_order_ids(self) -> tuple[str, ...]:
        """Every id this lineage is known by at the venue: its own and its replacements'."""
        return (self.origin.client_order_id, *(r.client_order_id for r in self.requests if r.kind is RequestKind.REPLACE))

    @property
    def open_request(self) -> Request | None:
        """The last request that has no answer yet."""
        return next((r for r in reversed(self.requests) if r.state.is_open), None)


def new_order(origin: Origin, order_qty: Decimal, limit_price: Decimal | None = None, stop_price: Decimal | None = None) -> Order:
    """A PENDING order: created by us, nothing sent."""
    return Order(origin=origin, terms=Terms(client_order_id=origin.client_order_id, order_qty=order_qty, limit_price=limit_price, stop_price=stop_price))


def is_order_stale(order: Order, now_ns: int) -> bool:
    """Whether a live order has outlived its `ttl_ms`, counted from the moment it was submitted."""
    ttl_ms = order.origin.ttl_ms
    if ttl_ms is None or not order.attempted_ns or order.status.is_terminal:
        return False
    return now_ns - order.attempted_ns >= ttl_ms * NS_PER_MS
