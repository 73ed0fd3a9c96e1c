"""The venue port: what every broker connection can do, as calls (`IBroker`) and as data (`VenueRequest` → `VenueReply`).

Machines speak data: a `CallVenue` effect holds a request, a `CallReplied` input holds its reply. The shell turns one into
the other through an `IBroker`. Three answers are kept apart because confusing them loses money: a definite *no*
(`Refused`), *nothing known under that id right now* (`NotFound`), and *no idea what happened* (`OutcomeUnknown`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

import msgspec

from core.contracts import (
    BalanceSnapshot,
    OrderStatus,
    OrderType,
    PositionSnapshot,
    Side,
    TimeInForce,
)
from core.ids import content_hash
from core.money import ZERO

__all__ = [
    "DUPLICATE_CLIENT_ORDER_ID",
    "Accepted",
    "AcknowledgeEvents",
    "BrokerFill",
    "BrokerOrderAck",
    "BrokerOrderReq",
    "BrokerOrderUpdate",
    "Cancel",
    "FetchFills",
    "FetchOpenOrders",
    "FillsFetched",
    "IBroker",
    "Lookup",
    "NotFound",
    "NotSent",
    "OrderFilled",
    "OrderFound",
    "OrderUpdated",
    "OrdersFetched",
    "OutcomeUnknown",
    "Place",
    "Refused",
    "Replace",
    "RequestRejected",
    "Subscribe",
    "Subscribed",
    "VenueEvent",
    "VenueReply",
    "VenueRequest",
    "terms_hash",
]


class _Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    pass


class BrokerOrderReq(_Data, frozen=True):
    """Terms of one order as the venue gets them."""

    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    order_qty: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class BrokerOrderAck(_Data, frozen=True):
    """The venue has this order. An acknowledgement without a venue order id is no acknowledgement."""

    client_order_id: str
    venue_order_id: str
    accepted_ns: int


class BrokerOrderUpdate(_Data, frozen=True):
    """The venue's whole view of one order. `status` is its word mapped onto ours."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    order_qty: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    status: OrderStatus
    updated_ns: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reject_reason: str = ""


class BrokerFill(_Data, frozen=True):
    """One execution in the venue's own ledger. `cursor` orders all fills of the account."""

    cursor: int
    exec_id: str
    venue_order_id: str
    client_order_id: str
    symbol: str
    side: Side
    last_qty: Decimal
    last_price: Decimal
    cum_qty: Decimal
    order_qty: Decimal
    occurred_ns: int
    fee: Decimal = ZERO
    fee_asset: str = ""


class Place(_Data, frozen=True, tag="Place"):
    """Place an order."""

    order: BrokerOrderReq


class Cancel(_Data, frozen=True, tag="Cancel"):
    """Ask for an order's end."""

    client_order_id: str
    venue_order_id: str = ""


class Replace(_Data, frozen=True, tag="Replace"):
    """Ask for other terms of an order, under a new client order id."""

    orig_client_order_id: str
    order: BrokerOrderReq
    venue_order_id: str = ""


class Lookup(_Data, frozen=True, tag="Lookup"):
    """Ask what the venue knows under a client order id."""

    client_order_id: str


class FetchOpenOrders(_Data, frozen=True, tag="FetchOpenOrders"):
    """Ask for everything open, of one symbol or of all."""

    symbol: str | None = None


class FetchFills(_Data, frozen=True, tag="FetchFills"):
    """Ask for the account's fills with a cursor above `cursor`, oldest first."""

    cursor: int
    limit: int = 500


class Subscribe(_Data, frozen=True, tag="Subscribe"):
    """Ask for every event with a cursor above `cursor`: what was kept first, then what happens."""

    cursor: int


class AcknowledgeEvents(_Data, frozen=True, tag="AcknowledgeEvents"):
    """Everything up to this cursor is safe with the account: the venue need not keep it for another subscription."""

    cursor: int


VenueRequest = Place | Cancel | Replace | Lookup | FetchOpenOrders | FetchFills | Subscribe | AcknowledgeEvents

DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
"""The refusal that proves the opposite of a failure: an order with this client order id is already there."""


class Accepted(_Data, frozen=True, tag="Accepted"):
    """The venue took the request: an order is acknowledged, a cancel or replace is *requested* (not done)."""

    ack: BrokerOrderAck


