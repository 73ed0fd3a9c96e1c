"""Instructions to a venue, and what became of them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from core.contracts.base import Contract
from core.contracts.intent import OrderType, Side, TimeInForce, require_prices
from core.contracts.position import BalanceSnapshot, PositionSnapshot
from core.contracts.risk import Approval
from core.money import ZERO, require_amounts, require_not_negative, require_positive

__all__ = ["CancelOrder", "ExecType", "LedgerAdjusted", "OrderInstruction", "OrderStateChanged", "OrderStatus", "ReplaceOrder", "SubmitOrder"]


class OrderStatus(StrEnum):
    """Where an order stands (FIX 39). Derived from facts, never stored as truth. REJECTED and EXPIRED are the venue's words only."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        """Whether our own actions on the order are over. The venue's facts never are."""
        return self in _TERMINAL


_TERMINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})


class ExecType(StrEnum):
    """What happened (FIX 150), plus six facts of our own gateway's: ATTEMPTED, NOT_SENT, IN_DOUBT, RESOLVED, NEVER_REACHED, LOST."""

    ATTEMPTED = "ATTEMPTED"
    NOT_SENT = "NOT_SENT"
    IN_DOUBT = "IN_DOUBT"
    NEVER_REACHED = "NEVER_REACHED"
    LOST = "LOST"
    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    TRADE = "TRADE"
    TRADE_CANCEL = "TRADE_CANCEL"
    TRADE_CORRECT = "TRADE_CORRECT"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELLED = "CANCELLED"
    CANCEL_REJECTED = "CANCEL_REJECTED"
    PENDING_REPLACE = "PENDING_REPLACE"
    REPLACED = "REPLACED"
    REPLACE_REJECTED = "REPLACE_REJECTED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    STOPPED = "STOPPED"
    SUSPENDED = "SUSPENDED"
    CALCULATED = "CALCULATED"
    RESTATED = "RESTATED"
    TRIGGERED = "TRIGGERED"
    ORDER_STATUS = "ORDER_STATUS"


class SubmitOrder(Contract, frozen=True, tag="SubmitOrder.1"):
    """Place this order (FIX D). Topic orders.accepted.{venue} · Producer oms · Consumers broker.

    Carries the approval it was allowed with; the broker refuses content that differs from what was approved.
    """

    client_order_id: str
    intent_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    order_qty: Decimal
    approval: Approval
    created_ns: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    ttl_ms: int | None = None
    protective: bool = False
    execution_id: str = ""
    slice_id: str = ""

    def __post_init__(self) -> None:
        require_positive("order_qty", self.order_qty)
        require_prices(self.order_type, self.limit_price, self.stop_price)


class CancelOrder(Contract, frozen=True, tag="CancelOrder.1"):
    """Cancel this order (FIX F). Topic orders.accepted.{venue} · Producer oms · Consumers broker. Needs no approval, is never held back."""

    client_order_id: str
    orig_client_order_id: str
    account: str
    venue: str
    symbol: str
    created_ns: int
    venue_order_id: str = ""
    reason: str = ""


class ReplaceOrder(Contract, frozen=True, tag="ReplaceOrder.1"):
    """Change this order (FIX G). Topic orders.accepted.{venue} · Producer oms · Consumers broker. All terms are the wanted ones."""

    client_order_id: str
    orig_client_order_id: str
    intent_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    order_qty: Decimal
    approval: Approval
    created_ns: int
    venue_order_id: str = ""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None

    def __post_init__(self) -> None:
        require_positive("order_qty", self.order_qty)
        require_prices(self.order_type, self.limit_price, self.stop_price)


OrderInstruction = SubmitOrder | CancelOrder | ReplaceOrder


class OrderStateChanged(Contract, frozen=True, tag="OrderStateChanged.1"):
    """One change of one order, with the position and cash it left behind (FIX 8 seen from our ledger).

    Topic orders.events · Producer oms · Consumers risk_engine, strategy_runner.
    Order end and fill travel in this one stream, so a reservation is never released before the position it became is known.
    `last_*` describe this execution (zero quantity: none); `facets` stand beside the status.
    """

    client_order_id: str
    intent_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    order_qty: Decimal
    old_status: OrderStatus
    new_status: OrderStatus
    cause: str
    exec_type: ExecType | None
    evidence: str
    cum_qty: Decimal
    leaves_qty: Decimal
    avg_price: Decimal
    occurred_ns: int
    position: PositionSnapshot
    balances: tuple[BalanceSnapshot, ...] = ()
    last_qty: Decimal = ZERO
    last_price: Decimal | None = None
    exec_id: str = ""
    venue_order_id: str = ""
    orig_client_order_id: str = ""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    facets: tuple[str, ...] = ()
    execution_id: str = ""
    slice_id: str = ""

    def __post_init__(self) -> None:
        require_not_negative(self, "order_qty", "cum_qty", "leaves_qty", "last_qty")
        require_amounts(self, "avg_price", "last_price", "limit_price", "stop_price")


class LedgerAdjusted(Contract, frozen=True, tag="LedgerAdjusted.1"):
    """A position or cash change that no execution of ours explains. Topic orders.events · Producer oms · Consumers risk_engine, strategy_runner.

    Suspense bookings, adjustments by reconciliation or an operator, corporate actions, transfers.
    """

    account: str
    reason: str
    evidence: str
    occurred_ns: int
    position: PositionSnapshot | None = None
    balances: tuple[BalanceSnapshot, ...] = ()
    exec_id: str = ""
    actor: str = ""
