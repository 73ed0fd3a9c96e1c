"""The backtest loop: the machines that trade, driven by direct calls in one thread over one feed.

There is no envelope, no journal and no waiting here, and no other implementation of anything: strategy host, risk engine, OMS,
broker gateway, last gate and simulated venue are the objects the daemons run. An instant has the two halves a replay gives it
(core/replay.py): first the market moves and only the venue sees it, then everyone looks; what follows from one input is
handled in the order it was said, until nothing is left. So the decisions are those of the same replay through processes.

What would change nothing is not said. A venue at which no order of a symbol rests takes from its bars the last price alone, so it is
told the last one, before it is told anything else; the clock is told to those who go by its halves, when something happens in
them. A `thorough` loop says everything to everyone, as the processes do: the two are held against each other by tests.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from core import topics
from core.bars import BarFeed
from core.contracts import Alert, Bar, FillEvent, KillSwitchState, KillSwitchStatus, OrderStateChanged, RiskDecision, SessionClock, SessionPhase
from core.errors import InvariantViolation
from core.feed import Feed
from core.gate import GateFacts
from core.ids import account_prefix
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
from execution.arming import SELF_ARMED
from execution.broker_gateway import build_gateway
from execution.gate import build_gate
from execution.oms import build_oms
from execution.venues.simulated import build_venue
from risk.engine import build_risk_engine
from strategies.host import build_host
from strategies.registry import load_strategy
from strategies.strategy import Strategy

__all__ = ["LoopResult", "Said", "run_loop"]

_CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)
# Approvals do not leave this process, so there is nothing to seal, and nothing real to lose, so there is nobody to arm it.
_FACTS = GateFacts(_CLEAR, is_genuine=True, arming=SELF_ARMED)
_NEVER = 2**63
_PROGRESS_EVERY = 4_096
# Rows for people and for restarts: no machine ever asks for one, and they would be most of what a long run holds.
_UNREAD = frozenset({"checkpoint", "log", "txn"})
_CLOCK = topics.CONTROL_CLOCK.name()
_MD_INGEST = Daemon.MD_INGEST.value

Said = RiskDecision | OrderStateChanged | FillEvent | Alert
"""What a run is told by, in the order it was said."""
_SAID = (RiskDecision, OrderStateChanged, FillEvent, Alert)

Load = Callable[[str], type[Strategy[Any, Any]]]


class LoopResult(NamedTuple):
    """What a run decided and did, in the order it was said, the machines as they stand at its end, and how many instants and bars there were."""

    said: list[Said]
    machines: dict[Daemon, Machine[Any]]
    steps: int
    bars: int

    @property
    def decisions(self) -> list[RiskDecision]:
        """Risk's answers."""
        return [each for each in self.said if isinstance(each, RiskDecision)]

    @property
    def events(self) -> list[OrderStateChanged]:
        """Every change of every order."""
        return [each for each in self.said if isinstance(each, OrderStateChanged)]

    @property
    def fills(self) -> list[FillEvent]:
        """Every booked execution."""
        return [each for each in self.said if isinstance(each, FillEvent)]


