"""The port `core.ports.Bus` without a server: many buses on one broker in one event loop, and every misfortune at command.

There is no time in it. A question is answered when it is asked, its answer and all deliveries arrive with the next turns of
the loop in the order they were made, so a run is the same every time. What may go wrong goes wrong because a test said so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from core.ports import BusListener, PublishOutcome, StreamId, StreamSlice, Token
from core.stream_store import StreamStore

__all__ = ["MemoryBroker", "MemoryBus"]

T = TypeVar("T")


class MemoryBroker:
    """The server. It starts alive; `run_id` changes with each life."""

    def __init__(self) -> None:
        self.store = StreamStore()
        self.is_alive = True
        self._life = 1
        self._buses: list[MemoryBus] = []
        self._drops = 0
        self._duplicates = 0
        self._lost_answers = 0

    @property
    def run_id(self) -> str:
        """This life of the server."""
        return f"memory-{self._life}"

    # What a test may command.

    def drop_deliveries(self, count: int) -> None:
        """The next `count` deliveries do not arrive."""
        self._drops = count

    def duplicate_deliveries(self, count: int) -> None:
        """The next `count` deliveries that arrive, arrive twice."""
        self._duplicates = count

    def lose_answers(self, count: int) -> None:
        """The next `count` requests are done, and the connection that asked is cut before the answer."""
        self._lost_answers = count

    def die(self) -> None:
        """`kill -9`: every connection is gone. What is stored stays for `come_back`, which may follow one of `store.lose_*`."""
        self.is_alive = False
        for bus in list(self._buses):
            bus.cut("the server closed the connection")

    def come_back(self) -> None:
        """Another life, with what `store` holds; everyone connects again."""
        self._life += 1
        self.is_alive = True
        for bus in list(self._buses):
            bus.reconnect()

    # What buses do.

    def join(self, bus: MemoryBus) -> None:
        """A bus exists; it connects now if the server lives."""
        self._buses.append(bus)
        if self.is_alive:
            bus.reconnect()

    def leave(self, bus: MemoryBus) -> None:
        """A bus is gone."""
        if bus in self._buses:
            self._buses.remove(bus)

    def loses_answer(self) -> bool:
        """Whether this answer is one of those to be lost."""
        self._lost_answers, is_lost = max(0, self._lost_answers - 1), self._lost_answers > 0
        return is_lost

    def deliver(self, stream: StreamId, data: bytes) -> None:
        """PUBLISH: to every bus that has subscribed."""
        for bus in list(self._buses):
            if bus.hears(stream):
                for _ in range(self._copies()):
                    bus.arrive(stream, data)

    def _copies(self) -> int:
        if self._drops:
            self._drops -= 1
            return 0
        if self._duplicates:
            self._duplicates -= 1
            return 2
        return 1


class MemoryBus:
    """One process's bus. Invariants as `RedisBus`: what belongs to a connection that is gone never arrives."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._streams: frozenset[StreamId] = frozenset()
        self._listener: BusListener
        self._is_connected = False
        self._connection = 0

    # The port.

    async def start(self, streams: Sequence[StreamId], listener: BusListener) -> None:
        """Connect as soon as the broker lives."""
        self._streams, self._listener = frozenset(streams), listener
        self._broker.join(self)

    async def stop(self) -> None:
        """Disconnect; nothing is told any more."""
        self._broker.leave(self)
        self._is_connected = False
        self._connection += 1

    def publish(self, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> Awaitable[PublishOutcome]:
        """Store and announce; see `core.ports`."""
        return self._ask(lambda store: self._publish(store, stream, token, base, first_seq, bodies))

    def announce(self, topic: str, producer: str, data: bytes) -> None:
        """Send to whoever listens now; dropped without a connection."""
        if self._is_connected:
            self._broker.deliver(StreamId(topic, producer), data)

    def read(self, stream: StreamId, from_seq: int, count: int) -> Awaitable[StreamSlice]:
        """Entries and where the stream ends."""
        return self._ask(lambda store: store.read(stream, from_seq, count))

    def tails(self, streams: Sequence[StreamId]) -> Awaitable[list[int]]:
        """The last number of each stream."""
        return self._ask(lambda store: [store.tail(stream) for stream in streams])

    def acknowledge(self, consumer: str, seqs: dict[StreamId, int]) -> Awaitable[None]:
        """Note how far a consumer is."""
        return self._ask(lambda store: store.acknowledge(consumer, seqs))

    def acknowledgements(self, stream: StreamId) -> Awaitable[dict[str, int]]:
        """What each consumer has acknowledged."""
        return self._ask(lambda store: store.acknowledgements(stream))

    def trim(self, stream: StreamId, below_seq: int) -> Awaitable[None]:
        """Forget entries below a number, never the tail."""
        return self._ask(lambda store: store.trim(stream, below_seq))

    def watermarks(self, streams: Sequence[StreamId]) -> Awaitable[dict[StreamId, tuple[int, dict[str, int]]]]:
        """One cut over many streams."""
        return self._ask(lambda store: {stream: (store.tail(stream), store.acknowledgements(stream)) for stream in streams})

    # What the broker does.

    def hears(self, stream: StreamId) -> bool:
        """Whether a delivery of this stream would arrive here."""
        return self._is_connected and stream in self._streams

    def arrive(self, stream: StreamId, data: bytes) -> None:
        """A delivery is on its way."""
        connection = self._connection

        def deliver() -> None:
            if self._connection == connection:
                self._listener.on_bus_message(stream, data)

        asyncio.get_running_loop().call_soon(deliver)

    def cut(self, reason: str) -> None:
        """The connection is gone, with whatever was on its way."""
        if self._is_connected:
            self._is_connected = False
            self._connection += 1
            self._tell(lambda: self._listener.on_bus_lost(reason))

    def reconnect(self) -> None:
        """The connection stands (again)."""
        self.cut("another connection")
        self._is_connected = True
        run_id = self._broker.run_id
        self._tell(lambda: self._listener.on_bus_connected(run_id))

    def _reconnect_if_cut(self) -> None:
        if not self._is_connected and self._broker.is_alive:
            self.reconnect()

    def _tell(self, say: Callable[[], None]) -> None:
        connection = self._connection
        asyncio.get_running_loop().call_soon(lambda: say() if self._connection == connection else None)

    def _publish(self, store: StreamStore, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> PublishOutcome:
        outcome, stored = store.publish(stream, token, base, first_seq, bodies)
        for entry in stored:
            self._broker.deliver(stream, entry.data)
        return outcome

    def _ask(self, request: Callable[[StreamStore], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if not self._is_connected:
            future.set_exception(ConnectionError("the bus is not connected"))
            return future
        connection, answer = self._connection, request(self._broker.store)

        def arrive() -> None:
            if future.done():
                return
            if self._connection == connection:
                future.set_result(answer)
            else:
                future.set_exception(ConnectionError("the connection is gone, the outcome is unknown"))

        loop.call_soon(arrive)
        if self._broker.loses_answer():
            self.cut("the answer was lost")
            loop.call_soon(self._reconnect_if_cut)
        return future
