"""The venue socket's two ends under test: a listener and a shell that write down what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

from apps.paper_venue.venue_server import SOCKET_NAME
from core.machine import Answer, Command, Log
from core.venue import VenueEvent, VenueReply

__all__ = ["NotedListener", "NotedShell", "Raw", "answered", "socket_folder"]

_SOON_S = 5.0


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="nj") as folder:
        yield Path(folder)


class NotedListener:
    """A `VenueListener`. `heard` holds ("up",), ("down", reason), ("reply", call id, reply), ("event", event), in order."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.logs: list[str] = []

    def on_venue_connected(self) -> None:
        """Noted."""
        self.heard.put_nowait(("up",))

    def on_venue_lost(self, reason: str) -> None:
        """Noted."""
        self.heard.put_nowait(("down", reason))

    def on_venue_reply(self, call_id: str, reply: VenueReply) -> None:
        """Noted."""
        self.heard.put_nowait(("reply", call_id, reply))

    def on_venue_event(self, event: VenueEvent) -> None:
        """Noted."""
        self.heard.put_nowait(("event", event))

    def tell(self, log: Log) -> None:
        """Noted."""
        self.logs.append(log.event)

    async def next(self) -> tuple[Any, ...]:
        """What is heard next."""
        return await asyncio.wait_for(self.heard.get(), _SOON_S)


class _Folder(NamedTuple):
    folder: Path

    def socket(self, name: str) -> Path:
        """The only socket there is."""
        return self.folder / f"{name}.sock"


class _Node(NamedTuple):
    incarnation: int = 1


class NotedShell:
    """As much of a venue's shell as its server uses: commands are noted in `commands`, acknowledgements in `acknowledged`."""

    def __init__(self, folder: Path) -> None:
        self.home = _Folder(folder)
        self.node = _Node()
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self.acknowledged: list[int] = []
        self.logs: list[str] = []

    @property
    def path(self) -> Path:
        """The venue's socket."""
        return self.home.socket(SOCKET_NAME)

    def command(self, command: Command, answer: Any = None) -> None:
        """Noted."""
        assert answer is None
        self.commands.put_nowait(command)

    def on_push_acknowledged(self, cursor: int) -> None:
        """Noted."""
        self.acknowledged.append(cursor)

    def tell(self, log: Log) -> None:
        """Noted."""
        self.logs.append(log.event)

    async def next(self) -> Command:
        """The command journaled next."""
        return await asyncio.wait_for(self.commands.get(), _SOON_S)


class Raw:
    """A bare connection to a socket, or one that a bare server accepted; `close_all` ends all of them."""

    _made: ClassVar[list[Raw]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._made.append(self)

    @classmethod
    async def connect(cls, path: Path) -> Raw:
        """Connect."""
        return cls(*await asyncio.open_unix_connection(path))

    def say(self, *lines: bytes) -> None:
        """Send lines at once."""
        self._writer.write(b"".join(line + b"\n" for line in lines))

    async def line(self) -> bytes:
        """The next line, b"" when the other side has closed."""
        try:
            return (await asyncio.wait_for(self._reader.readline(), _SOON_S)).rstrip(b"\n")
        except ConnectionError:
            return b""

    def say_part(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    async def close(self) -> None:
        """Close, with whatever was said before."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    @classmethod
    async def close_all(cls) -> None:
        """Close every connection made so far."""
        while cls._made:
            await cls._made.pop().close()


def answered(command: Command, reply: VenueReply) -> Answer:
    """The machine's answer to a command."""
    return Answer(command.command_id, reply)
