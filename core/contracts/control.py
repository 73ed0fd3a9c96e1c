"""What steers the suite: the session clock, the arm lease, heartbeats, limits, and what operators may ask of a daemon."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from core.contracts.base import Contract
from core.contracts.risk import TradingState
from core.money import require_amounts

__all__ = [
    "ArmAccount",
    "ArmLease",
    "CancelAllOrders",
    "ClearKillSwitch",
    "DisarmAccount",
    "DrainOrders",
    "Heartbeat",
    "KillSwitchState",
    "KillSwitchStatus",
    "LimitsChanged",
    "OperatorCommand",
    "OrderResolution",
    "ReconcileAccount",
    "ResolveOrder",
    "SessionClock",
    "SessionPhase",
    "SetStrategyState",
    "SetTradingState",
    "SettleSuspense",
    "StrategyAction",
    "SyncFromBroker",
    "TripKillSwitch",
]


class SessionPhase(StrEnum):
    """The two halves of a replayed instant: first the market moves, then everyone may look; ENDED closes the session."""

    MARKET = "MARKET"
    DECIDE = "DECIDE"
    ENDED = "ENDED"


class SessionClock(Contract, frozen=True, tag="SessionClock.1"):
    """Feed time of a replay. Topic control.clock · Producer md_ingest · Consumers every daemon that runs on the session clock.

    MARKET is stamped one nanosecond before the data it announces becomes visible, DECIDE exactly when it does.
    """

    now_ns: int
    step: int
    phase: SessionPhase


class ArmLease(Contract, frozen=True, tag="ArmLease.1"):
    """Risk's word that risk-increasing orders may leave, until a boot-clock time. Topic control.lease · Producer risk_engine · Consumers broker.

    It counts on the host and in the boot it was given in; a lease that has ended takes the one before it back. `mac` is its seal.
    """

    account: str
    boot_id: str
    valid_until_boot_ns: int
    mac: str = ""


class Heartbeat(Contract, frozen=True, tag="Heartbeat.1"):
    """A daemon is alive. Topic control.heartbeat · Producer every daemon · Consumers observers."""

    daemon: str
    incarnation: int
    ready: bool
    sent_ns: int


class LimitsChanged(Contract, frozen=True, tag="LimitsChanged.1"):
    """The limits in force. Topic control.limits · Producer risk_engine · Consumers broker.

    `limits` tells every limit by name, in the units of its name, so that a decision's version can be read without the config.
    """

    limits_version: str
    actor: str
    reason: str
    changed_ns: int
    limits: dict[str, str] = msgspec.field(default_factory=dict)


class KillSwitchStatus(StrEnum):
    """What one look at the kill file said. UNREADABLE denies for as long as it lasts and clears by itself."""

    CLEAR = "CLEAR"
    TRIPPED = "TRIPPED"
    UNREADABLE = "UNREADABLE"


class KillSwitchState(Contract, frozen=True, tag="KillSwitchState.1"):
    """One observation of the kill switch: an empty kill file means HALTED, one that says REDUCING lets reductions through."""

    status: KillSwitchStatus
    trading_state: TradingState = TradingState.HALTED
    reason: str = ""
    actor: str = ""


class SetTradingState(Contract, frozen=True, tag="SetTradingState.1"):
    """Operator: change the trading state of the account (risk_engine)."""

    trading_state: TradingState
    reason: str


class TripKillSwitch(Contract, frozen=True, tag="TripKillSwitch.1"):
    """Operator or control: stop (risk_engine)."""

    trading_state: TradingState
    reason: str


class ClearKillSwitch(Contract, frozen=True, tag="ClearKillSwitch.1"):
    """Operator: the cause is gone, trading may resume (risk_engine)."""

    reason: str


class StrategyAction(StrEnum):
    """What can be done to a strategy at run time."""

    ENABLE = "ENABLE"
    DISABLE = "DISABLE"


class SetStrategyState(Contract, frozen=True, tag="SetStrategyState.1"):
    """Operator: switch a strategy on or off at once (strategy_runner). Its resting entries are cancelled, its exits stay."""

    strategy_id: str
    action: StrategyAction
    reason: str


class CancelAllOrders(Contract, frozen=True, tag="CancelAllOrders.1"):
    """Operator or kill file: cancel everything of ours that is open (broker)."""

    reason: str


class DrainOrders(Contract, frozen=True, tag="DrainOrders.1"):
    """Shutdown: take no order in any more, and cancel everything of ours that is open (broker)."""

    reason: str


class ArmAccount(Contract, frozen=True, tag="ArmAccount.1"):
    """Operator: let risk-increasing orders leave. `phrase` names the account and its limit, letter for letter (risk_engine)."""

    phrase: str
    reason: str


class DisarmAccount(Contract, frozen=True, tag="DisarmAccount.1"):
    """Operator: let no risk-increasing order leave any more (risk_engine)."""

    reason: str


class OrderResolution(StrEnum):
    """How an order ended of which the venue does not say it, by the word of a person who has looked."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NEVER_REACHED = "never-reached"


class ResolveOrder(Contract, frozen=True, tag="ResolveOrder.1"):
    """Operator: say how an order in doubt, or a lost one, has ended (broker). Refused where evidence says otherwise.

    `last_qty` is what was executed (None: all of it) at `last_price`, under the venue's `exec_id` where it is known; both belong to a
    filled order alone. What was not executed is over.
    """

    client_order_id: str
    resolution: OrderResolution
    reason: str
    last_qty: Decimal | None = None
    last_price: Decimal | None = None
    exec_id: str = ""

    def __post_init__(self) -> None:
        require_amounts(self, "last_qty", "last_price")


class ReconcileAccount(Contract, frozen=True, tag="ReconcileAccount.1"):
    """Operator: compare the account with its venue now, everything (broker)."""

    reason: str = ""


class SyncFromBroker(Contract, frozen=True, tag="SyncFromBroker.1"):
    """Operator: take the venue's word for positions and cash where it differs from ours in the next comparison (oms)."""

    reason: str


class SettleSuspense(Contract, frozen=True, tag="SettleSuspense.1"):
    """Operator: give what is kept in suspense under `suspense_key` to an owner, a strategy or `_external` (oms)."""

    suspense_key: str
    owner: str
    reason: str


OperatorCommand = (
    SetTradingState
    | TripKillSwitch
    | ClearKillSwitch
    | SetStrategyState
    | CancelAllOrders
    | DrainOrders
    | ArmAccount
    | DisarmAccount
    | ResolveOrder
    | ReconcileAccount
    | SyncFromBroker
    | SettleSuspense
)