def run_loop(
    settings: Settings,
    feed: Feed,
    *,
    epoch: str = "backtest",
    account_epoch: str = "backtest",
    config: ConfigLoaded | None = None,
    load: Load = load_strategy,
    thorough: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> LoopResult:
    """Replay `feed` through the machines of these settings.

    `epoch` and `account_epoch` go into the ids of intents and orders: given those of a suite, the ids are that suite's. `load` gives
    the class of a strategy's kind. InvariantViolation when a machine halts.
    """
    loop = _Loop(settings, epoch, account_epoch, load, thorough)
    loop.begin(config or ConfigLoaded("", settings.model_dump_json()))
    total, bars = len(feed), 0
    for k, instant in enumerate(_instants(feed)):
        loop.take(k, instant)
        bars += len(instant)
        if on_progress is not None and not k % _PROGRESS_EVERY:
            on_progress(k, total)
    loop.end(total)
    if on_progress is not None:
        on_progress(total, total)
    return LoopResult(loop.said, loop.machines, total, bars)


def _instants(feed: Feed) -> Iterator[tuple[Bar, ...]]:
    if isinstance(feed, BarFeed):
        return feed.instants()
    steps = (feed.step(k) for k in range(len(feed)))
    return (tuple(row.body for row in sorted(step.rows, key=lambda row: row.topic) if isinstance(row.body, Bar)) for step in steps)


class _Place:
    """A machine in the loop: its archive, when it wants to be woken (as of its last input), and whether it knows the half under way."""

    __slots__ = ("archive", "daemon", "due_ns", "handle", "is_in_first_half", "is_untold", "machine", "name", "needs")

    def __init__(self, daemon: Daemon, machine: Machine[Any]) -> None:
        self.daemon = daemon
        self.name = daemon.value
        self.machine = machine
        self.needs = machine.needs
        self.handle = machine.handle
        self.archive: dict[str, bytes] = {}
        self.due_ns = _NEVER
        self.is_untold = False
        self.is_in_first_half = False


class _Loop:
    """The queue of inputs under way, and where each effect leads.

    Invariants: whoever goes by the halves of an instant is told the half that is under way before anything else in it, and is
    never left in the first half; `_unseen` holds the last bar of each symbol that the venue has not been told of; `due_ns` of a place
    is current unless the place is among `_moved`.
    """

    def __init__(self, settings: Settings, epoch: str, account_epoch: str, load: Load, thorough: bool) -> None:
        prefix = account_prefix(settings.environment, settings.account.name, account_epoch)
        self._host = build_host(settings, epoch=epoch, load=load)
        self._venue = build_venue(settings)
        self.machines: dict[Daemon, Machine[Any]] = {
            Daemon.STRATEGY_RUNNER: self._host,
            Daemon.RISK_ENGINE: build_risk_engine(settings, id_prefix=prefix),
            Daemon.OMS: build_oms(settings),
            Daemon.BROKER: build_gateway(settings),
            Daemon.PAPER_VENUE: self._venue,
        }
        self.said: list[Said] = []
        self._thorough = thorough
        self._gate = build_gate(settings)
        self._places = tuple(_Place(daemon, machine) for daemon, machine in self.machines.items())
        by_daemon = {place.daemon: place for place in self._places}
        self._runner, self._broker, self._market = by_daemon[Daemon.STRATEGY_RUNNER], by_daemon[Daemon.BROKER], by_daemon[Daemon.PAPER_VENUE]
        # Who acts differently while the market moves; to all others a moment of the clock is only a time, and every input has that.
        self._go_by_halves = self._places if thorough else (self._runner, self._market)
        self._moved: list[_Place] = list(self._places)
        self._now_ns = 0
        self._due_ns = 0
        self._cursor = 0
        self._queue: deque[tuple[_Place, Input]] = deque()
        self._bars: dict[str, Bar] = {}
        self._unseen: dict[str, Bar] = {}
        self._seqs: defaultdict[str, int] = defaultdict(int)
        self._hearers: dict[str, tuple[_Place, ...]] = {}
        self._bar_topics: dict[str, str] = {}
        self._clock: tuple[int, SessionPhase] = (0, SessionPhase.DECIDE)
        self._clock_message: Message | None = None
        self._performers: dict[type[Any], Callable[[_Place, Any], None]] = {
            Publish: self._publish,
            CallVenue: self._call,
            Answer: self._answer,
            Push: self._push,
            Archive: self._keep,
            Halt: self._halt,
            Log: self._ignore,
        }

    # The halves of an instant.

    def begin(self, config: ConfigLoaded) -> None:
        """What every daemon is told when it starts."""
        for place in self._places:
            self._queue.append((place, config))
            self._queue.append((place, Observed(_CLEAR)))
        self._queue.append((self._broker, Observed(VenueLinkState(True))))
        self._settle()

    def take(self, k: int, bars: Sequence[Bar]) -> None:
        """One instant: the market moves, then everyone looks."""
        close_ns = bars[0].close_ns
        is_resting = self._thorough or self._rests_in(bars)
        is_full = is_resting or close_ns >= self._due_ns
        if is_full:
            self._move_market(k, close_ns, bars, is_resting)
            self._begin_half(2 * k + 1, close_ns, SessionPhase.DECIDE)
        else:
            self._now_ns = close_ns
            for bar in bars:
                self._unseen[bar.symbol] = bar
        runner, topics_of = self._runner, self._bar_topics
        for bar in bars:
            symbol = bar.symbol
            self._bars[symbol] = bar
            topic = topics_of.get(symbol) or self._bar_topic(bar)
            for effect in runner.handle(Message(topic, _MD_INGEST, k + 1, close_ns, bar), NOTHING_ATTACHED, close_ns):
                self._performers[type(effect)](runner, effect)
        # A callback may have set a timer and said nothing.
        due_ns = self._host.next_wake_ns
        runner.due_ns = _NEVER if due_ns is None else due_ns
        if runner.due_ns < self._due_ns:
            self._due_ns = runner.due_ns
        if is_full or self._queue or self._due_ns <= close_ns:
            self._wake()
            self._settle()

    def end(self, steps: int) -> None:
        """The session is over; the venue has seen all of it by then."""
        self._show_unseen()
        self._begin_half(2 * steps, self._now_ns, SessionPhase.ENDED)
        self._settle()

    def _move_market(self, k: int, close_ns: int, bars: Sequence[Bar], is_resting: bool) -> None:
        self._begin_half(2 * k, close_ns - 1, SessionPhase.MARKET)
        for bar in bars:
            if is_resting:
                self._handle(self._market, Message(self._bar_topic(bar), _MD_INGEST, k + 1, close_ns - 1, bar))
                self._unseen.pop(bar.symbol, None)
            else:
                self._unseen[bar.symbol] = bar
        self._wake()
        self._settle()

    def _rests_in(self, bars: Sequence[Bar]) -> bool:
        """Whether an order of one of these symbols rests at the venue; if not, the venue is told of the bars when it matters."""
        has_resting = self._venue.has_resting
        return has_resting(bars[0].symbol) if len(bars) == 1 else any(has_resting(bar.symbol) for bar in bars)

    def _begin_half(self, step: int, now_ns: int, phase: SessionPhase) -> None:
        """Say the time to those who need it now; the others who go by halves are told before the next thing they are told."""
        self._now_ns = now_ns
        self._clock, self._clock_message = (step, phase), None
        is_for_all = self._thorough or phase is SessionPhase.ENDED
        for place in self._places if is_for_all else self._go_by_halves:
            place.is_untold = True
            if is_for_all or place.is_in_first_half or place.due_ns <= now_ns:
                self._tell_clock(place)

    def _tell_clock(self, place: _Place) -> None:
        step, phase = self._clock
        if self._clock_message is None:
            self._clock_message = Message(_CLOCK, _MD_INGEST, step + 1, self._now_ns, SessionClock(now_ns=self._now_ns, step=step, phase=phase))
        place.is_untold, place.is_in_first_half = False, phase is SessionPhase.MARKET
        self._take_in(place, self._clock_message)

    def _settle(self) -> None:
        """Handle until nothing is under way and no machine wants to be woken at this instant."""
        queue = self._queue
        while queue or self._wake():
            while queue:
                self._handle(*queue.popleft())
        if self._cursor:
            # What was pushed is handled, so the venue need not keep it.
            self._handle(self._market, Command("", self._broker.name, AcknowledgeEvents(cursor=self._cursor)))
            self._cursor = 0

    def _wake(self) -> bool:
        """Wake who wants to be; and remember when somebody wants to be next."""
        for place in self._moved:
            due_ns = place.machine.next_wake_ns
            place.due_ns = _NEVER if due_ns is None else due_ns
        self._moved.clear()
        next_ns = _NEVER
        for place in self._places:
            if place.due_ns < next_ns:
                next_ns = place.due_ns
            if place.due_ns <= self._now_ns:
                self._queue.append((place, Wake(place.due_ns)))
        self._due_ns = next_ns
        return bool(self._queue)

    # One input and what follows from it.

    def _handle(self, place: _Place, event: Input) -> None:
        if place.is_untold:
            self._tell_clock(place)
        if place is self._market and self._unseen:
            self._show_unseen()
        self._take_in(place, event)

    def _show_unseen(self) -> None:
        unseen, self._unseen = self._unseen, {}
        for bar in unseen.values():
            self._take_in(self._market, Message(self._bar_topic(bar), _MD_INGEST, 0, bar.close_ns - 1, bar))

    def _take_in(self, place: _Place, event: Input) -> None:
        needs = place.needs(event)
        attached = NOTHING_ATTACHED if needs is NO_NEEDS else self._attached(place, needs)
        self._moved.append(place)
        performers = self._performers
        for effect in place.handle(event, attached, self._now_ns):
            performers[type(effect)](place, effect)

    def _attached(self, place: _Place, needs: Needs) -> Attached:
        archived = {}
        for kind, key in needs.archived:
            if kind in _UNREAD:
                raise InvariantViolation(f"{place.name} asks for archived rows of kind {kind}, which the loop does not keep")
            name = f"{kind}/{key}"
            if name in place.archive:
                archived[name] = place.archive[name]
        bars = self._bars
        marks = tuple([Mark(symbol, bars[symbol].close, bars[symbol].close_ns) for symbol in needs.symbols if symbol in bars])
        return Attached(marks, archived) if marks or archived else NOTHING_ATTACHED

    def _publish(self, place: _Place, effect: Publish) -> None:
        body, topic = effect.body, effect.topic
        if isinstance(body, _SAID):
            self.said.append(body)
        hearers = self._hearers.get(topic)
        if hearers is None:
            hearers = self._hearers[topic] = tuple(_hearers_of(topic, self._places))
        if hearers:
            seq = self._seqs[topic] = self._seqs[topic] + 1
            message = Message(topic, place.name, seq, self._now_ns, body)
            for hearer in hearers:
                self._queue.append((hearer, message))

    def _call(self, place: _Place, effect: CallVenue) -> None:
        refusal = self._gate(effect.request, effect.approval, _FACTS, self._now_ns)
        if refusal is not None:
            self._queue.append((place, CallReplied(effect.call_id, refusal)))
        else:
            self._queue.append((self._market, Command(effect.call_id, place.name, effect.request)))

    def _answer(self, place: _Place, effect: Answer) -> None:
        if isinstance(effect.reply, VenueReply):
            self._queue.append((self._broker, CallReplied(effect.command_id, effect.reply)))

    def _push(self, place: _Place, effect: Push) -> None:
        self._cursor = effect.event.cursor
        self._queue.append((self._broker, VenuePushed(effect.event)))

    def _keep(self, place: _Place, effect: Archive) -> None:
        if effect.kind not in _UNREAD:
            place.archive[f"{effect.kind}/{effect.key}"] = effect.data

    def _halt(self, place: _Place, effect: Halt) -> None:
        raise InvariantViolation(f"{place.name} halts: {effect.reason}")

    def _ignore(self, place: _Place, effect: Log) -> None:
        """A line of a log nobody reads."""

    def _bar_topic(self, bar: Bar) -> str:
        topic = self._bar_topics.get(bar.symbol)
        if topic is None:
            topic = self._bar_topics[bar.symbol] = topics.MD_BARS.name(timeframe=bar.timeframe, symbol=bar.symbol)
        return topic


def _hearers_of(topic: str, among: Iterable[_Place]) -> Iterable[_Place]:
    """The machines that take this topic as input, by the one table of topics."""
    row = topics.topic_of(topic)
    for place in among:
        if any(found is row and consumer.view is View.JOURNALED for found, consumer in consumed_by(place.daemon)):
            yield place
