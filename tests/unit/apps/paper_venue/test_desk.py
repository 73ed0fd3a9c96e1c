"""The venue's desk: lists and cancels open orders for whoever may open its socket, and does nothing else."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from apps.cli.emergency import EmergencyReport, cancel_everything, desk_of
from apps.paper_venue.desk import VenueDesk
from core.contracts import OrderStatus, OrderType, Side, TimeInForce
from core.errors import NjordError, VenueUnavailable
from core.machine import Answer, Command
from core.venue import Accepted, BrokerOrderAck, BrokerOrderUpdate, Cancel, FetchOpenOrders, OrdersFetched, OutcomeUnknown, VenueReply
from tests.support.venue_socket import Raw, socket_folder

__all__ = ["socket_folder"]


def _order(n: int) -> BrokerOrderUpdate:
    return BrokerOrderUpdate(
        client_order_id=f"o{n}",
        venue_order_id=f"v{n}",
        symbol="ALFA",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Decimal(5),
        cum_qty=Decimal(0),
        leaves_qty=Decimal(5),
        status=OrderStatus.ACCEPTED,
        updated_ns=1,
        limit_price=Decimal(9),
    )


class _Machine:
    """As much of a venue as lists and cancels. `needs` is how often an order must be cancelled before it is gone."""

    def __init__(self, orders: int, needs: int = 1) -> None:
        self.open = {f"o{n}": needs for n in range(orders)}
        self.commands: list[Command] = []

    def command(self, command: Command, answer: Callable[[Answer], None] | None) -> None:
        """Answer at once."""
        assert answer is not None
        self.commands.append(command)
        answer(Answer(command.command_id, self._reply(command.body)))

    def _reply(self, request: object) -> VenueReply:
        match request:
            case FetchOpenOrders():
                return OrdersFetched(orders=tuple(_order(int(name[1:])) for name in self.open))
            case Cancel(client_order_id=order_id, venue_order_id=venue_order_id):
                self.open[order_id] -= 1
                if not self.open[order_id]:
                    del self.open[order_id]
                return Accepted(ack=BrokerOrderAck(client_order_id=order_id, venue_order_id=venue_order_id, accepted_ns=1))
            case _:
                raise AssertionError(request)


def _cancel_at(path: Path, timeout_s: float, tell: Callable[[str], None] = lambda text: None) -> EmergencyReport:
    passed = [0.0]

    def pause(seconds: float) -> None:
        passed[0] += seconds

    with desk_of(path) as desk:
        return cancel_everything(desk, timeout_s, tell, lambda: passed[0], pause)


async def _serving(folder: Path, machine: _Machine) -> AsyncIterator[Path]:
    path = folder / "venue-desk.sock"
    desk = VenueDesk(path, 3, machine.command)
    await desk.start()
    try:
        yield path
    finally:
        await desk.stop()


@pytest.mark.parametrize(("orders", "needs"), [(0, 1), (1, 1), (3, 1), (2, 3)])
async def test_everything_is_cancelled_when_the_venue_takes_its_time(socket_folder: Path, orders: int, needs: int) -> None:
    """Only the venue's own list says that an order is gone: it is asked until the list is empty."""
    machine, told = _Machine(orders, needs), list[str]()
    async for path in _serving(socket_folder, machine):
        report = await asyncio.to_thread(_cancel_at, path, 5.0, told.append)
    assert machine.open == {}
    assert (len(report.found), report.cancels, report.left, report.exit_code) == (orders, orders * needs, (), 0)
    assert len(told) == orders * needs
    assert len({command.command_id for command in machine.commands}) == len(machine.commands)
    assert {command.actor for command in machine.commands} == {"desk"}


async def test_what_is_left_is_told_when_the_venue_does_not_let_go(socket_folder: Path) -> None:
    """The time is over: the orders that are still open are named, and the answer is no."""
    async for path in _serving(socket_folder, _Machine(2, 10**6)):
        report = await asyncio.to_thread(_cancel_at, path, 0.3)
    assert ([order.client_order_id for order in report.left], report.exit_code) == (["o0", "o1"], 1)


async def test_nothing_but_cancels_is_done_at_the_desk(socket_folder: Path) -> None:
    """A desk that placed orders would be a way around every control."""
    machine = _Machine(0)
    async for path in _serving(socket_folder, machine):
        raw = await Raw.connect(path)
        raw.say(msgspec.json.encode({"id": "1", "request": {"type": "Lookup", "client_order_id": "o1"}}))
        reply = msgspec.json.decode(await raw.line())["reply"]
        assert (reply["type"], reply["code"]) == ("Refused", "DESK_CANCELS_ONLY")
        raw.say(b"what is this")
        assert await raw.line() == b""
        await Raw.close_all()
    assert machine.commands == []


async def test_only_its_own_user_may_open_the_desk(socket_folder: Path) -> None:
    """The socket is the credential."""
    async for path in _serving(socket_folder, _Machine(0)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_an_answer_that_is_no_list_is_no_empty_list(socket_folder: Path) -> None:
    """A failed query must never look like nothing is open."""

    def unknown(command: Command, answer: Callable[[Answer], None] | None) -> None:
        assert answer is not None
        answer(Answer(command.command_id, OutcomeUnknown(cause="TIMEOUT")))

    path = socket_folder / "venue-desk.sock"
    desk = VenueDesk(path, 1, unknown)
    await desk.start()

    with pytest.raises(NjordError, match="does not say what is open"):
        await asyncio.to_thread(_cancel_at, path, 1.0)
    await desk.stop()


def test_nobody_at_the_desk_is_an_error_that_names_it(socket_folder: Path) -> None:
    """Nothing was cancelled, and the person must know."""
    with pytest.raises(VenueUnavailable, match=r"venue-desk\.sock: .*no venue is there"), desk_of(socket_folder / "venue-desk.sock"):
        pass
