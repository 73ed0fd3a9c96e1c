"""What the author of a strategy implements, and everything such a strategy may know and ask for.

A strategy is told what happened (`on_*`) and acts through the `Context` it is given: it returns nothing. Whatever one
callback asked for leaves together when the callback ends; when it raises, nothing of it leaves and the strategy is
quarantined alone. A wish that is malformed raises `StrategyError` at the line that made it.

All state lives in `self.state`, a msgspec struct: that is what checkpoints hold and what a restart brings back. Prices seen
are floats (measurements), prices asked for are Decimals on the instrument's grid.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict

from core.contracts import (
    Bar,
    BookSnapshot,
    BookUpdate,
    CancelIntent,
    ExecType,
    OrderIntent,
    OrderStatus,
    OrderType,
    ReplaceIntent,
    Severity,
    Side,
    Ticker,
    TimeInForce,
    Trade,
)
from core.errors import NjordError
from core.instrument import Instrument
from core.money import ZERO

__all__ = [
    "FLAT",
    "INTERFACE_VERSION",
    "AccountView",
    "Context",
    "Fill",
    "NoState",
    "OrderNews",
    "Position",
    "Strategy",
    "StrategyError",
    "StrategyParams",
    "WorkingOrder",
]

INTERFACE_VERSION = 1
"""Version of this file's promises. A strategy declares the one it was written for; the registry refuses another."""


class StrategyError(NjordError):
    """A strategy asked for something malformed: its author must mend it. The strategy is quarantined."""


class StrategyParams(BaseModel):
    """Root of parameter models: unknown keys are refused.

    `on_quarantine` says what becomes of the position when this strategy raises: KEEP leaves its exits resting at the venue,
    FLATTEN cancels everything and closes the position at market.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_quarantine: Literal["keep_protective_stops", "flatten"] = "keep_protective_stops"


class Position(msgspec.Struct, frozen=True):
    """What this strategy holds of one symbol: `qty` is signed, `avg_price` the entry average, `realized_pnl` before fees."""

    qty: Decimal = ZERO
    avg_price: Decimal = ZERO
    realized_pnl: Decimal = ZERO


FLAT = Position()


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order of this strategy that has not ended. `status` is None until the order exists (risk has not answered)."""

    intent_id: str
    symbol: str
    side: Side
    order_type: OrderType
    order_qty: Decimal
    cum_qty: Decimal = ZERO
    status: OrderStatus | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    protective: bool = False
    reason: str = ""
    is_cancel_requested: bool = False

    @property
    def leaves_qty(self) -> Decimal:
        """What may still be executed."""
        return self.order_qty - self.cum_qty


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of ours, with the position it left behind."""

    intent_id: str
    symbol: str
    side: Side
    last_qty: Decimal
    last_price: Decimal
    occurred_ns: int
    position: Position


class OrderNews(msgspec.Struct, frozen=True, kw_only=True):
    """Something became of an intent. `denials` mean that risk refused it: an order that will never be one, or a cancel or
    replace of an order that goes on as it was. `is_final` says whether the order will not work any more.

    `order` is the order as it was before the news when it has ended, and as it is now otherwise; None when it was not known
    (an order that risk or an operator sent for this strategy and that has ended already).
    """

    intent_id: str
    symbol: str
    status: OrderStatus | None
    exec_type: ExecType | None = None
    cause: str = ""
    denials: tuple[str, ...] = ()
    order: WorkingOrder | None = None
    is_final: bool = False


class AccountView(Protocol):
    """The account as the ledger last reported it."""

    def balance(self, asset: str) -> Decimal | None:
        """The balance of an asset; None when the ledger has not mentioned it, which is not zero."""


class Context(Protocol):
    """What a strategy may know and do during one callback. `buy`, `sell` and `submit` return None when the order would
    open risk while the strategy is switched off (counted as DISABLED); orders that reduce the position always pass."""

    @property
    def now_ns(self) -> int:
        """The time of the input being handled, UTC."""

    @property
    def trigger(self) -> str:
        """The name of the input being handled."""

    @property
    def is_enabled(self) -> bool:
        """Whether entries are switched on."""

    @property
    def account(self) -> AccountView:
        """The account."""

    def instrument(self, symbol: str) -> Instrument:
        """The grid of a symbol; StrategyError when it is not one of this strategy's."""

    def position(self, symbol: str) -> Position:
        """What this strategy holds of a symbol."""

    def working(self, symbol: str) -> tuple[WorkingOrder, ...]:
        """This strategy's orders of a symbol that have not ended, oldest first."""

    def buy(self, symbol: str, order_qty: Decimal, *, stop_loss: Decimal | None = None, reason: str = "") -> OrderIntent | None:
        """Ask for a market buy."""

    def sell(self, symbol: str, order_qty: Decimal, *, stop_loss: Decimal | None = None, reason: str = "") -> OrderIntent | None:
        """Ask for a market sell."""

    def submit(
        self,
        symbol: str,
        side: Side,
        order_type: OrderType,
        order_qty: Decimal,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        stop_loss: Decimal | None = None,
        take_profit: Decimal | None = None,
        ttl_ms: int | None = None,
        protective: bool = False,
        reduce_only: bool = False,
        reason: str = "",
    ) -> OrderIntent | None:
        """Ask for any order; StrategyError when the terms are malformed or off the instrument's grid.

        `reduce_only` promises to close what is held and no more: risk refuses what could sell (or buy back) it twice. Protective
        orders promise it too.
        """

    def close(self, symbol: str, reason: str) -> OrderIntent | None:
        """Ask for the market order that takes the position towards zero; None when less than a lot is held."""

    def cancel(self, intent_id: str, reason: str = "") -> CancelIntent | None:
        """Ask for an order's end; None when it is not working or a cancel is already under way."""

    def replace(
        self,
        intent_id: str,
        *,
        order_qty: Decimal | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        reason: str = "",
    ) -> ReplaceIntent | None:
        """Ask for other terms of a working order; StrategyError when it is not working or nothing would change.

        None when the order would open risk with them while the strategy is switched off (counted as DISABLED).
        """

    def no_trade(self, symbol: str, reason: str) -> None:
        """Say why nothing is done on this datum; reasons are counted."""

    def set_timer(self, name: str, at_ns: int) -> None:
        """Call `on_timer(name)` at `at_ns`; setting a name again moves it. A time that is not ahead becomes the next millisecond."""

    def cancel_timer(self, name: str) -> None:
        """Forget a timer, if it is set."""

    def alert(self, name: str, severity: Severity, text: str) -> None:
        """Tell a person."""


