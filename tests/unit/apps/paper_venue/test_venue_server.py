"""The venue's end of its socket: one broker at a time, its requests in order, its events after it has subscribed."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from apps.paper_venue.venue_server import SocketVenueServer
from apps.runtime.shell import Shell
from core.machine import Answer
from core.venue import AcknowledgeEvents, Lookup, NotFound, Refused, RequestRejected, Subscribe, Subscribed
from tests.support.venue_socket import NotedShell, Raw, answered, socket_folder

__all__ = ["socket_folder"]


def _lookup(call_id: str, client_order_id: str = "o1") -> bytes:
    return msgspec.json.encode({"id": call_id, "request": {"type": "Lookup", "client_order_id": client_order_id}})


def _subscribe(cursor: int) -> bytes:
    return msgspec.json.encode({"id": f"subscribe{cursor}", "request": {"type": "Subscribe", "cursor": cursor}})


def _acknowledge(cursor: int) -> bytes:
    return msgspec.json.encode({"id": "", "request": {"type": "AcknowledgeEvents", "cursor": cursor}})


def _event(cursor: int) -> RequestRejected:
    return RequestRejected(cursor=cursor, client_order_id="o1", request="CANCEL", reason="no")


class Bench:
    """A server whose machine is the test."""

    def __init__(self, folder: Path) -> None:
        self.shell = NotedShell(folder)
        self.server = SocketVenueServer(cast(Shell, self.shell))

    async def connect(self) -> Raw:
        """A broker whose connection has been accepted."""
        raw = await Raw.connect(self.shell.path)
        raw.say(_lookup("hello"))
        assert (await self.shell.next()).command_id == "hello"
        return raw

    async def subscribe(self, broker: Raw, cursor: int = 0) -> None:
        """Subscribe, up to and with the answer."""
        broker.say(_subscribe(cursor))
        self.server.answer(answered(await self.shell.next(), Subscribed(last_cursor=9)))
        assert b"Subscribed" in await broker.line()


@pytest.fixture
async def bench(socket_folder: Path) -> AsyncIterator[Bench]:
    made = Bench(socket_folder)
    await made.server.start()
    yield made
    await Raw.close_all()
    await made.server.stop()


async def test_only_its_user_may_open_the_socket_when_it_listens(bench: Bench) -> None:
    """The socket file is 0600."""
    assert stat.S_IMODE(bench.shell.path.stat().st_mode) == 0o600


async def test_request_is_journaled_and_its_answer_sent_when_a_broker_asks(bench: Bench) -> None:
    """A request becomes a command under the broker's call id, and the machine's answer goes back under it."""
    broker = await Raw.connect(bench.shell.path)
    broker.say(_lookup("o1.lookup1"))
    command = await bench.shell.next()
    assert (command.command_id, command.actor, command.body) == ("o1.lookup1", "broker", Lookup(client_order_id="o1"))
    assert bench.server.answer(answered(command, NotFound()))
    assert await broker.line() == b'{"id":"o1.lookup1","reply":{"type":"NotFound"}}'


async def test_answer_is_left_to_others_when_no_broker_asked(bench: Bench) -> None:
    """An operator's command is answered by the control socket."""
    assert not bench.server.answer(Answer("op-1-1", "done"))


async def test_requests_are_journaled_in_order_when_several_arrive_together(bench: Bench) -> None:
    """Requests of one connection keep their order."""
    broker = await Raw.connect(bench.shell.path)
    broker.say(*(_lookup(f"c{k}") for k in range(20)))
    assert [(await bench.shell.next()).command_id for _ in range(20)] == [f"c{k}" for k in range(20)]


async def test_older_connection_ends_when_a_new_one_comes(bench: Bench) -> None:
    """One broker connection at a time."""
    older = await bench.connect()
    await bench.connect()
    assert await older.line() == b""
    assert bench.shell.logs == ["broker_replaced"]


async def test_unread_requests_are_gone_when_a_new_connection_comes(bench: Bench) -> None:
    """What the older connection sent and nobody had read never becomes a command: "not found" on the new one is final."""
    older = await bench.connect()
    stuck = bench.server._current
    assert stuck is not None
    assert stuck._transport is not None
    stuck._transport.pause_reading()
    older.say(_lookup("placed-late"))
    newer = await bench.connect()
    stuck.data_received(_lookup("already-in-the-loop") + b"\n")
    newer.say(_lookup("after"))
    assert (await bench.shell.next()).command_id == "after"
    assert bench.shell.commands.empty()


async def test_rest_of_a_chunk_is_gone_when_its_connection_was_closed_by_an_earlier_line(bench: Bench) -> None:
    """After a malformed line nothing else of that connection is taken."""
    broker = await bench.connect()
    broker.say(b"not json", _lookup("never"))
    assert await broker.line() == b""
    assert bench.shell.commands.empty()


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"\xff",
        b"{}",
        b'{"id":"a","request":{"type":"Steal"}}',
        b'{"id":"","request":{"type":"Lookup","client_order_id":"o1"}}',
        _acknowledge(3).replace(b'""', b'"a"'),
    ],
)
async def test_connection_ends_and_nothing_is_journaled_when_a_frame_is_malformed(bench: Bench, line: bytes) -> None:
    """A peer that cannot be understood is not listened to."""
    broker = await bench.connect()
    broker.say(line)
    assert await broker.line() == b""
    assert bench.shell.commands.empty()
    assert bench.shell.logs == ["broker_malformed_request"]


