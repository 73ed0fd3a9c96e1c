"""What steers the suite: the session clock, the arm lease, heartbeats, limits, and what operators may ask of a daemon."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.contracts.base import Contract
from core.contracts.risk import TradingState

__all__ = [
    "ArmLease",
    "CancelAllOrders",
    "ClearKillSwitch",
    "Heartbeat",
    "KillSwitchState",
    "KillSwitchStatus",
    "LimitsChanged",
    "OperatorCommand",
    "SessionClock",
    "SessionPhase",
    "SetStrategyState",
    "SetTradingState",
    "StrategyAction",
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
    """Risk's word that risk-increasing orders may leave, until a boot-clock time. Topic control.lease · Producer risk_engine · Consumers broker."""

    account: str
    boot_id: str
    valid_until_boot_ns: int


class Heartbeat(Contract, frozen=True, tag="Heartbeat.1"):
    """A daemon is alive. Topic control.heartbeat · Producer every daemon · Consumers observers."""

    daemon: str
    incarnation: int
    ready: bool
    sent_ns: int


class LimitsChanged(Contract, frozen=True, tag="LimitsChanged.1"):
    """The limits in force. Topic control.limits · Producer risk_engine · Consumers observers.

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


OperatorCommand = SetTradingState | TripKillSwitch | ClearKillSwitch | SetStrategyState | CancelAllOrders
