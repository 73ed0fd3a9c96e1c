"""Attempts: sending an order or a replacement, what came of it, and how the doubt about one ends.

A call has one of four outcomes: the venue took the order, the venue refused it, our own gate refused it, or nobody knows. What
nobody knows is in doubt until there is evidence: an event the venue pushes, or the answer to a lookup by client order id.

    found       adopted as the venue shows it
    not found   asked again until the late-arrival bound has passed, and once more after it; then it never got there:
                the same id and terms are sent again, or it ends NEVER_REACHED (LOST where that proves nothing)
    no answer   asked again: three times at once, then with back-off, and whenever the connection comes up
"""

from __future__ import annotations

from msgspec.structs import replace

from core.contracts import ExecType, OrderStatus, Severity
from core.ids import request_id
from core.machine import CallVenue
from core.node import Gate
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    Accepted,
    BrokerOrderAck,
    BrokerOrderUpdate,
    Lookup,
    NotFound,
    NotSent,
    OrderFound,
    OutcomeUnknown,
    Place,
    Refused,
    Replace,
    VenueReply,
)
from execution.cancels import Cancels
from execution.live_book import CallKind, LiveBook
from execution.live_orders import NEVER_REACHED, NOT_SENT, REFUSED, SENDS_MAX, LiveOrder, Stage, VenueTraits, backoff_ns, retry_delay_ns
from execution.venue_reports import GATEWAY, QUERY, REPLY, reason_of

__all__ = ["Attempts"]


