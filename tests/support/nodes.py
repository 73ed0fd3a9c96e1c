"""A node on a bench: a machine that does what the test says, a clock set by hand, and a journal that survives a restart.

The bench performs actions one by one and refuses what the journal does not justify: bytes that are written, a call, an
answer or a push whose input has not been committed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from backtest.faults.disk import SimulatedJournal
from core.codec import Codec, Envelope
from core.contracts import CancelIntent, Contract, KillSwitchState, KillSwitchStatus
from core.machine import NO_NEEDS, Attached, Command, Effect, FeedRow, Input, Message, Needs
from core.node import Action, Call, Commit, Gate, Node, NodeSpec, Reply, SendPush, Subscription
from core.outbox import ReadOutputs, Write
from core.ports import Entry, PublishOutcome, PublishStatus, StreamId
from core.recovery import recover
from tests.support.builders import NOW

__all__ = ["IN", "OTHER", "OUT", "Bench", "ManualClock", "Puppet", "PuppetState", "a_wire", "a_wish", "kinds", "only"]

IN, OTHER = StreamId("in", "up"), StreamId("other", "side")
OUT = "out"

React = Callable[[Input, Attached], Sequence[Effect]]


def a_wish(number: int = 1) -> CancelIntent:
    """The smallest message there is."""
    return CancelIntent(intent_id=str(number), strategy_id="s", target_intent_id="t", created_ns=NOW)


def a_wire(stream: StreamId, seq: int, body: Contract | None = None, *, epoch: str = "up-epoch", ts_ns: int = NOW) -> bytes:
    """A message as it stands in the stream."""
    return Codec().encode(Envelope(stream.topic, stream.producer, seq, epoch, ts_ns, body or a_wish(seq)))  # type: ignore[arg-type]


def kinds(actions: Sequence[Action]) -> list[str]:
    """The names of actions, in order."""
    return [type(action).__name__ for action in actions]


def only(actions: Sequence[Action], kind: type[Any]) -> list[Any]:
    """The actions of one kind."""
    return [action for action in actions if isinstance(action, kind)]


class ManualClock:
    """The `Clock` port: what the test sets, or what a session clock said."""

    def __init__(self, now_ns: int = NOW) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        """The time."""
        return self.now

    def observe(self, now_ns: int) -> None:
        """A session clock went on."""
        self.now = max(self.now, now_ns)


class PuppetState(msgspec.Struct, frozen=True):
    """How many inputs were handled, and something to make a snapshot large with."""

    handled: int = 0
    padding: str = ""


class Puppet:
    """Machine. Reacts as told; remembers what it was given, what stood beside it and when."""

    def __init__(self, react: React = lambda event, attached: (), needs: Callable[[Input], Needs] = lambda event: NO_NEEDS, due_ns: int | None = None) -> None:
        self.react = react
        self.wants = needs
        self.due_ns = due_ns
        self.seen: list[Input] = []
        self.attached: list[Attached] = []
        self.times: list[int] = []
        self.state = PuppetState()

    @property
    def next_wake_ns(self) -> int | None:
        """What the test set."""
        return self.due_ns

    def needs(self, event: Input) -> Needs:
        """What the test said."""
        return self.wants(event)

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Note and react."""
        self.seen.append(event)
        self.attached.append(attached)
        self.times.append(now_ns)
        self.state = msgspec.structs.replace(self.state, handled=self.state.handled + 1)
        return self.react(event, attached)

    def snapshot(self) -> PuppetState:
        """The whole state."""
        return self.state

    def restore(self, snapshot: PuppetState) -> None:
        """Become the puppet that gave this snapshot."""
        self.state = snapshot

    @property
    def heard(self) -> list[tuple[str, int]]:
        """Topic and number of every message handled."""
        return [(event.topic, event.seq) for event in self.seen if isinstance(event, Message)]


