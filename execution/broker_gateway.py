"""The gateway between the OMS and one venue account: it sends, asks and reports, and never guesses.

Orders leave behind a published ATTEMPTED and are in doubt until there is evidence of what became of them (attempts.py).
Cancels leave at once and are repeated until the order has ended or the venue says no; while the kill switch is tripped the
gateway cancels on its own, needing nothing but the venue (cancels.py). The venue's events are taken in order, each exactly
once (event_feed.py), and told on as reports (venue_reports.py). This file is the machine that routes every input to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import msgspec
from msgspec.structs import replace

from core.contracts import (
    CancelAllOrders,
    CancelOrder,
    ExecType,
    KillSwitchState,
    OrderStatus,
    ReplaceOrder,
    Severity,
    SubmitOrder,
    TradingState,
)
from core.machine import (
    NO_NEEDS,
    Answer,
    Attached,
    BacklogState,
    CallInterrupted,
    CallReplied,
    Command,
    ConfigLoaded,
    Effect,
    Fact,
    FeedExhausted,
    Halt,
    Input,
    LinkStopped,
    Message,
    Needs,
    Observed,
    Settled,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.node import Gate
from core.order import RequestKind
from core.settings import Settings
from core.venue import OrderFilled, OrderUpdated, OutcomeUnknown, RequestRejected, VenueEvent, VenueReply
from execution.attempts import Attempts
from execution.cancels import Cancels, without
from execution.event_feed import Arrival, EventFeed
from execution.gate import build_gate
from execution.live_book import ARCHIVE, DAEMON, CallKind, LiveBook, OpenCall, ended_in
from execution.live_orders import REFUSED, CancelRequest, CancelStage, Ended, LiveOrder, Stage, VenueTraits, terms_of, traits_of
from execution.venue_reports import GATEWAY, PUSH

__all__ = ["BrokerGateway", "GatewayState", "build_gateway"]

_REVIVED_CALLS = 1_000_000
"""An order that comes back numbers its cancels from this times the event that showed it: call ids never repeat."""


class GatewayState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gateway knows: orders that have not ended, open calls, the event feed, the kill switch and its sweeps."""

    orders: tuple[LiveOrder, ...]
    calls: dict[str, OpenCall]
    feed: EventFeed
    kill_switch: KillSwitchState
    stop: TradingState | None
    sweeps: int
    sweep_due_ns: int | None


def build_gateway(settings: Settings) -> BrokerGateway:
    """The gateway of this suite's account at its venue."""
    return BrokerGateway(account=settings.account.name, venue=settings.account.venue, traits=traits_of(settings), gate=build_gate(settings))


