"""`njord emergency-cancel`: cancel everything at the venue with nothing but the venue.

It needs the account's credentials and no part of the suite: server, daemons and journals may all be gone. For the simulated
venue the credentials are its desk's socket, which only the suite's own user may open.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from apps.paper_venue.desk import DESK_SOCKET_NAME
from apps.runtime.home import Home
from apps.runtime.venue_wire import VenueAsked, decode_said, encode
from core.errors import NjordError, VenueUnavailable
from core.venue import BrokerOrderUpdate, Cancel, FetchOpenOrders, OrdersFetched, VenueReply, VenueRequest

__all__ = ["Desk", "EmergencyReport", "cancel_everything", "desk_of", "desk_path"]

_ROUND_S = 0.25
_TIMEOUT_S = 5.0


class EmergencyReport(msgspec.Struct, frozen=True):
    """What was open, how many cancels were asked for, and what is open still. `rounds` is how often the venue was asked what is open."""

    found: tuple[BrokerOrderUpdate, ...]
    cancels: int
    left: tuple[BrokerOrderUpdate, ...]
    rounds: int

    @property
    def exit_code(self) -> int:
        """0 when nothing is open any more, 1 when something is."""
        return 1 if self.left else 0


class Desk:
    """One call at a venue's desk: a question, its answer, and so on."""

    def __init__(self, connection: socket.socket, lines: BinaryIO) -> None:
        self._connection = connection
        self._lines = lines
        self._count = 0

    def ask(self, request: VenueRequest) -> VenueReply:
        """The reply to one request; VenueUnavailable when none comes."""
        self._count += 1
        try:
            self._connection.sendall(encode(VenueAsked(str(self._count), request)))
            line = self._lines.readline()
        except OSError as error:
            raise VenueUnavailable(f"the venue's desk does not answer: {error}") from None
        if not line:
            raise VenueUnavailable("the venue's desk rang off")
        reply = decode_said(line).reply
        if reply is None:
            raise VenueUnavailable(f"the venue's desk says {line[:200]!r}, a reply was expected")
        return reply


def desk_path(root: Path) -> Path:
    """The desk of the simulated venue of a home, of which nothing else need exist."""
    return Home(root, "", "").socket(DESK_SOCKET_NAME)


@contextlib.contextmanager
def desk_of(path: Path) -> Iterator[Desk]:
    """A call at the desk behind this socket; VenueUnavailable when nobody is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError as error:
            raise VenueUnavailable(f"{path}: {error.strerror or error}, no venue is there to cancel at") from None
        with connection.makefile("rb") as lines:
            yield Desk(connection, lines)


def cancel_everything(
    desk: Desk, timeout_s: float, tell: Callable[[str], None], now_s: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep
) -> EmergencyReport:
    """Ask what is open and cancel it, again and again until nothing is, or the time is over.

    A cancel is a request: only the venue's own list says that an order is gone. An order that appears meanwhile is cancelled too.
    """
    deadline, rounds, cancels = now_s() + timeout_s, 0, 0
    found: dict[str, BrokerOrderUpdate] = {}
    while True:
        left = _open_orders(desk)
        rounds += 1
        found |= {order.venue_order_id: order for order in left if order.venue_order_id not in found}
        if not left or (rounds > 1 and now_s() >= deadline):
            return EmergencyReport(tuple(found.values()), cancels, left, rounds)
        for order in left:
            reply = desk.ask(Cancel(client_order_id=order.client_order_id, venue_order_id=order.venue_order_id))
            cancels += 1
            tell(f"cancel {order.client_order_id or order.venue_order_id} ({order.side} {order.leaves_qty} {order.symbol}): {type(reply).__name__}")
        if rounds > 1:
            pause(_ROUND_S)


def _open_orders(desk: Desk) -> tuple[BrokerOrderUpdate, ...]:
    """What is open; an answer that is none is no empty list."""
    reply = desk.ask(FetchOpenOrders())
    if not isinstance(reply, OrdersFetched):
        raise NjordError(f"the venue does not say what is open: {reply}")
    return reply.orders
