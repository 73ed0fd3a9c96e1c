"""The port `core.ports.Bus` on two connections to a Redis server: one asks, one listens. They stand and fall together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from apps.runtime.redis_bus import scripts
from apps.runtime.redis_bus.protocol import Argument, Connection, SubscriptionConnection
from apps.runtime.redis_bus.scripts import Keys, Script, parse_acks, parse_marks, parse_outcome, parse_slice
from apps.runtime.redis_bus.url import RedisUrl, parse_redis_url
from core.errors import ConfigError
from core.ports import BusListener, PublishOutcome, StreamId, StreamSlice, Token

__all__ = ["RedisBus", "Timing"]

T = TypeVar("T")
_C = TypeVar("_C", bound=Connection)


class Timing(NamedTuple):
    """Seconds between attempts (doubling from first to most, back at first after a connection that lasted `stable_s`), for one
    attempt, between liveness checks, and how many silent checks mean that the server is gone."""

    pause_first_s: float = 0.02
    pause_most_s: float = 1.0
    stable_s: float = 1.0
    connect_s: float = 2.0
    check_s: float = 0.5
    silent_checks_max: int = 4


class _Connected(NamedTuple):
    commands: Connection
    deliveries: SubscriptionConnection
    run_id: str


class RedisBus:
    """One process's bus.

    Invariants: `on_bus_connected` is told only when every channel is confirmed, every script is loaded and commands are
    answered; `on_bus_lost` once for each connection that was told, and once per reason while none can be made; both on
    the loop, never within a call. Nothing is retried: what had no answer gets ConnectionError.
    """

    def __init__(self, find_url: Callable[[], str], namespace: str, client_name: str, timing: Timing | None = None) -> None:
        """`find_url` is asked before each attempt; ConnectionError from it means that there is no server yet."""
        self._find_url = find_url
        self._namespace = namespace
        self._client_name = client_name
        self._timing = timing or Timing()
        self._streams: Sequence[StreamId] = ()
        self._listener: BusListener
        self._commands: Connection | None = None
        self._keys: dict[StreamId, Keys] = {}
        self._task: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[str]
        self._told = ""

    # The port.

    async def start(self, streams: Sequence[StreamId], listener: BusListener) -> None:
        """Connect in the background, and keep reconnecting until `stop`."""
        self._streams, self._listener = tuple(streams), listener
        self._task = asyncio.get_running_loop().create_task(self._serve())
        self._task.add_done_callback(self._on_task_end)

    async def stop(self) -> None:
        """Close both connections; nothing is told any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def publish(self, stream: StreamId, token: Token, base: int, first_seq: int, bodies: Sequence[bytes]) -> Awaitable[PublishOutcome]:
        """Store and announce; see `core.ports`."""
        keys = self._keys_of(stream)
        return self._run(scripts.PUBLISH, (keys.stream, keys.meta), (token.epoch, token.incarnation, base, first_seq, *bodies), parse_outcome)

    def announce(self, topic: str, producer: str, data: bytes) -> None:
        """Send to whoever listens now; dropped without a connection."""
        if self._commands is not None:
            self._commands.tell((b"PUBLISH", self._keys_of(StreamId(topic, producer)).stream, data))

    def read(self, stream: StreamId, from_seq: int, count: int) -> Awaitable[StreamSlice]:
        """Entries and where the stream ends."""
        keys = self._keys_of(stream)
        return self._run(scripts.READ, (keys.stream, keys.meta), (f"{from_seq}-0", count), parse_slice)

    def tails(self, streams: Sequence[StreamId]) -> Awaitable[list[int]]:
        """The last number of each stream."""
        return self._run(scripts.TAILS, tuple(self._keys_of(stream).stream for stream in streams), (), list)

    def acknowledge(self, consumer: str, seqs: dict[StreamId, int]) -> Awaitable[None]:
        """Note how far a consumer is, on all streams at once."""
        return self._run(scripts.ACKNOWLEDGE, tuple(self._keys_of(stream).acks for stream in seqs), (consumer, *seqs.values()), _nothing)

    def acknowledgements(self, stream: StreamId) -> Awaitable[dict[str, int]]:
        """What each consumer has acknowledged."""
        return self._ask((b"HGETALL", self._keys_of(stream).acks), parse_acks)

    def trim(self, stream: StreamId, below_seq: int) -> Awaitable[None]:
        """Forget entries below a number, never the tail."""
        return self._run(scripts.TRIM, (self._keys_of(stream).stream,), (below_seq,), _nothing)

    def watermarks(self, streams: Sequence[StreamId]) -> Awaitable[dict[StreamId, tuple[int, dict[str, int]]]]:
        """One atomic cut over many streams."""
        asked = tuple(streams)
        names = tuple(name for stream in asked for name in self._keys_of(stream)[::2])
        return self._run(scripts.WATERMARKS, names, (), lambda reply: parse_marks(asked, reply))

    # Commands.

    def _run(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Argument, ...], parse: Callable[[Any], T]) -> asyncio.Future[T]:
        return self._ask((b"EVALSHA", script.sha, len(keys), *keys, *arguments), parse)

    def _ask(self, command: tuple[Argument, ...], parse: Callable[[Any], T]) -> asyncio.Future[T]:
        if self._commands is not None:
            return self._commands.ask(command, parse)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        future.set_exception(ConnectionError("the bus is not connected"))
        return future

    def _keys_of(self, stream: StreamId) -> Keys:
        keys = self._keys.get(stream)
        if keys is None:
            keys = self._keys[stream] = Keys.of(stream, self._namespace)
        return keys

    # Connecting.

    async def _serve(self) -> None:
        """One life after another, with a growing pause between those that end soon."""
        loop = asyncio.get_running_loop()
        pause = self._timing.pause_first_s
        while True:
            began = loop.time()
            await self._live()
            pause = self._timing.pause_first_s if loop.time() - began > self._timing.stable_s else min(pause * 2, self._timing.pause_most_s)
            await asyncio.sleep(pause)

    async def _live(self) -> None:
        """One pair of connections, from the first attempt to its end."""
        self._ended = asyncio.get_running_loop().create_future()
        opened: list[Connection] = []
        try:
            connected = await self._connect(opened)
            self._commands, self._told = connected.commands, ""
            self._listener.on_bus_connected(connected.run_id)
            self._tell_lost(await self._watch(opened))
        except (ConnectionError, OSError, TimeoutError, ConfigError) as error:
            self._tell_lost(str(error) or "the server does not answer")
        finally:
            self._commands = None
            for connection in opened:
                connection.end("the bus is closed")

    async def _connect(self, opened: list[Connection]) -> _Connected:
        """Both connections, greeted and subscribed. Whatever was opened is in `opened`, also when this fails."""
        url = parse_redis_url(self._find_url())
        try:
            async with asyncio.timeout(self._timing.connect_s):
                commands = await self._open(url, lambda: Connection(self._on_end), opened)
                deliveries = await self._open(url, lambda: SubscriptionConnection(self._on_end, self._deliver), opened)
                run_id = await self._greet(commands, url)
                for script in scripts.SCRIPTS:
                    await commands.ask((b"SCRIPT", b"LOAD", script.text), _nothing)
                await self._greet(deliveries, url)
                await deliveries.subscribe({self._keys_of(stream).stream: stream for stream in self._streams})
                return _Connected(commands, deliveries, run_id)
        except TimeoutError:
            raise ConnectionError(f"{url}: no answer within {self._timing.connect_s:g} s") from None
        except OSError as error:
            raise ConnectionError(f"{url}: {error}") from None

    async def _open(self, url: RedisUrl, make: Callable[[], _C], opened: list[Connection]) -> _C:
        loop = asyncio.get_running_loop()
        if url.path:
            _, connection = await loop.create_unix_connection(make, url.path)
        else:
            _, connection = await loop.create_connection(make, url.host, url.port)
        opened.append(connection)
        return connection

    async def _greet(self, connection: Connection, url: RedisUrl) -> str:
        """Password, database, name; the server's run id."""
        if url.password:
            credentials = (url.user, url.password) if url.user else (url.password,)
            await connection.ask((b"AUTH", *credentials), _nothing)
        if url.db:
            await connection.ask((b"SELECT", url.db), _nothing)
        await connection.ask((b"CLIENT", b"SETNAME", self._client_name), _nothing)
        return await connection.ask((b"INFO", b"server"), _run_id)

    async def _watch(self, connections: Sequence[Connection]) -> str:
        """Until one of the connections ends; why."""
        while not self._ended.done():
            await asyncio.wait([self._ended], timeout=self._timing.check_s)
            for connection in connections:
                connection.check(self._timing.silent_checks_max)
        return self._ended.result()

    # What the connections say.

    def _on_end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _deliver(self, stream: StreamId, data: bytes) -> None:
        # What comes before the listener knows of the connection is only a hint it does not need: it reads all tails first.
        if self._commands is not None:
            self._listener.on_bus_message(stream, data)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        """The task ends by `stop` alone; anything else is our own bug, and a process without a bus must not look alive."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._listener.on_bus_broken(error)

    def _tell_lost(self, reason: str) -> None:
        self._commands = None
        if reason != self._told:
            self._told = reason
            self._listener.on_bus_lost(reason)


def _run_id(reply: bytes) -> str:
    """The server process's id in the answer of INFO."""
    found = [line.partition(b":")[2] for line in reply.splitlines() if line.startswith(b"run_id:")]
    return found[0].decode() if found else ""


def _nothing(_: Any) -> None:
    """The reply says no more than that it was done."""
