"""The node around a machine: order, commit, publish, perform. Sans-I/O.

A shell (live or simulated) tells the node what happened (`on_*`), asks it to `step`, and performs the actions it gets
**in the order given**. The order is the guarantee: a `Commit` comes before every `Write`, `Call`, `Reply` and `SendPush` it
justifies, so a crash between any two actions loses nothing and doubles nothing.

What stands behind an acknowledgement: every consequence of the acknowledged input is published (and its venue calls have
their outcome). Therefore, if in one cut over all streams every durable consumer has acknowledged every last message,
nothing is under way anywhere: that is how a replay knows that an instant has settled.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, assert_never, get_args

import msgspec

from core.codec import Codec, Envelope
from core.contracts import Bar, Contract, KillSwitchState, MarketData, SessionClock
from core.errors import DecodeError, InvariantViolation, JournalError
from core.feed import visible_ns
from core.journal import (
    MESSAGE_KIND,
    ArchiveRow,
    Batch,
    CallRow,
    InputRow,
    OutputRow,
    QuarantineRow,
    encode_attached,
    encode_call,
    encode_input,
)
from core.link import Link, LinkHole, Read
from core.machine import (
    HANDLER_FAULTS,
    NO_NEEDS,
    NOTHING_ATTACHED,
    Answer,
    Archive,
    Attached,
    CallInterrupted,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    FeedRow,
    Halt,
    Input,
    LinkStopped,
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
from core.outbox import Outbox, ReadOutputs, Write
from core.ports import Clock, Entry, PublishOutcome, PublishStatus, StreamId
from core.recovery import Restored
from core.topics import View
from core.venue import NotSent, VenueEvent, VenueReply, VenueRequest
from core.wire import message_of, wrap

__all__ = [
    "EXIT_FENCED",
    "EXIT_HALT",
    "EXIT_POISON",
    "Acknowledge",
    "AcknowledgePush",
    "Action",
    "Call",
    "Commit",
    "Exit",
    "Gate",
    "Node",
    "NodeSpec",
    "Reply",
    "SendPush",
    "Subscription",
    "Surroundings",
    "Tell",
    "Trim",
]

EXIT_HALT = 70
EXIT_FENCED = 71
EXIT_POISON = 75

Gate = Callable[[VenueRequest, Any, KillSwitchState, int], NotSent | None]


class Subscription(msgspec.Struct, frozen=True):
    """One stream this daemon takes in. `sees_future` lets data through before the clock says anyone may see it (the venue)."""

    stream: StreamId
    view: View = View.JOURNALED
    sees_future: bool = False


class NodeSpec(msgspec.Struct, frozen=True):
    """A daemon as the node sees it: its name, what it takes in, what it says and who must have heard it.

    `pushes_events` is the venue's: until its broker has subscribed, what was pushed before counts as not taken.
    `calls_venue` is the broker's: while it is out of touch with its venue, nothing it handled counts as finished.
    `waits_for_clock` is a replay's: a message stamped later than the session clock has come here waits for the clock.
    """

    daemon: str
    subscriptions: tuple[Subscription, ...]
    produces: dict[str, tuple[str, ...]]
    batch_max: int = 256
    snapshot_every: int = 5_000
    pushes_events: bool = False
    calls_venue: bool = False
    waits_for_clock: bool = False


class Surroundings(Protocol):
    """What the shell can look up at once, for attachments and for the last gate."""

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Archived rows by `kind/key`."""

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        """The rows of a recorded or synthetic feed step; empty beyond its end."""

    def kill_switch(self) -> KillSwitchState:
        """A fresh look at the kill file."""


class Commit(NamedTuple):
    """Make this durable before anything that follows it in the list."""

    batch: Batch


class Call(NamedTuple):
    """Ask the venue now."""

    call: CallVenue


class Reply(NamedTuple):
    """Answer a command."""

    answer: Answer


class SendPush(NamedTuple):
    """Venue side: send an event to the connected account."""

    event: VenueEvent


class AcknowledgePush(NamedTuple):
    """Broker side: everything the venue pushed up to this cursor is journaled and its reports are published."""

    cursor: int


