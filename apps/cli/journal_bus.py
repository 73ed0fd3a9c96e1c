"""What the bus knows of a suite's streams, asked once by a command: where they end, and what their consumers acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from apps.runtime.bus import open_bus
from apps.runtime.home import Home
from apps.runtime.redis_bus import RedisBus
from core.ports import StreamId
from core.settings import Settings

__all__ = ["Marks", "bus_marks", "set_bus_aside"]

T = TypeVar("T")

Marks = dict[StreamId, tuple[int, dict[str, int]]]
"""Of each stream its last number (0: it does not exist) and what each consumer acknowledged."""

_TIMEOUT_S = 3.0


class _Once:
    """A listener that waits for the first word of the bus."""

    def __init__(self) -> None:
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_bus_connected(self, run_id: str) -> None:
        if not self.connected.done():
            self.connected.set_result(None)

    def on_bus_lost(self, reason: str) -> None:
        if not self.connected.done():
            self.connected.set_exception(ConnectionError(reason))

    def on_bus_broken(self, error: BaseException) -> None:
        if not self.connected.done():
            self.connected.set_exception(error)

    def on_bus_message(self, stream: StreamId, data: bytes) -> None:
        """Nothing is subscribed."""


def bus_marks(home: Home, settings: Settings, streams: Sequence[StreamId]) -> Marks:
    """One atomic cut over these streams; ConnectionError when the server cannot be asked."""
    return asyncio.run(_asked(home, settings, lambda bus: bus.watermarks(streams)))


def set_bus_aside(home: Home, settings: Settings, mark: str) -> int:
    """Rename everything the suite has on the bus; how many keys that were. ConnectionError when the server cannot be asked."""
    return asyncio.run(_asked(home, settings, lambda bus: bus.set_aside(mark)))


async def _asked(home: Home, settings: Settings, question: Callable[[RedisBus], Awaitable[T]]) -> T:
    bus, listener = open_bus(home, settings, "njord-journal"), _Once()
    await bus.start((), listener)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await listener.connected
            return await question(bus)
    except TimeoutError:
        raise ConnectionError(f"the bus does not answer within {_TIMEOUT_S:g} s") from None
    finally:
        await bus.stop()
