"""The thin shell: one asyncio loop that tells the node what happened and does what the node says, in the order it says it.

handle → commit → publish → perform: the node's action list already has that order, and nothing here reorders it. What has
arrived while a commit was under way is handled together in the next one.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from typing import Any, assert_never

import msgspec
import structlog

from apps.runtime.clock import wall_ns
from apps.runtime.home import Home
from apps.runtime.kill_file import KillFile
from apps.runtime.notify import notify, watchdog_interval_s
from apps.runtime.venue_link import VenueClient, VenueServer
from core.codec import Codec, Envelope
from core.contracts import Heartbeat
from core.errors import JournalError
from core.journal import Batch, Journal
from core.link import Read
from core.machine import Answer, BacklogState, Command, Log, Observed, VenueLinkState
from core.node import (
    Acknowledge,
    AcknowledgePush,
    Action,
    Call,
    Commit,
    Exit,
    Node,
    Reply,
    SendPush,
    Tell,
    Trim,
)
from core.outbox import ReadOutputs, Write
from core.ports import Bus, Clock, PublishOutcome, StreamId, StreamSlice, Token
from core.settings import Settings
from core.topics import CONTROL_HEARTBEAT
from core.venue import VenueEvent, VenueReply

__all__ = ["Health", "Shell"]

EXIT_FORCED = 72
EXIT_JOURNAL = 73


class Health(msgspec.Struct, frozen=True):
    """What `/health` says of a daemon. `ready` means connected, caught up and, for the broker, in touch with its venue."""

    daemon: str
    ready: bool
    reasons: tuple[str, ...]
    incarnation: int
    handled: int
    last_n: int
    now_ns: int
    stopped_links: tuple[str, ...]
    backlog: dict[str, int]


class Shell:
    """Runs one node until it is told to stop. `run` returns the exit code; `queries` are what the control socket answers."""

    def __init__(
        self,
        *,
        node: Node,
        journal: Journal,
        bus: Bus,
        clock: Clock,
        home: Home,
        settings: Settings,
        kill_file: KillFile,
        log: structlog.typing.FilteringBoundLogger,
        venue: VenueClient | None = None,
        server: Callable[[Shell], VenueServer] | None = None,
    ) -> None:
        self.node = node
        self.settings = settings
        self.home = home
        self.bus = bus
        self.queries: dict[str, Callable[[], Any]] = {"health": self.health}
        self._journal = journal
        self._clock = clock
        self._kill_file = kill_file
        self._log = log
        self._venue = venue
        self._server = server(self) if server is not None else None
        self._token = Token(node.epoch, node.incarnation)
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Future[int]
        self._tasks: set[asyncio.Future[Any]] = set()
        self._answers: dict[str, Callable[[Answer], None]] = {}
        self._streams = [s.stream for s in node.spec.subscriptions]
        self._own = {topic: StreamId(topic, node.spec.daemon) for topic in node.spec.produces}
        self._connected = False
        self._venue_started = False
        self._venue_connected = False
        self._pumping = False
        self._ready_told = False
        self._draining = False
        self._over_backlog: set[str] = set()
        self._codec = Codec()
        self._beats = 0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, background: Callable[[], Awaitable[None]] | None = None) -> int:
        """Start everything, serve until a signal or an exit action, stop in order."""
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal, number)
        self.observe(Observed(self._kill_file.read()))
        if self._server is not None:
            await self._server.start()
        await self.bus.start(self._streams, self)
        runtime = self.settings.runtime
        chores = ((runtime.tail_check_ms, self._check_tails), (runtime.kill_file_poll_ms, self._check_host), (runtime.heartbeat_ms, self._beat))
        for job in (*(self._every(period_ms, chore) for period_ms, chore in chores), self._watchdog()):
            self._spawn(job)
        if background is not None:
            self._spawn(background())
        self.pump()
        code = await self._stopped
        await self._close()
        return code

    # What the bus, the venue and the operators tell us.

    def on_bus_connected(self, run_id: str) -> None:
        """Find out where all streams stand before anything else is said."""
        self._log.info("bus_connected", run_id=run_id)
        self._ask(self.bus.watermarks([*self._streams, *self._own.values()]), self._on_watermarks)

    def on_bus_lost(self, reason: str) -> None:
        """Nothing is lost with it: the journal tops the streams up later."""
        self._log.warning("bus_lost", reason=reason)
        self._connected = False
        self.node.on_lost()

    def on_bus_broken(self, error: BaseException) -> None:
        """Without its bus a daemon must not look alive: end, and be started again."""
        self._fail(error)

    def on_bus_message(self, stream: StreamId, data: bytes) -> None:
        """A live delivery; one that comes while draining is read again from the stream at the next start."""
        if self._draining:
            return
        self._perform(self.node.on_message(stream, data, wall_ns()))
        self.pump()

    def on_venue_connected(self) -> None:
        """The venue can be asked."""
        self._venue_connected = True
        self.observe(Observed(VenueLinkState(True)))

    def on_venue_lost(self, reason: str) -> None:
        """Open calls have been answered; the machine resolves what is in doubt."""
        if self._venue_connected:
            self._venue_connected = False
            self.observe(Observed(VenueLinkState(False, reason)))

    def on_venue_reply(self, call_id: str, reply: VenueReply) -> None:
        """A call has its outcome."""
        self.node.on_call_reply(call_id, reply, wall_ns())
        self.pump()

    def on_venue_event(self, event: VenueEvent) -> None:
        """The venue pushed something."""
        self.node.on_push(event, wall_ns())
        self.pump()

    def observe(self, observed: Observed) -> None:
        """Tell the machine a fact."""
        self.node.on_observed(observed, wall_ns())
        if not self._draining:
            self.pump()

    def command(self, command: Command, answer: Callable[[Answer], None] | None = None) -> None:
        """Journal a command; its answer is given after the commit."""
        if answer is not None:
            self._answers[command.command_id] = answer
        self.node.on_command(command, wall_ns())
        self.pump()

    def tell(self, log: Log) -> None:
        """Write a log line."""
        getattr(self._log, log.level)(log.event, **{k: v if v is None or isinstance(v, int) else str(v) for k, v in log.fields})

    def on_push_acknowledged(self, cursor: int) -> None:
        """Venue side: the broker has taken everything up to here."""
        self._perform(self.node.on_push_acknowledged(cursor))

    @property
    def is_connected(self) -> bool:
        """Whether the bus stands and all streams' ends are known."""
        return self._connected

    @property
    def is_quiet(self) -> bool:
        """Whether everything taken in is handled and everything said is in Redis."""
        return self._connected and self.node.is_published and not self.node.wants_step

    def health(self) -> Health:
        """How this daemon is, and what keeps it from being ready."""
        reasons = []
        if not self._connected:
            reasons.append("bus not connected")
        if self.node.has_gap:
            reasons.append("catching up")
        if self._draining:
            reasons.append("draining")
        if self._venue is not None and not self._venue_connected:
            reasons.append("venue not connected")
        stopped = tuple(f"{s.topic}: {why}" for s, why in self.node.stopped_links.items())
        reasons.extend(f"link stopped: {text}" for text in stopped)
        return Health(
            self.node.spec.daemon,
            not reasons,
            tuple(reasons),
            self.node.incarnation,
            self.node.handled,
            self.node.n,
            self.node.now_ns,
            stopped,
            {topic: outbox.backlog for topic, outbox in self.node.outboxes.items() if outbox.consumers},
        )

    def pump(self) -> None:
        """Handle what has arrived, once the loop has taken in everything that came with it."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._step)

    # Doing what the node says.

    def _step(self) -> None:
        self._pumping = False
        if self._stopped.done():
            return
        if self.node.wants_step:
            self._perform(self.node.step())
        if self.node.wants_step:
            self.pump()
        else:
            self._arm_timer()

    def _arm_timer(self) -> None:
        """Wake up when the machine's next moment comes; under a session clock only the feed moves time."""
        due = self.node.next_due_ns
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.now_ns()
        if due is not None and now and self.settings.runtime.clock == "system":
            self._timer = self._loop.call_later(max(0.0, (due - now) / 1e9), self.pump)

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if self._stopped.done():
                return
            self._do(action)

    def _do(self, action: Action) -> None:
        match action:
            case Commit(batch):
                self._commit(batch)
            case Write(stream, base, first_seq, bodies):
                last = first_seq + len(bodies) - 1
                self._ask(self.bus.publish(stream, self._token, base, first_seq, bodies), lambda outcome: self._on_published(stream.topic, outcome, last))
            case ReadOutputs(stream, from_seq, limit):
                self._perform(self.node.on_outputs(stream.topic, self._journal.outputs(stream.topic, from_seq, limit)))
            case Read(stream, from_seq, limit):
                self._ask(self.bus.read(stream, from_seq, limit), lambda found: self._on_read(stream, found))
            case Call(call):
                assert self._venue is not None, f"call {call.call_id}: this daemon has no venue"
                self._venue.call(call)
            case Reply(answer):
                self._reply(answer)
            case SendPush(event):
                assert self._server is not None, "a push from a daemon that is no venue"
                self._server.push(event)
            case AcknowledgePush(cursor):
                assert self._venue is not None, "an acknowledgement from a daemon that has no venue"
                self._venue.acknowledge(cursor)
            case Acknowledge(seqs):
                if self._connected and seqs:
                    self._ask(self.bus.acknowledge(self.node.spec.daemon, seqs), _ignore)
            case Trim(stream, below_seq):
                self._ask(self.bus.trim(stream, below_seq), _ignore)
            case Tell(log):
                self.tell(log)
            case Exit(code, reason):
                self._log.critical("exit", code=code, reason=reason)
                self._stop(code)
            case _:
                assert_never(action)

    def _commit(self, batch: Batch) -> None:
        try:
            self._journal.commit(batch)
        except JournalError as error:
            self._log.critical("journal_failed", reason=str(error))
            self._stop(EXIT_JOURNAL)

    def _reply(self, answer: Answer) -> None:
        if self._server is not None and self._server.answer(answer):
            return
        handler = self._answers.pop(answer.command_id, None)
        if handler is not None:
            handler(answer)

    def _ask(self, awaitable: Awaitable[Any], then: Callable[[Any], None]) -> None:
        """Await in the background; a lost connection is the bus's to report, anything else ends the process."""
        future = asyncio.ensure_future(awaitable)
        self._tasks.add(future)

        def done(finished: asyncio.Future[Any]) -> None:
            self._tasks.discard(finished)
            if finished.cancelled() or self._stopped.done():
                return
            error = finished.exception()
            if error is None:
                then(finished.result())
            elif not isinstance(error, ConnectionError):
                self._fail(error)

        future.add_done_callback(done)

    def _on_published(self, topic: str, outcome: PublishOutcome, written: int) -> None:
        self._perform(self.node.on_published(topic, outcome, written))
        if self.node.wants_step:
            self.pump()
        if not self._venue_started and self.node.is_published:
            self._start_venue()

    def _on_read(self, stream: StreamId, found: StreamSlice) -> None:
        self._perform(self.node.on_read(stream, found.entries, found.last_seq, wall_ns()))
        self.pump()

    def _on_watermarks(self, marks: dict[StreamId, tuple[int, dict[str, int]]]) -> None:
        self._connected = True
        acks = {topic: marks[stream][1] for topic, stream in self._own.items()}
        handled = {stream: marks[stream][1].get(self.node.spec.daemon, 0) for stream in self._streams}
        self._perform(self.node.on_connected({stream: last for stream, (last, _) in marks.items()}, acks, handled))
        self.pump()
        if not self._venue_started and self.node.is_published:
            self._start_venue()

    def _start_venue(self) -> None:
        """Only when everything an earlier run said is published: until then an event taken from the venue could look reported and not be."""
        self._venue_started = True
        if self._venue is not None:
            self._venue.start(self)

    def _on_tails(self, marks: dict[StreamId, tuple[int, dict[str, int]]]) -> None:
        for stream in self._streams:
            self._perform(self.node.on_check(stream, marks[stream][0]))
        for topic, stream in self._own.items():
            self._perform(self.node.on_acknowledgements(topic, marks[stream][1]))
        self._watch_backlog()
        self.pump()
        self._tell_ready()

    def _watch_backlog(self) -> None:
        """A consumer that does not keep up is told to the machine when the bound is passed, and when it has caught up."""
        bound = self.settings.runtime.backlog_max
        for topic, outbox in self.node.outboxes.items():
            is_over = outbox.backlog > bound
            if is_over != (topic in self._over_backlog):
                self._over_backlog.symmetric_difference_update({topic})
                self._log.error("backlog", topic=topic, behind=outbox.backlog, allowed=bound, over=is_over)
                self.observe(Observed(BacklogState(topic, outbox.backlog, is_over)))

    def _tell_ready(self) -> None:
        if not self._ready_told and self.health().ready:
            self._ready_told = True
            self._log.info("ready", incarnation=self.node.incarnation)
            notify("READY=1")

    # Chores.

    async def _every(self, period_ms: int, chore: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(period_ms / 1000)
            chore()

    def _check_tails(self) -> None:
        if self._connected:
            self._ask(self.bus.watermarks([*self._streams, *self._own.values()]), self._on_tails)

    def _check_host(self) -> None:
        """The kill file on every change; a disk that is nearly full before it is full."""
        state = self._kill_file.read_change()
        if state is not None:
            self._log.warning("kill_switch", status=state.status.value, reason=state.reason)
            self.observe(Observed(state))
        free_mb = shutil.disk_usage(self.home.root).free // 2**20
        if free_mb < self.settings.journal.disk_free_mb_min:
            self._log.critical("disk_full", free_mb=free_mb, required=self.settings.journal.disk_free_mb_min)
            self._stop(EXIT_JOURNAL)

    def _beat(self) -> None:
        """Say that this process lives, to whoever listens now. Beats are numbered per run: nobody fills their gaps."""
        self._beats += 1
        node, now_ns = self.node, wall_ns()
        beat = Heartbeat(daemon=node.spec.daemon, incarnation=node.incarnation, ready=self.health().ready, sent_ns=now_ns)
        topic = CONTROL_HEARTBEAT.name()
        self.bus.announce(topic, node.spec.daemon, self._codec.encode(Envelope(topic, node.spec.daemon, self._beats, node.epoch, now_ns, beat)))

    async def _watchdog(self) -> None:
        interval = watchdog_interval_s()
        while interval is not None:
            notify("WATCHDOG=1")
            await asyncio.sleep(interval)

    def _spawn(self, job: Awaitable[None]) -> None:
        self._ask(job, _ignore)

    def _fail(self, error: BaseException) -> None:
        self._log.critical("crash", error=f"{type(error).__name__}: {error}")
        if not self._stopped.done():
            self._stopped.set_exception(error)

    # Stopping.

    def _on_signal(self, number: int) -> None:
        """The first signal drains; the second one forces."""
        if self._draining:
            self._stop(EXIT_FORCED)
            return
        self._draining = True
        self._log.info("draining", signal=signal.Signals(number).name)
        notify("STOPPING=1")
        self._ask(self._drain(), _ignore)

    async def _drain(self) -> None:
        """Take nothing new in, let everything said be published and every call come back, then snapshot and go."""
        deadline = self._loop.time() + self.settings.runtime.drain_timeout_ms / 1000
        while self._loop.time() < deadline and (self.node.wants_step or (self._connected and not self.node.is_drained)):
            await asyncio.sleep(0.01)
        if not self._stopped.done():
            self._commit(self.node.snapshot_batch())
            self._stop(0)

    def _stop(self, code: int) -> None:
        if not self._stopped.done():
            self._stopped.set_result(code)

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._venue is not None:
            await self._venue.stop()
        if self._server is not None:
            await self._server.stop()
        await self.bus.stop()


def _ignore(_: object) -> None:
    """Nothing follows."""
