"""The venue's order book of one account: what is live, by id and by symbol, and what has just ended."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from core.venue import BrokerOrderUpdate
from execution.venues.orders import VenueOrder

__all__ = ["Book", "Ended"]


class Ended(msgspec.Struct, frozen=True, gc=False):
    """An order that has ended, every client order id it went by, and the number of the event that said so."""

    order: BrokerOrderUpdate
    client_order_ids: tuple[str, ...]
    cursor: int


class Book:
    """Orders of one account.

    Invariants: a client order id names one order for ever, by any id it went by; a live order is in the queue of its symbol.
    An ended order stays here until its last event is acknowledged, because only then is it certainly in the archive: an id
    is never unknown in between.
    """

    def __init__(self) -> None:
        self._live: dict[str, VenueOrder] = {}
        self._current: dict[str, str] = {}
        self._queues: dict[str, dict[str, VenueOrder]] = {}
        self._day_ends: dict[int, int] = {}
        self._ended: dict[str, Ended] = {}

    @classmethod
    def of(cls, live: Iterable[VenueOrder], ended: Iterable[Ended]) -> Book:
        """The book that holds these."""
        book = cls()
        for order in live:
            book.add(order)
        for each in ended:
            book._remember(each)
        return book

    @property
    def next_day_end_ns(self) -> int | None:
        """When the first live order's day is over; None when no order has such an end."""
        return min(self._day_ends, default=None)

    @property
    def live(self) -> list[VenueOrder]:
        """Every live order, oldest first."""
        return sorted(self._live.values(), key=_priority)

    @property
    def ended(self) -> tuple[Ended, ...]:
        """What ended and is not acknowledged, oldest first."""
        return tuple({ended.cursor: ended for ended in self._ended.values()}.values())

    def knows(self, client_order_id: str) -> bool:
        """Whether an order, live or just ended, goes or went by this id."""
        return client_order_id in self._current or client_order_id in self._ended

    def find(self, client_order_id: str) -> VenueOrder | None:
        """The live order that goes or went by this id."""
        current = self._current.get(client_order_id)
        return None if current is None else self._live[current]

    def find_ended(self, client_order_id: str) -> BrokerOrderUpdate | None:
        """The last word about an order that has just ended."""
        ended = self._ended.get(client_order_id)
        return None if ended is None else ended.order

    def queue(self, symbol: str) -> list[VenueOrder]:
        """The live orders of a symbol, oldest first."""
        queue = self._queues.get(symbol)
        return sorted(queue.values(), key=_priority) if queue else []

    def has_queue(self, symbol: str) -> bool:
        """Whether an order of this symbol is live."""
        return symbol in self._queues

    def due(self, now_ns: int) -> list[VenueOrder]:
        """The live orders whose day is over."""
        return [order for order in self.live if order.day_end_ns is not None and order.day_end_ns <= now_ns]

    def add(self, order: VenueOrder) -> None:
        """Take in an order, under every id it goes by."""
        name, symbol = order.client_order_id, order.terms.symbol
        for client_order_id in (*order.lineage, name):
            self._current[client_order_id] = name
        self._live[name] = order
        self._queues.setdefault(symbol, {})[name] = order
        if order.day_end_ns is not None:
            self._day_ends[order.day_end_ns] = self._day_ends.get(order.day_end_ns, 0) + 1

    def update(self, order: VenueOrder) -> None:
        """The same order, further on."""
        self._live[order.client_order_id] = self._queues[order.terms.symbol][order.client_order_id] = order

    def remove(self, order: VenueOrder) -> None:
        """Take an order out."""
        name, symbol = order.client_order_id, order.terms.symbol
        for client_order_id in (*order.lineage, name):
            del self._current[client_order_id]
        del self._live[name], self._queues[symbol][name]
        if not self._queues[symbol]:
            del self._queues[symbol]
        if order.day_end_ns is not None:
            self._day_ends[order.day_end_ns] -= 1
            if not self._day_ends[order.day_end_ns]:
                del self._day_ends[order.day_end_ns]

    def end(self, order: VenueOrder, last_word: BrokerOrderUpdate, cursor: int) -> Ended:
        """An order has ended; the event `cursor` says so."""
        self.remove(order)
        ended = Ended(last_word, (*order.lineage, order.client_order_id), cursor)
        self._remember(ended)
        return ended

    def forget(self, cursor: int) -> None:
        """Everything up to this event is acknowledged: what ended by then is the archive's alone."""
        while self._ended:
            name, ended = next(iter(self._ended.items()))
            if ended.cursor > cursor:
                return
            del self._ended[name]

    def _remember(self, ended: Ended) -> None:
        for client_order_id in ended.client_order_ids:
            self._ended[client_order_id] = ended


def _priority(order: VenueOrder) -> int:
    return order.priority
