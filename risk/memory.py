"""What risk remembers of intents it has decided: for ever which ids, for a moment which terms.

The archive remembers ids for ever and keeps the state small. It answers from what is committed, so the ids of the batch under
way are kept here as well: a repeat in the same batch is found as surely as one after a year.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from core.contracts import Intent, Side, Verdict

__all__ = ["ARCHIVE_KIND", "DecidedIntent", "Memory", "MemoryState", "OrderTerms", "RecentOrder", "hash_of"]

ARCHIVE_KIND = "intent"

OrderTerms = tuple[str, str, Side, Decimal, Decimal | None, Decimal | None]
"""Strategy, symbol, side, quantity, limit and stop price: what makes two orders the same order twice."""


class DecidedIntent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An archived answer: the hash of what was wished, and the verdict."""

    content_hash: str
    verdict: Verdict


class RecentOrder(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An order allowed lately, by its terms."""

    strategy_id: str
    symbol: str
    side: Side
    order_qty: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    allowed_ns: int


class MemoryState(msgspec.Struct, frozen=True):
    """Ids of the last decisions, oldest first, and orders allowed within the duplicate window."""

    decided: dict[str, DecidedIntent] = msgspec.field(default_factory=dict)
    orders: tuple[RecentOrder, ...] = ()


_encode_intent = msgspec.json.Encoder().encode
_decode_decided = msgspec.json.Decoder(DecidedIntent).decode


def hash_of(intent: Intent) -> str:
    """A 128-bit hash of everything an intent says."""
    return hashlib.blake2b(_encode_intent(intent), digest_size=16).hexdigest()


class Memory:
    """Decided intents and recent orders.

    Invariants: every decided id is here or in the committed archive; an order is here for as long as the duplicate window.
    """

    def __init__(self, *, batch_max: int, duplicate_window_ns: int) -> None:
        self._batch_max = batch_max
        self._window_ns = duplicate_window_ns
        self._decided: dict[str, DecidedIntent] = {}
        self._orders: dict[OrderTerms, int] = {}

    def recall(self, intent_id: str, archived: Mapping[str, bytes]) -> DecidedIntent | None:
        """The answer this id got before, if it got one."""
        decided = self._decided.get(intent_id)
        if decided is not None or not archived:
            return decided
        row = archived.get(f"{ARCHIVE_KIND}/{intent_id}")
        return None if row is None else _decode_decided(row)

    def remember(self, intent_id: str, decided: DecidedIntent) -> None:
        """Keep an answer until its archive row is surely committed."""
        self._decided[intent_id] = decided
        if len(self._decided) > self._batch_max:
            del self._decided[next(iter(self._decided))]

    def last_allowed_ns(self, terms: OrderTerms) -> int | None:
        """When an order of these terms was allowed last, as far as the window reaches."""
        return self._orders.get(terms)

    def remember_order(self, terms: OrderTerms, now_ns: int) -> None:
        """An order was allowed now."""
        while self._orders and now_ns - self._orders[oldest := next(iter(self._orders))] >= self._window_ns:
            del self._orders[oldest]
        self._orders.pop(terms, None)
        self._orders[terms] = now_ns

    def snapshot(self) -> MemoryState:
        """The whole state."""
        return MemoryState(dict(self._decided), tuple(RecentOrder(*terms, at_ns) for terms, at_ns in self._orders.items()))

    def restore(self, state: MemoryState) -> None:
        """Become the memory that gave this state."""
        self._decided = dict(state.decided)
        self._orders = {(o.strategy_id, o.symbol, o.side, o.order_qty, o.limit_price, o.stop_price): o.allowed_ns for o in state.orders}
