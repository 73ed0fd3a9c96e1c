"""What the venue said, what we booked, what a parent order came to."""

from __future__ import annotations

from decimal import Decimal

from core.contracts.base import Contract
from core.contracts.intent import OrderType, Side, TimeInForce
from core.contracts.order import ExecType, OrderStatus
from core.money import ZERO, require_amounts, require_finite, require_not_negative, require_positive

__all__ = ["ExecutionReport", "FillEvent", "VenueReport"]


class VenueReport(Contract, frozen=True, tag="VenueReport.1"):
    """One fact about one order from the venue, or from our own gateway about its attempt (FIX 8 and 9).

    Topic broker.reports.{venue} · Producer broker · Consumers oms.
    `last_qty`/`last_price` are this execution's, `cum_qty`/`leaves_qty` the venue's own totals (None: it did not say).
    `status` is the venue's word mapped onto ours (None: not part of this report); `evidence` says how it is known:
    PUSH (stream), REPLY (to a call), QUERY (asked for), GATEWAY (our own attempt, refusal or doubt).
    `fee` is what the venue took, in `fee_asset`; it is negative for a rebate.
    """

    venue: str
    account: str
    exec_type: ExecType
    symbol: str
    evidence: str
    occurred_ns: int
    client_order_id: str = ""
    orig_client_order_id: str = ""
    venue_order_id: str = ""
    exec_id: str = ""
    exec_ref_id: str = ""
    side: Side | None = None
    order_type: OrderType | None = None
    time_in_force: TimeInForce | None = None
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    status: OrderStatus | None = None
    cum_qty: Decimal | None = None
    leaves_qty: Decimal | None = None
    last_qty: Decimal = ZERO
    last_price: Decimal | None = None
    fee: Decimal = ZERO
    fee_asset: str = ""
    reject_reason: str = ""
    cursor: int = 0

    def __post_init__(self) -> None:
        for name in ("order_qty", "cum_qty", "leaves_qty", "last_qty", "fee"):
            if (value := getattr(self, name)) is not None:
                require_finite(name, value)
        require_not_negative(self, "order_qty", "cum_qty", "leaves_qty", "last_qty")
        require_amounts(self, "limit_price", "stop_price", "last_price")
        if self.last_qty:
            if self.last_price is None:
                raise ValueError("last_price: missing, an execution requires it")
            require_positive("last_price", self.last_price)


class FillEvent(Contract, frozen=True, tag="FillEvent.1"):
    """A booked execution of ours. Topic fills.new · Producer oms · Consumers observers. The dedupe key is (venue, account, symbol, venue_order_id, exec_id)."""

    exec_id: str
    client_order_id: str
    venue_order_id: str
    intent_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    last_qty: Decimal
    last_price: Decimal
    fee: Decimal
    fee_asset: str
    occurred_ns: int
    execution_id: str = ""
    slice_id: str = ""

    def __post_init__(self) -> None:
        require_not_negative(self, "last_qty")
        require_amounts(self, "last_price", "fee")


class ExecutionReport(Contract, frozen=True, tag="ExecutionReport.1"):
    """The state of a parent order. Topic exec.reports · Producer executor · Consumers observers."""

    execution_id: str
    strategy_id: str
    symbol: str
    side: Side
    order_qty: Decimal
    cum_qty: Decimal
    status: str
    occurred_ns: int

    def __post_init__(self) -> None:
        require_not_negative(self, "order_qty", "cum_qty")
