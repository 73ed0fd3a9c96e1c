"""The gateway between the OMS and one venue account: it sends, asks and reports, and never guesses.

Admission decides what may leave at all (admission.py). Orders leave behind a published ATTEMPTED and are in doubt until there is evidence of what became of them (attempts.py).
Cancels leave at once and are repeated until the order has ended or the venue says no; while the kill switch is tripped the
gateway cancels on its own, needing nothing but the venue (cancels.py). The venue's events are taken in order, each exactly
once (event_feed.py), and told on as reports (venue_reports.py). This file is the machine that routes every input to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import assert_never

import msgspec
from msgspec.structs import replace

from core.contracts import (
    CancelAllOrders,
    CancelOrder,
    DrainOrders,
    ExecType,
    KillSwitchState,
    LimitsChanged,
    OrderStatus,
    ReconcileAccount,
    ReconciliationReport,
    ReplaceOrder,
    ResolveOrder,
    SessionClock,
    SessionPhase,
    Severity,
    SubmitOrder,
    TradingState,
)
from core.gate import Gate
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
    Publish,
    Settled,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.order import RequestKind
from core.settings import Settings
from core.venue import (
    OrderFilled,
    OrdersFetched,
    OrderUpdated,
    OutcomeUnknown,
    RequestRejected,
    StatusUnclear,
    SymbolSplit,
    TradeBusted,
    TradeCorrected,
    VenueEvent,
    VenueReply,
)
from execution.admission import Admission, AdmissionState
from execution.attempts import Attempts
from execution.cancels import Cancels, without
from execution.event_feed import Arrival, EventFeed
from execution.gate import build_gate
from execution.live_book import ARCHIVE, DAEMON, CallKind, LiveBook, OpenCall, ended_in
from execution.live_orders import REFUSED, RESOLVED, CancelRequest, CancelStage, Ended, LiveOrder, Stage, VenueTraits, terms_of, traits_of
from execution.parents import Parent
from execution.reconciliation.operator_word import objection, resolution
from execution.reconciliation.questions import Questions, QuestionsState
from execution.reconciliation.sightings import Sightings
from execution.venue_reports import GATEWAY, PUSH
from execution.venue_watch import INTERRUPTED, VenueWatch

__all__ = ["BrokerGateway", "GatewayState", "build_gateway"]

_REVIVED_CALLS = 1_000_000
"""An order that comes back numbers its cancels from this times the event that showed it: call ids never repeat."""


class GatewayState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gateway knows: orders that have not ended, open calls, the event feed, the kill switch and its sweeps, what admission goes by, and how much of each parent order is sent."""

    orders: tuple[LiveOrder, ...]
    calls: dict[str, OpenCall]
    feed: EventFeed
    kill_switch: KillSwitchState
    stop: TradingState | None
    sweeps: int
    sweep_due_ns: int | None
    admission: AdmissionState = AdmissionState()
    parents: dict[str, Parent] = msgspec.field(default_factory=dict)
    is_session_over: bool = False
    questions: QuestionsState = QuestionsState()


def build_gateway(settings: Settings) -> BrokerGateway:
    """The gateway of this suite's account at its venue."""
    return BrokerGateway(settings, traits=traits_of(settings), gate=build_gate(settings))


