"""The shell performs what the node says, in the order it says it, over an in-memory bus, a real journal and real signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from apps.runtime.clock import SystemClock, wall_ns
from apps.runtime.control_socket import ControlSocket, ask_daemon
from apps.runtime.home import Home, open_home
from apps.runtime.journal import SqliteJournal
from apps.runtime.kill_file import KillFile
from apps.runtime.logs import open_log
from apps.runtime.memory_bus import MemoryBroker, MemoryBus
from apps.runtime.shell import EXIT_FORCED, EXIT_JOURNAL, Shell
from apps.runtime.venue_link import VenueListener
from core.codec import Codec, Envelope
from core.contracts import CancelIntent, KillSwitchState, KillSwitchStatus, SetTradingState, TradingState
from core.errors import JournalError
from core.journal import Batch
from core.machine import (
    NO_NEEDS,
    Answer,
    Attached,
    BacklogState,
    CallReplied,
    CallVenue,
    Command,
    Effect,
    FeedRow,
    Halt,
    Input,
    Log,
    Message,
    Needs,
    Observed,
    Publish,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.node import EXIT_HALT, EXIT_POISON, Node, NodeSpec, Subscription
from core.ports import StreamId, Token
from core.recovery import recover
from core.settings import Settings
from core.venue import Cancel, NotFound, RequestRejected, VenueEvent, VenueReply
from tests.support.builders import settings_with

HEARD, SAID = StreamId("strat.intent", "strategy_runner"), StreamId("risk.decision", "relay")
PATIENCE_S = 5.0


class Seen(msgspec.Struct):
    """All a recording machine has been told, and when it wants to be woken."""

    inputs: list[str] = msgspec.field(default_factory=list)
    wake_ns: int | None = None


class Recorder:
    """A machine that notes every input and does what its `on` table says about it."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.events: list[Input] = []
        self.on: dict[type, Callable[[Any], Sequence[Effect]]] = {Message: lambda m: [Publish(SAID.topic, m.body)]}

    @property
    def next_wake_ns(self) -> int | None:
        return self.seen.wake_ns

    def needs(self, event: Input) -> Needs:
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        self.seen.inputs.append(type(event).__name__)
        self.events.append(event)
        if isinstance(event, Wake):
            self.seen.wake_ns = None
        return self.on.get(type(event), lambda _: ())(event)

    def snapshot(self) -> Seen:
        return self.seen

    def restore(self, snapshot: Seen) -> None:
        self.seen = snapshot


class FakeVenue:
    """A venue connection that remembers what was asked."""

    def __init__(self) -> None:
        self.calls: list[CallVenue] = []
        self.acknowledged: list[int] = []
        self.listener: VenueListener | None = None
        self.is_stopped = False

    def start(self, listener: VenueListener) -> None:
        self.listener = listener

    def call(self, call: CallVenue) -> None:
        self.calls.append(call)

    def acknowledge(self, cursor: int) -> None:
        self.acknowledged.append(cursor)

    async def stop(self) -> None:
        self.is_stopped = True


class Surroundings:
    """A node's look-ups."""

    def __init__(self, home: Home) -> None:
        self._kill = KillFile(home.kill_file)

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        return {}

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        return ()

    def kill_switch(self) -> KillSwitchState:
        return self._kill.read()


