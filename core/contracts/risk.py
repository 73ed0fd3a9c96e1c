"""What risk answers, and what it looked at."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from core.contracts.base import Contract
from core.contracts.intent import Intent, Side
from core.money import require_amounts, require_not_negative

__all__ = ["Approval", "Denial", "Evidence", "RiskDecision", "RiskEvent", "TradingState", "Verdict"]


class Verdict(StrEnum):
    """Risk's answer to one intent."""

    ALLOWED = "ALLOWED"
    DENIED = "DENIED"


class TradingState(StrEnum):
    """How much is allowed: everything, only what reduces, or nothing but cancels and the flatten."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Denial(Contract, frozen=True):
    """One control's refusal: `code` from risk/denials, `evidence` as `key=value, key=value`."""

    code: str
    evidence: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.evidence}" if self.evidence else self.code


class Evidence(Contract, frozen=True):
    """What a decision was based on. Quantities in instrument units, money in account currency, ages in milliseconds.

    None means the fact was missing when the decision was taken; risk then denied what needed it. `position_qty` and the
    working quantities are the account's in the symbol before the order; `worst_qty` and `worst_notional` are what it would be
    at worst on the order's side with everything working filled, `open_positions` counts symbols held or worked, both with
    the order. The limits they were held against are named by the decision's `limits_version` (LimitsChanged tells them).
    """

    trading_state: TradingState
    reference_price: Decimal | None = None
    reference_age_ms: int | None = None
    position_qty: Decimal | None = None
    working_buy_qty: Decimal | None = None
    working_sell_qty: Decimal | None = None
    open_positions: int | None = None
    order_notional: Decimal | None = None
    reduces: bool = False
    worst_qty: Decimal | None = None
    worst_notional: Decimal | None = None
    intent_age_ms: int | None = None

    def __post_init__(self) -> None:
        require_amounts(self, "reference_price", "position_qty", "order_notional", "worst_qty", "worst_notional")
        require_not_negative(self, "working_buy_qty", "working_sell_qty")


class Approval(Contract, frozen=True):
    """Permission to send exactly one order: bound to its content, its limits version and a deadline.

    The broker checks it last thing before the wire. `mac` is empty until a key is configured.
    """

    approval_id: str
    client_order_id: str
    content_hash: str
    limits_version: str
    expires_ns: int
    reduces: bool = False
    reference_price: Decimal | None = None
    reference_age_ms: int | None = None
    mac: str = ""

    def __post_init__(self) -> None:
        require_amounts(self, "reference_price")


class RiskDecision(Contract, frozen=True, tag="RiskDecision.1"):
    """The answer to one intent, allowed or denied, with everything it was based on.

    Topic risk.decision · Producer risk_engine · Consumers oms, strategy_runner.
    `approval` is present exactly when an order or a replace was allowed.
    """

    decision_id: str
    verdict: Verdict
    intent: Intent
    limits_version: str
    evidence: Evidence
    decided_ns: int
    denials: tuple[Denial, ...] = ()
    approval: Approval | None = None


class RiskEvent(Contract, frozen=True, tag="RiskEvent.1"):
    """A limit used, a lock, a state change or a trip. Topic telemetry.risk · Producer risk_engine · Consumers observers."""

    event: str
    reason: str
    occurred_ns: int
    trading_state: TradingState
    actor: str = ""
    symbol: str = ""
    strategy_id: str = ""
    side: Side | None = None
