"""A whole suite in one thread on real journals: every input is one commit, and a test may look between any two of them.

The machines are those the daemons run. Which daemon comes next is drawn from a seed, so that consumers run ahead of one
another in all the ways processes do; each takes its own inputs in order, one session clock step after the other.
"""

from __future__ import annotations

import random
from collections import deque
from pathlib import Path
from typing import Any, assert_never

import msgspec

from apps.md_ingest.bars import BarColumns, BarFeed
from apps.runtime.home import Home, open_home
from apps.runtime.journal import SqliteJournal
from apps.runtime.settings_loader import LoadedSettings
from core.codec import Codec
from core.contracts import Bar, KillSwitchState, KillSwitchStatus, SessionClock, SessionPhase
from core.feed import Feed
from core.ids import account_prefix
from core.journal import MESSAGE_KIND, ArchiveRow, Batch, CallRow, InputRow, OutputRow, encode_attached, encode_call, encode_input
from core.machine import (
    Answer,
    Archive,
    Attached,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    Effect,
    FeedExhausted,
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
    Settled,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.ports import StreamId
from core.replay import ReplayConductor
from core.settings import Settings
from core.topics import Daemon, View
from core.topology import node_spec
from core.venue import VenueReply
from core.wire import message_of, wrap
from execution.broker_gateway import build_gateway
from execution.gate import build_gate
from execution.oms import build_oms
from execution.venues.simulated import build_venue
from risk.engine import build_risk_engine
from strategies.host import build_host
from tests.support.builders import NOW, STRATEGY, SYMBOL, settings_with

__all__ = ["JournaledSuite", "a_zigzag", "trading_settings"]

_CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)
_MINUTE_NS = 60 * 10**9


def trading_settings(**sections: Any) -> Settings:
    """A suite whose strategy trades on a zigzag."""
    strategies = {STRATEGY: {"kind": "sma_cross", "symbols": [SYMBOL], "params": {"fast": 1, "slow": 2}}}
    return settings_with(**({"strategies": strategies} | sections))


def a_zigzag(steps: int) -> Feed:
    """Bars of one symbol that turn every third minute."""
    closes = [100.0 + (k % 6 if k % 6 < 4 else 6 - k % 6) for k in range(steps)]
    ends = [NOW + k * _MINUTE_NS for k in range(steps)]
    return BarFeed("1m", BarColumns([SYMBOL] * steps, [end - _MINUTE_NS for end in ends], ends, closes, closes, closes, closes, [1_000.0] * steps))


class _Process:
    """One daemon: its journal, its machine, and what has arrived and is not handled yet."""

    def __init__(self, daemon: Daemon, journal: SqliteJournal, machine: Machine[Any]) -> None:
        self.daemon = daemon
        self.journal = journal
        self.machine = machine
        self.inbox: deque[tuple[Input, bytes, int]] = deque()
        self.held: list[tuple[Message, bytes]] = []
        self.now_ns = 0
        self.n = 0
        self.heads: dict[str, int] = {}

    @property
    def due(self) -> int | None:
        """The wake that has come."""
        due = self.machine.next_wake_ns
        return due if due is not None and due <= self.now_ns else None

    @property
    def is_busy(self) -> bool:
        """Whether there is something to handle."""
        return bool(self.inbox) or self.due is not None