class BrokerGateway:
    """Machine. Reads orders.accepted.{venue}, control.limits, the venue, the kill switch · Writes broker.reports.{venue},
    broker.condition.{venue}, alerts.fired · Decides what is sent and when, when an attempt is in doubt, how the doubt ends, what is
    sent again, and what a kill cancels.

    Invariants: a client order id is used once for ever; a doubt ends by evidence alone; every event of the venue is reported
    exactly once, in order; call ids never repeat; cancels never wait.
    """

    def __init__(self, settings: Settings, *, traits: VenueTraits, gate: Gate) -> None:
        self._book = LiveBook(settings.account.name, settings.account.venue)
        self._cancels = Cancels(self._book)
        self._admission = Admission(settings)
        self._attempts = Attempts(self._book, self._cancels, self._admission, traits, gate)
        self._arms_itself = settings.venue.arming == "self"
        self._silence_ns = traits.silence_ns
        self._watch = VenueWatch(self._book, self._admission)
        self._questions = Questions(self._book, Sightings(self._book, self._attempts, self._cancels, self._watch), settings)

    @property
    def is_flat(self) -> bool:
        """Whether nothing is open that a shutdown would cancel."""
        return not any(order.must_go(TradingState.HALTED) for order in self._book.orders.values())

    @property
    def unready_reason(self) -> str:
        """Why the start-up has not come to its end, or ''."""
        state = self._questions.state
        return "" if state.is_confirmed or not state.begun else state.reason

    @property
    def next_wake_ns(self) -> int | None:
        """When a question, a cancel or a sweep is to be repeated. Without a connection only the connection is waited for."""
        if not self._book.feed.is_connected:
            return self._questions.alarm_ns
        # Until the subscription is answered nothing can be compared: a wake for it would come again for ever.
        questions = (self._questions.due_ns if self._book.feed.is_ready else None, self._questions.alarm_ns)
        times = [
            t for t in (*questions, *self._book.due.values(), self._book.feed.due_ns, self._silence_due_ns, self._cancels.sweep_due_ns, self._admission.due_ns) if t is not None
        ]
        return min(times, default=None)

    @property
    def _silence_due_ns(self) -> int | None:
        return self._book.feed.ask_again_ns(self._silence_ns, is_waiting=bool(self._book.orders))

    def needs(self, event: Input) -> Needs:
        """The archived row of an order that is not live: an id is never used twice, and an ended order is known again."""
        match event:
            case Command(body=ResolveOrder(client_order_id=order_id)):
                pass
            case Message(body=SubmitOrder(client_order_id=order_id) | ReplaceOrder(client_order_id=order_id) | CancelOrder(orig_client_order_id=order_id)):
                pass
            case VenuePushed(event=pushed):
                order_id = _order_id_of(pushed)
            case CallReplied(reply=OrdersFetched() as reply):
                return Needs(archived=tuple((ARCHIVE, name) for name in self._questions.order_ids(reply)))
            case _:
                return NO_NEEDS
        return NO_NEEDS if not order_id or order_id in self._book.orders else Needs(archived=((ARCHIVE, order_id),))

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input."""
        self._book.now_ns, self._book.out = now_ns, []
        match event:
            case Message():
                self._on_message(event, attached)
            case CallReplied(call_id=call_id, reply=reply):
                self._on_outcome(call_id, reply, attached)
            case VenuePushed(event=pushed):
                self._on_pushed(pushed, attached)
            case Observed(fact=fact):
                self._on_fact(fact)
            case Wake():
                self._on_wake()
            case Command():
                self._on_command(event, attached)
            case CallInterrupted(call_id=call_id):
                # The process died, and its connection with it.
                self._lost()
                self._on_outcome(call_id, OutcomeUnknown(cause=INTERRUPTED), attached)
            case ConfigLoaded():
                self._on_start()
            case _:
                assert_never(event)
        self._watch.tell()
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
            admission=self._admission.state,
            parents=dict(self._book.parents.all),
            is_session_over=self._attempts.is_session_over,
            questions=self._questions.state,
        )

    def restore(self, snapshot: GatewayState) -> None:
        """Become the gateway that gave this snapshot."""
        self._book.restore(snapshot.orders, snapshot.calls, snapshot.feed)
        self._attempts.is_session_over = snapshot.is_session_over
        self._questions.restore(snapshot.questions)
        self._cancels.kill_switch = snapshot.kill_switch
        self._cancels.stop = snapshot.stop
        self._cancels.sweeps = snapshot.sweeps
        self._cancels.sweep_due_ns = snapshot.sweep_due_ns
        self._admission.restore(snapshot.admission)
        self._book.parents.all = dict(snapshot.parents)
        self._book.banned_until_ns = self._admission.throttle.banned_until_ns

    # What the OMS asks for.

    def _on_message(self, message: Message, attached: Attached) -> None:
        match message.body:
            case SubmitOrder() as wish:
                self._on_submit(wish, message.correlation_id, attached)
            case CancelOrder() as wish:
                self._on_cancel(wish, message.correlation_id, attached)
            case ReplaceOrder() as wish:
                self._on_replace(wish, message.correlation_id, attached)
            case ReconciliationReport() as report:
                self._questions.on_report(report)
                self._admission.on_reconciled(self._questions.state.reason)
            case LimitsChanged(limits_version=version):
                self._admission.on_limits(version)
            case SessionClock(phase=SessionPhase.ENDED):
                self._attempts.on_session_end()
                if self._book.feed.due_ns is not None or self._book.feed.ask_again_ns(None, is_waiting=False) is not None:
                    self._subscribe()
            case _:
                pass  # The session clock: time comes with every input.

    def _on_submit(self, wish: SubmitOrder, correlation_id: str, attached: Attached) -> None:
        if self._is_used(wish.client_order_id, attached):
            return
        order = LiveOrder(
            client_order_id=wish.client_order_id,
            symbol=wish.symbol,
            order=terms_of(wish),
            approval=wish.approval,
            protective=wish.protective,
            correlation_id=correlation_id,
            execution_id=wish.execution_id,
            parent_qty=wish.parent_qty,
        )
        self._attempts.admit(order, wish.intent_id, wish.strategy_id, wish.created_ns)

    def _on_replace(self, wish: ReplaceOrder, correlation_id: str, attached: Attached) -> None:
        if self._is_used(wish.client_order_id, attached):
            return
        original = self._book.orders.get(wish.orig_client_order_id)
        if original is not None:
            self._book.put(replace(original, replaced_by=(*original.replaced_by, wish.client_order_id)))
        order = LiveOrder(
            client_order_id=wish.client_order_id,
            symbol=wish.symbol,
            order=terms_of(wish),
            approval=wish.approval,
            protective=original is not None and original.protective,
            correlation_id=correlation_id,
            orig_client_order_id=wish.orig_client_order_id,
            orig_venue_order_id=wish.venue_order_id,
        )
        if original is not None and original.execution_id:
            order = replace(order, execution_id=original.execution_id, parent_qty=original.parent_qty, child_id=original.first_id)
        self._attempts.admit(order, wish.intent_id, wish.strategy_id, wish.created_ns)

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
        if order.stage is Stage.QUEUED:
            self._book.withdraw(order, "CANCEL_REQUESTED")
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

    def _on_outcome(self, call_id: str, reply: VenueReply, attached: Attached) -> None:
        call = self._book.calls.pop(call_id, None)
        if call is None:
            return
        self._watch.on_outcome(call_id, call, reply)
        if call.kind is CallKind.PROBE:
            return
        if call.kind is CallKind.SUBSCRIBE:
            self._on_subscribed(call_id, reply)
            return
        if call.kind is CallKind.RECONCILE:
            found = ((name, ended_in(attached, name)) for name in self._questions.order_ids(reply))
            self._questions.on_reply(call_id, reply, {name: ended for name, ended in found if ended is not None})
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
            self._questions.on_ready()

    # What the venue says by itself.

    def _on_pushed(self, event: VenueEvent, attached: Attached) -> None:
        match self._book.feed.take(event.cursor, self._book.now_ns):
            case Arrival.NEXT:
                self._on_event(event, attached)
                if self._questions.is_holding:
                    self._questions.on_event()
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
                order = self._counted(order, fill.cum_qty)
                if order is None and (ended := ended_in(attached, fill.client_order_id)) is not None and ended.execution_id:
                    self._book.parents.on_late_fill(ended.execution_id, fill.last_qty)
                self._on_shown(order or self._newcomer(event, attached), fill.venue_order_id, status)
            case RequestRejected():
                self._on_request_rejected(event, order, attached)
            case TradeBusted(fill=fill, status=status) | TradeCorrected(fill=fill, status=status):
                self._book.publish(self._book.reports.of_amendment(event), correlation_id)
                self._on_shown(order or self._newcomer(event, attached), fill.venue_order_id, status)
            case StatusUnclear():
                self._on_unclear(event, order)
            case SymbolSplit():
                self._book.out.append(Publish(self._book.topic, self._book.reports.of_split(event)))
            case _:
                assert_never(event)

    def _counted(self, order: LiveOrder | None, cum_qty: Decimal) -> LiveOrder | None:
        """A slice of a parent with what it has executed by now; what is nobody's slice is not counted here."""
        if order is None or not order.execution_id or cum_qty <= order.cum_qty:
            return order
        return self._book.put(replace(order, cum_qty=cum_qty))

    def _on_shown(self, order: LiveOrder | None, venue_order_id: str, status: OrderStatus) -> None:
        if order is None or (order.stage is Stage.WORKING and not status.is_terminal and order.venue_order_id == venue_order_id):
            return
        self._attempts.on_shown(replace(order, venue_order_id=venue_order_id), status)

    def _on_unclear(self, event: StatusUnclear, order: LiveOrder | None) -> None:
        """A word nobody has taught us: people hear of it, and the order is asked after. It is never taken for an end."""
        self._book.publish(self._book.reports.of_unclear(event), "" if order is None else order.correlation_id)
        self._book.alert("unknown_status", Severity.WARNING, f"order {event.client_order_id}: {self._book.venue} says {event.venue_status!r}, which means nothing here")
        if order is not None:
            self._attempts.on_unclear(replace(order, venue_order_id=event.venue_order_id or order.venue_order_id))

    def _newcomer(self, event: OrderUpdated | OrderFilled | TradeBusted | TradeCorrected, attached: Attached) -> LiveOrder | None:
        """An order that is not live for us, but for the venue, and ours: one that ended by our word only, or the venue's own
        replacement of one of ours. A kill has to see it. Anything else is told on and not managed."""
        view, status = (event.order, event.order.status) if isinstance(event, OrderUpdated) else (event.fill, event.status)
        order_id = view.client_order_id
        ended = ended_in(attached, order_id)
        if ended is None:
            self._watch.on_stranger(order_id)
        if status.is_terminal:
            return None
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
                self._lost()
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

    def _lost(self) -> None:
        self._book.feed.on_lost()
        self._questions.on_lost()

    def _subscribe(self) -> None:
        for call in self._book.feed.subscribe():
            self._book.call(CallKind.SUBSCRIBE, "", call)

    def _on_wake(self) -> None:
        now_ns, feed = self._book.now_ns, self._book.feed
        for order_id in [order_id for order_id, due_ns in self._book.due.items() if due_ns <= now_ns]:
            self._attempts.on_due(self._cancels.on_due(self._book.orders[order_id]))
        if feed.due_ns is not None and feed.due_ns <= now_ns:
            self._subscribe()
        silence_due_ns = self._silence_due_ns
        if silence_due_ns is not None and silence_due_ns <= now_ns:
            self._subscribe()
        if self._cancels.sweep_due_ns is not None and self._cancels.sweep_due_ns <= now_ns:
            self._cancels.sweep()
        self._watch.on_due()
        self._questions.on_due()

    def _on_command(self, command: Command, attached: Attached) -> None:
        match command.body:
            case CancelAllOrders() | DrainOrders() as wish:
                answer = self._cancel_all(wish, command.actor)
            case ReconcileAccount():
                cycle = self._questions.on_wanted()
                answer = "refused: the venue is not connected" if cycle is None else f"cycle {cycle}"
            case ResolveOrder() as wish:
                answer = self._resolve(wish, command.actor, attached)
            case other:
                known = ", ".join(kind.__name__ for kind in (CancelAllOrders, ReconcileAccount, ResolveOrder))
                answer = f"{DAEMON} does not take {type(other).__name__}, only {known}"
        self._book.out.append(Answer(command.command_id, answer))

    def _resolve(self, wish: ResolveOrder, actor: str, attached: Attached) -> str:
        """A person says how an order ended of which the venue does not say it."""
        order = self._book.orders.get(wish.client_order_id)
        why_not = objection(wish, order, ended_in(attached, wish.client_order_id))
        if order is None or why_not:
            return f"refused: {why_not}"
        for report in resolution(wish, order, self._book.reports, actor, self._book.now_ns):
            self._book.publish(report, order.correlation_id)
        text = f"order {order.client_order_id} is resolved as {wish.resolution} by {actor}: {wish.reason}"
        self._book.alert("order_resolved", Severity.WARNING, text)
        self._book.end(order, RESOLVED)
        return f"order {order.client_order_id} is resolved as {wish.resolution}"

    def _cancel_all(self, command: CancelAllOrders | DrainOrders, actor: str) -> str:
        if isinstance(command, DrainOrders):
            self._admission.is_draining = True
        count = self._cancels.cancel_all(TradingState.HALTED)
        kept = sum(order.protective for order in self._book.orders.values())
        self._book.log("warning", "cancel_all", actor=actor, reason=command.reason, orders=count, kept=kept)
        return f"cancelling {count} orders, keeping {kept} protective ones"

    def _on_start(self) -> None:
        """A new run has no connection yet. A simulated venue needs no lease to be armed; the journal shows that it was."""
        self._book.feed.on_lost()
        self._admission.begin_run()
        self._questions.begin_run()
        self._admission.on_reconciled(self._questions.state.reason)
        if not self._arms_itself:
            self._book.log("warning", "disarmed", account=self._book.account, venue=self._book.venue)
            self._book.alert("disarmed", Severity.WARNING, f"account {self._book.account} at venue {self._book.venue} is disarmed until a person arms it")
            return
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
        case RequestRejected(client_order_id=client_order_id) | StatusUnclear(client_order_id=client_order_id):
            return client_order_id
        case TradeBusted(fill=fill) | TradeCorrected(fill=fill):
            return fill.client_order_id
        case SymbolSplit():
            return ""
        case _:
            assert_never(event)


def _answered(order: LiveOrder) -> CancelRequest | None:
    """The cancel a refusal without an id is about: the oldest one the venue has taken, else the oldest it was asked."""
    asked = [c for c in order.cancels if c.stage is CancelStage.ASKED]
    taken = [c for c in order.cancels if c.stage is CancelStage.TAKEN]
    return next(iter(taken + asked), None)