class Attempts:
    """Sends, and resolves what is in doubt.

    Invariants: an order is sent again only after the venue has conclusively not got it; a doubt ends by evidence alone;
    at most one lookup of an order is under way.
    """

    def __init__(self, book: LiveBook, cancels: Cancels, traits: VenueTraits, gate: Gate) -> None:
        self._book = book
        self._cancels = cancels
        self._traits = traits
        self._gate = gate

    def send(self, order: LiveOrder, evidence: str = GATEWAY) -> None:
        """Announce the attempt, then call; the call waits until the announcement is out."""
        sent = self._book.put(replace(order, stage=Stage.SENT, sends=order.sends + 1, attempted_ns=self._book.now_ns, doubt=""))
        self._book.publish(self._book.reports.attempted(sent, evidence, self._book.now_ns), sent.correlation_id)
        call_id = request_id(sent.client_order_id, "replace" if sent.orig_client_order_id else "place", sent.sends)
        self._book.call(CallKind.SEND, sent.client_order_id, CallVenue(call_id, self._request_of(sent), self._book.topic, sent.approval))

    def on_answer(self, order: LiveOrder, reply: VenueReply) -> None:
        """The call that sent an order or a replacement has its outcome."""
        if isinstance(reply, Accepted) and _acknowledges(reply.ack, order):
            self._on_acknowledged(order, reply.ack)
            return
        if order.stage is not Stage.SENT:
            return  # The venue has shown the order already; a lost or odd answer does not unsay that.
        match reply:
            case Accepted() if order.orig_client_order_id:
                self._book.report(order, ExecType.PENDING_REPLACE, REPLY)
                self._book.put(replace(order, stage=Stage.TAKEN))
            case Refused(code=code, text=text) if code != DUPLICATE_CLIENT_ORDER_ID:
                self._book.report(order, ExecType.REPLACE_REJECTED if order.orig_client_order_id else ExecType.REJECTED, REPLY, reason_of(code, text))
                self._book.end(order, REFUSED)
            case NotSent(code=code, text=text):
                self._book.log("warning", "not_sent", client_order_id=order.client_order_id, code=code, text=text)
                self._book.report(order, ExecType.NOT_SENT, GATEWAY, code)
                self._book.end(order, NOT_SENT)
            case _:
                self._doubt(order, _cause_of(reply))

    def on_lookup_answer(self, order: LiveOrder, call_id: str, reply: VenueReply) -> None:
        """The venue answered a question, or did not: a failed question is never a 'not found'."""
        if order.query != call_id:
            return  # Something else has answered it.
        match reply:
            case OrderFound(order=view) if view.client_order_id == order.client_order_id:
                self._adopt(order, view)
            case NotFound():
                self._on_not_found(order)
            case _:
                failures = order.failures + 1
                self._ask_at(replace(order, failures=failures), self._book.now_ns + retry_delay_ns(failures))

    def on_ready(self) -> None:
        """The venue can be asked again: ask about everything in doubt."""
        for order in list(self._book.orders.values()):
            if order.stage is Stage.IN_DOUBT:
                self._ask(replace(order, failures=0))

    def on_due(self, order: LiveOrder) -> None:
        """Ask again, when the time for it has come."""
        if order.due_ns is not None and order.due_ns <= self._book.now_ns:
            self._ask(order)

    def on_shown(self, order: LiveOrder, status: OrderStatus) -> None:
        """The venue has shown the order by itself."""
        if order.stage is Stage.IN_DOUBT:
            self._resolved(order, "pushed")
        self._follow(order, status)

    def _request_of(self, order: LiveOrder) -> Place | Replace:
        assert order.order is not None, f"order {order.client_order_id} has no terms to send"
        if not order.orig_client_order_id:
            return Place(order=order.order)
        return Replace(orig_client_order_id=order.orig_client_order_id, order=order.order, venue_order_id=order.orig_venue_order_id)

    def _on_acknowledged(self, order: LiveOrder, ack: BrokerOrderAck) -> None:
        self._book.publish(self._book.reports.acknowledged(order, ack), order.correlation_id)
        known = replace(order, venue_order_id=ack.venue_order_id)
        if order.is_unknown:
            self._cancels.on_known(known)
        else:
            self._book.put(known)

    # In doubt.

    def _doubt(self, order: LiveOrder, cause: str) -> None:
        self._book.report(order, ExecType.IN_DOUBT, GATEWAY, cause)
        self._book.alert("order_in_doubt", Severity.WARNING, f"order {order.client_order_id}: its outcome at {self._book.venue} is unknown ({cause})")
        self._ask(replace(order, stage=Stage.IN_DOUBT, doubt=cause, failures=0, is_final=False))

    def _ask(self, order: LiveOrder) -> None:
        """Look the order up. Before the event feed stands nothing is asked: its answer asks about everything."""
        if not self._book.feed.is_ready:
            self._book.put(replace(order, query="", due_ns=None))
            return
        call_id = request_id(order.client_order_id, "lookup", order.lookups + 1)
        self._book.put(replace(order, query=call_id, lookups=order.lookups + 1, due_ns=None))
        self._book.call(CallKind.LOOKUP, order.client_order_id, CallVenue(call_id, Lookup(client_order_id=order.client_order_id)))

    def _ask_at(self, order: LiveOrder, due_ns: int) -> None:
        if due_ns <= self._book.now_ns or not self._book.feed.is_ready:
            self._ask(order)
        else:
            self._book.put(replace(order, query="", due_ns=due_ns))

    def _adopt(self, order: LiveOrder, view: BrokerOrderUpdate) -> None:
        """What the venue says of it is the truth. Executions come through the event feed, none is made up here."""
        self._resolved(order, "found")
        self._book.publish(self._book.reports.of_view(view, QUERY, order.orig_client_order_id), order.correlation_id)
        self._follow(replace(order, venue_order_id=view.venue_order_id), view.status)

    def _on_not_found(self, order: LiveOrder) -> None:
        bound_ns = order.attempted_ns + self._traits.late_arrival_ns
        if self._book.now_ns < bound_ns:
            self._ask_at(replace(order, failures=order.failures + 1), min(bound_ns, self._book.now_ns + backoff_ns(order.failures)))
        elif not order.is_final:
            self._ask(replace(order, failures=0, is_final=True))
        else:
            self._conclude(replace(order, query=""))

    def _conclude(self, order: LiveOrder) -> None:
        """Not found after the bound, and not found when asked once more."""
        self._resolved(order, "not_found")
        if not self._traits.ids_unique_for_ever or order.was_called_duplicate:
            self._lose(order)
        elif objection := self._objection(order):
            self._book.report(order, ExecType.NEVER_REACHED, QUERY, f"{NEVER_REACHED}: {objection}")
            self._book.end(order, NEVER_REACHED)
        else:
            self.send(order, QUERY)

    def _lose(self, order: LiveOrder) -> None:
        """It may have been there and gone, or the venue contradicts itself: not finding it proves nothing, and only a person can tell."""
        reason = f"LOST: not found at {self._book.venue} after {order.doubt}"
        self._book.report(order, ExecType.LOST, QUERY, reason)
        self._book.alert("order_lost", Severity.CRITICAL, f"order {order.client_order_id}: {reason}")
        self._book.put(replace(order, stage=Stage.LOST))

    def _objection(self, order: LiveOrder) -> str:
        """Why an order that never got there must not be sent again, or ''."""
        if order.orig_client_order_id:
            return "REPLACE_NOT_REPEATED"
        if order.cancels:
            return "CANCEL_REQUESTED"
        if order.sends >= SENDS_MAX:
            return "SENDS_EXHAUSTED"
        refusal = self._gate(self._request_of(order), order.approval, self._cancels.kill_switch, self._book.now_ns)
        return "" if refusal is None else refusal.code

    def _resolved(self, order: LiveOrder, how: str) -> None:
        self._book.log("info", "doubt_resolved", client_order_id=order.client_order_id, how=how, cause=order.doubt)

    def _follow(self, order: LiveOrder, status: OrderStatus) -> None:
        """Bring our view of an order to where the venue's is. A rejected replacement leaves the order it was to replace alone."""
        shown = order if status is OrderStatus.REJECTED else self._book.supersede(order)
        if status.is_terminal:
            self._book.end(shown, status)
        elif shown.is_unknown or shown.stage is Stage.LOST:
            self._cancels.on_known(shown)
        else:
            self._book.put(shown)


def _acknowledges(ack: BrokerOrderAck, order: LiveOrder) -> bool:
    """Whether this is what the venue says when it has taken this new order: a success without an id is none."""
    return bool(ack.venue_order_id) and ack.client_order_id == order.client_order_id and not order.orig_client_order_id


def _cause_of(reply: VenueReply) -> str:
    """Why nobody knows."""
    match reply:
        case OutcomeUnknown(cause=cause, text=text):
            return reason_of(cause, text)
        case Refused(code=code):
            return code
        case _:
            return f"NO_ANSWER: reply={type(reply).__name__}"
