"""The broker's end of the venue socket, against a bare server that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apps.broker.venue_client import SocketVenue
from apps.runtime import venue_wire
from core.contracts import OrderType, Side, TimeInForce
from core.machine import CallVenue
from core.venue import BrokerOrderReq, Lookup, NotFound, OutcomeUnknown, Place, RequestRejected, Subscribe
from tests.support.venue_socket import NotedListener, Raw, socket_folder

__all__ = ["socket_folder"]

_NOT_FOUND = b'{"id":"%s","reply":{"type":"NotFound"}}'
_LONG_MS = 60_000


class Bench:
    """A client, its listener, and the server it talks to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "venue.sock"
        self.listener = NotedListener()
        self.venue: SocketVenue
        self._accepted: asyncio.Queue[Raw] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Start the server."""
        self._server = await asyncio.start_unix_server(lambda reader, writer: self._accepted.put_nowait(Raw(reader, writer)), self.path)

    async def accepted(self) -> Raw:
        """The next connection the server accepted."""
        return await asyncio.wait_for(self._accepted.get(), 5)

    async def connected(self, call_timeout_ms: int = _LONG_MS) -> Raw:
        """Start server and client; the server's end of their connection."""
        await self.listen()
        self.start(call_timeout_ms)
        assert await self.listener.next() == ("up",)
        return await self.accepted()

    def start(self, call_timeout_ms: int = _LONG_MS) -> None:
        """Start the client."""
        self.venue = SocketVenue(self.path, call_timeout_ms)
        self.venue.start(self.listener)

    def ask(self, *call_ids: str) -> None:
        """Call the venue with a lookup for each id."""
        for call_id in call_ids:
            self.venue.call(CallVenue(call_id, Lookup(client_order_id="o1")))

    async def unknown(self, call_id: str) -> str:
        """The cause for which the call's outcome is said to be unknown, which must be said next."""
        kind, told_id, reply = await self.listener.next()
        assert (kind, told_id) == ("reply", call_id)
        assert isinstance(reply, OutcomeUnknown)
        return reply.cause

    async def close(self) -> None:
        """Stop both."""
        await self.venue.stop()
        await Raw.close_all()
        if self._server is not None:
            self._server.close()


@pytest.fixture
async def bench(socket_folder: Path) -> AsyncIterator[Bench]:
    made = Bench(socket_folder)
    yield made
    await made.close()


async def test_request_arrives_whole_when_an_order_is_placed(bench: Bench) -> None:
    """A call travels as one JSON line with the call's id and the request."""
    venue = await bench.connected()
    order = BrokerOrderReq(
        client_order_id="o1", symbol="IBM", side=Side.BUY, order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, order_qty=Decimal(5), limit_price=Decimal("1.10")
    )
    bench.venue.call(CallVenue("o1.place1", Place(order=order)))
    frame = msgspec.json.decode(await venue.line())
    assert frame["id"] == "o1.place1"
    assert msgspec.convert(frame["request"], Place) == Place(order=order)


async def test_each_call_gets_its_own_reply_when_replies_come_in_another_order(bench: Bench) -> None:
    """Replies find their calls by id."""
    venue = await bench.connected()
    bench.ask("a", "b")
    venue.say(_NOT_FOUND % b"b", _NOT_FOUND % b"a")
    assert await bench.listener.next() == ("reply", "b", NotFound())
    assert await bench.listener.next() == ("reply", "a", NotFound())


async def test_calls_leave_in_order_when_made_in_one_turn(bench: Bench) -> None:
    """Writing together does not reorder."""
    venue = await bench.connected()
    bench.ask("a", "b", "c")
    assert [msgspec.json.decode(await venue.line())["id"] for _ in range(3)] == ["a", "b", "c"]


async def test_frame_is_understood_when_it_arrives_in_pieces(bench: Bench) -> None:
    """A line may be cut anywhere on its way."""
    venue = await bench.connected()
    bench.ask("a")
    await venue.line()
    for part in (b'{"id":"a","rep', b"ly", b'":{"type":"NotFound"}}', b"\n"):
        venue.say_part(part)
        await asyncio.sleep(0)
    assert await bench.listener.next() == ("reply", "a", NotFound())


async def test_outcome_is_unknown_when_there_is_no_connection(bench: Bench) -> None:
    """A call without a connection is answered at once and does not raise."""
    bench.start()
    bench.ask("a")
    assert await bench.unknown("a") == "NOT_CONNECTED"


async def test_outcome_is_unknown_when_no_answer_comes_in_time(bench: Bench) -> None:
    """A call is answered TIMEOUT when the venue is silent, and the connection stays."""
    venue = await bench.connected(call_timeout_ms=1)
    bench.ask("a", "b")
    assert await bench.unknown("a") == "TIMEOUT"
    assert await bench.unknown("b") == "TIMEOUT"
    venue.say(b'{"event":{"type":"RequestRejected","cursor":1,"client_order_id":"o1","request":"CANCEL","reason":"late"}}')
    assert (await bench.listener.next())[0] == "event"


