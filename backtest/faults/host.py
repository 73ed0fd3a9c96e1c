"""One simulated daemon: a node that dies between any two actions and starts again from its journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backtest.faults.disk import SimulatedJournal
from backtest.faults.schedule import MS, Schedule
from backtest.faults.wire import SimulatedServer
from core.contracts import KillSwitchState, KillSwitchStatus
from core.link import Read
from core.machine import FeedRow, Machine
from core.node import Acknowledge, Action, Commit, Exit, Node, NodeSpec, Trim
from core.outbox import ReadOutputs, Write
from core.ports import PublishOutcome, StreamId, StreamSlice, Token
from core.recovery import recover
from core.stream_store import StreamStore

__all__ = ["SimulatedHost"]

_TAIL_CHECK = 500 * MS


class SimulatedHost:
    """Performs a node's actions one by one; with chance `crash` the process dies before any of them.

    `exits` lists how the process ended by its own decision: in a campaign without foreign epochs or lost journals it must
    stay empty.
    """

    def __init__(self, spec: NodeSpec, build: Callable[[], Machine[Any]], snapshot_type: type, schedule: Schedule, server: SimulatedServer) -> None:
        self.spec = spec
        self.build = build
        self.snapshot_type = snapshot_type
        self.journal = SimulatedJournal(f"epoch-{spec.daemon}")
        self.exits: list[str] = []
        self.crash = 0.0
        self.crashes = 0
        self.node: Node | None = None
        self._schedule = schedule
        self._server = server
        self._life = 0
        self._is_pumping = False

    def start(self) -> None:
        """A new process: restore, connect, go on."""
        machine = self.build()
        restored = recover(machine, self.snapshot_type, self.journal.load(), self.spec.daemon)
        self.node = Node(self.spec, machine, restored, self._schedule, self)
        self._life += 1
        self._is_pumping = False
        self._server.connect(self.spec.daemon, self, frozenset(s.stream for s in self.spec.subscriptions))
        self._check_tails(self._life)
        self._pump()

    @property
    def is_quiet(self) -> bool:
        """Whether this daemon lives, and has nothing to do and nothing to say."""
        return self.node is not None and self.node.is_drained and not self.node.wants_step and not self.node.has_gap

    # Surroundings of the node.

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Archived rows by `kind/key`."""
        return self.journal.archived(keys)

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        """No feed here."""
        return ()

    def kill_switch(self) -> KillSwitchState:
        """Never tripped here."""
        return KillSwitchState(status=KillSwitchStatus.CLEAR)

    # What the server tells us.

    def on_connected(self) -> None:
        """Where do all streams end?"""
        life = self._life
        self._ask(self._tails, lambda found: self._perform(self._living(life).on_connected(*found)), life)

    def on_disconnected(self) -> None:
        """The connection is gone."""
        if self.node is not None:
            self.node.on_lost()

    def on_delivery(self, stream: StreamId, data: bytes) -> None:
        """A live delivery."""
        if self.node is not None:
            self._perform(self.node.on_message(stream, data, self._schedule.now_ns()))

    # Doing what the node says.

    def _perform(self, actions: list[Action]) -> None:
        life = self._life
        for action in actions:
            if self._dies():
                self._die()
                return
            self._do(action)
            if self._life != life or self.node is None:
                return
        self._pump()

    def _do(self, action: Action) -> None:
        life = self._life
        match action:
            case Commit(batch):
                self.journal.commit(batch)
            case Write(stream, base, first_seq, bodies):
                token = Token(self._living(life).epoch, self._living(life).incarnation)
                last = first_seq + len(bodies) - 1
                self._ask(
                    lambda store: self._publish(store, stream, token, base, first_seq, bodies),
                    lambda outcome: self._perform(self._living(life).on_published(stream.topic, outcome, last)),
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
            case Exit(_, reason):
                self.exits.append(reason)
                self._die()
            case _:
                pass

    def _publish(self, store: StreamStore, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> PublishOutcome:
        outcome, stored = store.publish(stream, token, base, first_seq, bodies)
        for entry in stored:
            self._server.announce(stream, entry.data)
        return outcome

    def _on_read(self, stream: StreamId, found: StreamSlice, life: int) -> None:
        self._perform(self._living(life).on_read(stream, found.entries, found.last_seq, self._schedule.now_ns()))

    def _tails(self, store: StreamStore) -> tuple[dict[StreamId, int], dict[str, dict[str, int]], dict[StreamId, int]]:
        own = {topic: StreamId(topic, self.spec.daemon) for topic in self.spec.produces}
        streams = [*(s.stream for s in self.spec.subscriptions), *own.values()]
        handled = {s.stream: store.acknowledgements(s.stream).get(self.spec.daemon, 0) for s in self.spec.subscriptions}
        return {stream: store.tail(stream) for stream in streams}, {topic: store.acknowledgements(stream) for topic, stream in own.items()}, handled

    def _check_tails(self, life: int) -> None:
        if self._life != life or self.node is None:
            return
        self._ask(self._tails, lambda found: self._on_tails(found, life), life)
        self._schedule.after(_TAIL_CHECK, lambda: self._check_tails(life))

    def _on_tails(self, found: tuple[dict[StreamId, int], dict[str, dict[str, int]], dict[StreamId, int]], life: int) -> None:
        node = self._living(life)
        for subscription in self.spec.subscriptions:
            self._perform(node.on_check(subscription.stream, found[0][subscription.stream]))
        for topic, acks in found[1].items():
            if self._life == life and self.node is not None:
                self._perform(node.on_acknowledgements(topic, acks))

    def _ask(self, request: Callable[[StreamStore], Any], reply: Callable[[Any], None], life: int) -> None:
        self._server.ask(self.spec.daemon, request, lambda answer: reply(answer) if self._life == life and self.node is not None else None)

    def _pump(self) -> None:
        if self.node is None or self._is_pumping:
            return
        self._is_pumping = True
        life = self._life
        due = self.node.next_due_ns
        delay = 0 if self.node.wants_step else None if due is None else max(0, due - self._schedule.now_ns())
        if delay is None:
            self._is_pumping = False
            return

        def step() -> None:
            if self._life != life or self.node is None:
                return
            self._is_pumping = False
            if self.node.wants_step:
                self._perform(self.node.step())

        self._schedule.after(delay, step)

    def _dies(self) -> bool:
        return self.crash > 0 and self._schedule.chance(f"crash/{self.spec.daemon}").random() < self.crash

    def _die(self) -> None:
        self.crashes += 1
        self._life += 1
        self.node = None
        self._server.disconnect(self.spec.daemon)
        self._schedule.after(self._schedule.chance("restart").randint(1, 200) * MS, self.start)

    def _living(self, life: int) -> Node:
        assert self.node is not None and self._life == life, "a dead daemon was asked to act"
        return self.node
