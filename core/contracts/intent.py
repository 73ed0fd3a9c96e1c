"""What a strategy wishes: never an order, always a question to risk."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from core.contracts.base import Contract
from core.money import require_positive

__all__ = ["CancelIntent", "Intent", "OrderIntent", "OrderType", "ReplaceIntent", "Side", "TimeInForce", "require_prices"]


class Side(StrEnum):
    """Direction (FIX 54)."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """Kind (FIX 40)."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"

    @property
    def has_limit(self) -> bool:
        """Whether orders of this kind carry a limit price."""
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        """Whether orders of this kind carry a stop price."""
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class TimeInForce(StrEnum):
    """Life (FIX 59)."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


def require_prices(order_type: OrderType, limit_price: Decimal | None, stop_price: Decimal | None) -> None:
    """ValueError unless exactly the prices this kind of order has are present and positive."""
    for name, wanted, price in (("limit_price", order_type.has_limit, limit_price), ("stop_price", order_type.has_stop, stop_price)):
        if price is None and wanted:
            raise ValueError(f"{name}: missing, a {order_type.value} order requires it")
        if price is not None:
            if not wanted:
                raise ValueError(f"{name}: {price} is not allowed on a {order_type.value} order")
            require_positive(name, price)


class OrderIntent(Contract, frozen=True, tag="OrderIntent.1"):
    """A wish to trade.

    Topic strat.intent · Producer strategy_runner · Consumers risk_engine.
    `order_qty` in instrument units; prices in the instrument's currency; `ttl_ms` is how long a resting order may
    live (None: by time in force); after `expires_ns` the wish is stale and is never sent.
    `stop_loss` and `take_profit` are the plan at signal time; `trigger` names the datum that caused the wish.
    `reduce_only` promises that the order closes what its strategy holds and no more; a `protective` order promises it too.
    """

    intent_id: str
    strategy_id: str
    account: str
    venue: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    order_qty: Decimal
    created_ns: int
    expires_ns: int
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    ttl_ms: int | None = None
    protective: bool = False
    reduce_only: bool = False
    trigger: str = ""
    reason: str = ""
    execution_id: str = ""
    slice_id: str = ""
    parent_intent_id: str = ""

    def __post_init__(self) -> None:
        for name in ("intent_id", "strategy_id", "account", "venue", "symbol"):
            if not getattr(self, name):
                raise ValueError(f"{name}: empty, a name is required")
        require_positive("order_qty", self.order_qty)
        require_prices(self.order_type, self.limit_price, self.stop_price)
        for name in ("stop_loss", "take_profit"):
            if (price := getattr(self, name)) is not None:
                require_positive(name, price)
        if self.ttl_ms is not None and self.ttl_ms <= 0:
            raise ValueError(f"ttl_ms: {self.ttl_ms} is not allowed, it must be greater than 0")

    @property
    def only_closes(self) -> bool:
        """Whether the order promises to close what is held and no more."""
        return self.reduce_only or self.protective


class CancelIntent(Contract, frozen=True, tag="CancelIntent.1"):
    """A wish to cancel what an earlier intent became. Topic strat.intent · Producer strategy_runner · Consumers risk_engine, which always passes it."""

    intent_id: str
    strategy_id: str
    target_intent_id: str
    created_ns: int
    reason: str = ""


class ReplaceIntent(Contract, frozen=True, tag="ReplaceIntent.1"):
    """A wish to change a resting order's quantity or prices. Topic strat.intent · Producer strategy_runner · Consumers risk_engine.

    None leaves a term as it is. More quantity or a worse price is new risk and needs a new approval.
    """

    intent_id: str
    strategy_id: str
    target_intent_id: str
    created_ns: int
    expires_ns: int
    order_qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        for name in ("order_qty", "limit_price", "stop_price"):
            if (value := getattr(self, name)) is not None:
                require_positive(name, value)


Intent = OrderIntent | CancelIntent | ReplaceIntent