class JournaledSuite:
    """The suite of one home. Use it as a context manager, or close it: journals are locked while it lives."""

    def __init__(self, root: Path, settings: Settings, feed: Feed, seed: int = 0) -> None:
        self.home: Home = open_home(root)
        self.settings = settings
        self.loaded = LoadedSettings(settings, "hash", settings.model_dump_json(), {})
        self.handled = 0
        self._feed = feed
        self._draw = random.Random(seed)
        self._codec = Codec()
        self._gate = build_gate(settings)
        self._marks: dict[str, Mark] = {}
        self._coming_marks: dict[str, Mark] = {}
        self._open: list[SqliteJournal] = []
        self._processes = {daemon: self._process(daemon) for daemon in Daemon}
        self._hearers: dict[StreamId, list[tuple[_Process, bool]]] = {}
        for daemon, process in self._processes.items():
            for subscription in node_spec(daemon, settings).subscriptions:
                if subscription.view is View.JOURNALED:
                    self._hearers.setdefault(subscription.stream, []).append((process, subscription.sees_future))
            self._give(process, ConfigLoaded(self.loaded.config_hash, self.loaded.content))
            self._give(process, Observed(_CLEAR))
        self._give(self._processes[Daemon.BROKER], Observed(VenueLinkState(True)))
        self._give(self._processes[Daemon.MD_INGEST], Observed(FeedExhausted(len(feed) - 1)))

    def __enter__(self) -> JournaledSuite:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def machines(self) -> dict[Daemon, Machine[Any]]:
        """The machines as they stand."""
        return {daemon: process.machine for daemon, process in self._processes.items()}

    def advance(self, inputs: int = 1) -> bool:
        """Handle so many inputs, wherever; False when the replay has ended and everything has settled."""
        for _ in range(inputs):
            busy = [process for process in self._processes.values() if process.is_busy]
            if busy:
                self._handle(self._draw.choice(busy))
            elif not self._settled():
                return False
        return True

    def run(self) -> None:
        """To the end, with a snapshot in every journal."""
        while self.advance():
            pass
        for process in self._processes.values():
            process.journal.commit(Batch(snapshot=(process.n, msgspec.json.encode(process.machine.snapshot()))))

    def close(self) -> None:
        """Let go of the journals; nothing can be handled after it."""
        while self._open:
            self._open.pop().close()

    def _process(self, daemon: Daemon) -> _Process:
        journal = SqliteJournal(self.home.journal(daemon.value), 1)
        # Nobody pulls the plug here, and a suite in one thread must not wait for the disk at every input.
        journal._db.execute("pragma synchronous = off")
        self._open.append(journal)
        prefix = account_prefix(self.settings.environment, self.settings.account.name, self.home.account_epoch)
        machines: dict[Daemon, Machine[Any]] = {
            Daemon.MD_INGEST: ReplayConductor(),
            Daemon.STRATEGY_RUNNER: build_host(self.settings, epoch=journal.epoch),
            Daemon.RISK_ENGINE: build_risk_engine(self.settings, id_prefix=prefix),
            Daemon.OMS: build_oms(self.settings),
            Daemon.BROKER: build_gateway(self.settings),
            Daemon.PAPER_VENUE: build_venue(self.settings),
        }
        return _Process(daemon, journal, machines[daemon])

    def _settled(self) -> bool:
        """Tell the conductor that nothing is under way; False when it has nothing more to say."""
        conductor = self._processes[Daemon.MD_INGEST]
        assert isinstance(conductor.machine, ReplayConductor)
        if conductor.machine.is_done:
            return False
        self._give(conductor, Observed(Settled(conductor.machine.progress.step)))
        return True

    def _give(self, process: _Process, event: Input, data: bytes = b"") -> None:
        process.inbox.append((event, data, 1_000 * (self.handled + 1)))

    def _handle(self, process: _Process) -> None:
        """One input, one commit, and what follows from it on its way."""
        self.handled += 1
        due = process.due
        event, data, arrived_ns = (Wake(due), b"", 0) if due is not None else process.inbox.popleft()
        if isinstance(event, Message) and isinstance(event.body, SessionClock):
            process.now_ns = max(process.now_ns, event.body.now_ns)
        attached = self._attached(process, process.machine.needs(event))
        effects = process.machine.handle(event, attached, process.now_ns)
        process.n += 1
        batch = Batch(inputs=[self._row(process, event, data, arrived_ns, attached)])
        if isinstance(event, Message):
            batch.watermarks[StreamId(event.topic, event.producer)] = (event.seq, "e")
        if isinstance(event, CallReplied):
            batch.outcomes.append((event.call_id, process.n))
        for effect in effects:
            self._record(process, batch, event, effect)
        process.journal.commit(batch)
        for output in batch.outputs:
            self._deliver(StreamId(output.topic, process.daemon.value), output.data)
        for effect in effects:
            self._perform(process, effect)

    def _row(self, process: _Process, event: Input, data: bytes, arrived_ns: int, attached: Attached) -> InputRow:
        beside = encode_attached(attached)
        if isinstance(event, Message):
            return InputRow(process.n, MESSAGE_KIND, event.topic, event.producer, event.seq, process.now_ns, arrived_ns, data, beside)
        return InputRow(process.n, type(event).__name__, "", "", 0, process.now_ns, arrived_ns, encode_input(event), beside)

    def _attached(self, process: _Process, needs: Needs) -> Attached:
        marks = tuple(self._marks[symbol] for symbol in needs.symbols if symbol in self._marks)
        has_rows = needs.feed_step is not None and needs.feed_step < len(self._feed)
        return Attached(marks, process.journal.archived(needs.archived), self._feed.step(needs.feed_step or 0).rows if has_rows else ())

    def _record(self, process: _Process, batch: Batch, event: Input, effect: Effect) -> None:
        match effect:
            case Publish(topic):
                seq = process.heads[topic] = process.heads.get(topic, 0) + 1
                data = self._codec.encode(wrap(effect, process.daemon.value, seq, process.journal.epoch, process.now_ns, event))
                batch.outputs.append(OutputRow(topic, seq, process.n, data))
            case CallVenue(call_id):
                batch.calls.append(CallRow(call_id, process.n, encode_call(effect)))
            case Archive(kind, key, data):
                batch.archive.append(ArchiveRow(kind, key, data))
            case Halt(reason):
                raise AssertionError(f"{process.daemon.value} halts: {reason}")
            case Push() | Answer() | Log():
                pass
            case _:
                assert_never(effect)

    def _deliver(self, stream: StreamId, data: bytes) -> None:
        """To everyone who takes it in; what may not be seen yet is held back until the clock says so."""
        message = message_of(self._codec.decode(data))
        is_open = isinstance(message.body, SessionClock) and message.body.phase is SessionPhase.DECIDE
        if isinstance(message.body, Bar):
            self._coming_marks[message.body.symbol] = Mark(message.body.symbol, message.body.close, message.body.close_ns)
        if is_open:
            self._marks |= self._coming_marks
        for process, sees_future in self._hearers.get(stream, []):
            if isinstance(message.body, Bar) and not sees_future:
                process.held.append((message, data))
                continue
            self._give(process, message, data)
            if is_open:
                for held in process.held:
                    self._give(process, *held)
                process.held.clear()

    def _perform(self, process: _Process, effect: Effect) -> None:
        broker, venue = self._processes[Daemon.BROKER], self._processes[Daemon.PAPER_VENUE]
        if isinstance(effect, CallVenue):
            refusal = self._gate(effect.request, effect.approval, _CLEAR, process.now_ns)
            if refusal is None:
                self._give(venue, Command(effect.call_id, process.daemon.value, effect.request))
            else:
                self._give(broker, CallReplied(effect.call_id, refusal))
        elif isinstance(effect, Answer) and isinstance(effect.reply, VenueReply):
            self._give(broker, CallReplied(effect.command_id, effect.reply))
        elif isinstance(effect, Push):
            self._give(broker, VenuePushed(effect.event))
