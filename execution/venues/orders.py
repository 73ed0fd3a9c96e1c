"""An order as the venue keeps it, and what the venue refuses to take.

The venue's ids are derived, not counted: its order id names the client order id (unique for ever here), and an execution is
the k-th of its order. So neither a retry nor the order in which different symbols' bars arrive can give anything another name.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.contracts import OrderStatus, Side, TimeInForce
from core.contracts.intent import require_prices
from core.instrument import Instrument
from core.money import ZERO, require_positive
from core.venue import BrokerOrderAck, BrokerOrderReq, BrokerOrderUpdate, Refused

__all__ = [
    "ALREADY_DONE",
    "BELOW_MINIMUM",
    "INSUFFICIENT_FUNDS",
    "INVALID_TERMS",
    "TOO_LATE",
    "UNKNOWN_ORDER",
    "UNKNOWN_SYMBOL",
    "VenueOrder",
    "client_id_of",
    "refusal_of_change",
    "refusal_of_terms",
    "venue_id_of",
]

UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
INVALID_TERMS = "INVALID_TERMS"
BELOW_MINIMUM = "BELOW_MINIMUM"
INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
UNKNOWN_ORDER = "UNKNOWN_ORDER"
ALREADY_DONE = "ALREADY_DONE"
TOO_LATE = "TOO_LATE"

_VENUE_PREFIX = "V-"


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A live order: its present terms and what became of it.

    `lineage` holds the client order ids it went by before replaces; `priority` is its place in time among the orders of its
    symbol; `accepted_ns` is when its present terms were taken; `day_end_ns` is when its day is over (None: good till
    cancelled); `executions` counts its fills.
    """

    terms: BrokerOrderReq
    priority: int
    accepted_ns: int
    updated_ns: int
    day_end_ns: int | None = None
    lineage: tuple[str, ...] = ()
    cum_qty: Decimal = ZERO
    executions: int = 0
    is_triggered: bool = False

    @property
    def client_order_id(self) -> str:
        """The client order id it goes by now."""
        return self.terms.client_order_id

    @property
    def venue_order_id(self) -> str:
        """The venue's name for it."""
        return venue_id_of(self.terms.client_order_id)

    @property
    def leaves_qty(self) -> Decimal:
        """What may still trade."""
        return self.terms.order_qty - self.cum_qty

    @property
    def status(self) -> OrderStatus:
        """Where it stands while it lives, FILLED when nothing is left."""
        if not self.cum_qty:
            return OrderStatus.ACCEPTED
        return OrderStatus.FILLED if self.cum_qty >= self.terms.order_qty else OrderStatus.PARTIALLY_FILLED

    @property
    def is_immediate(self) -> bool:
        """Whether one bar decides about it."""
        return self.terms.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)

    def acknowledgement(self) -> BrokerOrderAck:
        """The venue's word that it has this order."""
        return BrokerOrderAck(client_order_id=self.client_order_id, venue_order_id=self.venue_order_id, accepted_ns=self.accepted_ns)

    def view(self, ended_as: OrderStatus | None = None, reason: str = "") -> BrokerOrderUpdate:
        """The venue's whole view of it, live or `ended_as`."""
        terms = self.terms
        status = ended_as or self.status
        return BrokerOrderUpdate(
            client_order_id=terms.client_order_id,
            venue_order_id=self.venue_order_id,
            symbol=terms.symbol,
            side=terms.side,
            order_type=terms.order_type,
            time_in_force=terms.time_in_force,
            order_qty=terms.order_qty,
            cum_qty=self.cum_qty,
            leaves_qty=ZERO if status.is_terminal else self.leaves_qty,
            status=status,
            updated_ns=self.updated_ns,
            limit_price=terms.limit_price,
            stop_price=terms.stop_price,
            reject_reason=reason,
        )

    def signed_ticks(self, price: Decimal | None, tick: Decimal) -> int:
        """A price of its terms in ticks, negated for a seller as a SideBar's are; 0 where the order has none."""
        if price is None:
            return 0
        ticks = int(price / tick)
        return ticks if self.terms.side is Side.BUY else -ticks


def venue_id_of(client_order_id: str) -> str:
    """The venue's order id for a client order id."""
    return _VENUE_PREFIX + client_order_id


def client_id_of(venue_order_id: str) -> str:
    """The client order id a venue order id was made from; '' when it is none of this venue's."""
    return venue_order_id[len(_VENUE_PREFIX) :] if venue_order_id.startswith(_VENUE_PREFIX) else ""


def refusal_of_terms(order: BrokerOrderReq, instrument: Instrument | None, last_price: Decimal | None) -> Refused | None:
    """Why these terms cannot be taken by anyone, whatever the account holds; None when they can."""
    if instrument is None:
        return Refused(code=UNKNOWN_SYMBOL, text=f"symbol={order.symbol}")
    if not order.client_order_id:
        return Refused(code=INVALID_TERMS, text="client_order_id: empty, an id is required")
    try:
        require_positive("order_qty", order.order_qty)
        require_prices(order.order_type, order.limit_price, order.stop_price)
    except ValueError as error:
        return Refused(code=INVALID_TERMS, text=str(error))
    prices = [price for price in (order.limit_price, order.stop_price) if price is not None]
    if problems := instrument.grid_problems(order.order_qty, *prices):
        return Refused(code=INVALID_TERMS, text="; ".join(problems))
    price = prices[0] if prices else last_price
    if problems := instrument.minimum_problems(order.order_qty, None if price is None else instrument.notional(order.order_qty, price)):
        return Refused(code=BELOW_MINIMUM, text="; ".join(problems))
    return None


def refusal_of_change(old: VenueOrder, wanted: BrokerOrderReq) -> Refused | None:
    """Why an order cannot be given these (otherwise legal) terms; None when it can."""
    terms = old.terms
    if (wanted.symbol, wanted.side, wanted.order_type, wanted.time_in_force) != (terms.symbol, terms.side, terms.order_type, terms.time_in_force):
        return Refused(code=INVALID_TERMS, text="a replace may change quantity and prices, nothing else")
    if wanted.order_qty <= old.cum_qty:
        return Refused(code=TOO_LATE, text=f"order_qty={wanted.order_qty}, cum_qty={old.cum_qty}")
    return None