async def test_reply_changes_nothing_when_its_call_has_timed_out(bench: Bench) -> None:
    """Every call is answered exactly once: a late reply is dropped and logged."""
    venue = await bench.connected(call_timeout_ms=1)
    bench.ask("a")
    assert await bench.unknown("a") == "TIMEOUT"
    venue.say(_NOT_FOUND % b"a", b'{"event":{"type":"RequestRejected","cursor":1,"client_order_id":"o1","request":"CANCEL","reason":"no"}}')
    assert (await bench.listener.next())[0] == "event"
    assert bench.listener.logs == ["venue_late_reply"]


async def test_open_calls_are_unknown_before_the_loss_is_told_when_the_connection_ends(bench: Bench) -> None:
    """RESET answers every open call, then the machine hears that the link is down, then up again."""
    venue = await bench.connected()
    bench.ask("a", "b")
    await venue.close()
    assert await bench.unknown("a") == "RESET"
    assert await bench.unknown("b") == "RESET"
    assert (await bench.listener.next())[0] == "down"
    assert await bench.listener.next() == ("up",)


async def test_reply_of_an_older_connection_is_not_asked_for_again_when_reconnected(bench: Bench) -> None:
    """Nothing is sent a second time by the client itself."""
    venue = await bench.connected()
    bench.ask("a")
    await venue.line()
    await venue.close()
    again = await bench.accepted()
    while await bench.listener.next() != ("up",):
        pass
    bench.ask("b")
    assert msgspec.json.decode(await again.line())["id"] == "b"


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>502</html>",
        b"\xff\xfe",
        b'{"id":"a"}',
        b'{"id":"a","reply":{"type":"Nonsense"}}',
        b'{"reply":{"type":"NotFound"}}',
        b'{"id":"a","reply":{"type":"NotFound"},"extra":1}',
        b'{"id":"a","event":{"type":"RequestRejected","cursor":1,"client_order_id":"o1","request":"CANCEL","reason":"no"}}',
    ],
)
async def test_open_calls_are_unknown_when_the_venue_sends_what_is_no_frame(bench: Bench, garbage: bytes) -> None:
    """After one undecodable line nothing on that connection can be trusted: BAD_REPLY for all, and a new connection."""
    venue = await bench.connected()
    bench.ask("a", "b")
    await venue.line()
    venue.say(garbage, _NOT_FOUND % b"b")
    assert await bench.unknown("a") == "BAD_REPLY"
    assert await bench.unknown("b") == "BAD_REPLY"
    assert (await bench.listener.next())[0] == "down"
    assert await bench.listener.next() == ("up",)


async def test_events_reach_the_listener_in_order_when_pushed(bench: Bench) -> None:
    """Pushed events are handed on as they come."""
    venue = await bench.connected()
    venue.say(*(b'{"event":{"type":"RequestRejected","cursor":%d,"client_order_id":"o1","request":"CANCEL","reason":"no"}}' % cursor for cursor in (1, 2)))
    for cursor in (1, 2):
        assert await bench.listener.next() == ("event", RequestRejected(cursor=cursor, client_order_id="o1", request="CANCEL", reason="no"))


async def test_acknowledgement_travels_without_an_id_when_events_are_safe(bench: Bench) -> None:
    """AcknowledgeEvents is a frame with an empty id."""
    venue = await bench.connected()
    bench.venue.acknowledge(7)
    assert msgspec.json.decode(await venue.line()) == {"id": "", "request": {"type": "AcknowledgeEvents", "cursor": 7}}


async def test_client_connects_when_the_venue_starts_after_it(bench: Bench) -> None:
    """Daemons may start in any order."""
    bench.start()
    bench.ask("a")
    await bench.unknown("a")
    await bench.listen()
    assert await bench.listener.next() == ("up",)
    bench.venue.call(CallVenue("s", Subscribe(cursor=0)))
    assert msgspec.json.decode(await (await bench.accepted()).line())["id"] == "s"


async def test_an_id_is_refused_when_a_call_with_it_is_open(bench: Bench) -> None:
    """Two open calls with one id could not be told apart."""
    await bench.connected()
    bench.ask("a")
    with pytest.raises(AssertionError, match="call a is open"):
        bench.ask("a")


async def test_open_calls_are_unknown_when_the_venue_sends_a_line_without_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: what grows beyond the longest frame is cut off."""
    monkeypatch.setattr(venue_wire, "FRAME_MAX", 100)
    venue = await bench.connected()
    bench.ask("a")
    venue.say_part(b"x" * 101)
    assert await bench.unknown("a") == "RESET"
    kind, reason = await bench.listener.next()
    assert (kind, reason) == ("down", "a frame of more than 100 bytes")


async def test_nothing_more_is_heard_when_the_client_was_stopped(bench: Bench) -> None:
    """Calls open at the stop stay open in the journal: an answer made up on the way out would close them there."""
    venue = await bench.connected()
    bench.ask("a")
    await venue.line()
    await bench.venue.stop()
    assert await venue.line() == b""
    bench.ask("b")
    assert await bench.unknown("b") == "NOT_CONNECTED"
    assert bench.listener.heard.empty()
