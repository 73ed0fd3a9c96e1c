"""What is known of an order, kept apart by kind: where it came from, confirmed terms, requests, executions, closure.

Each of these can be merged in any order of arrival and gives the same result, which is what makes the whole order
independent of how its reports were repeated, delayed or shuffled.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from core.contracts import OrderStatus, OrderType, Side, TimeInForce
from core.money import ZERO

__all__ = ["Amendment", "Closure", "Command", "Execution", "Facet", "Origin", "Request", "RequestKind", "RequestState", "Terms"]


class _Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    pass


class Facet(StrEnum):
    """What stands beside the status. A facet is never a state of its own: an order can be FILLED and `busted`."""

    IN_DOUBT = "in_doubt"
    LOST = "lost"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    SUSPENDED = "suspended"
    EXTERNAL = "external"
    LATE_FILL = "late_fill"
    OVERFILLED = "overfilled"
    BUSTED = "busted"
    DISAGREEMENT = "disagreement"


class Command(StrEnum):
    """What we may do to an order. Each is checked against the stored order, never against the caller's belief."""

    SUBMIT = "SUBMIT"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"
    CLOSE = "CLOSE"


class Origin(_Fact, frozen=True):
    """What never changes in the life of an order. `client_order_id` names the whole lineage: it is the first step's."""

    client_order_id: str
    intent_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    created_ns: int
    ttl_ms: int | None = None
    protective: bool = False
    external: bool = False
    execution_id: str = ""
    slice_id: str = ""
    correlation_id: str = ""


class Terms(_Fact, frozen=True):
    """Quantity and prices of one step of the lineage. `rank` counts the steps in the order we asked for them.

    `said_by_venue` is false while the terms are only what we asked for and the step is proved by a fact that names no terms.
    """

    client_order_id: str
    order_qty: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    rank: int = 0
    said_by_venue: bool = False
    confirmed_ns: int = 0

    @property
    def precedence(self) -> tuple[int, bool, int]:
        """The greater one of two holds: a later step, the venue's word before ours, the younger word."""
        return (self.rank, self.said_by_venue, self.confirmed_ns)


class RequestKind(StrEnum):
    """What was asked of the venue after the order itself."""

    CANCEL = "CANCEL"
    REPLACE = "REPLACE"


class RequestState(StrEnum):
    """REQUESTED by us, PENDING by the venue's word, then CONFIRMED or REFUSED, which are final."""

    REQUESTED = "REQUESTED"
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    REFUSED = "REFUSED"

    @property
    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return self in (RequestState.REQUESTED, RequestState.PENDING)


class Request(_Fact, frozen=True):
    """One cancel or replace, by its own client order id. `terms` are a replace's wanted ones."""

    client_order_id: str
    kind: RequestKind
    state: RequestState
    created_ns: int
    reason: str = ""
    intent_id: str = ""
    terms: Terms | None = None
    in_doubt: bool = False


class Amendment(StrEnum):
    """What an execution entry is: a trade, a correction of an earlier entry, or the bust of one."""

    TRADE = "TRADE"
    CORRECT = "CORRECT"
    BUST = "BUST"


class Execution(_Fact, frozen=True):
    """One entry of an order's execution ledger. `key` is the venue's order id and exec id; `ref` is the key it amends.

    `cum_qty` is the venue's own total with this report (None: it did not say). `fee` is in `fee_asset`, negative for a rebate.
    """

    key: str
    kind: Amendment
    qty: Decimal
    price: Decimal
    occurred_ns: int
    exec_id: str = ""
    venue_order_id: str = ""
    ref: str = ""
    fee: Decimal = ZERO
    fee_asset: str = ""
    cum_qty: Decimal | None = None
    evidence: str = ""


class Closure(_Fact, frozen=True):
    """Who ended the order, why and when. It holds for the lineage step `rank`: a confirmed later step reopens the order."""

    status: OrderStatus
    cause: str
    at_ns: int
    rank: int = 0
    by_us: bool = False

    @property
    def precedence(self) -> tuple[int, bool, str, int]:
        """The greater one of two holds: a later step's, the venue's before ours, then one fixed order of words and times."""
        return (self.rank, not self.by_us, self.status.value, -self.at_ns)
