"""What is held."""

from __future__ import annotations

from decimal import Decimal

from core.contracts.base import Contract
from core.money import require_amounts

__all__ = ["AccountSnapshot", "BalanceSnapshot", "PositionSnapshot"]


class PositionSnapshot(Contract, frozen=True, tag="PositionSnapshot.1"):
    """A position of one owner. Topic positions.snapshot · Producer oms · Consumers observers.

    `strategy_id` is the owner; `_external`, `_suspense` and `_adjustment` are reserved owners. `position_qty` is signed
    (short below zero); `avg_price` is the average entry price; `realized_pnl` is in the instrument's currency, before fees.
    """

    account: str
    symbol: str
    strategy_id: str
    position_qty: Decimal
    avg_price: Decimal
    realized_pnl: Decimal
    as_of_ns: int

    def __post_init__(self) -> None:
        require_amounts(self, "position_qty", "avg_price", "realized_pnl")


class BalanceSnapshot(Contract, frozen=True, tag="BalanceSnapshot.1"):
    """The ledger's balance of one asset in one account. Part of OrderStateChanged and AccountSnapshot."""

    account: str
    asset: str
    total: Decimal
    as_of_ns: int

    def __post_init__(self) -> None:
        require_amounts(self, "total")


class AccountSnapshot(Contract, frozen=True, tag="AccountSnapshot.1"):
    """All balances of an account. Topic account.snapshot · Producer oms · Consumers observers."""

    account: str
    venue: str
    balances: tuple[BalanceSnapshot, ...]
    as_of_ns: int
