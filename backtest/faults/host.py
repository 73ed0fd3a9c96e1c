"""One simulated process: a node that dies between any two actions, stops for a while, and starts again from its journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backtest.faults.disk import SimulatedJournal
from backtest.faults.schedule import MS, Schedule
from backtest.faults.windows import windows_of
from backtest.faults.wire import SimulatedServer
from core.contracts import Approval, KillSwitchState, KillSwitchStatus
from core.errors import NjordError
from core.gate import ArmState, Gate, GateFacts
from core.journal import Batch
from core.link import Read
from core.machine import FeedRow, Machine
from core.node import Acknowledge, AcknowledgePush, Action, Call, Commit, Exit, Node, NodeSpec, Reply, SendPush, Trim
from core.outbox import ReadOutputs, Write
from core.ports import PublishOutcome, PublishStatus, StreamId, StreamSlice, Token
from core.recovery import recover
from core.stream_store import StreamStore

__all__ = ["EXIT_JOURNAL", "ProcessFaults", "SimulatedHost"]

EXIT_JOURNAL = 73
"""What a shell ends with when a commit fails (apps/runtime/shell.py)."""

_LEAVES = (Write, Call, Reply, SendPush, Acknowledge, AcknowledgePush)
_TAIL_CHECK = 500 * MS
_POISON = b'{"topic":"'
_SLOW_CONSUMER = 25
"""So many deliveries nobody takes make the server disconnect a stopped client."""


class ProcessFaults(msgspec.Struct):
    """Chances, 0 to 1: to die before an action, inside a commit or during recovery; that a commit fails; that the process is stopped for a while."""

    crash: float = 0.0
    torn_commit: float = 0.0
    recovery_crash: float = 0.0
    disk_error: float = 0.0
    pause: float = 0.0


class SimulatedHost:
    """Performs a node's actions one by one; with chance `crash` the process dies before any of them.

    `stored` is how far each of its topics was ever stored, `violations` what left too early. `connection` names its client at the server;
    with `poisons_next` the next message it publishes to a consumer arrives as bytes that mean nothing. `exits` lists how the process ended by its own decision: in a campaign without foreign epochs or lost journals it must
    stay empty. A process that halted, or `is_gone`, is not started again. A crash before an action stands for a crash after the
    one before it as well: between the two nothing can be seen from outside.
    """

    def __init__(
        self,
        spec: NodeSpec,
        build: Callable[[], Machine[Any]],
        snapshot_type: type,
        schedule: Schedule,
        server: SimulatedServer,
        *,
        faults: ProcessFaults | None = None,
        gate: Gate | None = None,
        restarts_halted: bool = True,
    ) -> None:
        self.spec = spec
        self.build = build
        self.snapshot_type = snapshot_type
        self.journal = SimulatedJournal(f"epoch-{spec.daemon}")
        self.exits: list[str] = []
        self.failures: list[str] = []
        self.violations: list[str] = []
        self.faults = faults or ProcessFaults()
        self.crashes = 0
        self.stored: dict[str, int] = {}
        self.is_gone = False
        self.ended_ns = 0
        self.connection = spec.daemon
        self.poisons_next = False
        self.node: Node | None = None
        self._schedule = schedule
        self._server = server
        self._gate = gate
        self._restarts_halted = restarts_halted
        self._own = {topic: StreamId(topic, spec.daemon) for topic in spec.produces}
        self._heard = frozenset(s.stream for s in spec.subscriptions)
        self._life = 0
        self._is_pumping = False
        self._is_paused = False
        self._alarm_ns = 0
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._unanswered_writes = 0
        self._kinds = {kind: f"{kind}/{spec.daemon}" for kind in ("crash", "torn commit", "recovery crash", "disk error", "pause")}

    @property
    def crash(self) -> float:
        """The chance to die before an action."""
        return self.faults.crash

    @crash.setter
    def crash(self, probability: float) -> None:
        self.faults.crash = probability

    def start(self) -> None:
        """A new process: restore, connect, go on."""
        if self.is_gone:
            return
        machine = self.build()
        try:
            restored = recover(machine, self.snapshot_type, self.journal.load(), self.spec.daemon)
        except NjordError as error:
            self.failures.append(f"{self.spec.daemon} could not recover: {error}")
            self.ended_ns = self._schedule.now_ns()
            return
        if self._happens("recovery crash", self.faults.recovery_crash):
            self._die()
            return
        self.node = Node(self.spec, machine, restored, self._schedule, self, self._gate)
        self._life += 1
        self._is_pumping = self._is_paused = False
        self._alarm_ns = 0
        self._waiting.clear()
        self._unanswered_writes = 0
        self._schedule.trace(f"{self.spec.daemon} starts as {restored.incarnation} at {restored.last_n}")
        self._begin(self.node)
        self._server.connect(self.connection, self, self._heard)
        self._check_tails(self._life)
        self._pump()

    @property
    def is_quiet(self) -> bool:
        """Whether this daemon lives, and has nothing to do and nothing to say."""
        return self.node is not None and not self._is_paused and self.node.is_drained and not self.node.wants_step and not self.node.has_gap

    # Surroundings of the node.

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Archived rows by `kind/key`."""
        return self.journal.archived(keys)

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        """No feed here."""
        return ()

    def gate_facts(self, approval: Approval | None) -> GateFacts:
        """No venue here, so nobody asks."""
        return GateFacts(KillSwitchState(status=KillSwitchStatus.CLEAR), True, ArmState(True, "nothing to arm"))

    def seal(self, approval: Approval) -> Approval:
        """No key here."""
        return approval

    # What a daemon of its own kind adds.

    def _begin(self, node: Node) -> None:
        """A run begins: what the machine is told before anything else."""

    def _published(self, node: Node) -> None:
        """Everything an earlier run said is in the stream."""

    def _ended(self) -> None:
        """The process is gone, and what it held open with it."""

    def _act(self, action: Action) -> None:
        """Do what only some daemons do."""

    # What the server tells us.

    def on_connected(self) -> None:
        """Where do all streams end?"""
        life = self._life
        self._enter(life, lambda: self._ask(self._tails, lambda found: self._on_where_streams_end(found, life), life))

    def on_disconnected(self) -> None:
        """The connection is gone."""
        self._unanswered_writes = 0
        if self.node is not None:
            self._enter(self._life, self.node.on_lost)

    def on_delivery(self, stream: StreamId, data: bytes) -> None:
        """A live delivery."""
        node, life = self.node, self._life
        if node is None:
            return
        if self._is_paused and len(self._waiting) >= _SLOW_CONSUMER:
            self._schedule.note("slow consumer cut off")
            self._server.cut(self.connection)
            return
        self._enter(life, lambda: self._perform(node.on_message(stream, data, self._schedule.now_ns())))

    # Doing what the node says.

    def _perform(self, actions: list[Action]) -> None:
        life = self._life
        for action in actions:
            if self._dies():
                for window in windows_of(action, is_publishing=self._unanswered_writes > 0):
                    self._schedule.note(window)
                self._die()
                return
            self._do(action)
            if self._life != life or self.node is None:
                return
        self._pump()

    def _do(self, action: Action) -> None:
        life = self._life
        if isinstance(action, _LEAVES):
            self._watch(action)
        match action:
            case Commit(batch):
                self._commit(batch)
            case Write(stream, base, first_seq, bodies):
                token = Token(self._living(life).epoch, self._living(life).incarnation)
                last = first_seq + len(bodies) - 1
                self._unanswered_writes += 1
                self._ask(
                    lambda store: self._publish(store, stream, token, base, first_seq, bodies),
                    lambda outcome: self._on_published(stream.topic, outcome, last, life),
                    life,
                )
            case ReadOutputs(stream, from_seq, limit):
                self._perform(self._living(life).on_outputs(stream.topic, self.journal.outputs(stream.topic, from_seq, limit)))
            case Read(stream, from_seq, limit):
                self._ask(lambda store: store.read(stream, from_seq, limit), lambda found: self._on_read(stream, found, life), life)
            case Acknowledge(seqs):
                self._ask(lambda store: store.acknowledge(self.spec.daemon, seqs), lambda _: None, life)
            case Trim(stream, below_seq):
                self._ask(lambda store: store.trim(stream, below_seq), lambda _: None, life)
            case Exit(code, reason):
                self._schedule.trace(f"{self.spec.daemon} exits {code}: {reason}")
                self.exits.append(reason)
                self.ended_ns = self._schedule.now_ns()
                self.is_gone = not self._restarts_halted
                self._die()
            case _:
                self._act(action)

    def _watch(self, action: Action) -> None:
        """Nothing may leave while something handled is not committed, and an acknowledgement stands for published consequences."""
        assert self.node is not None
        if self.journal.last_n != self.node.n:
            self.violations.append(f"{self.spec.daemon}: {type(action).__name__} left at input {self.node.n}, committed is {self.journal.last_n}")
        if not isinstance(action, Acknowledge):
            return
        n = max((self.journal.handled_in.get((stream.topic, seq), 0) for stream, seq in action.seqs.items()), default=0)
        for topic in self._own:
            said = self.journal.said_by(topic, n)
            if said > self.stored.get(topic, 0):
                self.violations.append(f"{self.spec.daemon}: acknowledged up to input {n}, whose {topic} {said} is not stored")

    def _commit(self, batch: Batch) -> None:
        """A commit is durable when it returns. The process may die inside it, or the disk may fail it: then it is there or it is not."""
        if self._happens("torn commit", self.faults.torn_commit):
            is_kept = self._schedule.details().random() < 0.5
            self._schedule.note("W9 died inside a commit, which is there" if is_kept else "W15 died inside a commit, which is torn")
            if is_kept:
                self.journal.commit(batch)
            self._die()
            return
        if self._happens("disk error", self.faults.disk_error):
            is_kept = self._schedule.details().random() < 0.3
            self._schedule.note("W16 a commit failed")
            if is_kept:
                self.journal.commit(batch)
            self._die()
            return
        self.journal.commit(batch)
        self._schedule.trace(f"{self.spec.daemon} commits {[row.kind for row in batch.inputs]} {[(row.topic, row.seq) for row in batch.outputs]}")
        for row in batch.outputs:
            self._schedule.trace(self.spec.daemon, row.data)

    def _publish(self, store: StreamStore, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> PublishOutcome:
        if self.poisons_next and self.spec.produces[stream.topic]:
            self.poisons_next = False
            bodies = (*bodies[:-1], _POISON)
            self._schedule.note("W23 a message that nobody can read")
        outcome, stored = store.publish(stream, token, base, first_seq, bodies)
        self._schedule.trace(f"server {stream.topic} {first_seq} {len(bodies)}: {outcome.status} {outcome.last_seq}")
        if outcome.status is not PublishStatus.STORED:
            self._schedule.note(f"publish answered {outcome.status}")
            return outcome
        self.stored[stream.topic] = max(self.stored.get(stream.topic, 0), first_seq + len(bodies) - 1)
        if not stored:
            self._schedule.note("W3 publish was already there")
        for entry in stored:
            self._server.announce(stream, entry.data)
        return outcome

    def _on_where_streams_end(self, found: tuple[dict[StreamId, int], dict[str, dict[str, int]], dict[StreamId, int]], life: int) -> None:
        self._perform(self._living(life).on_connected(*found))
        self._tell_published(life)

    def _on_published(self, topic: str, outcome: PublishOutcome, written: int, life: int) -> None:
        self._unanswered_writes -= 1
        self._perform(self._living(life).on_published(topic, outcome, written))
        self._tell_published(life)

    def _tell_published(self, life: int) -> None:
        if self.node is not None and self._life == life and self.node.is_published:
            self._published(self.node)

    def _on_read(self, stream: StreamId, found: StreamSlice, life: int) -> None:
        self._perform(self._living(life).on_read(stream, found.entries, found.last_seq, self._schedule.now_ns()))

    def _tails(self, store: StreamStore) -> tuple[dict[StreamId, int], dict[str, dict[str, int]], dict[StreamId, int]]:
        daemon = self.spec.daemon
        handled = {stream: store.acknowledgements(stream).get(daemon, 0) for stream in self._heard_in_order}
        tails = {stream: store.tail(stream) for stream in (*self._heard_in_order, *self._own.values())}
        return tails, {topic: store.acknowledgements(stream) for topic, stream in self._own.items()}, handled

    @property
    def _heard_in_order(self) -> tuple[StreamId, ...]:
        return tuple(s.stream for s in self.spec.subscriptions)

    def _check_tails(self, life: int) -> None:
        if self._life != life or self.node is None:
            return
        if not self._is_paused:
            self._ask(self._tails, lambda found: self._on_tails(found, life), life)
        self._schedule.after(_TAIL_CHECK, lambda: self._check_tails(life))

    def _on_tails(self, found: tuple[dict[StreamId, int], dict[str, dict[str, int]], dict[StreamId, int]], life: int) -> None:
        node = self._living(life)
        for subscription in self.spec.subscriptions:
            actions = node.on_check(subscription.stream, found[0][subscription.stream])
            if actions:
                self._schedule.note("W6 a tail check found what was missed")
                self._perform(actions)
        for topic, acks in found[1].items():
            if self._life == life and self.node is not None and (actions := node.on_acknowledgements(topic, acks)):
                self._perform(actions)
        if self._life == life and self.node is not None:
            self._pump()

    def _ask(self, request: Callable[[StreamStore], Any], reply: Callable[[Any], None], life: int) -> None:
        self._server.ask(self.connection, request, lambda answer: self._enter(life, lambda: reply(answer)))

    def _pump(self) -> None:
        if self.node is None or self._is_pumping or self._is_paused:
            return
        life, now_ns = self._life, self._schedule.now_ns()
        if self.node.wants_step:
            self._is_pumping = True
            self._schedule.after(0, lambda: self._enter(life, self._step))
            return
        due_ns = self.node.next_due_ns
        if due_ns is None or now_ns < self._alarm_ns <= due_ns:
            return
        self._alarm_ns = due_ns
        self._schedule.after(due_ns - now_ns, lambda: self._enter(life, self._pump))

    def _step(self) -> None:
        self._is_pumping = False
        if self.node is not None and self.node.wants_step:
            self._perform(self.node.step())

    # Stopping, and going on.

    def _enter(self, life: int, action: Callable[[], None]) -> None:
        """Something reaches the process, unless it is another one by now. A stopped one takes it when it goes on."""
        if self._life != life or self.node is None:
            return
        if self._is_paused:
            self._waiting.append((life, action))
        elif self._happens("pause", self.faults.pause):
            self._waiting.append((life, action))
            self.pause(self._schedule.details().randint(50, 9_000) * MS)
        else:
            action()

    def pause(self, for_ns: int) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        self._is_paused = True
        life = self._life
        self._schedule.after(for_ns, lambda: self._go_on(life))

    def _go_on(self, life: int) -> None:
        if self._life != life or self.node is None:
            return
        self._is_paused = False
        while self._waiting and not self._is_paused:
            of_life, action = self._waiting.popleft()
            if self._life != of_life or self.node is None:
                return
            action()
        self._pump()

    # Dying.

    def die_for_good(self) -> None:
        """The process ends now and nobody starts it again."""
        self.is_gone = True
        self.die()

    def die(self) -> None:
        """The process ends now."""
        if self.node is not None:
            self._die()

    def _dies(self) -> bool:
        return self._happens("crash", self.faults.crash)

    def _happens(self, kind: str, probability: float) -> bool:
        return self._schedule.happens(self._kinds[kind], probability)

    def _die(self) -> None:
        self.crashes += 1
        self._life += 1
        self.node = None
        self._waiting.clear()
        self._schedule.trace(f"{self.spec.daemon} is gone")
        self._server.disconnect(self.connection)
        self._ended()
        if not self.is_gone:
            self._schedule.after(self._schedule.chance("restart").randint(1, 200) * MS, self.start)

    def _living(self, life: int) -> Node:
        assert self.node is not None and self._life == life, "a dead daemon was asked to act"
        return self.node
