"""The backtest loop: the machines that trade, driven by direct calls in one thread over one feed.

There is no envelope, no journal and no waiting here, and no other implementation of anything: strategy host, risk engine, OMS,
broker gateway, last gate and simulated venue are the objects the daemons run. An instant has the two halves a replay gives it
(core/replay.py): first the market moves and only the venue sees it, then everyone looks; what follows from one input is
handled in the order it was said, until nothing is left. So the decisions are those of the same replay through processes.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple, assert_never

from core import topics
from core.contracts import Bar, Contract, FillEvent, KillSwitchState, KillSwitchStatus, OrderStateChanged, RiskDecision, SessionClock, SessionPhase
from core.errors import InvariantViolation
from core.feed import Feed, FeedStep
from core.ids import account_prefix, message_id
from core.machine import (
    NO_NEEDS,
    NOTHING_ATTACHED,
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
    Log,
    Machine,
    Mark,
    Message,
    Needs,
    Observed,
    Publish,
    Push,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.settings import Settings
from core.topics import Daemon, View, consumed_by
from core.venue import AcknowledgeEvents, VenueReply
from execution.broker_gateway import build_gateway
from execution.gate import build_gate
from execution.oms import build_oms
from execution.venues.simulated import build_venue
from risk.engine import build_risk_engine
from strategies.host import build_host

__all__ = ["LoopResult", "run_loop"]

_CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)


class LoopResult(NamedTuple):
    """What a run decided and did, each in the order it was said, and the machines as they stand at its end."""

    decisions: list[RiskDecision]
    events: list[OrderStateChanged]
    fills: list[FillEvent]
    machines: dict[Daemon, Machine[Any]]
    steps: int


def run_loop(settings: Settings, feed: Feed, *, epoch: str = "backtest", account_epoch: str = "backtest", config: ConfigLoaded | None = None) -> LoopResult:
    """Replay `feed` through the machines of these settings.

    `epoch` and `account_epoch` go into the ids of intents and orders: given those of a suite, the ids are that suite's.
    InvariantViolation when a machine halts.
    """
    loop = _Loop(settings, epoch, account_epoch)
    loop.begin(config or ConfigLoaded("", settings.model_dump_json()))
    for k in range(len(feed)):
        loop.take(k, feed.step(k))
    loop.end(len(feed))
    return LoopResult(loop.decisions, loop.events, loop.fills, loop.machines, len(feed))


class _Loop:
    """The queue of inputs under way, and where each effect leads."""

    def __init__(self, settings: Settings, epoch: str, account_epoch: str) -> None:
        prefix = account_prefix(settings.environment, settings.account.name, account_epoch)
        self.machines: dict[Daemon, Machine[Any]] = {
            Daemon.STRATEGY_RUNNER: build_host(settings, epoch=epoch),
            Daemon.RISK_ENGINE: build_risk_engine(settings, id_prefix=prefix),
            Daemon.OMS: build_oms(settings),
            Daemon.BROKER: build_gateway(settings),
            Daemon.PAPER_VENUE: build_venue(settings),
        }
        self.decisions: list[RiskDecision] = []
        self.events: list[OrderStateChanged] = []
        self.fills: list[FillEvent] = []
        self._gate = build_gate(settings)
        self._now_ns = 0
        self._cursor = 0
        self._queue: deque[tuple[Daemon, Input]] = deque()
        self._marks: dict[str, Mark] = {}
        self._archive: dict[Daemon, dict[str, bytes]] = {daemon: {} for daemon in self.machines}
        self._seqs: defaultdict[str, int] = defaultdict(int)
        self._consumers: dict[str, tuple[Daemon, ...]] = {}

    # The halves of an instant.

    def begin(self, config: ConfigLoaded) -> None:
        """What every daemon is told when it starts."""
        for daemon in self.machines:
            self._queue.append((daemon, config))
            self._queue.append((daemon, Observed(_CLEAR)))
        self._queue.append((Daemon.BROKER, Observed(VenueLinkState(True))))
        self._settle()

    def take(self, k: int, step: FeedStep) -> None:
        """One instant: the market moves, then everyone looks."""
        bars = [(row.topic, row.body) for row in sorted(step.rows, key=lambda row: row.topic) if isinstance(row.body, Bar)]
        self._tell_clock(SessionClock(now_ns=step.close_ns - 1, step=2 * k, phase=SessionPhase.MARKET))
        for topic, bar in bars:
            self._queue.append((Daemon.PAPER_VENUE, self._message(topic, Daemon.MD_INGEST, bar)))
        self._begin_half()
        for _, bar in bars:
            self._marks[bar.symbol] = Mark(bar.symbol, bar.close, bar.close_ns)
        self._tell_clock(SessionClock(now_ns=step.close_ns, step=2 * k + 1, phase=SessionPhase.DECIDE))
        for topic, bar in bars:
            self._queue.append((Daemon.STRATEGY_RUNNER, self._message(topic, Daemon.MD_INGEST, bar)))
        self._begin_half()

    def end(self, steps: int) -> None:
        """The session is over."""
        self._tell_clock(SessionClock(now_ns=self._now_ns, step=2 * steps, phase=SessionPhase.ENDED))
        self._settle()

    def _tell_clock(self, clock: SessionClock) -> None:
        self._now_ns = clock.now_ns
        for daemon in self.machines:
            self._queue.append((daemon, self._message(topics.CONTROL_CLOCK.name(), Daemon.MD_INGEST, clock)))

    def _begin_half(self) -> None:
        """The clock and its data first, then the wakes that have come, then what follows from both: the node's order."""
        for _ in range(len(self._queue)):
            self._handle(*self._queue.popleft())
        self._wake()
        self._settle()

    def _settle(self) -> None:
        """Handle until nothing is under way and no machine wants to be woken at this instant."""
        while self._queue or self._wake():
            while self._queue:
                self._handle(*self._queue.popleft())
        if self._cursor:
            # What was pushed is handled, so the venue need not keep it.
            self._handle(Daemon.PAPER_VENUE, Command("", Daemon.BROKER.value, AcknowledgeEvents(cursor=self._cursor)))
            self._cursor = 0

    def _wake(self) -> bool:
        for daemon, machine in self.machines.items():
            due = machine.next_wake_ns
            if due is not None and due <= self._now_ns:
                self._queue.append((daemon, Wake(due)))
        return bool(self._queue)

    # One input and what follows from it.

    def _handle(self, daemon: Daemon, event: Input) -> None:
        machine = self.machines[daemon]
        for effect in machine.handle(event, self._attached(daemon, machine.needs(event)), self._now_ns):
            self._apply(daemon, effect)

    def _attached(self, daemon: Daemon, needs: Needs) -> Attached:
        if needs is NO_NEEDS:
            return NOTHING_ATTACHED
        archive = self._archive[daemon]
        keys = (f"{kind}/{key}" for kind, key in needs.archived)
        return Attached(tuple(self._marks[s] for s in needs.symbols if s in self._marks), {key: archive[key] for key in keys if key in archive})

    def _apply(self, daemon: Daemon, effect: Effect) -> None:
        match effect:
            case Publish(topic, body):
                self._note(body)
                for consumer in self._hearers(topic):
                    self._queue.append((consumer, self._message(topic, daemon, body)))
            case CallVenue(call_id, request):
                refusal = self._gate(request, effect.approval, _CLEAR, self._now_ns)
                self._queue.append((daemon, CallReplied(call_id, refusal)) if refusal else (Daemon.PAPER_VENUE, Command(call_id, daemon.value, request)))
            case Answer(command_id, reply):
                if isinstance(reply, VenueReply):
                    self._queue.append((Daemon.BROKER, CallReplied(command_id, reply)))
            case Push(event):
                self._cursor = event.cursor
                self._queue.append((Daemon.BROKER, VenuePushed(event)))
            case Archive(kind, key, data):
                self._archive[daemon][f"{kind}/{key}"] = data
            case Halt(reason):
                raise InvariantViolation(f"{daemon.value} halts: {reason}")
            case Log():
                pass
            case _:
                assert_never(effect)

    def _note(self, body: Contract) -> None:
        if isinstance(body, RiskDecision):
            self.decisions.append(body)
        elif isinstance(body, OrderStateChanged):
            self.events.append(body)
        elif isinstance(body, FillEvent):
            self.fills.append(body)

    def _message(self, topic: str, producer: Daemon, body: Contract) -> Message:
        self._seqs[topic] += 1
        seq = self._seqs[topic]
        return Message(topic, producer.value, seq, self._now_ns, body, message_id("loop", topic, seq))

    def _hearers(self, topic: str) -> tuple[Daemon, ...]:
        """The machines that take this topic as input, by the one table of topics."""
        known = self._consumers.get(topic)
        if known is None:
            known = self._consumers[topic] = tuple(_consumers(topic, self.machines))
        return known


def _consumers(topic: str, among: Iterable[Daemon]) -> Iterable[Daemon]:
    row = topics.topic_of(topic)
    for daemon in among:
        if any(found is row and consumer.view is View.JOURNALED for found, consumer in consumed_by(daemon)):
            yield daemon