class Refused(_Data, frozen=True, tag="Refused"):
    """A definite negative answer: nothing was done and nothing will be."""

    code: str
    text: str = ""


class NotFound(_Data, frozen=True, tag="NotFound"):
    """The venue answered and knows no such order *now*."""


class OrderFound(_Data, frozen=True, tag="OrderFound"):
    """The venue's view of the order asked for."""

    order: BrokerOrderUpdate


class OrdersFetched(_Data, frozen=True, tag="OrdersFetched"):
    """Everything asked for; an empty tuple is an answer, a failed query never looks like one."""

    orders: tuple[BrokerOrderUpdate, ...]


class FillsFetched(_Data, frozen=True, tag="FillsFetched"):
    """Fills above the cursor asked for, oldest first; `is_last` says nothing newer existed."""

    fills: tuple[BrokerFill, ...]
    is_last: bool


class Subscribed(_Data, frozen=True, tag="Subscribed"):
    """The venue's events follow from the cursor asked for; `last_cursor` is its newest (0: none yet).

    A `last_cursor` below what the account has already handled proves that the venue lost history.
    """

    last_cursor: int


class OutcomeUnknown(_Data, frozen=True, tag="OutcomeUnknown"):
    """Timeout, reset, 5xx, a reply that is no answer: what happened is unknown, which is never 'failed'."""

    cause: str
    text: str = ""


class NotSent(_Data, frozen=True, tag="NotSent"):
    """Our own last gate refused before the wire: evidence that the venue never saw it."""

    code: str
    text: str = ""


VenueReply = Accepted | Refused | NotFound | OrderFound | OrdersFetched | FillsFetched | Subscribed | OutcomeUnknown | NotSent


class OrderUpdated(_Data, frozen=True, tag="OrderUpdated"):
    """Pushed: the order's state changed without an execution (acknowledged, cancelled, expired, rejected, replaced)."""

    cursor: int
    order: BrokerOrderUpdate
    orig_client_order_id: str = ""


class OrderFilled(_Data, frozen=True, tag="OrderFilled"):
    """Pushed: one execution, with the order's resulting status."""

    cursor: int
    fill: BrokerFill
    status: OrderStatus


class RequestRejected(_Data, frozen=True, tag="RequestRejected"):
    """Pushed: a cancel or replace request was refused after it had been taken."""

    cursor: int
    client_order_id: str
    request: str
    reason: str


VenueEvent = OrderUpdated | OrderFilled | RequestRejected
"""What a venue pushes. `cursor` is contiguous per account, so a missed push is visible and can be asked for again."""


def terms_hash(account: str, venue: str, order: BrokerOrderReq) -> str:
    """The content hash an approval is bound to: everything the venue will be told, and where."""
    return content_hash(
        account,
        venue,
        order.client_order_id,
        order.symbol,
        order.side.value,
        order.order_type.value,
        order.time_in_force.value,
        order.order_qty,
        order.limit_price,
        order.stop_price,
    )


class IBroker(Protocol):
    """One account at one venue. The conformance kit is the definition of what each method promises.

    `VenueUnavailable` means the outcome is unknown. `LookupError` means the venue answered that it knows no such order now.
    """

    async def place(self, request: BrokerOrderReq) -> BrokerOrderAck:
        """Place an order; ExecutionError when the venue definitely refuses it."""

    async def cancel(self, exchange_order_id: str) -> None:
        """Request a cancel by the venue's order id."""

    async def replace(self, exchange_order_id: str, request: BrokerOrderReq) -> BrokerOrderAck:
        """Request other terms for an order."""

    async def fetch_order(self, client_order_id: str) -> BrokerOrderUpdate:
        """The venue's view of the order with this client order id."""

    async def fetch_open_orders(self, symbol: str | None = None) -> list[BrokerOrderUpdate]:
        """All open orders, of one symbol or of all."""

    async def fetch_closed_orders(self, since_ns: int) -> list[BrokerOrderUpdate]:
        """Orders that ended at or after `since_ns`."""

    async def fetch_fills(self, cursor: int) -> list[BrokerFill]:
        """Fills above the cursor, oldest first."""

    async def fetch_positions(self) -> list[PositionSnapshot]:
        """Positions as the venue sees them."""

    async def fetch_balances(self) -> list[BalanceSnapshot]:
        """Balances as the venue sees them."""
