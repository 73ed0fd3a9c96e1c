"""Orders in the venue's own lists, held against the live book: what resolves a doubt, what we had given up, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from core.contracts import Severity
from core.venue import BrokerOrderUpdate
from execution.attempts import Attempts
from execution.cancels import Cancels
from execution.live_book import LiveBook
from execution.live_orders import Ended, LiveOrder, Stage
from execution.venue_reports import QUERY
from execution.venue_watch import VenueWatch

__all__ = ["Sightings"]

_REVIVED_CALLS = 1_000_000
"""An order that comes back numbers its cancels from this times the event it was seen as of, and a thousand times the cycle: call ids never repeat."""
_OUTSTANDING = frozenset({Stage.SENT, Stage.TAKEN, Stage.QUEUED})
_DOUBTED = frozenset({Stage.IN_DOUBT, Stage.LOST})


class Sightings:
    """What a list of orders means for the orders we follow. A list proves that an order is there, or has ended; it never invents an execution."""

    def __init__(self, book: LiveBook, attempts: Attempts, cancels: Cancels, watch: VenueWatch) -> None:
        self._book = book
        self._attempts = attempts
        self._cancels = cancels
        self._watch = watch

    def take(self, views: Sequence[BrokerOrderUpdate], ended: Mapping[str, Ended], cycle: int, cursor: int) -> tuple[str, ...]:
        """Follow each order to where the venue shows it; the ids of those whose own answer is still under way, about which a list says nothing."""
        unsettled = []
        for view in views:
            order = self._book.orders.get(view.client_order_id)
            if order is None:
                self._on_unfollowed(view, ended.get(view.client_order_id), cycle, cursor)
            elif order.stage in _OUTSTANDING:
                unsettled.append(view.client_order_id)
            elif order.stage in _DOUBTED or (view.status.is_terminal and order.stage is Stage.WORKING):
                self._book.publish(self._book.reports.of_view(view, QUERY, order.orig_client_order_id), order.correlation_id)
                self._attempts.on_shown(replace(order, venue_order_id=view.venue_order_id), view.status)
        return tuple(unsettled)

    def missing(self, known: Iterable[str], views: Sequence[BrokerOrderUpdate]) -> tuple[str, ...]:
        """The orders that were at the venue when it was asked, are there for all we know, and are not in its list. Each is asked after by its id."""
        shown = {view.client_order_id for view in views}
        found = []
        for order_id in known:
            order = self._book.orders.get(order_id)
            if order is not None and order.stage is Stage.WORKING and order_id not in shown:
                found.append(order_id)
                if not order.is_unclear:
                    self._attempts.on_unclear(order)
        return tuple(found)

    def _on_unfollowed(self, view: BrokerOrderUpdate, ended: Ended | None, cycle: int, cursor: int) -> None:
        """An order nobody follows. One of our own is followed from here on, so that a kill sees it; any other is somebody else's business."""
        order_id = view.client_order_id
        if ended is None:
            self._watch.on_stranger(order_id)
        if view.status.is_terminal or not self._watch.is_ours(order_id):
            return
        how = f"ended {ended.end}" if ended is not None else "not known"
        self._book.alert("ended_order_is_live", Severity.CRITICAL, f"order {order_id} is {how} here, {self._book.venue} shows it {view.status}")
        found = LiveOrder(
            client_order_id=order_id,
            symbol=view.symbol,
            venue_order_id=view.venue_order_id,
            protective=ended is not None and ended.protective,
            correlation_id=ended.correlation_id if ended is not None else "",
            is_archived=ended is not None,
            cancel_calls=_REVIVED_CALLS * cursor + 1_000 * cycle,
        )
        self._cancels.on_known(self._book.put(found))