class World:
    """One running shell, the bus it is on, and everything a test may do to both."""

    def __init__(self, root: Path, broker: MemoryBroker, settings: Settings, *, has_venue: bool = True) -> None:
        self.home = open_home(root)
        self.broker = broker
        self.machine = Recorder()
        self.journal = SqliteJournal(self.home.journal("relay"), wall_ns())
        restored = recover(self.machine, Seen, self.journal.load(), "relay")
        clock = SystemClock()
        spec = NodeSpec("relay", (Subscription(HEARD),), {SAID.topic: ("oms",)})
        self.log, self.log_file = open_log(self.home.logs, "relay", "info")
        self.venue = FakeVenue()
        self.shell = Shell(
            node=Node(spec, self.machine, restored, clock, Surroundings(self.home)),
            journal=self.journal,
            bus=MemoryBus(broker),
            clock=clock,
            home=self.home,
            settings=settings,
            kill_file=KillFile(self.home.kill_file),
            log=self.log,
            venue=self.venue if has_venue else None,
        )
        self.control = ControlSocket(self.home.socket("relay"), self.shell)
        self.running: asyncio.Future[int]
        self._codec = Codec()
        self._said = 0

    async def start(self) -> None:
        self.running = asyncio.ensure_future(self.shell.run())
        await self.control.start()
        await self.until(lambda: self.shell.is_connected)

    async def close(self) -> None:
        if not self.running.done():
            self.shell._stop(0)
        await asyncio.wait([self.running])
        await self.control.stop()
        self.journal.close()
        self.log_file.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"{self.machine.seen.inputs}, log: {self.logged}") from None

    async def end(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.shield(self.running)

    async def say(self, *names: str) -> None:
        """Publish intents as the strategy runner."""
        bodies = []
        for number, name in enumerate(names, self._said + 1):
            body = CancelIntent(intent_id=name, strategy_id="s", target_intent_id=name, created_ns=1)
            bodies.append(self._codec.encode(Envelope(HEARD.topic, HEARD.producer, number, "e", 1, body)))
        await self.store(*bodies)

    async def store(self, *bodies: bytes) -> None:
        """Store and announce raw bytes as the next intents."""
        _, entries = self.broker.store.publish(HEARD, Token("e", 1), 1, self._said + 1, bodies)
        self._said += len(bodies)
        for entry in entries:
            self.broker.deliver(HEARD, entry.data)

    @property
    def heard(self) -> list[str]:
        return [event.body.intent_id for event in self.machine.events if isinstance(event, Message) and isinstance(event.body, CancelIntent)]

    @property
    def said(self) -> list[str]:
        entries = self.broker.store.read(SAID, 1, 100).entries
        return [body.intent_id for entry in entries if isinstance(body := self._codec.decode(entry.data).body, CancelIntent)]

    @property
    def logged(self) -> list[str]:
        return [json.loads(line)["event"] for line in (self.home.logs / "relay.ndjson").read_text().splitlines()]

    async def ask(self, request: dict[str, object]) -> dict[str, Any]:
        return await asyncio.to_thread(ask_daemon, self.home.socket("relay"), request)


QUICK = {"tail_check_ms": 20, "kill_file_poll_ms": 10, "heartbeat_ms": 100, "drain_timeout_ms": 500, "clock": "system"}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running shell."""
    made = World(tmp_path / "home", MemoryBroker(), settings_with(runtime=QUICK))
    await made.start()
    yield made
    await made.close()


async def test_message_is_handled_committed_and_passed_on_when_it_arrives(world: World) -> None:
    """The whole way: heard, in the journal, said."""
    await world.say("a", "b")
    await world.until(lambda: world.said == ["a", "b"])
    assert world.heard == ["a", "b"]
    assert [row.kind for row in world.journal.load().suffix].count("Message") == 2


async def test_gap_is_filled_when_a_delivery_was_lost(world: World) -> None:
    """The next number shows the hole; the last one, with silence after it, is found by the tail check."""
    world.broker.drop_deliveries(1)
    await world.say("a", "b")
    await world.until(lambda: world.said == ["a", "b"])
    world.broker.drop_deliveries(1)
    await world.say("c")
    await world.until(lambda: world.said == ["a", "b", "c"])


async def test_everything_goes_on_when_the_server_comes_back_empty(world: World) -> None:
    """What was said and not acknowledged is said again; what was heard is not heard again."""
    await world.say("a")
    await world.until(lambda: world.said == ["a"])
    world.broker.die()
    world.broker.store.lose_everything()
    world.broker.come_back()
    await world.until(lambda: world.said == ["a"])
    await world.until(lambda: world.broker.store.acknowledgements(HEARD).get("relay") == 1)
    assert world.heard == ["a"]


async def test_consequences_stand_behind_an_acknowledgement_when_it_is_given(world: World) -> None:
    """The relay acknowledges what it heard once what it said is stored."""
    await world.say("a")
    await world.until(lambda: world.broker.store.acknowledgements(HEARD).get("relay") == 1)
    assert world.said == ["a"]


async def test_kill_file_is_observed_when_it_changes(world: World) -> None:
    """At start, when it is tripped, and when it is cleared."""
    world.home.kill_file.touch()
    await world.until(lambda: _kills(world) == [KillSwitchStatus.CLEAR, KillSwitchStatus.TRIPPED])
    world.home.kill_file.unlink()
    await world.until(lambda: _kills(world)[-1] is KillSwitchStatus.CLEAR)


def _kills(world: World) -> list[KillSwitchStatus]:
    return [event.fact.status for event in world.machine.events if isinstance(event, Observed) and isinstance(event.fact, KillSwitchState)]


async def test_machine_is_woken_when_its_moment_comes(world: World) -> None:
    """Under the system clock a timer does it, and once."""
    world.machine.on[Message] = lambda _: _wake_in(world, 30)
    await world.say("a")
    await world.until(lambda: "Wake" in world.machine.seen.inputs)
    assert world.machine.seen.inputs.count("Wake") == 1


def _wake_in(world: World, ms: int) -> Sequence[Effect]:
    world.machine.seen.wake_ns = wall_ns() + ms * 1_000_000
    return ()


class TestVenue:
    """Calls, replies and pushes."""

    async def test_call_reaches_the_venue_and_its_reply_the_machine(self, world: World) -> None:
        """One reply per call, as an input of its own."""
        world.machine.on[Message] = lambda m: [CallVenue("c-1", Cancel(client_order_id="o"))]
        await world.say("a")
        await world.until(lambda: [call.call_id for call in world.venue.calls] == ["c-1"])
        reply: VenueReply = NotFound()
        world.shell.on_venue_reply("c-1", reply)
        await world.until(lambda: CallReplied("c-1", reply) in world.machine.events)

    async def test_push_is_acknowledged_when_it_is_reported(self, world: World) -> None:
        """The venue may forget an event when what it led to is stored."""
        world.machine.on[VenuePushed] = lambda _: [Publish(SAID.topic, CancelIntent(intent_id="p", strategy_id="s", target_intent_id="p", created_ns=1))]
        event: VenueEvent = RequestRejected(cursor=4, client_order_id="o", request="cancel", reason="late")
        world.shell.on_venue_event(event)
        await world.until(lambda: world.venue.acknowledged == [4])
        assert world.said == ["p"]

    async def test_loss_is_told_once_when_the_venue_goes(self, world: World) -> None:
        """And only when it had been there."""
        world.shell.on_venue_lost("never there")
        world.shell.on_venue_connected()
        world.shell.on_venue_lost("gone")
        world.shell.on_venue_lost("gone")
        states = [VenueLinkState(True), VenueLinkState(False, "gone")]
        await world.until(lambda: [event.fact for event in world.machine.events if isinstance(event, Observed) and isinstance(event.fact, VenueLinkState)] == states)

    async def test_venue_is_connected_only_when_all_that_was_said_is_stored(self, tmp_path: Path) -> None:
        """Until then an event taken from the venue could look reported and not be."""
        broker = MemoryBroker()
        broker.die()
        made = World(tmp_path / "late", broker, settings_with(runtime=QUICK))
        made.running = asyncio.ensure_future(made.shell.run())
        await asyncio.sleep(0.05)
        assert made.venue.listener is None
        broker.come_back()
        await made.until(lambda: made.venue.listener is not None)
        await made.close()


class TestHealth:
    """What /health says, and who hears that a daemon lives."""

    async def test_daemon_is_ready_when_connected_and_its_venue_answers(self, world: World) -> None:
        """And says why it is not before."""
        assert "venue not connected" in world.shell.health().reasons
        world.shell.on_venue_connected()
        assert world.shell.health().ready
        world.broker.die()
        await world.until(lambda: not world.shell.health().ready)
        assert "bus not connected" in world.shell.health().reasons

    async def test_daemon_is_ready_without_a_venue_when_it_needs_none(self, tmp_path: Path) -> None:
        """Most daemons have none: connected and caught up is ready."""
        made = World(tmp_path / "plain", MemoryBroker(), settings_with(runtime=QUICK), has_venue=False)
        await made.start()
        assert made.shell.health().ready
        await made.close()

    async def test_others_hear_a_heartbeat_when_they_listen(self, world: World) -> None:
        """Heartbeats are announced and never stored."""
        beats = StreamId("control.heartbeat", "relay")
        heard: list[bytes] = []

        class Listener:
            def on_bus_connected(self, run_id: str) -> None: ...

            def on_bus_lost(self, reason: str) -> None: ...

            def on_bus_broken(self, error: BaseException) -> None: ...

            def on_bus_message(self, stream: StreamId, data: bytes) -> None:
                heard.append(data)

        bus = MemoryBus(world.broker)
        await bus.start([beats], Listener())
        await world.until(lambda: len(heard) >= 2)
        await bus.stop()
        assert [Codec().decode(data).seq for data in heard[:2]] in ([1, 2], [2, 3])
        assert world.broker.store.tail(beats) == 0

    async def test_machine_hears_of_a_backlog_when_a_consumer_lags(self, tmp_path: Path) -> None:
        """Once when the bound is passed, and once when it has caught up."""
        made = World(tmp_path / "slow", MemoryBroker(), settings_with(runtime={**QUICK, "backlog_max": 2}))
        await made.start()
        await made.say("a", "b", "c")
        await made.until(lambda: Observed(BacklogState(SAID.topic, 3, True)) in made.machine.events)
        made.broker.store.acknowledge("oms", {SAID: 3})
        await made.until(lambda: Observed(BacklogState(SAID.topic, 0, False)) in made.machine.events)
        await made.close()


class TestControlSocket:
    """The operators' door."""

    async def test_command_is_journaled_with_its_actor_when_asked(self, world: World) -> None:
        """The kernel says who asks, and the answer comes after the commit."""
        world.machine.on[Command] = lambda c: [Answer(c.command_id, "done")]
        reply = await world.ask({"command": {"type": "SetTradingState.1", "trading_state": "HALTED", "reason": "drill"}})
        assert reply == {"ok": True, "text": "done"}
        command = next(event for event in world.machine.events if isinstance(event, Command))
        assert command.body == SetTradingState(trading_state=TradingState.HALTED, reason="drill")
        assert command.actor
        assert "Command" in [row.kind for row in world.journal.load().suffix]

    @pytest.mark.parametrize("request_", [{"command": {"type": "Nonsense.1"}}, {"surprise": 1}, {"command": {"type": "SetTradingState.1", "trading_state": "MAYBE", "reason": ""}}])
    async def test_nothing_is_journaled_when_a_request_makes_no_sense(self, world: World, request_: dict[str, object]) -> None:
        """The asker is told what was wrong."""
        reply = await world.ask(request_)
        assert reply["ok"] is False and reply["text"].startswith("request ")
        assert "Command" not in world.machine.seen.inputs

    async def test_queries_are_named_when_an_unknown_one_is_asked(self, world: World) -> None:
        """What is allowed is said."""
        assert await world.ask({"query": "weather"}) == {"ok": False, "text": "query 'weather': unknown, allowed are health"}
        assert (await world.ask({"query": "health"}))["result"]["daemon"] == "relay"

    @pytest.mark.parametrize(("path", "status"), [("/health", "200"), ("/live", "200"), ("/ready", "503"), ("/nowhere", "404")])
    async def test_http_is_served_when_a_request_is_one(self, world: World, path: str, status: str) -> None:
        """`curl --unix-socket` works; not ready is 503."""
        reader, writer = await asyncio.open_unix_connection(world.home.socket("relay"))
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert json.loads(answer.partition("\r\n\r\n")[2])

    async def test_socket_is_for_its_owner_when_listening(self, world: World) -> None:
        """0600: the daemon's user and root alone."""
        assert world.home.socket("relay").stat().st_mode & 0o777 == 0o600

    async def test_asking_fails_clearly_when_no_daemon_listens(self, world: World) -> None:
        """The error names the socket."""
        with pytest.raises(ConnectionError, match=r"nobody\.sock"):
            await asyncio.to_thread(ask_daemon, world.home.socket("nobody"), {"query": "health"})


class TestEnds:
    """Every way a process ends."""

    async def test_process_drains_and_snapshots_when_told_to_stop(self, world: World) -> None:
        """SIGTERM: what was taken in is finished, and the next start has nothing to handle again."""
        await world.say("a")
        await world.until(lambda: world.said == ["a"])
        os.kill(os.getpid(), signal.SIGTERM)
        assert await world.end() == 0
        assert list(world.journal.load().suffix) == []
        assert world.venue.is_stopped

    async def test_process_stops_at_once_when_told_twice(self, world: World) -> None:
        """The second signal does not wait for the drain."""
        world.broker.die()
        world.machine.on[Message] = lambda m: [CallVenue("c-1", Cancel(client_order_id="o"))]
        world.broker.come_back()
        await world.say("a")
        await world.until(lambda: bool(world.venue.calls))
        os.kill(os.getpid(), signal.SIGTERM)
        await world.until(lambda: "draining" in world.logged)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await world.end() == EXIT_FORCED

    async def test_process_halts_when_its_machine_says_so(self, world: World) -> None:
        """After the commit of what led to it, with the reason in the log."""
        world.machine.on[Message] = lambda _: [Log("critical", "no_more", (("why", "test"),)), Halt("a person must look")]
        await world.say("a")
        assert await world.end() == EXIT_HALT
        assert "no_more" in world.logged

    async def test_poison_is_kept_and_its_link_stays_stopped_when_started_again(self, world: World, tmp_path: Path) -> None:
        """What came before it is handled; the restart does not loop."""
        await world.say("a")
        await world.store(b"nonsense")
        assert await world.end() == EXIT_POISON
        assert world.said == ["a"] or world.heard == ["a"]
        await world.close()
        again = World(tmp_path / "home", world.broker, settings_with(runtime=QUICK))
        await again.start()
        await again.until(lambda: bool(again.shell.health().stopped_links))
        assert not again.shell.health().ready
        await again.close()
        world.journal = SqliteJournal(tmp_path / "spare.sqlite", 1)
        world.log_file = (tmp_path / "spare.log").open("w")

    async def test_nothing_leaves_when_the_journal_cannot_be_written(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failed commit ends the process before the write, the call or the answer it would have justified."""

        def fail(batch: Batch) -> None:
            raise JournalError("disk full")

        monkeypatch.setattr(world.journal, "commit", fail)
        world.machine.on[Message] = lambda m: [Publish(SAID.topic, m.body), CallVenue("c-1", Cancel(client_order_id="o"))]
        await world.say("a")
        assert await world.end() == EXIT_JOURNAL
        assert (world.said, world.venue.calls) == ([], [])

    async def test_process_ends_when_its_bus_breaks(self, world: World) -> None:
        """Not a lost connection but a bug of the bus: without it a daemon would look alive and hear nothing."""
        world.shell.on_bus_broken(RuntimeError("bug"))
        with pytest.raises(RuntimeError, match="bug"):
            await world.end()
        assert "crash" in world.logged

    async def test_process_stops_when_the_disk_is_nearly_full(self, tmp_path: Path) -> None:
        """Before it is full, while the journal can still be closed well."""
        made = World(tmp_path / "full", MemoryBroker(), settings_with(runtime=QUICK, journal={"disk_free_mb_min": 2**40}))
        made.running = asyncio.ensure_future(made.shell.run())
        await made.control.start()
        assert await made.end() == EXIT_JOURNAL
        assert "disk_full" in made.logged
        await made.close()
