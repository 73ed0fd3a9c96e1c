"""OMS, broker gateway and a lying venue in virtual time: inputs in the order they were caused, wakes when they are due, nothing else.

Whoever carries the venue's answers plays the wire (`wire_act`): what is not said comes back as unknown, and a closed connection
is down and up again. With `restarts`, every machine is replaced by one made of its snapshot's bytes before each input: a restart
anywhere must not matter.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

import msgspec

from core import topics
from core.contracts import (
    Alert,
    Bar,
    CancelIntent,
    Contract,
    ExecType,
    FillEvent,
    OrderIntent,
    OrderStateChanged,
    OrderStatus,
    ReplaceIntent,
    RiskDecision,
    SessionPhase,
    VenueReport,
)
from core.machine import (
    Answer,
    Archive,
    Attached,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    Effect,
    Halt,
    Input,
    Machine,
    Observed,
    Publish,
    Push,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.order import Facet, Order
from core.topics import Daemon, View
from core.venue import AcknowledgeEvents, BrokerFill, OutcomeUnknown, Place, Replace, Subscribe, VenueReply, VenueRequest
from execution.broker_gateway import BrokerGateway, GatewayState, build_gateway
from execution.oms import Oms, OmsState, build_oms
from execution.venues.faults.fault import RESET
from execution.venues.faults.lying_venue import LyingVenue, LyingVenueState, WireAct, wire_act
from execution.venues.faults.registry import build_served_venue
from execution.venues.simulated import FILL_KIND
from tests.support.builders import NOW, STRATEGY, SYMBOL, a_bar, a_clock, a_decision, a_message, an_intent, settings_with
from tests.support.gateway import CLEAR, MS, SECOND
from tests.support.oms import a_cancel, a_replace

__all__ = ["FaultyFloor"]

_STATES: dict[Daemon, type] = {Daemon.OMS: OmsState, Daemon.BROKER: GatewayState, Daemon.PAPER_VENUE: LyingVenueState}
_STEPS_MAX = 30_000


class FaultyFloor:
    """One account at a venue with these faults (name to rate), once it is connected and reconciled, with a last price of 100.

    `strikes_max` is 1 unless told otherwise: a fault strikes once and is over. The account is compared with the venue on every
    connection, and again and again only with `compares`.
    """

    def __init__(
        self,
        rates: dict[str, float],
        *,
        venue: dict[str, Any] | None = None,
        seed: int = 1,
        strikes_max: int | None = 1,
        restarts: bool = False,
        compares: bool = False,
        **faults: Any,
    ) -> None:
        rules = {"fee_rate": 0.0005, "late_arrival_ms": 2_000} | (venue or {})
        comparing = {} if compares else {"orders_ms": None, "holdings_ms": None}
        self.settings = settings_with(venue=rules, reconciliation=comparing)
        self.now_ns = NOW
        self.restarts = restarts
        self.queue: deque[tuple[Daemon, Input]] = deque()
        self.archives: dict[Daemon, dict[str, bytes]] = {daemon: {} for daemon in _STATES}
        self.machines: dict[Daemon, Machine[Any]] = {daemon: self._build(daemon) for daemon in _STATES}
        self.said: list[Contract] = []
        self.asked: list[tuple[int, VenueRequest]] = []
        self.heard: list[VenueReply] = []
        self.pushed: list[int] = []
        self.cuts = 0
        self.is_connected = False
        self.cursor = 0
        for daemon in _STATES:
            self.give(daemon, ConfigLoaded("hash", "{}"))
        self.give(Daemon.BROKER, Observed(CLEAR))
        self.give(Daemon.BROKER, Observed(VenueLinkState(True)))
        self.bar(100.0)
        self.settings = settings_with(venue=rules, reconciliation=comparing, faults={"rates": rates, "seed": seed, "strikes_max": strikes_max} | faults)
        honest, self.machines[Daemon.PAPER_VENUE] = self.machines[Daemon.PAPER_VENUE], self._build(Daemon.PAPER_VENUE)
        self.machines[Daemon.PAPER_VENUE].restore(honest.snapshot())
        self.said.clear()
        self.asked.clear()
        self.heard.clear()

    def _build(self, daemon: Daemon) -> Machine[Any]:
        builders: dict[Daemon, Any] = {Daemon.OMS: build_oms, Daemon.BROKER: build_gateway, Daemon.PAPER_VENUE: build_served_venue}
        machine: Machine[Any] = builders[daemon](self.settings)
        return machine

    @property
    def oms(self) -> Oms:
        """The OMS."""
        machine = self.machines[Daemon.OMS]
        assert isinstance(machine, Oms)
        return machine

    @property
    def gateway(self) -> BrokerGateway:
        """The gateway."""
        machine = self.machines[Daemon.BROKER]
        assert isinstance(machine, BrokerGateway)
        return machine

    @property
    def venue(self) -> LyingVenue:
        """The venue."""
        machine = self.machines[Daemon.PAPER_VENUE]
        assert isinstance(machine, LyingVenue)
        return machine

    # What happens.

    def submit(self, number: int = 1, **changes: Any) -> OrderIntent:
        """Risk allows the `number`-th intent."""
        fresh = {"created_ns": self.now_ns, "expires_ns": self.now_ns + 10 * SECOND}
        intent = an_intent(f"trend:e:bar:{number}", **(fresh | changes))
        decision = a_decision(intent)
        assert decision.approval is not None
        approval = msgspec.structs.replace(decision.approval, expires_ns=self.now_ns + 10 * SECOND)
        self.decide(msgspec.structs.replace(decision, approval=approval))
        return intent

    def cancel(self, intent: OrderIntent) -> None:
        """Risk passes a cancel of what became of an intent."""
        decision = a_cancel(intent.intent_id)
        assert isinstance(decision.intent, CancelIntent)
        self.decide(decision)

    def replace(self, intent: OrderIntent, **terms: Any) -> None:
        """Risk allows other terms."""
        decision = a_replace(intent, expires_ns=self.now_ns + 10 * SECOND, **terms)
        assert isinstance(decision.intent, ReplaceIntent) and decision.approval is not None
        self.decide(msgspec.structs.replace(decision, approval=msgspec.structs.replace(decision.approval, expires_ns=self.now_ns + 10 * SECOND)))

    def decide(self, decision: RiskDecision) -> None:
        """Risk has decided; what follows at once happens."""
        self.give(Daemon.OMS, a_message(topics.RISK_DECISION.name(), decision))

    def arm(self) -> None:
        """The faults that have had their strikes may strike again."""
        self.venue.dice.counts.clear()

    def bar(self, close: float = 100.0, minutes: int = 1, **changes: Any) -> None:
        """The market moves: a bar ends `minutes` from now, and everything due until then happens before."""
        close_ns = self.now_ns + minutes * 60 * SECOND
        self.run_until(close_ns - 1)
        bar: Bar = a_bar(close, close_ns=close_ns, minutes=minutes, **changes)
        self.give(Daemon.PAPER_VENUE, a_message(f"md.bars.1m.{SYMBOL}", bar, producer="md_ingest"))
        self.run_until(close_ns)

    def end_session(self) -> None:
        """The session is over: the faults are, day orders end, and nobody waits for a later moment."""
        for daemon in (Daemon.PAPER_VENUE, Daemon.BROKER, Daemon.OMS):
            self.give(daemon, a_message("control.clock", a_clock(self.now_ns, phase=SessionPhase.ENDED), producer="md_ingest"))

    def run_for(self, ms: int) -> None:
        """Time passes."""
        self.run_until(self.now_ns + ms * MS)

    def run_until(self, until_ns: int) -> None:
        """Everything that is due until then happens."""
        for _ in range(_STEPS_MAX):
            self._settle()
            due = [(machine.next_wake_ns, daemon) for daemon, machine in self.machines.items() if machine.next_wake_ns is not None]
            if not due or min(due)[0] > until_ns:
                self.now_ns = until_ns
                return
            due_ns, daemon = min(due)
            self.now_ns = max(self.now_ns, due_ns)
            self.queue.append((daemon, Wake(due_ns)))
        raise AssertionError(f"no end of wakes at {self.now_ns}: {due}")

    def give(self, daemon: Daemon, event: Input) -> None:
        """One input, and everything that follows from it at once."""
        self.queue.append((daemon, event))
        self._settle()

    def _settle(self) -> None:
        for _ in range(_STEPS_MAX):
            while self.queue:
                self._handle(*self.queue.popleft())
            cursor = self.gateway.snapshot().feed.cursor
            if cursor == self.cursor:
                return
            # An event beyond a gap was let pass: only what was taken is acknowledged.
            self.cursor = cursor
            self._handle(Daemon.PAPER_VENUE, Command("", Daemon.BROKER.value, AcknowledgeEvents(cursor=cursor)))
        raise AssertionError("no end of consequences")

    def _handle(self, daemon: Daemon, event: Input) -> None:
        if isinstance(event, Observed) and event == Observed(VenueLinkState(True)):
            self.is_connected = True
        machine = self._reborn(daemon) if self.restarts else self.machines[daemon]
        rows = self.archives[daemon]
        wanted = [f"{kind}/{key}" for kind, key in machine.needs(event).archived]
        attached = Attached(archived={key: rows[key] for key in wanted if key in rows})
        effects = list(machine.handle(event, attached, self.now_ns))
        self.note(daemon, event, attached, effects)
        for effect in effects:
            self._apply(daemon, effect)

    def note(self, daemon: Daemon, event: Input, attached: Attached, effects: list[Effect]) -> None:
        """An input was handled; for those who keep a history."""

    def _reborn(self, daemon: Daemon) -> Machine[Any]:
        data = msgspec.json.encode(self.machines[daemon].snapshot())
        machine = self.machines[daemon] = self._build(daemon)
        machine.restore(msgspec.json.decode(data, type=_STATES[daemon]))
        assert msgspec.json.encode(machine.snapshot()) == data
        return machine

    def _apply(self, daemon: Daemon, effect: Effect) -> None:
        match effect:
            case Publish(topic, body):
                self.said.append(body)
                row = topics.topic_of(topic)
                hearers = {consumer.daemon for consumer in row.consumers if consumer.view is View.JOURNALED}
                self.queue.extend((hearer, a_message(topic, body, producer=daemon.value)) for hearer in self.machines if hearer in hearers)
            case CallVenue(call_id, request) if self.is_connected:
                self.asked.append((self.now_ns, request))
                self.queue.append((Daemon.PAPER_VENUE, Command(call_id, Daemon.BROKER.value, request)))
            case CallVenue(call_id):
                self.queue.append((Daemon.BROKER, CallReplied(call_id, OutcomeUnknown(cause="NOT_CONNECTED"))))
            case Answer(command_id, reply):
                self._carry(command_id, reply)
            case Push(event):
                self.pushed.append(event.cursor)
                self.queue.append((Daemon.BROKER, VenuePushed(event)))
            case Archive(kind, key, data):
                self.archives[daemon][f"{kind}/{key}"] = data
            case Halt(reason):
                raise AssertionError(f"{daemon} halts: {reason}")
            case _:
                pass

    def _carry(self, command_id: str, reply: object) -> None:
        """The wire's part: an answer that does not come is unknown, and a connection that ends is made anew."""
        assert isinstance(reply, VenueReply), reply
        self.heard.append(reply)
        if command_id:
            self.queue.append((Daemon.BROKER, CallReplied(command_id, reply)))
        if wire_act(reply) is WireAct.CLOSE and self.is_connected:
            self._cut()

    def _cut(self) -> None:
        """The connection ends, and with it what the venue has not read yet; the next one stands when everything has been told."""
        self.cuts += 1
        self.is_connected = False
        waiting, self.queue = self.queue, deque()
        for daemon, event in waiting:
            if daemon is Daemon.PAPER_VENUE and isinstance(event, Command) and event.command_id:
                daemon, event = Daemon.BROKER, CallReplied(event.command_id, RESET)
            self.queue.append((daemon, event))
        self.queue.append((Daemon.BROKER, Observed(VenueLinkState(False, "reset"))))
        self.queue.append((Daemon.BROKER, Observed(VenueLinkState(True))))

    # What it came to.

    @property
    def strikes(self) -> dict[str, int]:
        """How often each fault struck."""
        return self.venue.strikes

    @property
    def events(self) -> list[OrderStateChanged]:
        """Every change of an order, as it was told."""
        return [body for body in self.said if isinstance(body, OrderStateChanged)]

    @property
    def reports(self) -> list[VenueReport]:
        """Everything the gateway reported."""
        return [body for body in self.said if isinstance(body, VenueReport)]

    @property
    def alerts(self) -> list[str]:
        """The names of all alerts."""
        return [body.name for body in self.said if isinstance(body, Alert)]

    @property
    def open(self) -> tuple[Order, ...]:
        """The OMS's orders that have not ended."""
        return self.oms.orders.all

    def order(self, intent: OrderIntent) -> Order:
        """What an intent became, live or ended."""
        live = self.oms.orders.of_intent(intent.intent_id)
        if live is not None:
            return live
        order_id = self.archives[Daemon.OMS][f"intent/{intent.intent_id}"].decode()
        return msgspec.json.decode(self.archives[Daemon.OMS][f"order/{order_id}"], type=Order)

    def status(self, intent: OrderIntent) -> OrderStatus:
        """How an intent's order stands."""
        return self.order(intent).status

    def facets(self, intent: OrderIntent) -> tuple[Facet, ...]:
        """What stands beside it."""
        return self.order(intent).facets

    def placed(self, intent: OrderIntent) -> int:
        """How often an order left for the venue."""
        return self.sent(self.order(intent).client_order_id)

    def sent(self, order_id: str) -> int:
        """How often this id left for the venue."""
        return sum(isinstance(request, Place | Replace) and request.order.client_order_id == order_id for _, request in self.asked)

    def requests(self, kind: type[VenueRequest]) -> int:
        """How many requests of a kind left for the venue."""
        return sum(isinstance(request, kind) for _, request in self.asked)

    @property
    def subscriptions(self) -> int:
        """How often the gateway subscribed."""
        return self.requests(Subscribe)

    @property
    def venue_fills(self) -> list[BrokerFill]:
        """Every execution in the venue's archive."""
        return [msgspec.json.decode(row, type=BrokerFill) for key, row in self.archives[Daemon.PAPER_VENUE].items() if key.startswith(f"{FILL_KIND}/")]

    def require_whole(self) -> None:
        """Nothing lost and nothing doubled: the two books agree, each execution is booked once, nothing is in doubt, nothing is missed."""
        venue, ledger = self.venue, self.oms.ledger
        assert self.gateway.snapshot().feed.cursor == venue.last_cursor, "events of the venue were missed"
        assert ledger.balances == dict(venue.balances), (ledger.balances, dict(venue.balances))
        held = {symbol: qty for symbol in {symbol for symbol, _, _ in ledger.positions()} if (qty := ledger.account_qty(symbol))}
        assert held == dict(venue.positions), (held, dict(venue.positions))
        booked = Counter(body.exec_id for body in self.said if isinstance(body, FillEvent))
        rows = self.archives[Daemon.OMS]
        suspended = [key.rpartition("|")[2] for key, row in rows.items() if key.startswith("exec/") and msgspec.json.decode(row)["exec_type"] == ExecType.TRADE]
        executed = Counter(fill.exec_id for fill in self.venue_fills)
        assert booked + Counter(suspended) == executed, (booked, suspended, executed)
        in_doubt = [order.client_order_id for order in self.open if order.is_in_doubt]
        assert not in_doubt, f"{in_doubt} are in doubt"
        shown = {view.client_order_id for view in venue.open_orders}
        # What is lost is kept until a person decides; the venue may well not have it.
        known = {order.terms.client_order_id for order in self.open if Facet.LOST not in order.facets}
        assert shown == known, f"the venue shows {shown} open, we {known}"

    def position(self, owner: str = STRATEGY) -> int:
        """How many shares of SYMBOL an owner holds."""
        qty = self.oms.ledger.position(SYMBOL, owner).qty
        assert qty == int(qty), f"{qty} is no number of whole shares"
        return int(qty)

    def unknown(self, cause: str) -> int:
        """How many answers were unknown for this cause."""
        return sum(isinstance(reply, OutcomeUnknown) and reply.cause == cause for reply in self.heard)