class BrokerGateway:
    """Machine. Reads orders.accepted.{venue}, the venue, the kill switch · Writes broker.reports.{venue}, alerts.fired · Decides
    when an attempt is in doubt, how the doubt ends, what is sent again, and what a kill cancels.

    Invariants: a client order id is used once for ever; a doubt ends by evidence alone; every event of the venue is reported
    exactly once, in order; call ids never repeat; cancels never wait.
    """

    def __init__(self, *, account: str, venue: str, traits: VenueTraits, gate: Gate) -> None:
        self._book = LiveBook(account, venue)
        self._cancels = Cancels(self._book)
        self._attempts = Attempts(self._book, self._cancels, traits, gate)

    @property
    def next_wake_ns(self) -> int | None:
        """When a question, a cancel or a sweep is to be repeated. Without a connection only the connection is waited for."""
        if not self._book.feed.is_connected:
            return None
        times = [t for t in (*self._book.due.values(), self._book.feed.due_ns, self._cancels.sweep_due_ns) if t is not None]
        return min(times, default=None)

    def needs(self, event: Input) -> Needs:
        """The archived row of an order that is not live: an id is never used twice, and an ended order is known again."""
        match event:
            case Message(body=SubmitOrder(client_order_id=order_id) | ReplaceOrder(client_order_id=order_id) | CancelOrder(orig_client_order_id=order_id)):
                pass
            case VenuePushed(event=pushed):
                order_id = _order_id_of(pushed)
            case _:
                return NO_NEEDS
        return NO_NEEDS if order_id in self._book.orders else Needs(archived=((ARCHIVE, order_id),))

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input."""
        self._book.now_ns, self._book.out = now_ns, []
        match event:
            case Message():
                self._on_message(event, attached)
            case CallReplied(call_id=call_id, reply=reply):
                self._on_outcome(call_id, reply)
            case VenuePushed(event=pushed):
                self._on_pushed(pushed, attached)
            case Observed(fact=fact):
                self._on_fact(fact)
            case Wake():
                self._on_wake()
            case Command():
                self._on_command(event)
            case CallInterrupted(call_id=call_id):
                # The process died, and its connection with it.
                self._book.feed.on_lost()
                self._on_outcome(call_id, OutcomeUnknown(cause="INTERRUPTED"))
            case ConfigLoaded():
                self._on_start()
            case _:
                assert_never(event)
        out, self._book.out = self._book.out, []
        return out

    def snapshot(self) -> GatewayState:
        """The whole state."""
        return GatewayState(
            orders=tuple(self._book.orders.values()),
            calls=dict(self._book.calls),
            feed=self._book.feed.copy(),
            kill_switch=self._cancels.kill_switch,
            stop=self._cancels.stop,
            sweeps=self._cancels.sweeps,
            sweep_due_ns=self._cancels.sweep_due_ns,
        )

    def restore(self, snapshot: GatewayState) -> None:
        """Become the gateway that gave this snapshot."""
        self._book.restore(snapshot.orders, snapshot.calls, snapshot.feed)
        self._cancels.kill_switch = snapshot.kill_switch
        self._cancels.stop = snapshot.stop
        self._cancels.sweeps = snapshot.sweeps
        self._cancels.sweep_due_ns = snapshot.sweep_due_ns

    # What the OMS asks for.

    def _on_message(self, message: Message, attached: Attached) -> None:
        match message.body:
            case SubmitOrder() as wish:
                self._on_submit(wish, message.correlation_id, attached)
            case CancelOrder() as wish:
                self._on_cancel(wish, message.correlation_id, attached)
            case ReplaceOrder() as wish:
                self._on_replace(wish, message.correlation_id, attached)
            case _:
                pass  # The session clock: time comes with every input.

    def _on_submit(self, wish: SubmitOrder, correlation_id: str, attached: Attached) -> None:
        if self._is_used(wish.client_order_id, attached):
            return
        self._attempts.send(
            LiveOrder(
                client_order_id=wish.client_order_id,
                symbol=wish.symbol,
                order=terms_of(wish),
                approval=wish.approval,
                protective=wish.protective,
                correlation_id=correlation_id,
            )
        )

    def _on_replace(self, wish: ReplaceOrder, correlation_id: str, attached: Attached) -> None:
        if self._is_used(wish.client_order_id, attached):
            return
        original = self._book.orders.get(wish.orig_client_order_id)
        if original is not None:
            self._book.put(replace(original, replaced_by=(*original.replaced_by, wish.client_order_id)))
        self._attempts.send(
            LiveOrder(
                client_order_id=wish.client_order_id,
                symbol=wish.symbol,
                order=terms_of(wish),
                approval=wish.approval,
                protective=original is not None and original.protective,
                correlation_id=correlation_id,
                orig_client_order_id=wish.orig_client_order_id,
                orig_venue_order_id=wish.venue_order_id,
            )
        )

    def _on_cancel(self, wish: CancelOrder, correlation_id: str, attached: Attached) -> None:
        order = self._book.orders.get(wish.orig_client_order_id)
        if order is None:
            if (ended := ended_in(attached, wish.orig_client_order_id)) is not None:
                self._decline_cancel(wish, ended, correlation_id)
                return
            # Not sent by us, or by a gateway whose journal is gone: a cancel is never held back.
            order = LiveOrder(client_order_id=wish.orig_client_order_id, symbol=wish.symbol, stage=Stage.FOREIGN, correlation_id=correlation_id)
        if any(known.request_id == wish.client_order_id for known in order.cancels):
            self._book.log("warning", "duplicate_instruction", client_order_id=wish.client_order_id)
            return
        self._cancels.request(replace(order, venue_order_id=order.venue_order_id or wish.venue_order_id), CancelRequest(request_id=wish.client_order_id))

    def _is_used(self, client_order_id: str, attached: Attached) -> bool:
        """Whether this id was ever sent: it is not sent again because somebody says so twice."""
        if client_order_id not in self._book.orders and ended_in(attached, client_order_id) is None:
            return False
        self._book.log("warning", "duplicate_instruction", client_order_id=client_order_id)
        return True

    def _decline_cancel(self, wish: CancelOrder, ended: Ended, correlation_id: str) -> None:
        report = self._book.reports.about_request(
            ExecType.CANCEL_REJECTED,
            wish.symbol,
            GATEWAY,
            self._book.now_ns,
            request_id=wish.client_order_id,
            order_id=wish.orig_client_order_id,
            reason=f"ORDER_ENDED: end={ended.end}",
        )
        self._book.publish(report, correlation_id)

    # What became of a call.

    def _on_outcome(self, call_id: str, reply: VenueReply) -> None:
        call = self._book.calls.pop(call_id, None)
        if call is None:
            return
        if call.kind is CallKind.SUBSCRIBE:
            self._on_subscribed(call_id, reply)
            return
        order = self._book.orders.get(call.client_order_id)
        if order is None:
            return  # It has ended meanwhile: what the venue pushed says more than this answer.
        match call.kind:
            case CallKind.SEND:
                self._attempts.on_answer(order, reply)
            case CallKind.CANCEL:
                self._cancels.on_answer(order, call_id, reply)
            case CallKind.LOOKUP:
                self._attempts.on_lookup_answer(order, call_id, reply)
            case _:
                assert_never(call.kind)

    def _on_subscribed(self, call_id: str, reply: VenueReply) -> None:
        feed = self._book.feed
        if reason := feed.lost_history(reply):
            self._halt(reason)
            return
        was_ready = feed.is_ready
        for call in feed.on_reply(call_id, reply, self._book.now_ns):
            self._book.call(CallKind.SUBSCRIBE, "", call)
        if feed.is_ready and not was_ready:
            self._attempts.on_ready()

    # What the venue says by itself.

    def _on_pushed(self, event: VenueEvent, attached: Attached) -> None:
        match self._book.feed.take(event.cursor):
            case Arrival.NEXT:
                self._on_event(event, attached)
            case Arrival.GAP:
                self._on_gap(event.cursor)
            case Arrival.DUPLICATE:
                pass

    def _on_gap(self, cursor: int) -> None:
        feed = self._book.feed
        if reason := feed.unfillable_gap:
            self._halt(reason)
            return
        self._book.log("warning", "venue_events_missing", expected=feed.cursor + 1, got=cursor)
        self._subscribe()

    def _on_event(self, event: VenueEvent, attached: Attached) -> None:
        order = self._book.orders.get(_order_id_of(event))
        correlation_id = "" if order is None else order.correlation_id
        match event:
            case OrderUpdated(order=view):
                self._book.publish(self._book.reports.of_update(event), correlation_id)
                self._on_shown(order or self._newcomer(event, attached), view.venue_order_id, view.status)
            case OrderFilled(fill=fill, status=status):
                self._book.publish(self._book.reports.of_fill(event), correlation_id)
                self._on_shown(order or self._newcomer(event, attached), fill.venue_order_id, status)
            case RequestRejected():
                self._on_request_rejected(event, order, attached)
            case _:
                assert_never(event)

    def _on_shown(self, order: LiveOrder | None, venue_order_id: str, status: OrderStatus) -> None:
        if order is None or (order.stage is Stage.WORKING and not status.is_terminal and order.venue_order_id == venue_order_id):
            return
        self._attempts.on_shown(replace(order, venue_order_id=venue_order_id), status)

    def _newcomer(self, event: OrderUpdated | OrderFilled, attached: Attached) -> LiveOrder | None:
        """An order that is not live for us, but for the venue, and ours: one that ended by our word only, or the venue's own
        replacement of one of ours. A kill has to see it. Anything else is told on and not managed."""
        view, status = (event.order, event.order.status) if isinstance(event, OrderUpdated) else (event.fill, event.status)
        if status.is_terminal:
            return None
        order_id = view.client_order_id
        ended = ended_in(attached, order_id)
        original = self._book.orders.get(event.orig_client_order_id) if isinstance(event, OrderUpdated) else None
        if ended is not None and ended.is_by_us:
            self._book.alert("ended_order_is_live", Severity.CRITICAL, f"order {order_id} ended {ended.end} for us, {self._book.venue} says {status}")
            order = LiveOrder(client_order_id=order_id, symbol=view.symbol, protective=ended.protective, correlation_id=ended.correlation_id, is_archived=True)
        elif original is not None and ended is None:
            order = LiveOrder(
                client_order_id=order_id,
                symbol=view.symbol,
                protective=original.protective,
                correlation_id=original.correlation_id,
                orig_client_order_id=original.client_order_id,
            )
        else:
            return None
        return self._book.put(replace(order, cancel_calls=_REVIVED_CALLS * event.cursor))

    def _on_request_rejected(self, event: RequestRejected, order: LiveOrder | None, attached: Attached) -> None:
        """A cancel or replace was refused after it had been taken: the venue names the order, the report names the request."""
        is_replace = event.request == RequestKind.REPLACE
        replacement = self._replacement_of(order) if is_replace else None
        cancel = None if is_replace or order is None else _answered(order)
        ended = ended_in(attached, event.client_order_id)
        self._book.publish(
            self._book.reports.about_request(
                ExecType.REPLACE_REJECTED if is_replace else ExecType.CANCEL_REJECTED,
                order.symbol if order is not None else ended.symbol if ended is not None else "",
                PUSH,
                self._book.now_ns,
                request_id=replacement.client_order_id if replacement is not None else cancel.request_id if cancel is not None else event.client_order_id,
                order_id=replacement.orig_client_order_id if replacement is not None else event.client_order_id if cancel is not None else "",
                reason=event.reason,
                cursor=event.cursor,
            ),
            "" if order is None else order.correlation_id,
        )
        if replacement is not None:
            self._book.end(replacement, REFUSED)
        elif order is not None and cancel is not None:
            self._book.put(without(order, cancel))

    def _replacement_of(self, order: LiveOrder | None) -> LiveOrder | None:
        """The replacement a refusal is about: the order named, or the last one asked for in its place."""
        if order is None or (order.orig_client_order_id and order.is_unknown):
            return order
        asked = (self._book.orders.get(other_id) for other_id in reversed(order.replaced_by))
        return next((other for other in asked if other is not None and other.is_unknown), None)

    # What the shell sees, time, and operators.

    def _on_fact(self, fact: Fact) -> None:
        match fact:
            case VenueLinkState(connected=True):
                self._book.feed.on_connected()
                self._cancels.on_connected()
                self._subscribe()
            case VenueLinkState(text=text):
                self._book.feed.on_lost()
                self._book.log("warning", "venue_lost", reason=text)
            case KillSwitchState():
                self._cancels.on_kill_switch(fact)
            case LinkStopped(topic=topic, reason=reason):
                text = f"{topic} stands still ({reason}): cancels of single orders wait behind it, the kill switch and cancel-all do not"
                self._book.alert("link_stopped", Severity.CRITICAL, text)
            case Settled() | FeedExhausted() | BacklogState():
                pass
            case _:
                assert_never(fact)

    def _subscribe(self) -> None:
        for call in self._book.feed.subscribe():
            self._book.call(CallKind.SUBSCRIBE, "", call)

    def _on_wake(self) -> None:
        now_ns, feed = self._book.now_ns, self._book.feed
        for order_id in [order_id for order_id, due_ns in self._book.due.items() if due_ns <= now_ns]:
            self._attempts.on_due(self._cancels.on_due(self._book.orders[order_id]))
        if feed.due_ns is not None and feed.due_ns <= now_ns:
            self._subscribe()
        if self._cancels.sweep_due_ns is not None and self._cancels.sweep_due_ns <= now_ns:
            self._cancels.sweep()

    def _on_command(self, command: Command) -> None:
        if not isinstance(command.body, CancelAllOrders):
            self._book.out.append(Answer(command.command_id, f"{DAEMON} does not take {type(command.body).__name__}, only {CancelAllOrders.__name__}"))
            return
        count = self._cancels.cancel_all(TradingState.HALTED)
        kept = sum(order.protective for order in self._book.orders.values())
        self._book.log("warning", "cancel_all", actor=command.actor, reason=command.body.reason, orders=count, kept=kept)
        self._book.out.append(Answer(command.command_id, f"cancelling {count} orders, keeping {kept} protective ones"))

    def _on_start(self) -> None:
        """A new run has no connection yet. A simulated venue needs no lease to be armed; the journal shows that it was."""
        self._book.feed.on_lost()
        self._book.log("info", "armed", account=self._book.account, venue=self._book.venue, how="self-armed: simulated venue")
        self._book.alert("armed", Severity.INFO, f"account {self._book.account} at venue {self._book.venue} self-armed: simulated venue")

    def _halt(self, reason: str) -> None:
        self._book.out.append(Halt(reason))


def _order_id_of(event: VenueEvent) -> str:
    match event:
        case OrderUpdated(order=view):
            return view.client_order_id
        case OrderFilled(fill=fill):
            return fill.client_order_id
        case RequestRejected(client_order_id=client_order_id):
            return client_order_id
        case _:
            assert_never(event)


def _answered(order: LiveOrder) -> CancelRequest | None:
    """The cancel a refusal without an id is about: the oldest one the venue has taken, else the oldest it was asked."""
    asked = [c for c in order.cancels if c.stage is CancelStage.ASKED]
    taken = [c for c in order.cancels if c.stage is CancelStage.TAKEN]
    return next(iter(taken + asked), None)