class NoState(msgspec.Struct):
    """The state of a strategy that remembers nothing."""


P = TypeVar("P", bound=StrategyParams)
S = TypeVar("S", bound=msgspec.Struct)


class Strategy(Generic[P, S]):
    """Base of every strategy. Override the callbacks you need; the rest do nothing.

    `Params` and `State` name the parameter model and the checkpointed state (every field with a default). Raise
    `state_version` when `State` changes meaning and read the old form in `upgrade_state`. `overnight` says whether it may hold
    a position from one exchange day to the next: with `never` the host alerts when it finds one, closing it is the strategy's.
    """

    Params: ClassVar[type[StrategyParams]] = StrategyParams
    State: ClassVar[type[msgspec.Struct]] = NoState
    interface_version: ClassVar[int] = INTERFACE_VERSION
    state_version: ClassVar[int] = 1
    overnight: ClassVar[Literal["allowed", "never"]] = "allowed"

    def __init__(self, params: P, symbols: tuple[str, ...], state: S) -> None:
        self.params = params
        self.symbols = symbols
        self.state = state

    def on_start(self, ctx: Context) -> None:
        """Once in the strategy's life, before its first datum; a restart restores state instead."""

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """A bar of one of its symbols is complete."""

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        """A market print."""

    def on_quote(self, ctx: Context, quote: Ticker) -> None:
        """The best bid or offer changed."""

    def on_book(self, ctx: Context, book: BookSnapshot | BookUpdate) -> None:
        """The order book changed."""

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        """An order of its own was executed; the position is already the new one."""

    def on_order(self, ctx: Context, news: OrderNews) -> None:
        """An order of its own changed, or an intent was denied. Called after `on_fill` when both happened."""

    def on_timer(self, ctx: Context, name: str) -> None:
        """A timer it set has come."""

    def on_stop(self, ctx: Context) -> None:
        """The session has ended; nothing asked for here can be filled in it."""

    def export_state(self) -> S:
        """What a checkpoint holds."""
        return self.state

    def restore_state(self, state: S) -> None:
        """Become the strategy that exported this state."""
        self.state = state

    @classmethod
    def upgrade_state(cls, version: int, data: str) -> msgspec.Struct:
        """The state in a checkpoint's JSON; StrategyError when `version` is one this strategy cannot read."""
        if version != cls.state_version:
            raise StrategyError(f"checkpoint version {version} of {cls.__name__} cannot be read, {cls.state_version} is required")
        return msgspec.json.decode(data, type=cls.State)
