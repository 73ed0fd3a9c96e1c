"""The gateway's orders and open calls, and everything that leaves it: the parts the gateway is made of share this book."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from core import topics
from core.contracts import Alert, ExecType, Severity, VenueReport
from core.machine import Archive, Attached, CallVenue, Effect, Log, Publish
from execution.event_feed import EventFeed
from execution.live_orders import ORIGINAL_ENDED, REPLACED, CancelRequest, CancelStage, Ended, LiveOrder, Stage
from execution.venue_reports import REPLY, VenueReports

__all__ = ["ARCHIVE", "DAEMON", "CallKind", "LiveBook", "OpenCall", "ended_in"]

DAEMON = topics.Daemon.BROKER.value
ARCHIVE = "order"


class CallKind(StrEnum):
    """What a venue call is for."""

    SEND = "SEND"
    CANCEL = "CANCEL"
    LOOKUP = "LOOKUP"
    SUBSCRIBE = "SUBSCRIBE"


class OpenCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A venue call without an outcome: what it is for, and about which order."""

    kind: CallKind
    client_order_id: str = ""


def ended_in(attached: Attached, client_order_id: str) -> Ended | None:
    """The archived row of an order, when it is attached."""
    row = attached.archived.get(f"{ARCHIVE}/{client_order_id}")
    return None if row is None else msgspec.json.decode(row, type=Ended)


class LiveBook:
    """Orders that have not ended, by client order id, and open calls, by call id.

    Invariants: `due` holds exactly the orders that wait for time; what has ended is archived once and is no longer here.
    `now_ns` and `out` belong to the input being handled.
    """

    def __init__(self, account: str, venue: str) -> None:
        self.account = account
        self.venue = venue
        self.topic = topics.BROKER_REPORTS.name(venue=venue)
        self.reports = VenueReports(account, venue)
        self.orders: dict[str, LiveOrder] = {}
        self.calls: dict[str, OpenCall] = {}
        self.due: dict[str, int] = {}
        self.feed = EventFeed(account, self.topic)
        self.now_ns = 0
        self.out: list[Effect] = []
        self._alerts = topics.ALERTS_FIRED.name()

    def restore(self, orders: Iterable[LiveOrder], calls: dict[str, OpenCall], feed: EventFeed) -> None:
        """Hold exactly these orders and calls."""
        self.orders, self.due = {}, {}
        for order in orders:
            self.put(order)
        self.calls = dict(calls)
        self.feed = feed.copy()

    def put(self, order: LiveOrder) -> LiveOrder:
        """Keep this newer state of an order."""
        self.orders[order.client_order_id] = order
        due_ns = order.next_due_ns
        if due_ns is not None:
            self.due[order.client_order_id] = due_ns
        elif self.due:
            self.due.pop(order.client_order_id, None)
        return order

    def end(self, order: LiveOrder, end: str) -> None:
        """It is over for us: remember the id for ever, forget the rest. A replacement the venue was still to make ends with it."""
        del self.orders[order.client_order_id]
        self.due.pop(order.client_order_id, None)
        if not order.is_archived:
            row = Ended(symbol=order.symbol, end=end, at_ns=self.now_ns, venue_order_id=order.venue_order_id, protective=order.protective, correlation_id=order.correlation_id)
            self.out.append(Archive(ARCHIVE, order.client_order_id, msgspec.json.encode(row)))
        if end == REPLACED:
            return
        for other_id in order.replaced_by:
            other = self.orders.get(other_id)
            if other is not None and other.stage is Stage.TAKEN:
                self.end(other, ORIGINAL_ENDED)

    def supersede(self, order: LiveOrder) -> LiveOrder:
        """A replacement that is there has ended the order it replaces; cancels of that one are now meant for this one."""
        original = self.orders.get(order.orig_client_order_id)
        if original is None:
            return order
        self.end(original, REPLACED)
        moved = tuple(replace(c, stage=CancelStage.HELD, call_id="", failures=0, due_ns=None) for c in original.cancels)
        return replace(order, cancels=(*moved, *order.cancels))

    def call(self, kind: CallKind, client_order_id: str, call: CallVenue) -> None:
        """Ask the venue, and remember what was asked."""
        self.calls[call.call_id] = OpenCall(kind, client_order_id)
        self.out.append(call)

    def publish(self, report: VenueReport, correlation_id: str) -> None:
        """Tell the OMS."""
        self.out.append(Publish(self.topic, report, correlation_id))

    def report(self, order: LiveOrder, exec_type: ExecType, evidence: str, reason: str = "") -> None:
        """Tell the OMS a fact about an order, as of now."""
        self.publish(self.reports.about(order, exec_type, evidence, self.now_ns, reason), order.correlation_id)

    def report_cancel(self, order: LiveOrder, cancel: CancelRequest, exec_type: ExecType, reason: str = "") -> None:
        """Tell the OMS what the venue answered to a cancel."""
        report = self.reports.about_request(exec_type, order.symbol, REPLY, self.now_ns, request_id=cancel.request_id, order_id=order.client_order_id, reason=reason)
        self.publish(report, order.correlation_id)

    def alert(self, name: str, severity: Severity, text: str) -> None:
        """Tell people."""
        self.out.append(Publish(self._alerts, Alert(name=name, severity=severity, text=text, daemon=DAEMON, occurred_ns=self.now_ns)))

    def log(self, level: str, event: str, **fields: str | int) -> None:
        """Write a log line."""
        self.out.append(Log(level, event, tuple(fields.items())))