async def test_answer_is_dropped_when_the_asker_was_replaced(bench: Bench) -> None:
    """An answer belongs to the connection that asked, never to the next one."""
    older = await bench.connect()
    older.say(_lookup("a"))
    asked = await bench.shell.next()
    newer = await bench.connect()
    assert bench.server.answer(answered(asked, NotFound()))
    newer.say(_lookup("b"))
    bench.server.answer(answered(await bench.shell.next(), NotFound()))
    assert b'"b"' in await newer.line()


async def test_each_request_gets_its_own_answer_when_an_id_comes_again_on_a_new_connection(bench: Bench) -> None:
    """The first answer is the old connection's and dropped; the second one is the new connection's."""
    older = await bench.connect()
    older.say(_lookup("a"))
    first = await bench.shell.next()
    newer = await bench.connect()
    newer.say(_lookup("a"))
    second = await bench.shell.next()
    assert bench.server.answer(answered(first, NotFound()))
    assert bench.server.answer(answered(second, Refused(code="SECOND")))
    assert b"SECOND" in await newer.line()
    assert not bench.server.answer(answered(second, NotFound()))


async def test_no_event_comes_before_the_subscription_when_events_happen(bench: Bench) -> None:
    """A broker that got event 7 before the 5 and 6 it lacks would acknowledge all three."""
    broker = await bench.connect()
    bench.server.push(_event(7))
    await bench.subscribe(broker, 4)
    bench.server.push(_event(5))
    assert msgspec.json.decode(await broker.line())["event"]["cursor"] == 5


async def test_events_stop_when_the_subscriber_was_replaced(bench: Bench) -> None:
    """A new connection must subscribe for itself."""
    await bench.subscribe(await bench.connect())
    newer = await bench.connect()
    bench.server.push(_event(1))
    await bench.subscribe(newer)
    bench.server.push(_event(2))
    assert msgspec.json.decode(await newer.line())["event"]["cursor"] == 2


async def test_cursor_counts_as_acknowledged_when_the_subscription_is_answered(bench: Bench) -> None:
    """Not when it arrives: until the machine has pushed again what the broker lacks, nothing may look taken."""
    broker = await bench.connect()
    broker.say(_subscribe(4))
    command = await bench.shell.next()
    assert command.body == Subscribe(cursor=4)
    assert bench.shell.acknowledged == []
    bench.server.answer(answered(command, Subscribed(last_cursor=6)))
    assert bench.shell.acknowledged == [4]


async def test_cursor_counts_not_when_the_subscription_is_refused(bench: Bench) -> None:
    """A refused subscription starts nothing."""
    broker = await bench.connect()
    broker.say(_subscribe(4))
    bench.server.answer(answered(await bench.shell.next(), Refused(code="NO")))
    bench.server.push(_event(5))
    assert bench.shell.acknowledged == []
    assert b"NO" in await broker.line()


async def test_subscription_counts_not_when_its_connection_was_replaced(bench: Bench) -> None:
    """What an older connection asked for neither opens the new one nor says that anything was taken."""
    older = await bench.connect()
    older.say(_subscribe(4))
    stale = await bench.shell.next()
    newer = await bench.connect()
    assert bench.server.answer(answered(stale, Subscribed(last_cursor=6)))
    bench.server.push(_event(5))
    assert bench.shell.acknowledged == []
    await bench.subscribe(newer, 4)
    assert bench.shell.acknowledged == [4]


async def test_acknowledgement_is_journaled_and_told_to_the_node_when_subscribed(bench: Bench) -> None:
    """AcknowledgeEvents has no answer, and frees what caused the events."""
    broker = await bench.connect()
    await bench.subscribe(broker, 4)
    broker.say(_acknowledge(6))
    command = await bench.shell.next()
    assert (command.command_id, command.body) == ("", AcknowledgeEvents(cursor=6))
    assert bench.shell.acknowledged == [4, 6]
    assert not bench.server.answer(Answer("", NotFound()))


async def test_acknowledgement_frees_nothing_when_the_subscription_is_not_answered_yet(bench: Bench) -> None:
    """After a restart of the venue, events may still have to be pushed again."""
    broker = await bench.connect()
    broker.say(_acknowledge(6))
    await bench.shell.next()
    assert bench.shell.acknowledged == []


async def test_broker_is_told_nothing_false_when_the_machine_answers_with_no_reply(bench: Bench) -> None:
    """A bug of the venue's is an unknown outcome to the broker."""
    broker = await bench.connect()
    broker.say(_lookup("a"))
    await bench.shell.next()
    assert bench.server.answer(Answer("a", "done"))
    assert b"OutcomeUnknown" in await broker.line()


async def test_stale_socket_file_is_replaced_when_a_killed_venue_left_it(socket_folder: Path) -> None:
    """A venue that was killed can start again."""
    killed = Bench(socket_folder)
    await killed.server.start()
    again = Bench(socket_folder)
    await again.server.start()
    await again.connect()
    await Raw.close_all()
    await asyncio.gather(killed.server.stop(), again.server.stop())
    assert not again.shell.path.exists()
