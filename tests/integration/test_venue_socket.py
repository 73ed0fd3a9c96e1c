"""Both ends of the venue socket together, on the loop the daemons use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import cast

import uvloop

from apps.broker.venue_client import SocketVenue
from apps.paper_venue.venue_server import SocketVenueServer
from apps.runtime.shell import Shell
from core.contracts import OrderType, Side, TimeInForce
from core.machine import CallVenue, Command
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    Accepted,
    AcknowledgeEvents,
    BrokerOrderAck,
    BrokerOrderReq,
    Lookup,
    NotFound,
    OutcomeUnknown,
    Place,
    Refused,
    RequestRejected,
    Subscribe,
    Subscribed,
    VenueReply,
)
from tests.support.venue_socket import NotedListener, NotedShell, answered, socket_folder

__all__ = ["socket_folder"]

_CALLS = 5_000


class Venue:
    """A server, and as much of a venue behind it as places orders once and keeps events."""

    def __init__(self, folder: Path) -> None:
        self.shell = NotedShell(folder)
        self.server = SocketVenueServer(cast(Shell, self.shell))
        self.orders: set[str] = set()
        self.kept: list[RequestRejected] = []

    def happen(self) -> None:
        """An event, kept and pushed."""
        self.kept.append(RequestRejected(cursor=len(self.kept) + 1, client_order_id="o", request="CANCEL", reason="no"))
        self.server.push(self.kept[-1])

    async def serve(self, count: int) -> None:
        """Answer so many requests."""
        for _ in range(count):
            command = await self.shell.next()
            self._answer(command)

    def _answer(self, command: Command) -> None:
        match command.body:
            case Place(order=order):
                known = order.client_order_id in self.orders
                self.orders.add(order.client_order_id)
                ack = BrokerOrderAck(client_order_id=order.client_order_id, venue_order_id=f"v-{order.client_order_id}", accepted_ns=1)
                self._reply(command, Refused(code=DUPLICATE_CLIENT_ORDER_ID) if known else Accepted(ack=ack))
            case Subscribe(cursor=cursor):
                self._reply(command, Subscribed(last_cursor=len(self.kept)))
                for event in self.kept[cursor:]:
                    self.server.push(event)
            case AcknowledgeEvents():
                pass
            case _:
                self._reply(command, NotFound())

    def _reply(self, command: Command, reply: VenueReply) -> None:
        assert self.server.answer(answered(command, reply))


async def _with_both(folder: Path, claim: Callable[[Venue, SocketVenue, NotedListener], Awaitable[None]], call_timeout_ms: int = 60_000) -> None:
    venue, listener = Venue(folder), NotedListener()
    client = SocketVenue(venue.shell.path, call_timeout_ms)
    await venue.server.start()
    client.start(listener)
    assert await listener.next() == ("up",)
    try:
        await claim(venue, client, listener)
    finally:
        await client.stop()
        await venue.server.stop()


def _place(client_order_id: str) -> Place:
    return Place(
        order=BrokerOrderReq(client_order_id=client_order_id, symbol="IBM", side=Side.BUY, order_type=OrderType.MARKET, time_in_force=TimeInForce.DAY, order_qty=Decimal("2.50"))
    )


def test_every_call_is_answered_in_order_when_many_are_made(socket_folder: Path) -> None:
    """Thousands of calls, one answer each, in the order of the requests."""

    async def claim(venue: Venue, client: SocketVenue, listener: NotedListener) -> None:
        serving = asyncio.ensure_future(venue.serve(_CALLS))
        for k in range(_CALLS):
            client.call(CallVenue(f"c{k}", _place(f"o{k}")))
        heard = [await listener.next() for _ in range(_CALLS)]
        await serving
        assert [call_id for _, call_id, _ in heard] == [f"c{k}" for k in range(_CALLS)]
        assert all(isinstance(reply, Accepted) for _, _, reply in heard)

    uvloop.run(_with_both(socket_folder, claim))


def test_missed_events_come_again_in_order_when_the_connection_was_lost(socket_folder: Path) -> None:
    """What happened while nobody listened comes after the subscription, before what happens next."""

    async def claim(venue: Venue, client: SocketVenue, listener: NotedListener) -> None:
        client.call(CallVenue("s1", Subscribe(cursor=0)))
        await venue.serve(1)
        venue.happen()
        assert (await listener.next())[1] == "s1"
        assert (await listener.next())[1].cursor == 1
        venue.server._drop()
        assert [(await listener.next())[0] for _ in range(2)] == ["down", "up"]
        venue.happen()
        venue.happen()
        client.call(CallVenue("s2", Subscribe(cursor=1)))
        await venue.serve(1)
        venue.happen()
        assert (await listener.next())[1:] == ("s2", Subscribed(last_cursor=3))
        assert [(await listener.next())[1].cursor for _ in range(3)] == [2, 3, 4]
        client.acknowledge(4)
        await venue.serve(1)
        assert venue.shell.acknowledged == [0, 1, 4]

    uvloop.run(_with_both(socket_folder, claim))


def test_unanswered_order_is_found_or_never_placed_when_asked_on_a_new_connection(socket_folder: Path) -> None:
    """The claim reconciliation rests on: after a reset, a lookup's "not found" is the last word about the order."""

    async def claim(venue: Venue, client: SocketVenue, listener: NotedListener) -> None:
        lost = 0
        for k in range(50):
            client.call(CallVenue(f"p{k}", _place(f"o{k}")))
            for _ in range(k % 4):
                await asyncio.sleep(0)
            venue.server._drop()
            _, _, reply = await listener.next()
            assert isinstance(reply, OutcomeUnknown)
            assert [(await listener.next())[0] for _ in range(2)] == ["down", "up"]
            client.call(CallVenue(f"l{k}", Lookup(client_order_id=f"o{k}")))
            taken = [await venue.shell.next()]
            while not isinstance(taken[-1].body, Lookup):
                taken.append(await venue.shell.next())
            placed = [command for command in taken if isinstance(command.body, Place)]
            assert [command.command_id for command in placed] in ([], [f"p{k}"])
            lost += not placed
            for command in taken:
                venue._answer(command)
            assert (await listener.next())[1] == f"l{k}"
        assert venue.shell.commands.empty()
        assert 0 < lost < 50

    uvloop.run(_with_both(socket_folder, claim))


def test_duplicate_is_refused_by_the_venue_when_an_order_is_sent_again_after_a_timeout(socket_folder: Path) -> None:
    """The first answer came too late; the second call gets its own, and the late one is dropped."""

    async def claim(venue: Venue, client: SocketVenue, listener: NotedListener) -> None:
        client.call(CallVenue("p1", _place("o")))
        assert (await listener.next())[1:] == ("p1", OutcomeUnknown(cause="TIMEOUT", text="no answer within 20 ms"))
        await venue.serve(1)
        client.call(CallVenue("p2", _place("o")))
        await venue.serve(1)
        assert (await listener.next())[1:] == ("p2", Refused(code=DUPLICATE_CLIENT_ORDER_ID))
        assert listener.logs == ["venue_late_reply"]

    uvloop.run(_with_both(socket_folder, claim, call_timeout_ms=20))
