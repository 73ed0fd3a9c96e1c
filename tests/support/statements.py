"""What the venue states about the account, as the broker tells it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.contracts import BalanceSnapshot, PositionSnapshot, StatementSubject, VenueReport, VenueStatement
from tests.support.builders import ACCOUNT, NOW, VENUE

__all__ = ["balances", "open_orders", "positions"]

Amounts = Mapping[str, int | str | Decimal]


def _statement(subject: StatementSubject, **changes: Any) -> VenueStatement:
    values: dict[str, Any] = {"venue": VENUE, "account": ACCOUNT, "cycle": 1, "cursor": 5, "stated_ns": NOW, "is_last": True} | changes
    return VenueStatement(subject=subject, **values)


def positions(held: Amounts, *, price: int = 100, **changes: Any) -> VenueStatement:
    """The venue holds this of these symbols and nothing else."""
    said = (
        PositionSnapshot(account=ACCOUNT, symbol=symbol, strategy_id="", position_qty=Decimal(qty), avg_price=Decimal(price), realized_pnl=Decimal(0), as_of_ns=NOW)
        for symbol, qty in held.items()
    )
    return _statement(StatementSubject.POSITIONS, positions=tuple(said), **changes)


def balances(totals: Amounts, **changes: Any) -> VenueStatement:
    """The venue has this of these assets and nothing else."""
    said = (BalanceSnapshot(account=ACCOUNT, asset=asset, total=Decimal(total), as_of_ns=NOW) for asset, total in totals.items())
    return _statement(StatementSubject.BALANCES, balances=tuple(said), **changes)


def open_orders(*views: VenueReport, **changes: Any) -> VenueStatement:
    """These orders are open at the venue and no others."""
    return _statement(StatementSubject.OPEN_ORDERS, orders=views, **changes)
