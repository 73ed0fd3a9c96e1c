"""A real Redis-compatible server of a test's own: started, frozen, killed, brought back whole or empty, robbed of a tail.

When no server can be found the test fails: a bus that was only tested on itself was not tested.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import redis

from apps.runtime.embedded import EmbeddedServer
from apps.runtime.home import open_home
from core.ports import StreamId

__all__ = ["RedisServer"]


class RedisServer:
    """The embedded server of the home in `root`, with a test's ways to hurt it."""

    def __init__(self, root: Path) -> None:
        self.home = open_home(root)
        self._server = EmbeddedServer(self.home)

    def __enter__(self) -> RedisServer:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self._server.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        return self._server.url

    def client(self, password: str | None = None) -> redis.Redis:
        """An ordinary client beside the bus."""
        return redis.Redis(unix_socket_path=str(self.home.socket("redis")), password=password)

    def kill(self) -> None:
        """`kill -9`; nothing of it is left but what `keep` saved."""
        self._server.kill()

    def keep(self) -> None:
        """Save what it holds now, so that a restart brings it back."""
        with self.client() as client:
            client.execute_command("SAVE")

    def start(self) -> None:
        """Start it again."""
        self._server.start()

    def forget(self) -> None:
        """Throw away what was saved."""
        (self.home.root / "redis" / "dump.rdb").unlink(missing_ok=True)

    def freeze(self) -> None:
        """The process stands still: connections stay up and nothing is answered."""
        os.kill(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        if self._server.pid:
            os.kill(self._server.pid, signal.SIGCONT)

    def lose_tail(self, stream: StreamId, count: int) -> None:
        """What a stale copy of the data looks like: the last `count` entries never happened."""
        key = stream.key(self.home.namespace)
        with self.client() as client:
            entries = client.xrange(key)
            client.delete(key)
            for seq, fields in entries[: len(entries) - count]:
                client.xadd(key, fields, id=seq)
