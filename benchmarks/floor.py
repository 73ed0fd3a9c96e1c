"""The floor: a bare durable chain, against which the pipeline is measured in the same sitting.

Each hop is a process that does the least a durable hop can do: hear a message, commit it with `synchronous=FULL`, store and
announce it under the next number. It decides nothing, checks nothing and recovers nothing. The ordinary redis-py client speaks
for it, so it is what a first honest attempt at such a chain would be.

Run as a process, this module is one hop: `python -m benchmarks.floor SOCKET INDEX FOLDER`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis.asyncio
import uvloop

__all__ = ["PAUSE_S", "floor_chain", "floor_latencies_us", "floor_throughput"]

PAUSE_S = 0.005
"""Between two messages that are measured one at a time, here and in the pipeline: the processes come to rest."""

_STORE_AND_ANNOUNCE = "redis.call('XADD', KEYS[1], 'MAXLEN', '~', 100000, ARGV[1] .. '-0', 'd', ARGV[2]) redis.call('PUBLISH', KEYS[1], ARGV[2]) return 1"
_BATCH_MAX = 256
_BODY = b"x" * 300
_BURST = 100


@contextmanager
def floor_chain(socket: Path, hops: int, folder: Path) -> Iterator[None]:
    """`hops` processes in a row on the server at `socket`, for the length of the block."""
    commands = ([sys.executable, "-m", "benchmarks.floor", str(socket), str(index), str(folder)] for index in range(hops))
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for command in commands]
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("a hop of the floor did not start")
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate()


def floor_latencies_us(socket: Path, hops: int, messages: int, warm_up: int) -> list[float]:
    """Microseconds from the first publish to what the last hop says, one message at a time."""
    return uvloop.run(_latencies(socket, hops, messages, warm_up))


def floor_throughput(socket: Path, hops: int, messages: int) -> float:
    """Messages per second through all hops."""
    return uvloop.run(_throughput(socket, hops, messages))


class _Chain:
    """The driver's end of the chain: it speaks on channel 0 and hears the last one."""

    def __init__(self, socket: Path, hops: int) -> None:
        self._client = redis.asyncio.Redis(unix_socket_path=str(socket))
        self._heard = self._client.pubsub(ignore_subscribe_messages=True)
        self._publish = self._client.register_script(_STORE_AND_ANNOUNCE)
        self._hops = hops
        self._seq = 0

    async def __aenter__(self) -> _Chain:
        await self._heard.subscribe(_channel(self._hops))
        await self._heard.get_message(timeout=1)
        self._seq = await _last_seq(self._client, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._heard.aclose()  # type: ignore[no-untyped-call]
        await self._client.aclose()

    async def say(self, count: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for _ in range(count):
            self._seq += 1
            await self._publish(keys=[_channel(0)], args=[self._seq, _BODY], client=pipeline)
        await pipeline.execute()

    async def hear(self) -> None:
        while await self._heard.get_message(timeout=10) is None:
            pass


async def _latencies(socket: Path, hops: int, messages: int, warm_up: int) -> list[float]:
    found = []
    async with _Chain(socket, hops) as chain:
        for _ in range(warm_up + messages):
            began = time.perf_counter()
            await chain.say(1)
            await chain.hear()
            found.append((time.perf_counter() - began) * 1e6)
            await asyncio.sleep(PAUSE_S)
    return found[warm_up:]


async def _throughput(socket: Path, hops: int, messages: int) -> float:
    async with _Chain(socket, hops) as chain:

        async def speak() -> None:
            for first in range(0, messages, _BURST):
                await chain.say(min(_BURST, messages - first))

        began = time.perf_counter()
        speaking = asyncio.ensure_future(speak())
        for _ in range(messages):
            await chain.hear()
        await speaking
        return messages / (time.perf_counter() - began)


async def _hop(socket: str, index: int, folder: Path) -> None:
    client = redis.asyncio.Redis(unix_socket_path=socket)
    heard = client.pubsub(ignore_subscribe_messages=True)
    await heard.subscribe(_channel(index))
    await heard.get_message(timeout=1)
    publish = client.register_script(_STORE_AND_ANNOUNCE)
    seq = await _last_seq(client, index + 1)
    journal = sqlite3.connect(folder / f"floor-{index}.sqlite", isolation_level=None)
    journal.executescript("pragma journal_mode=wal; pragma synchronous=full; create table seen(n integer primary key, d blob); create table said(n integer primary key, d blob);")
    print("ready", flush=True)
    while True:
        batch = await _batch(heard)
        journal.execute("begin")
        journal.executemany("insert into seen(d) values(?)", batch)
        journal.executemany("insert into said(d) values(?)", batch)
        journal.execute("commit")
        pipeline = client.pipeline(transaction=False)
        for (body,) in batch:
            seq += 1
            await publish(keys=[_channel(index + 1)], args=[seq, body], client=pipeline)
        await pipeline.execute()


async def _batch(heard: Any) -> list[tuple[bytes]]:
    """What has arrived: at least one message, at most a batch."""
    batch: list[tuple[bytes]] = []
    while len(batch) < _BATCH_MAX:
        message = await heard.get_message(timeout=0 if batch else None)
        if message is not None:
            batch.append((message["data"],))
        elif batch:
            break
    return batch


async def _last_seq(client: redis.asyncio.Redis, index: int) -> int:
    newest: Any = await client.xrevrange(_channel(index), count=1)
    return int(newest[0][0].partition(b"-")[0]) if newest else 0


def _channel(index: int) -> str:
    return f"floor-{index}"


if __name__ == "__main__":
    uvloop.run(_hop(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
