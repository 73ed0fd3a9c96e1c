"""The operators' door: one Unix socket per daemon, newline-delimited JSON, HTTP for health.

A request is `{"command": <OperatorCommand>}` or `{"query": <name>}` (`health`, and what the daemon adds); the reply is one JSON line. Commands are journaled as
inputs with the peer's user as the actor (the kernel says who it is, not the caller), and answered after the commit. A request
line that starts with `GET ` is served as HTTP, so `curl --unix-socket` works: `/health` and `/live` say the process runs,
`/ready` says 200 or 503.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import Any

import msgspec

from apps.runtime.shell import Shell
from core.contracts import OperatorCommand
from core.machine import Answer, Command

__all__ = ["ControlSocket", "ask_daemon"]

_LINE_MAX = 64 * 1024


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    command: OperatorCommand | None = None
    query: str = ""


class _Response(msgspec.Struct, frozen=True, omit_defaults=True):
    ok: bool
    text: str = ""
    result: Any = None


class ControlSocket:
    """Serves one daemon's socket. Only the daemon's own user and root are let in: the socket file is 0600."""

    def __init__(self, path: Path, shell: Shell) -> None:
        self._path = path
        self._shell = shell
        self._count = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. A socket file left by a killed predecessor is removed: the journal's lock already proved it dead."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LINE_MAX)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line.startswith(b"GET "):
                writer.write(self._http(line.split()[1].decode("latin-1")))
            else:
                writer.write(msgspec.json.encode(await self._answer(line, _actor(writer))) + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # The asker went away or sent a line beyond the limit; nothing was journaled for it.
        finally:
            writer.close()

    async def _answer(self, line: bytes, actor: str) -> _Response:
        try:
            request = msgspec.json.decode(line, type=_Request)
        except msgspec.DecodeError as error:
            return _Response(False, f"request {line[:200]!r}: {error}")
        if request.command is not None:
            return await self._command(request.command, actor)
        query = self._shell.queries.get(request.query)
        if query is None:
            return _Response(False, f"query {request.query!r}: unknown, allowed are {', '.join(sorted(self._shell.queries))}")
        return _Response(True, result=query())

    async def _command(self, body: OperatorCommand, actor: str) -> _Response:
        self._count += 1
        command_id = f"op-{self._shell.node.incarnation}-{self._count}"
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._shell.command(Command(command_id, actor, body), answered.set_result)
        try:
            answer = await asyncio.wait_for(answered, timeout=5)
        except TimeoutError:
            return _Response(False, f"{type(body).__name__}: this daemon does not answer it")
        return _Response(True, str(answer.reply))

    def _http(self, path: str) -> bytes:
        health = self._shell.health()
        status = "200 OK" if path in ("/health", "/live") or (path == "/ready" and health.ready) else "503 Service Unavailable" if path == "/ready" else "404 Not Found"
        body = msgspec.json.encode(health) if not status.startswith("404") else b'{"allowed":["/health","/live","/ready"]}'
        return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def ask_daemon(path: Path, request: dict[str, object], timeout_s: float = 6.0) -> dict[str, Any]:
    """Ask a daemon over its socket; ConnectionError when it is not there or does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as answer:
                line = answer.readline()
    except OSError as error:
        raise ConnectionError(f"{path}: {error}") from None
    if not line:
        raise ConnectionError(f"{path}: closed without an answer")
    reply: dict[str, Any] = msgspec.json.decode(line)
    return reply


def _actor(writer: asyncio.StreamWriter) -> str:
    """Who is on the other end, by the kernel's word."""
    peer = writer.get_extra_info("socket")
    pid, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return f"{name}(pid {pid})" if pid != os.getpid() else name
