"""What is kept in suspense and not settled yet: which executions, since when, and what they come to.

A row is settled by a match, when the order its executions belong to turns up, or by an operator, who says whose they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from core.contracts import ExecType, OrderStatus, Side, VenueReport
from core.money import ZERO
from core.order import Execution

__all__ = ["SuspenseBook", "SuspenseRow"]


class SuspenseRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The live executions of one unknown order, by the archive's key of each (execution/suspense.py). `signed_qty` is in instrument units."""

    suspense_key: str
    venue: str
    account: str
    symbol: str
    side: Side
    since_ns: int
    client_order_id: str = ""
    venue_order_id: str = ""
    executions: dict[str, Execution] = msgspec.field(default_factory=dict)

    @property
    def signed_qty(self) -> Decimal:
        """What they come to."""
        return self.side.sign * sum((e.qty for e in self.executions.values()), ZERO)

    @property
    def notional(self) -> Decimal:
        """What they cost, multiplier left out."""
        return sum((e.qty * e.price for e in self.executions.values()), ZERO)

    def reports(self) -> list[VenueReport]:
        """The executions told again, as of the order that is now known."""
        return [
            VenueReport(
                venue=self.venue,
                account=self.account,
                exec_type=ExecType.TRADE,
                symbol=self.symbol,
                evidence=e.evidence,
                occurred_ns=e.occurred_ns,
                client_order_id=self.client_order_id,
                venue_order_id=self.venue_order_id,
                exec_id=e.exec_id,
                side=self.side,
                status=OrderStatus.PARTIALLY_FILLED,
                cum_qty=e.cum_qty,
                last_qty=e.qty,
                last_price=e.price,
                fee=e.fee,
                fee_asset=e.fee_asset,
            )
            for e in self.executions.values()
        ]


class SuspenseBook:
    """The rows that are not settled, by suspense key. Invariant: a row has at least one execution that stands."""

    def __init__(self, rows: Iterable[SuspenseRow] = ()) -> None:
        self.rows = {row.suspense_key: row for row in rows}

    @property
    def is_open(self) -> bool:
        """Whether anything is unsettled."""
        return bool(self.rows)

    @property
    def table(self) -> list[dict[str, str | int]]:
        """Every row for people; amounts as text."""
        return [
            {
                "suspense_key": row.suspense_key,
                "symbol": row.symbol,
                "side": row.side.value,
                "quantity": str(row.signed_qty),
                "notional": str(row.notional),
                "venue_order_id": row.venue_order_id,
                "client_order_id": row.client_order_id,
                "executions": len(row.executions),
                "since_ns": row.since_ns,
            }
            for row in self.rows.values()
        ]

    def keep(self, key: str, report: VenueReport, side: Side, undone: Iterable[Execution], done: Iterable[Execution], now_ns: int) -> None:
        """Executions of an unknown order that were booked, or taken back."""
        row = self.rows.get(key) or SuspenseRow(
            suspense_key=key,
            venue=report.venue,
            account=report.account,
            symbol=report.symbol,
            side=side,
            since_ns=now_ns,
            client_order_id=report.client_order_id,
            venue_order_id=report.venue_order_id,
        )
        gone = {e.key for e in undone}
        executions = {k: e for k, e in row.executions.items() if k not in gone} | {e.key: e for e in done}
        if executions:
            self.rows[key] = replace(row, executions=executions)
        else:
            self.rows.pop(key, None)

    def drop(self, key: str, gone: Iterable[Execution]) -> None:
        """Executions of a row are booked elsewhere."""
        row, names = self.rows[key], {e.key for e in gone}
        left = {k: e for k, e in row.executions.items() if k not in names}
        if left:
            self.rows[key] = replace(row, executions=left)
        else:
            del self.rows[key]

    def of_order(self, venue_order_id: str, symbol: str, side: Side) -> SuspenseRow | None:
        """The row of the order that goes by this id at the venue."""
        if not venue_order_id:
            return None
        return next((row for row in self.rows.values() if (row.venue_order_id, row.symbol, row.side) == (venue_order_id, symbol, side)), None)

    def holding(self, execution_key: str, symbol: str) -> SuspenseRow | None:
        """The row that holds this execution."""
        return next((row for row in self.rows.values() if row.symbol == symbol and execution_key in row.executions), None)

    def settle(self, key: str) -> SuspenseRow | None:
        """Take a row out: it is somebody's now. None when there is none."""
        return self.rows.pop(key, None)
