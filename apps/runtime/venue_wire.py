"""What travels on the simulated venue's socket: one JSON object per line, both ways.

The broker says `{"id": <call id>, "request": ...}`; the venue answers `{"id": <call id>, "reply": ...}` and pushes
`{"event": ...}`. `AcknowledgeEvents` has an empty id and no answer. Frames that were sent in one turn of the loop leave in one
write.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Protocol, TypeVar, cast

import msgspec

from core.errors import DecodeError
from core.venue import AcknowledgeEvents, VenueEvent, VenueReply, VenueRequest

__all__ = ["FRAME_MAX", "LineLink", "LinkOwner", "VenueAsked", "VenueSaid", "decode_asked", "decode_said", "encode", "listen"]

FRAME_MAX = 64 * 2**20
"""Bytes of the longest frame: far more than every open order of an account. A longer one is no frame."""


class VenueAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request of the broker's."""

    id: str
    request: VenueRequest


class VenueSaid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The venue's reply to request `id`, or an event."""

    id: str = ""
    reply: VenueReply | None = None
    event: VenueEvent | None = None


_ASKED = msgspec.json.Decoder(VenueAsked)
_SAID = msgspec.json.Decoder(VenueSaid)
_ENCODER = msgspec.json.Encoder()
_T = TypeVar("_T")


def encode(frame: VenueAsked | VenueSaid) -> bytes:
    """The frame as a line."""
    return _ENCODER.encode(frame) + b"\n"


def decode_asked(line: bytes) -> VenueAsked:
    """The request in a line; DecodeError when it is none: only an acknowledgement of events goes without an id."""
    frame = _decoded(_ASKED, line)
    if (frame.id == "") != isinstance(frame.request, AcknowledgeEvents):
        raise DecodeError(f"frame {line[:200]!r}: id {frame.id!r} of a {type(frame.request).__name__}, exactly the acknowledgement of events has an empty id")
    return frame


def decode_said(line: bytes) -> VenueSaid:
    """What the venue said; DecodeError when it is neither one reply nor one event."""
    frame = _decoded(_SAID, line)
    if (frame.reply is None) == (frame.event is None) or (frame.id == "") != (frame.reply is None):
        raise DecodeError(f"frame {line[:200]!r}: one reply with its id, or one event, is required")
    return frame


def _decoded(decoder: msgspec.json.Decoder[_T], line: bytes) -> _T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"frame {line[:200]!r}: {error}") from None


class LinkOwner(Protocol):
    """Who hears of a connection."""

    def on_link_up(self, link: LineLink) -> None:
        """The connection stands; nothing of it has been read yet."""

    def on_line(self, link: LineLink, line: bytes) -> None:
        """A line has come."""

    def on_link_down(self, link: LineLink, reason: str) -> None:
        """The other side is gone, or sent a line beyond `FRAME_MAX`; never called after `close`."""


class LineLink(asyncio.Protocol):
    """One connection. After `close` nothing more is read from it, not even what has already arrived, and nothing is sent."""

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._parts: list[bytes] = []
        self._size = 0
        self._out: list[bytes] = []

    def send(self, line: bytes) -> None:
        """Send a line, with whatever else this turn of the loop sends."""
        if self._closed:
            return
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(line)

    def close(self) -> None:
        """Cut the connection now."""
        self._closed = True
        self._out.clear()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: connected."""
        self._transport = cast(asyncio.Transport, transport)
        if self._closed:
            self._transport.abort()
        else:
            self._owner.on_link_up(self)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes have come."""
        lines = data.split(b"\n")
        lines[0] = b"".join((*self._parts, lines[0])) if len(lines) > 1 else lines[0]
        rest = lines.pop()
        self._parts, self._size = ([rest], len(rest)) if lines else ([*self._parts, rest], self._size + len(rest))
        for line in lines:
            if self._closed:
                return
            self._owner.on_line(self, line)
        if self._size > FRAME_MAX and not self._closed:
            self._end(f"a frame of more than {FRAME_MAX} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the other side is gone."""
        if not self._closed:
            self._end(str(exc) if exc is not None else "the other side closed the connection")

    def _end(self, reason: str) -> None:
        self.close()
        self._owner.on_link_down(self, reason)

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._closed:
            self._transport.write(b"".join(self._out))
            self._out.clear()


async def listen(path: Path, owner: LinkOwner) -> asyncio.Server:
    """Serve a Unix socket that only its own user may open. A file left by a killed predecessor is removed first."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return await asyncio.get_running_loop().create_unix_server(lambda: LineLink(owner), sock=listener)
