"""The simulated server: requests and replies travel, deliveries may be lost or repeated, connections go stale."""

from __future__ import annotations

import pytest

from backtest.faults.schedule import MS, Schedule
from backtest.faults.wire import SimulatedServer, WireFaults
from core.ports import StreamId, Token

STREAM = StreamId("in", "up")


class Client:
    """What a client hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.connected = 0
        self.lost = 0

    def on_delivery(self, stream: StreamId, data: bytes) -> None:
        """A delivery."""
        self.heard.append(data)

    def on_connected(self) -> None:
        """Connected."""
        self.connected += 1

    def on_disconnected(self) -> None:
        """Cut off."""
        self.lost += 1


class World:
    """A server with one client, and only the misfortunes the test names."""

    def __init__(self, seed: int = 1, **faults: float) -> None:
        self.schedule = Schedule(seed)
        self.server = SimulatedServer(self.schedule, WireFaults(**{"drop": 0.0, "duplicate": 0.0, "cut": 0.0, **faults}))
        self.client = Client()
        self.server.connect("me", self.client, frozenset({STREAM}))
        self.wait()

    def wait(self, ms: int = 1_000) -> None:
        """Let things happen."""
        self.schedule.run_until(self.schedule.now_ns() + ms * MS)


def test_a_request_is_answered_and_takes_time() -> None:
    """What the server did is known when the reply arrives, not before."""
    world = World()
    began, answers = world.schedule.now_ns(), list[int]()
    world.server.ask("me", lambda store: store.tail(STREAM), answers.append)
    assert answers == []
    world.wait()
    assert answers == [0]
    assert world.schedule.now_ns() > began
    assert (world.client.connected, world.client.lost) == (1, 0)


def test_deliveries_keep_their_order_on_one_connection() -> None:
    """Nothing overtakes what was sent before it."""
    world = World()
    for number in range(50):
        world.server.announce(STREAM, b"%d" % number)
    world.server.announce(StreamId("other", "up"), b"not subscribed")
    world.wait()
    assert world.client.heard == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize(("faults", "count"), [({"drop": 1.0}, 0), ({"duplicate": 1.0}, 2)])
def test_deliveries_are_lost_and_repeated_when_the_wire_says_so(faults: dict[str, float], count: int) -> None:
    """And it is counted, so that a campaign knows what it has proved."""
    world = World(1, **faults)
    world.server.announce(STREAM, b"x")
    world.wait()
    assert len(world.client.heard) == count
    assert world.server.seen == {next(iter(faults)): 1}


def test_a_cut_connection_loses_the_reply_and_comes_back() -> None:
    """The request was done all the same."""
    world, answers = World(cut=1.0), list[None]()
    world.server.ask("me", lambda store: store.acknowledge("me", {STREAM: 3}), answers.append)
    world.wait()
    assert answers == []
    assert world.server.store.acknowledgements(STREAM) == {"me": 3}
    assert (world.client.lost, world.client.connected) == (1, 2)
    assert world.server.seen == {"connection cut": 1, "cut": 1}


def test_a_dead_client_hears_nothing_and_what_it_sent_may_still_arrive() -> None:
    """Sometimes it does, sometimes not."""
    arrived = set()
    for seed in range(20):
        world, answers = World(seed), list[None]()
        world.server.ask("me", lambda store: store.acknowledge("me", {STREAM: 3}), answers.append)
        world.server.announce(STREAM, b"x")
        world.server.disconnect("me")
        world.wait()
        assert (answers, world.client.heard) == ([], [])
        arrived.add(bool(world.server.store.acknowledgements(STREAM)))
    assert arrived == {True, False}


@pytest.mark.parametrize(
    ("faults", "note", "tail"),
    [
        ({"comes_back_empty": 1.0, "comes_back_short": 0.0}, "server came back empty", {0}),
        ({"comes_back_empty": 0.0, "comes_back_short": 1.0}, "server came back with lost tails", {5, 6, 7, 8, 9}),
        ({"comes_back_empty": 0.0, "comes_back_short": 0.0}, "server came back whole", {9}),
    ],
)
def test_a_server_that_died_comes_back_as_it_was_or_poorer(faults: dict[str, float], note: str, tail: set[int]) -> None:
    """Every client is cut off, and connects again when it is up."""
    world = World(3, **faults)
    world.server.store.publish(STREAM, Token("e", 1), 1, 1, [b"x"] * 9)
    world.server.die()
    answers: list[int] = []
    world.server.ask("me", lambda store: store.tail(STREAM), answers.append)
    world.wait()
    assert answers == []
    assert world.server.store.tail(STREAM) in tail
    assert note in world.server.seen
    assert (world.client.lost, world.client.connected) == (1, 2)


def test_a_server_dies_by_chance_after_a_request() -> None:
    """The reply was on its way and is lost."""
    world, answers = World(server_dies=1.0), list[int]()
    world.server.ask("me", lambda store: store.tail(STREAM), answers.append)
    world.wait(20)
    assert answers == []
    assert world.server.seen["server_dies"] == 1


def test_nothing_happens_any_more_when_it_is_healed() -> None:
    """Every chance is zero."""
    faults = WireFaults(server_dies=0.5)
    faults.heal()
    assert (faults.drop, faults.duplicate, faults.cut, faults.server_dies) == (0, 0, 0, 0)
