"""A Unix socket in front of the server that cuts, tears and stalls what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["Proxy"]

_CHUNK = 65_536


class Proxy:
    """Forwards every connection to the server's socket, on a thread of its own, for the length of a `with` block."""

    def __init__(self, path: Path, server: Path) -> None:
        self.path = path
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_up = threading.Event()
        self._pipes: set[_Pipe] = set()
        self._flow = asyncio.Event()

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._is_up.wait(5.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    def cut(self, draw: random.Random) -> int:
        """End a random part of all connections at once; how many."""
        return self._ask(lambda pipe: pipe.close(), draw)

    def tear(self, draw: random.Random) -> int:
        """Let a random part of all connections end in the middle of what they carry next; how many."""
        return self._ask(lambda pipe: pipe.tear(draw.random()), draw)

    def stall(self) -> None:
        """Let nothing through until `flow`."""
        self._loop.call_soon_threadsafe(self._flow.clear)

    def flow(self) -> None:
        """Let everything through again."""
        self._loop.call_soon_threadsafe(self._flow.set)

    def _ask(self, hurt: Callable[[_Pipe], None], draw: random.Random) -> int:
        chosen = [pipe for pipe in list(self._pipes) if draw.random() < 0.5]
        for pipe in chosen:
            self._loop.call_soon_threadsafe(hurt, pipe)
        return len(chosen)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flow.set()
        server = self._loop.run_until_complete(asyncio.start_unix_server(self._serve, str(self.path)))
        self._is_up.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for pipe in list(self._pipes):
            pipe.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        # Transports close in the turns after the one that aborts them.
        for _ in range(3):
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(str(self._server))
        except OSError:
            writer.transport.abort()
            return
        pipes = (_Pipe(reader, back, writer), _Pipe(there, writer, back))
        self._pipes.update(pipes)
        try:
            await asyncio.gather(*(pipe.run(self._flow) for pipe in pipes))
        finally:
            self._pipes.difference_update(pipes)


class _Pipe:
    """One direction of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._other = other
        self._torn_at: float | None = None

    def close(self) -> None:
        """End both directions, whatever is under way."""
        self._writer.transport.abort()
        self._other.transport.abort()

    def tear(self, share: float) -> None:
        """Pass on this share of the next bytes, then end."""
        self._torn_at = share

    async def run(self, flow: asyncio.Event) -> None:
        """Pass everything on until either side ends."""
        with contextlib.suppress(OSError):
            while data := await self._reader.read(_CHUNK):
                await flow.wait()
                if self._torn_at is not None:
                    self._writer.write(data[: int(len(data) * self._torn_at)])
                    await self._writer.drain()
                    break
                self._writer.write(data)
                await self._writer.drain()
        self.close()
