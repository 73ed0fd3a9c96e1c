"""What a bus test needs whichever bus it runs on: a listener that remembers, and a world whose server can be hurt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from apps.runtime.memory_bus import MemoryBroker, MemoryBus
from apps.runtime.redis_bus import RedisBus, Timing
from core.ports import Bus, StreamId, Token
from tests.support.redis_server import RedisServer

__all__ = ["EPOCH", "INTENTS", "PATIENCE_S", "QUICK", "BusWorld", "MemoryWorld", "RecordingListener", "RedisWorld", "a_stream", "a_token", "within"]

EPOCH = "epoch-1"
PATIENCE_S = 10.0
QUICK = Timing(pause_first_s=0.01, pause_most_s=0.05, check_s=0.05)


def a_stream(topic: str = "strat.intent", producer: str = "strategy_runner") -> StreamId:
    """A stream."""
    return StreamId(topic, producer)


INTENTS = a_stream()


def a_token(epoch: str = EPOCH, incarnation: int = 1) -> Token:
    """Who writes."""
    return Token(epoch, incarnation)


class RecordingListener:
    """Remembers what the bus said; `until` waits for it to have been said."""

    def __init__(self) -> None:
        self.run_ids: list[str] = []
        self.lost: list[str] = []
        self.broken: list[BaseException] = []
        self.messages: list[tuple[StreamId, bytes]] = []
        self._changed = asyncio.Event()

    def on_bus_connected(self, run_id: str) -> None:
        self.run_ids.append(run_id)
        self._changed.set()

    def on_bus_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self._changed.set()

    def on_bus_broken(self, error: BaseException) -> None:
        self.broken.append(error)
        self._changed.set()

    def on_bus_message(self, stream: StreamId, data: bytes) -> None:
        self.messages.append((stream, data))
        self._changed.set()

    async def until(self, condition: Callable[[RecordingListener], bool]) -> None:
        """Return when the condition holds; AssertionError shows everything heard when it does not come."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"connected {self.run_ids}, lost {self.lost}, messages {self.messages}") from None


async def within(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


class BusWorld(Protocol):
    """A server, and buses on it."""

    def make(self, client_name: str = "test") -> Bus:
        """Another process's bus."""

    async def freeze(self) -> None:
        """The server answers nothing more."""

    async def kill(self) -> None:
        """The server dies at once."""

    async def restart_whole(self) -> None:
        """It dies and comes back with everything."""

    async def restart_empty(self) -> None:
        """It dies and comes back with nothing."""

    async def lose_tail(self, stream: StreamId, count: int) -> None:
        """The last entries of a stream never happened."""


class MemoryWorld:
    """Buses on a MemoryBroker."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    def make(self, client_name: str = "test") -> Bus:
        return MemoryBus(self.broker)

    async def freeze(self) -> None:
        """It answers with the next turn of the loop at the earliest: a kill before that is a kill before the answer."""

    async def kill(self) -> None:
        self.broker.die()

    async def restart_whole(self) -> None:
        self.broker.die()
        self.broker.come_back()

    async def restart_empty(self) -> None:
        self.broker.die()
        self.broker.store.lose_everything()
        self.broker.come_back()

    async def lose_tail(self, stream: StreamId, count: int) -> None:
        self.broker.store.lose_tail(stream, count)


class RedisWorld:
    """Buses on a real server. The server is started and stopped outside the loop, so that the buses live on meanwhile."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def make(self, client_name: str = "test") -> Bus:
        return RedisBus(lambda: self.server.url, self.server.home.namespace, client_name, QUICK)

    async def freeze(self) -> None:
        self.server.freeze()

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.kill)

    async def restart_whole(self) -> None:
        await asyncio.to_thread(self.server.keep)
        await self.kill()
        await asyncio.to_thread(self.server.start)

    async def restart_empty(self) -> None:
        await self.kill()
        self.server.forget()
        await asyncio.to_thread(self.server.start)

    async def lose_tail(self, stream: StreamId, count: int) -> None:
        await asyncio.to_thread(self.server.lose_tail, stream, count)
