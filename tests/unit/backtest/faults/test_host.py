"""A simulated daemon does what its node says in its order, dies between any two actions, and starts again from its journal."""

from __future__ import annotations

from backtest.faults.host import SimulatedHost
from backtest.faults.relay import Relay, RelayState
from backtest.faults.schedule import MS, Schedule
from backtest.faults.wire import SimulatedServer, WireFaults
from core.node import NodeSpec, Subscription
from core.ports import StreamId, Token
from tests.support.nodes import IN, OUT, a_wire

ME = StreamId(OUT, "me")


class World:
    """One relay on a perfect wire."""

    def __init__(self, snapshot_every: int = 5_000) -> None:
        self.schedule = Schedule(1)
        self.until_ns = self.schedule.now_ns()
        self.server = SimulatedServer(self.schedule, WireFaults(drop=0.0, duplicate=0.0, cut=0.0))
        self.host = SimulatedHost(NodeSpec("me", (Subscription(IN),), {OUT: ("down",)}, snapshot_every=snapshot_every), lambda: Relay(OUT), RelayState, self.schedule, self.server)
        self.host.start()

    def say(self, *seqs: int, epoch: str = "up-epoch") -> None:
        """Publish on the stream the relay hears."""
        for seq in seqs:
            _, stored = self.server.store.publish(IN, Token(epoch, 1), 1, seq, [a_wire(IN, seq, epoch=epoch)])
            for entry in stored:
                self.server.announce(IN, entry.data)

    def wait(self, ms: int = 2_000) -> None:
        """Let things happen."""
        self.until_ns += ms * MS
        self.schedule.run_until(self.until_ns)


def test_what_is_heard_is_journaled_published_and_acknowledged() -> None:
    """The whole way through one daemon."""
    world = World()
    world.wait()
    world.say(1, 2, 3)
    world.wait()
    assert world.server.store.tail(ME) == 3
    assert world.server.store.acknowledgements(IN) == {"me": 3}
    assert [row.seq for row in world.host.journal.inputs] == [1, 2, 3]
    assert world.host.is_quiet


def test_what_was_said_while_it_was_away_is_read_from_the_stream() -> None:
    """It needs no delivery."""
    world = World()
    world.say(1, 2)
    world.wait()
    assert world.server.store.acknowledgements(IN) == {"me": 2}


def test_a_stream_is_trimmed_when_its_consumer_has_it() -> None:
    """All but the last acknowledged entry."""
    world = World()
    world.say(1, 2, 3)
    world.wait()
    world.server.store.acknowledge("down", {ME: 3})
    world.wait()
    assert [entry.seq for entry in world.server.store.read(ME, 1, 9).entries] == [3]


def test_it_goes_on_from_its_journal_when_it_dies_all_the_time() -> None:
    """Dying before any action loses nothing and doubles nothing."""
    world = World(snapshot_every=2)
    world.host.crash = 0.4
    for seq in range(1, 21):
        world.say(seq)
        world.wait(100)
    world.host.crash = 0.0
    world.wait(4_000)
    assert world.host.crashes > 5
    assert world.host.exits == []
    assert [row.seq for row in world.host.journal.inputs] == list(range(1, 21))
    assert world.server.store.tail(ME) == 20
    assert world.host.is_quiet


def test_it_notes_why_it_gave_up() -> None:
    """A campaign without such a misfortune must not see one."""
    world = World()
    world.server.store.publish(ME, Token("strange", 1), 1, 1, [b"x"])
    world.wait(200)
    assert world.host.exits[0].startswith("the journal lost history")
    assert not world.host.is_quiet or world.host.crashes


def test_its_surroundings_are_plain() -> None:
    """No feed, no kill switch, the journal's own archive."""
    host = World().host
    assert host.feed(0) == ()
    assert host.kill_switch().status.value == "CLEAR"
    assert host.archived([("k", "1")]) == {}