class Bench:
    """One daemon `me` that takes IN and says OUT to `down`, unless told otherwise."""

    def __init__(
        self,
        machine: Puppet | None = None,
        *,
        subscriptions: Sequence[Subscription] = (Subscription(IN),),
        produces: dict[str, tuple[str, ...]] | None = None,
        gate: Gate | None = None,
        clock: ManualClock | None = None,
        journal: SimulatedJournal | None = None,
        **spec: Any,
    ) -> None:
        self.spec = NodeSpec("me", tuple(subscriptions), {OUT: ("down",)} if produces is None else produces, **spec)
        self.machine = machine or Puppet()
        self.clock = clock or ManualClock()
        self.journal = journal or SimulatedJournal("my-epoch")
        self.gate = gate
        self.kill = KillSwitchState(status=KillSwitchStatus.CLEAR)
        self.rows: dict[int, tuple[FeedRow, ...]] = {}
        self.done: list[Action] = []
        self.node = Node(self.spec, self.machine, recover(self.machine, PuppetState, self.journal.load(), "me"), self.clock, self, gate)

    def restarted(self, machine: Puppet) -> Bench:
        """A new process on the same journal; `machine` must react as the one before did."""
        return Bench(
            machine,
            subscriptions=self.spec.subscriptions,
            produces=self.spec.produces,
            gate=self.gate,
            clock=ManualClock(self.clock.now),
            journal=self.journal,
            batch_max=self.spec.batch_max,
            snapshot_every=self.spec.snapshot_every,
            pushes_events=self.spec.pushes_events,
            waits_for_clock=self.spec.waits_for_clock,
        )

    # Surroundings.

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """From the journal."""
        return self.journal.archived(keys)

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        """What the test put there."""
        return self.rows.get(step, ())

    def kill_switch(self) -> KillSwitchState:
        """What the test set."""
        return self.kill

    # What happens to it.

    def connect(self, tails: dict[StreamId, int] | None = None, acks: dict[str, dict[str, int]] | None = None, handled: dict[StreamId, int] | None = None) -> list[Action]:
        """The bus stands."""
        return self.perform(self.node.on_connected(tails or {}, acks or {}, handled or {}))

    def hear(self, seq: int, body: Contract | None = None, *, stream: StreamId = IN, **terms: Any) -> list[Action]:
        """A live delivery."""
        return self.perform(self.node.on_message(stream, a_wire(stream, seq, body, **terms), 1))

    def read(self, *seqs: int, last: int, stream: StreamId = IN, **terms: Any) -> list[Action]:
        """The answer to a read."""
        return self.perform(self.node.on_read(stream, [Entry(seq, a_wire(stream, seq, **terms)) for seq in seqs], last, 1))

    def step(self) -> list[Action]:
        """One step."""
        return self.perform(self.node.step())

    def run(self) -> list[Action]:
        """Steps until there is nothing to do."""
        actions = []
        while self.node.wants_step:
            actions += self.step()
        return actions

    def stored(self, last: int, topic: str = OUT) -> list[Action]:
        """The script stored everything up to `last`."""
        return self.published(PublishStatus.STORED, last, written=last, topic=topic)

    def published(self, status: PublishStatus, last: int, *, written: int = 0, topic: str = OUT) -> list[Action]:
        """The script answered."""
        return self.perform(self.node.on_published(topic, PublishOutcome(status, last), written))

    def perform(self, actions: list[Action]) -> list[Action]:
        """Do what the node says in its order, and hold every action against what is committed by then."""
        self.done += actions
        for action in actions:
            match action:
                case Commit(batch):
                    self.journal.commit(batch)
                case Write(stream, _, first_seq, bodies):
                    rows = {row.seq: row.data for row in self.journal.rows.get(stream.topic, [])}
                    assert [rows.get(seq) for seq in range(first_seq, first_seq + len(bodies))] == list(bodies), f"{action} is not committed"
                case ReadOutputs(stream, from_seq, limit):
                    more = self.node.on_outputs(stream.topic, self.journal.outputs(stream.topic, from_seq, limit))
                    actions = actions + self.perform(more)
                case Call(call):
                    assert call.call_id in self.journal.calls, f"{action} is not committed"
                case Reply(answer):
                    assert any(row.kind == "Command" and answer.command_id.encode() in row.data for row in self.journal.inputs), f"{action} is not committed"
                case SendPush():
                    assert self.journal.inputs and self.journal.inputs[-1].n == self.node.n, f"{action} is not committed"
                case _:
                    pass
        return actions

    def command(self, command_id: str, body: Any) -> None:
        """Somebody asks something."""
        self.node.on_command(Command(command_id, "someone", body), 1)