class Acknowledge(NamedTuple):
    """Tell producers how far this daemon has handled their streams."""

    seqs: dict[StreamId, int]


class Trim(NamedTuple):
    """Forget what every durable consumer has acknowledged."""

    stream: StreamId
    below_seq: int


class Tell(NamedTuple):
    """Write a log line."""

    log: Log


class Exit(NamedTuple):
    """Stop the process."""

    code: int
    reason: str


Action = Commit | Write | ReadOutputs | Read | Call | Reply | SendPush | AcknowledgePush | Acknowledge | Trim | Tell | Exit

_Item = tuple[Envelope, bytes, int]

# Tuples of classes: asking a union takes several times as long, and these are asked of every input.
_MARKET_DATA = get_args(MarketData)
_OUTCOMES = (CallReplied, CallInterrupted)


class _Waiting(NamedTuple):
    call: CallVenue
    topic: str
    seq: int


class _Handled(msgspec.Struct):
    """A handled message: its number, and the last input that belongs to it.

    What comes without a message of its own (wakes, replies, facts) belongs to the newest message, and after a restart,
    when nobody knows which one that was, to the newest of every stream.
    """

    seq: int
    last_n: int


class Node:
    """Drives one machine.

    Invariants: inputs are numbered contiguously; `now_ns` never decreases; nothing leaves before the commit that justifies
    it; a new order's call waits for the publication of its attempt; an acknowledged input has no consequence outstanding.
    """

    def __init__(self, spec: NodeSpec, machine: Machine[Any], restored: Restored, clock: Clock, surroundings: Surroundings, gate: Gate | None = None) -> None:
        self.spec = spec
        self.machine = machine
        self.epoch = restored.epoch
        self.incarnation = restored.incarnation
        self.marks: dict[str, Mark] = {}
        self.n = restored.last_n
        self.now_ns = restored.last_now_ns
        self.handled = 0
        self._clock = clock
        self._surroundings = surroundings
        self._gate = gate
        self._codec = Codec()
        self._links: dict[StreamId, Link[_Item]] = {}
        self._epochs: dict[StreamId, str] = {}
        self._taken: dict[StreamId, int] = {}
        self._subscriptions = {s.stream: s for s in spec.subscriptions}
        self.outboxes: dict[str, Outbox] = {}
        self._inbox: deque[tuple[Input | QuarantineRow, int, bytes]] = deque()
        self._future: list[tuple[int, StreamId, int, _Item]] = []
        self._fresh_marks = {s.stream for s in spec.subscriptions if s.view is View.AS_MARKS}
        self._waiting: list[_Waiting] = []
        self._unacked: dict[StreamId, deque[_Handled]] = {}
        self._acked: dict[StreamId, int] = {}
        self._latest: tuple[_Handled, ...] = ()
        self._unacked_pushes: deque[tuple[int, int]] = deque()
        self._sent_pushes: deque[tuple[int, int]] = deque([(0, 0)] if spec.pushes_events else [])
        self._unconfirmed: dict[str, deque[tuple[int, int]]] = {}
        self._open_calls: dict[str, int] = {}
        self._is_out_of_touch = spec.calls_venue
        self._acked_news: list[tuple[str, str, int]] = []
        self._uncommitted: dict[tuple[str, str], bytes] = {}
        self._since_snapshot = restored.rehandled
        self._snapshot_cost = 0
        self._halt_reason = ""
        self._open(restored)

    def _open(self, restored: Restored) -> None:
        for stream in self._subscriptions:
            watermark, epoch = restored.watermarks.get(stream, (0, ""))
            self._links[stream] = Link(stream, watermark)
            self._epochs[stream] = epoch
            self._taken[stream] = watermark
            self._unacked[stream] = deque([_Handled(watermark, 0)] if watermark else [])
        self._latest = tuple(handled for queue in self._unacked.values() for handled in queue)
        for topic, consumers in self.spec.produces.items():
            stream = StreamId(topic, self.spec.daemon)
            self.outboxes[topic] = Outbox(stream, restored.output_heads.get(topic, 0), consumers, restored.acked.get(topic, {}))
            # Until the stream is seen to hold what the last run said, nothing that run handled is acknowledged.
            self._unconfirmed[topic] = deque([(self.outboxes[topic].last, 0)] if self.outboxes[topic].last else [])
        for call_id in restored.open_calls:
            self._open_calls[call_id] = 0
            self._inbox.append((CallInterrupted(call_id), 0, b""))
        for row in restored.quarantine:
            stream = StreamId(row.topic, row.producer)
            if stream in self._links:
                self._links[stream].stop(row.reason)
                self._inbox.append((Observed(LinkStopped(row.topic, row.producer, row.reason)), 0, b""))

    # What happened, as the shell tells it.

    def on_connected(self, tails: dict[StreamId, int], acks: dict[str, dict[str, int]], handled: Mapping[StreamId, int]) -> list[Action]:
        """(Re)connected: where our own streams and those we read end, what our consumers acknowledged, and what we had.

        A stream or an acknowledgement beyond our journal's own last number proves that the journal rolled back: exit.
        """
        actions: list[Action] = []
        for stream, seq in handled.items():
            if self._subscriptions[stream].view is View.JOURNALED and seq > self._taken[stream]:
                return self._exit(EXIT_HALT, f"the journal lost history: {stream.topic} was handled up to {seq}, the journal ends at {self._taken[stream]}")
        for topic, outbox in self.outboxes.items():
            last = tails.get(outbox.stream, 0)
            beyond = max([last, *acks.get(topic, {}).values()])
            if beyond > outbox.last:
                return self._exit(EXIT_HALT, f"the journal lost history: {topic} was published up to {beyond}, the journal ends at {outbox.last}")
            outbox.on_tail(last, min((w.seq for w in self._waiting if w.topic == topic), default=None))
            self._forget_confirmed(topic)
            self._note_acks(topic, acks.get(topic, {}))
        for stream, link in self._links.items():
            # A read asked for on the connection before this one will never be answered.
            link.on_lost()
            actions += self.on_tail(stream, tails.get(stream, 0))
        news = self._acknowledge()
        again = [Acknowledge(dict(self._acked))] if self._acked else []
        return [*actions, *self._writes(), *news, *again]

    def on_lost(self) -> None:
        """The bus is gone; writes, reads and acknowledgements without an answer are unknown."""
        for outbox in self.outboxes.values():
            outbox.on_lost()
        for link in self._links.values():
            link.on_lost()

    def on_message(self, stream: StreamId, data: bytes, arrived_ns: int) -> list[Action]:
        """A live delivery. Undecodable bytes are only a hint to read the stream, where the message has a number."""
        link = self._links.get(stream)
        if link is None or link.stopped:
            return []
        try:
            envelope = self._codec.decode(data)
        except DecodeError:
            return self._reads(link.on_tail(link.next_seq))
        if envelope.topic != stream.topic or envelope.producer != stream.producer:
            return self._reads(link.on_tail(link.next_seq))
        if envelope.seq < link.next_seq and self._is_foreign(envelope, stream):
            return self._stop_link(link, envelope)
        self._start_marks(link, envelope.seq)
        read = link.on_live(envelope.seq, (envelope, data, arrived_ns))
        return self._collect(link) + self._reads(read)

    def on_read(self, stream: StreamId, entries: Sequence[Entry], last_seq: int, arrived_ns: int) -> list[Action]:
        """The answer to a `Read`."""
        link = self._links[stream]
        if link.stopped:
            return []
        items: list[tuple[int, _Item]] = []
        poison: QuarantineRow | None = None
        for seq, data in entries:
            try:
                envelope = self._decode_from(stream, seq, data)
            except DecodeError as error:
                poison = QuarantineRow(stream.topic, stream.producer, seq, str(error), data)
                break
            if seq < link.next_seq and self._is_foreign(envelope, stream):
                return self._stop_link(link, envelope)
            items.append((seq, (envelope, data, arrived_ns)))
        if stream in self._fresh_marks and items:
            link.next_seq = items[0][0]
        try:
            read = link.on_read(items, last_seq if poison is None else 0)
        except LinkHole as hole:
            return self._exit(EXIT_HALT, str(hole))
        actions = self._collect(link)
        if poison is None:
            return actions + self._reads(read)
        if self._subscriptions[stream].view is View.JOURNALED:
            self._inbox.append((poison, arrived_ns, b""))
            return actions
        link.next_seq = max(link.next_seq, poison.seq + 1)
        return [
            *actions,
            Tell(Log("error", "market_data_dropped", (("topic", stream.topic), ("seq", poison.seq), ("reason", poison.reason)))),
            *self._reads(link.on_tail(last_seq)),
        ]

    def on_tail(self, stream: StreamId, last_seq: int) -> list[Action]:
        """Where a stream we read ends, as a new connection shows it."""
        link = self._links[stream]
        self._start_marks(link, last_seq)
        return self._reads(link.on_tail(last_seq))

    def on_check(self, stream: StreamId, last_seq: int) -> list[Action]:
        """The periodic look at the end of a stream we read."""
        link = self._links[stream]
        self._start_marks(link, last_seq)
        return self._reads(link.on_check(last_seq))

    def on_published(self, topic: str, outcome: PublishOutcome, written: int) -> list[Action]:
        """The publish script's answer to a `Write` whose last number was `written`."""
        if outcome.status is PublishStatus.FENCED:
            return self._exit(EXIT_FENCED, f"fenced on {topic}: another instance of {self.spec.daemon} writes this stream")
        if outcome.status is PublishStatus.NEW_EPOCH:
            return self._exit(EXIT_HALT, f"stream {topic} belongs to another journal of {self.spec.daemon}; an operator must adopt the new history")
        outbox = self.outboxes[topic]
        if outcome.last_seq > outbox.last:
            return self._exit(EXIT_HALT, f"the journal lost history: {topic} ends at {outcome.last_seq}, the journal at {outbox.last}")
        outbox.on_published(outcome, written)
        self._forget_confirmed(topic)
        return [*self._release_calls(), *self._writes(), *self._acknowledge()]

    def on_outputs(self, topic: str, entries: Sequence[Entry]) -> list[Action]:
        """The journal's answer to a `ReadOutputs`."""
        outbox = self.outboxes[topic]
        if not entries:
            return self._exit(EXIT_HALT, f"the stream of {topic} lacks message {outbox.confirmed + 1}, which the journal does not hold any more")
        write = outbox.on_outputs(list(entries))
        return [] if write is None else [write]

    def on_acknowledgements(self, topic: str, acks: dict[str, int]) -> list[Action]:
        """What the consumers of one of our streams say they have handled."""
        outbox = self.outboxes[topic]
        if acks and max(acks.values()) > outbox.last:
            return self._exit(EXIT_HALT, f"the journal lost history: {topic} was acknowledged up to {max(acks.values())}, the journal ends at {outbox.last}")
        self._note_acks(topic, acks)
        # One entry that everybody has stays: a daemon that starts between the halves of an instant still finds the last price it may see.
        return [Trim(outbox.stream, outbox.base - 1)] if outbox.base > 2 and outbox.is_drained else []

    def on_config(self, config: ConfigLoaded) -> None:
        """A run begins: the machine hears of it before anything that the last run left over."""
        self._inbox.appendleft((config, 0, b""))

    def on_command(self, command: Command, arrived_ns: int) -> None:
        """An operator, or the account's broker, asks something."""
        self._inbox.append((command, arrived_ns, b""))

    def on_observed(self, observed: Observed, arrived_ns: int) -> None:
        """The shell saw something outside the bus."""
        self._inbox.append((observed, arrived_ns, b""))

    def on_call_reply(self, call_id: str, reply: VenueReply, arrived_ns: int) -> None:
        """A venue call has its outcome."""
        self._inbox.append((CallReplied(call_id, reply), arrived_ns, b""))

    def on_push(self, event: VenueEvent, arrived_ns: int) -> None:
        """The venue said something by itself."""
        self._inbox.append((VenuePushed(event), arrived_ns, b""))

    def on_push_acknowledged(self, cursor: int) -> list[Action]:
        """Venue side: the account's broker has published everything up to this cursor."""
        while self._sent_pushes and self._sent_pushes[0][0] <= cursor:
            self._sent_pushes.popleft()
        return self._acknowledge()

    # What to do.

    @property
    def wants_step(self) -> bool:
        """Whether `step` would handle something now."""
        if self._inbox or self._acked_news:
            return True
        now = self._time()
        due = self.machine.next_wake_ns
        return (due is not None and due <= now) or (bool(self._future) and self._future[0][0] <= now)

    @property
    def next_due_ns(self) -> int | None:
        """When, by the node's clock, a wake or a held-back datum falls due."""
        times = [t for t in (self.machine.next_wake_ns, self._future[0][0] if self._future else None) if t is not None]
        return min(times) if times else None

    @property
    def is_drained(self) -> bool:
        """Whether everything said is in Redis and no call is open."""
        return self.is_published and not self._open_calls and not self._waiting

    @property
    def is_published(self) -> bool:
        """Whether everything said is in Redis."""
        return all(o.is_drained for o in self.outboxes.values())

    @property
    def has_gap(self) -> bool:
        """Whether a link knows of messages it has not got."""
        return any(link.has_gap for link in self._links.values())

    @property
    def stopped_links(self) -> dict[StreamId, str]:
        """Links that stand still, and why."""
        return {stream: link.stopped for stream, link in self._links.items() if link.stopped}

    def step(self) -> list[Action]:
        """Handle what has arrived, up to the batch bound: one commit, then its consequences in order."""
        batch, after = Batch(), list[Action]()
        self._uncommitted.clear()
        while len(batch.inputs) < self.spec.batch_max and not self._halt_reason:
            now_ns = self._time()
            event, arrived_ns, data = self._next_input(now_ns)
            if event is None:
                break
            if isinstance(event, QuarantineRow):
                return self._stop_at_poison(batch, event)
            complete_n, archived = self.n, len(batch.archive)
            try:
                self._take(batch, after, event, arrived_ns, data, now_ns)
            except JournalError:
                # No fault of the input's: it will be handled when the journal is well again.
                raise
            except HANDLER_FAULTS as error:
                batch.cut(complete_n, archived)
                return self._stop_at_fault(batch, event, data, error)
        self._finish(batch)
        if batch.is_empty:
            return [*self._release_calls(), *self._acknowledge()]
        exits = self._exit(EXIT_HALT, self._halt_reason) if self._halt_reason else []
        return [Commit(batch), *self._writes(), *self._release_calls(), *after, *self._acknowledge(), *exits]

    def snapshot_batch(self) -> Batch:
        """A clean stop: a snapshot after the last input, so that the next start has nothing to handle again."""
        return Batch(snapshot=(self.n, msgspec.json.encode(self.machine.snapshot())))

    # Taking one input.

    def _next_input(self, now: int) -> tuple[Input | QuarantineRow | None, int, bytes]:
        while self._future and self._future[0][0] <= now:
            _, stream, _, (envelope, data, arrived_ns) = heapq.heappop(self._future)
            if self._subscriptions[stream].view is View.JOURNALED:
                return message_of(envelope), arrived_ns, data
            self._mark(envelope.body)
        due = self.machine.next_wake_ns
        if due is not None and due <= now:
            return Wake(due), 0, b""
        return self._inbox.popleft() if self._inbox else (None, 0, b"")

    def _mark(self, body: Contract) -> None:
        if isinstance(body, Bar):
            self.marks[body.symbol] = Mark(body.symbol, body.close, body.close_ns)

    @property
    def _is_something_due(self) -> bool:
        due = self.next_due_ns
        return due is not None and due <= self._time()

    def _time(self) -> int:
        return max(self.now_ns, self._clock.now_ns())

    def _take(self, batch: Batch, after: list[Action], event: Input, arrived_ns: int, data: bytes, now_ns: int) -> None:
        """Handle one input: add to the commit what it adds, and to what follows the commit what follows."""
        if isinstance(event, Message):
            stream = StreamId(event.topic, event.producer)
            if isinstance(event.body, SessionClock):
                self._clock.observe(event.body.now_ns)
                now_ns = self._time()
            self._require_next(stream, event.seq)
        attached = self._attach(self.machine.needs(event))
        effects = self.machine.handle(event, attached, now_ns)
        self.n += 1
        self.now_ns = now_ns
        self.handled += 1
        said, called = len(batch.outputs), len(batch.calls)
        if isinstance(event, Message):
            batch.inputs.append(InputRow(self.n, MESSAGE_KIND, event.topic, event.producer, event.seq, now_ns, arrived_ns, data, encode_attached(attached)))
        else:
            batch.inputs.append(InputRow(self.n, type(event).__name__, "", "", 0, now_ns, arrived_ns, encode_input(event), encode_attached(attached)))
        for effect in effects:
            # The two that nearly every input has come before all others.
            if isinstance(effect, Publish):
                self._publish(batch, event, effect)
            elif isinstance(effect, Archive):
                batch.archive.append(ArchiveRow(effect.kind, effect.key, effect.data))
                self._uncommitted[effect.kind, effect.key] = effect.data
            else:
                self._apply(batch, after, effect)
        if len(batch.calls) > called:
            # Only now: the fence is the last thing this input says on the topic, wherever the call stands among its effects.
            self._waiting += [self._fenced(effect) for effect in effects if isinstance(effect, CallVenue)]
        if isinstance(event, Message):
            batch.watermarks[stream] = (event.seq, self._epochs[stream])
            self._latest = (_Handled(event.seq, self.n),)
            self._unacked[stream] += self._latest
        else:
            self._close(batch, event)
            for handled in self._latest:
                handled.last_n = self.n
            # An event the machine let pass (a gap came before it) will be pushed again: it must not be acknowledged.
            if isinstance(event, VenuePushed) and len(batch.outputs) > said:
                self._unacked_pushes.append((event.event.cursor, self.n))

    def _fenced(self, call: CallVenue) -> _Waiting:
        return _Waiting(call, call.after_topic, self.outboxes[call.after_topic].last if call.after_topic else 0)

    def _require_next(self, stream: StreamId, seq: int) -> None:
        expected = self._taken[stream] + 1
        if seq != expected:
            raise InvariantViolation(f"{stream.topic} of {stream.producer}: message {seq} is next to handle, {expected} was expected")
        self._taken[stream] = seq

    def _close(self, batch: Batch, event: Input) -> None:
        if isinstance(event, _OUTCOMES):
            self._open_calls.pop(event.call_id, None)
            batch.outcomes.append((event.call_id, self.n))
        elif isinstance(event, Observed) and isinstance(event.fact, VenueLinkState):
            self._is_out_of_touch = not event.fact.connected

    def _attach(self, needs: Needs) -> Attached:
        if needs is NO_NEEDS:
            return NOTHING_ATTACHED
        marks = tuple(self.marks[s] for s in needs.symbols if s in self.marks)
        archived = self._archived(needs.archived) if needs.archived else {}
        feed = self._surroundings.feed(needs.feed_step) if needs.feed_step is not None else ()
        if not (marks or archived or feed):
            return NOTHING_ATTACHED
        return Attached(marks, archived, feed)

    def _archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """What the journal holds, and what inputs of this very commit have archived."""
        found = self._surroundings.archived(keys)
        return found | {f"{kind}/{key}": self._uncommitted[kind, key] for kind, key in keys if (kind, key) in self._uncommitted}

    def _apply(self, batch: Batch, after: list[Action], effect: CallVenue | Push | Answer | Log | Halt) -> None:
        match effect:
            case CallVenue():
                batch.calls.append(CallRow(effect.call_id, self.n, encode_call(effect)))
                self._open_calls[effect.call_id] = self.n
            case Push():
                self._sent_pushes.append((effect.event.cursor, self.n))
                after.append(SendPush(effect.event))
            case Answer():
                after.append(Reply(effect))
            case Log():
                after.append(Tell(effect))
            case Halt():
                self._halt_reason = effect.reason
            case _:
                assert_never(effect)

    def _publish(self, batch: Batch, event: Input, effect: Publish) -> None:
        outbox = self.outboxes[effect.topic]
        data = self._codec.encode(wrap(effect, self.spec.daemon, outbox.last + 1, self.epoch, self.now_ns, event))
        seq = outbox.add(data)
        self._unconfirmed[effect.topic].append((seq, self.n))
        batch.outputs.append(OutputRow(effect.topic, seq, self.n, data))
        if isinstance(effect.body, SessionClock):
            self._clock.observe(effect.body.now_ns)

    def _stop_at_fault(self, batch: Batch, event: Input, data: bytes, error: Exception) -> list[Action]:
        """The machine's state is no longer known to be right: keep what came before, name the input, say nothing more."""
        reason = f"{type(error).__name__}: {error}"
        what = type(event).__name__
        if isinstance(event, Message):
            what = f"{event.topic} {event.seq}"
            batch.quarantine.append(QuarantineRow(event.topic, event.producer, event.seq, reason, data))
        exits = self._exit(EXIT_POISON, f"{what} could not be handled: {reason}")
        return [Commit(batch), *exits] if not batch.is_empty else exits

    def _stop_at_poison(self, batch: Batch, row: QuarantineRow) -> list[Action]:
        """What came before the poison is kept; the link stays stopped after the restart, so there is no crash loop."""
        batch.quarantine.append(row)
        return [Commit(batch), *self._exit(EXIT_POISON, f"{row.topic} {row.seq}: {row.reason}")]

    def _finish(self, batch: Batch) -> None:
        batch.acked, self._acked_news = self._acked_news, []
        self._since_snapshot += len(batch.inputs)
        # A snapshot may cost as much as the inputs it saves handling again, not more: the cadence grows with its size.
        if batch.inputs and self._since_snapshot >= max(self.spec.snapshot_every, self._snapshot_cost):
            data = msgspec.json.encode(self.machine.snapshot())
            batch.snapshot = (self.n, data)
            self._since_snapshot, self._snapshot_cost = 0, len(data) // 200

    # Consequences.

    def _writes(self) -> list[Action]:
        actions: list[Action] = []
        for outbox in self.outboxes.values():
            if outbox.confirmed < outbox.last and (action := outbox.next_action()) is not None:
                actions.append(action)
        return actions

    def _release_calls(self) -> list[Action]:
        """Calls whose fence is published, each past the last gate; a refused one gets its reply from the gate itself."""
        actions: list[Action] = []
        if not self._waiting:
            return actions
        waiting, self._waiting = self._waiting, []
        for entry in waiting:
            if entry.topic and self.outboxes[entry.topic].confirmed < entry.seq:
                self._waiting.append(entry)
            elif (refusal := self._refusal(entry.call)) is not None:
                self.on_call_reply(entry.call.call_id, refusal, 0)
            else:
                actions.append(Call(entry.call))
        return actions

    def _refusal(self, call: CallVenue) -> NotSent | None:
        if self._gate is None:
            return None
        return self._gate(call.request, call.approval, self._surroundings.kill_switch(), self._time())

    def _acknowledge(self) -> list[Action]:
        """Acknowledge what has no consequence outstanding any more."""
        floor = self._unfinished_floor()
        seqs: dict[StreamId, int] = {}
        for stream, handled in self._unacked.items():
            while handled and handled[0].last_n < floor:
                seqs[stream] = handled.popleft().seq
        actions: list[Action] = []
        cursor = 0
        while self._unacked_pushes and self._unacked_pushes[0][1] < floor:
            cursor = self._unacked_pushes.popleft()[0]
        if cursor:
            actions.append(AcknowledgePush(cursor))
        if seqs:
            self._acked.update(seqs)
            actions.append(Acknowledge(seqs))
        return actions

    def _unfinished_floor(self) -> int:
        """The lowest input that still has an unpublished message, an open call, an unacknowledged push or a wake to come; else beyond all.

        Out of touch with the venue, calls come back unknown at once and are asked after later: until then all is unfinished.
        """
        if self._is_out_of_touch:
            return 0
        floors = [queue[0][1] for queue in self._unconfirmed.values() if queue]
        floors += self._open_calls.values()
        if self._sent_pushes:
            floors.append(self._sent_pushes[0][1])
        if self._is_something_due:
            floors += [handled.last_n for handled in self._latest]
        return min(floors) if floors else self.n + 1

    def _forget_confirmed(self, topic: str) -> None:
        confirmed, queue = self.outboxes[topic].confirmed, self._unconfirmed[topic]
        while queue and queue[0][0] <= confirmed:
            queue.popleft()

    def _note_acks(self, topic: str, acks: dict[str, int]) -> None:
        for consumer, seq in self.outboxes[topic].on_acknowledged(acks).items():
            self._acked_news.append((topic, consumer, seq))

    # Links.

    def _collect(self, link: Link[_Item]) -> list[Action]:
        """Move what is next in sequence to the inbox, to the marks, or behind the clock."""
        subscription = self._subscriptions[link.stream]
        while (taken := link.take()) is not None:
            seq, item = taken
            envelope = item[0]
            if self._is_foreign(envelope, link.stream):
                return self._stop_link(link, envelope)
            self._epochs[link.stream] = envelope.epoch
            self._fresh_marks.discard(link.stream)
            due_ns = self._due_ns(envelope, subscription)
            if subscription.view is View.AS_MARKS:
                self._unacked[link.stream].append(_Handled(seq, 0))
            if due_ns is not None:
                heapq.heappush(self._future, (due_ns, link.stream, seq, item))
            elif subscription.view is View.JOURNALED:
                self._inbox.append((message_of(envelope), item[2], item[1]))
            else:
                self._mark(envelope.body)
        return self._acknowledge() if subscription.view is View.AS_MARKS else []

    def _due_ns(self, envelope: Envelope, subscription: Subscription) -> int | None:
        """When a message that must wait for the clock may be handled; None for one that need not wait.

        Market data waits until it may be seen. In a replay a message that overtook the clock waits too: handled now, it
        would be dated before its own cause.
        """
        if subscription.sees_future:
            return None
        if isinstance(envelope.body, _MARKET_DATA):
            return visible_ns(envelope.body)
        if self.spec.waits_for_clock and not isinstance(envelope.body, SessionClock) and envelope.ts_ns > self._time():
            return envelope.ts_ns
        return None

    def _start_marks(self, link: Link[_Item], newest: int) -> None:
        """A marks link without history starts one before the newest entry: that one may not be visible yet."""
        if link.stream in self._fresh_marks:
            link.next_seq = max(link.next_seq, newest - 1)

    def _is_foreign(self, envelope: Envelope, stream: StreamId) -> bool:
        """Whether the producer writes another history than the one we know."""
        known = self._epochs[stream]
        return bool(known) and envelope.epoch != known

    def _stop_link(self, link: Link[_Item], envelope: Envelope) -> list[Action]:
        topic, producer = link.stream
        reason = f"producer {producer} has a new journal (epoch {envelope.epoch}, known {self._epochs[link.stream]})"
        link.stop(reason)
        self._inbox.append((Observed(LinkStopped(topic, producer, reason)), 0, b""))
        return [Tell(Log("critical", "link_stopped", (("topic", topic), ("producer", producer), ("reason", reason))))]

    def _decode_from(self, stream: StreamId, seq: int, data: bytes) -> Envelope:
        envelope = self._codec.decode(data)
        if (envelope.topic, envelope.producer, envelope.seq) != (stream.topic, stream.producer, seq):
            raise DecodeError(f"message says {envelope.topic} of {envelope.producer} number {envelope.seq}, the stream says {stream.topic} of {stream.producer} number {seq}")
        return envelope

    def _reads(self, read: Read | None) -> list[Action]:
        return [] if read is None else [read]

    def _exit(self, code: int, reason: str) -> list[Action]:
        return [Tell(Log("critical", "exit", (("code", code), ("reason", reason)))), Exit(code, reason)]
