"""The transaction log: one small numbered row per thing that happened to an order, append-only, for people and audits.

Rows are archived as kind `log` under a contiguous zero-padded number; the journal's hash chain covers them like every other
consequence of an input. What an order *is* stands in the order itself; the log tells its story in sequence.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from core.contracts import Intent, OrderIntent, OrderStatus
from core.machine import Archive
from core.money import ZERO
from core.order import Order

__all__ = ["LOG_KIND", "LogEvent", "LogRow", "TransactionLog", "decode_log_row"]

LOG_KIND = "log"
_encoder = msgspec.json.Encoder()


class LogEvent(StrEnum):
    """What a row tells of. TRADE_OPEN and TRADE_CLOSE: a position left, or came back to, zero."""

    SUBMIT = "SUBMIT"
    STATE = "STATE"
    FILL = "FILL"
    CANCEL = "CANCEL"
    DENIAL = "DENIAL"
    TRADE_OPEN = "TRADE_OPEN"
    TRADE_CLOSE = "TRADE_CLOSE"


class LogRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One row. `reason` says why; quantities and prices are the execution's, or the position's on TRADE_OPEN and TRADE_CLOSE."""

    event: LogEvent
    now_ns: int
    strategy_id: str
    symbol: str = ""
    client_order_id: str = ""
    intent_id: str = ""
    status: OrderStatus | None = None
    reason: str = ""
    exec_id: str = ""
    qty: Decimal = ZERO
    price: Decimal = ZERO


_rows = msgspec.json.Decoder(LogRow)


def decode_log_row(data: bytes) -> LogRow:
    """The row an archive row of kind `log` holds."""
    return _rows.decode(data)


class TransactionLog:
    """Numbers rows from 1 without holes."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def of_order(self, event: LogEvent, order: Order, now_ns: int, reason: str, *, exec_id: str = "", qty: Decimal = ZERO, price: Decimal = ZERO) -> Archive:
        """A row about an order as it now stands."""
        origin = order.origin
        return self._row(
            LogRow(
                event=event,
                now_ns=now_ns,
                strategy_id=origin.strategy_id,
                symbol=origin.symbol,
                client_order_id=origin.client_order_id,
                intent_id=origin.intent_id,
                status=order.status,
                reason=reason,
                exec_id=exec_id,
                qty=qty,
                price=price,
            )
        )

    def of_denial(self, intent: Intent, reason: str, now_ns: int) -> Archive:
        """A row about a wish that risk refused."""
        symbol = intent.symbol if isinstance(intent, OrderIntent) else ""
        return self._row(LogRow(event=LogEvent.DENIAL, now_ns=now_ns, strategy_id=intent.strategy_id, symbol=symbol, intent_id=intent.intent_id, reason=reason))

    def _row(self, row: LogRow) -> Archive:
        self.count += 1
        return Archive(LOG_KIND, f"{self.count:012d}", _encoder.encode(row))
