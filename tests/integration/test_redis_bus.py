"""The Redis bus against a server that misbehaves: frozen, full, forgetful, read-only, behind a password; and what it leaves in Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.runtime.redis_bus import RedisBus
from core.ports import PublishStatus
from tests.support.bus import INTENTS, QUICK, RecordingListener, a_token
from tests.support.redis_server import RedisServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real server; the test fails when there is none to start."""
    with RedisServer(tmp_path / "home") as server:
        yield server


@contextlib.asynccontextmanager
async def a_bus(server: RedisServer, url: str = "") -> AsyncIterator[tuple[RedisBus, RecordingListener]]:
    """A started bus that listens to the intents."""
    bus, heard = RedisBus(lambda: url or server.url, server.home.namespace, "tester", QUICK), RecordingListener()
    await bus.start([INTENTS], heard)
    try:
        yield bus, heard
    finally:
        await bus.stop()


def _run(server: RedisServer, *command: str | int, password: str | None = None) -> Any:
    with server.client(password) as client:
        return client.execute_command(*command)


async def _connected(heard: RecordingListener, times: int = 1) -> None:
    await heard.until(lambda h: len(h.run_ids) >= times)


class TestMisbehaviour:
    """Whatever the server does wrong, the outcome is unknown, the reason is told, and the bus comes back by itself."""

    async def test_frozen_server_is_noticed_when_it_falls_silent(self, server: RedisServer) -> None:
        """The sockets stay up and nothing is answered: given up, and connected again after the thaw."""
        async with a_bus(server) as (bus, heard):
            await _connected(heard)
            server.freeze()
            with pytest.raises(ConnectionError, match="does not answer"):
                await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])
            await heard.until(lambda h: bool(h.lost))
            server.thaw()
            await _connected(heard, 2)

    async def test_connection_stays_when_nothing_happens(self, server: RedisServer) -> None:
        """Silence is answered with a ping on both connections, not with giving up."""
        async with a_bus(server) as (_, heard):
            await _connected(heard)
            await asyncio.sleep(QUICK.check_s * (QUICK.silent_checks_max + 3))
            assert heard.lost == []

    async def test_full_server_never_says_stored_when_out_of_memory(self, server: RedisServer) -> None:
        """Out of memory is no success and no reason to drop anything; when there is room again all goes on."""
        async with a_bus(server) as (bus, heard):
            await _connected(heard)
            _run(server, "CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(ConnectionError, match="OOM"):
                await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])
            await heard.until(lambda h: any("OOM" in reason for reason in h.lost))
            _run(server, "CONFIG", "SET", "maxmemory", 0)
            before = len(heard.run_ids)
            await _connected(heard, before + 1)
            assert (await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])).status is PublishStatus.STORED

    async def test_replica_never_says_stored_when_it_is_read_only(self, server: RedisServer) -> None:
        """A server that may not write does not count as one that has; promoted again, it does."""
        async with a_bus(server) as (bus, heard):
            await _connected(heard)
            _run(server, "REPLICAOF", "127.0.0.1", 1)
            with pytest.raises(ConnectionError, match="READONLY"):
                await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])
            _run(server, "REPLICAOF", "NO", "ONE")
            await _connected(heard, 2)
            assert (await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])).status is PublishStatus.STORED

    async def test_scripts_are_loaded_again_when_the_server_forgot_them(self, server: RedisServer) -> None:
        """The publish in between is unknown, so the way back is through a new connection and the streams' tails."""
        async with a_bus(server) as (bus, heard):
            await _connected(heard)
            _run(server, "SCRIPT", "FLUSH")
            with pytest.raises(ConnectionError, match="NOSCRIPT"):
                await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])
            await _connected(heard, 2)
            assert (await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])).status is PublishStatus.STORED

    async def test_reason_is_told_when_a_stream_holds_something_else(self, server: RedisServer) -> None:
        """Another program's key under our name is named as what it is."""
        _run(server, "SET", INTENTS.key(server.home.namespace), "not a stream")
        async with a_bus(server) as (bus, heard):
            await _connected(heard)
            with pytest.raises(ConnectionError, match="WRONGTYPE"):
                await bus.read(INTENTS, 1, 1)

    @pytest.mark.parametrize("victim", ["normal", "pubsub"])
    async def test_both_connections_go_when_one_is_cut(self, server: RedisServer, victim: str) -> None:
        """They stand and fall together: half a bus would look alive."""
        async with a_bus(server) as (_, heard):
            await _connected(heard)
            _run(server, "CLIENT", "KILL", "TYPE", victim)
            await heard.until(lambda h: len(h.lost) == 1)
            await _connected(heard, 2)
            names = [entry["name"] for entry in _clients(server)]
            assert names.count("tester") == 2


def _clients(server: RedisServer) -> list[dict[str, str]]:
    with server.client() as client:
        found: list[dict[str, str]] = client.client_list()
        return found


class TestConnecting:
    """Finding a server, and saying why there is none."""

    async def test_reason_is_told_once_when_there_is_no_server(self, server: RedisServer, tmp_path: Path) -> None:
        """Not once per attempt."""
        async with a_bus(server, f"unix://{tmp_path}/nobody.sock") as (_, heard):
            await heard.until(lambda h: bool(h.lost))
            await asyncio.sleep(QUICK.pause_most_s * 4)
            assert len(heard.lost) == 1
            assert "nobody.sock" in heard.lost[0]

    async def test_wrong_password_is_named_when_refused(self, server: RedisServer) -> None:
        """The reason names the server and its words, never the password."""
        _run(server, "CONFIG", "SET", "requirepass", "right")
        path = server.url.removeprefix("unix://")
        async with a_bus(server, f"unix://:wrong-one@{path}") as (_, heard):
            await heard.until(lambda h: bool(h.lost))
            assert "WRONGPASS" in heard.lost[0]
            assert path in heard.lost[0]
            assert "wrong-one" not in heard.lost[0]
        async with a_bus(server) as (_, heard):
            await heard.until(lambda h: bool(h.lost))
            assert "NOAUTH" in heard.lost[0]

    async def test_password_and_database_are_used_when_the_url_has_them(self, server: RedisServer) -> None:
        """What is published lies in the database named."""
        _run(server, "CONFIG", "SET", "requirepass", "right one")
        path = server.url.removeprefix("unix://")
        async with a_bus(server, f"unix://default:right%20one@{path}?db=3") as (bus, heard):
            await _connected(heard)
            await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])
        with server.client("right one") as client:
            assert client.exists(INTENTS.key(server.home.namespace)) == 0
            client.select(3)
            assert client.exists(INTENTS.key(server.home.namespace)) == 1

    async def test_tcp_is_spoken_when_the_url_says_so(self, server: RedisServer) -> None:
        """A configured server is usually not on this host's file system."""
        for port in range(20_000, 20_100):
            with contextlib.suppress(Exception):
                _run(server, "CONFIG", "SET", "port", port)
                break
        async with a_bus(server, f"redis://127.0.0.1:{port}") as (bus, heard):
            await _connected(heard)
            assert (await bus.publish(INTENTS, a_token(), 1, 1, [b"a"])).status is PublishStatus.STORED
            await heard.until(lambda h: h.messages == [(INTENTS, b"a")])

    async def test_later_server_is_found_when_the_address_changes(self, server: RedisServer, tmp_path: Path) -> None:
        """The address is asked for before each attempt."""
        urls = [f"unix://{tmp_path}/nobody.sock"]
        bus, heard = RedisBus(lambda: urls[-1], "ns", "tester", QUICK), RecordingListener()
        await bus.start([], heard)
        await heard.until(lambda h: bool(h.lost))
        urls.append(server.url)
        await _connected(heard)
        await bus.stop()


class TestWhatIsStored:
    """The layout that other programs may rely on."""

    async def test_keys_and_ids_are_as_specified_when_published(self, server: RedisServer) -> None:
        """`<seq>-0` in the stream, who may write in meta, acknowledgements as a hash's fields."""
        async with a_bus(server) as (bus, heard):
            await _connected(heard)
            await bus.publish(INTENTS, a_token("e1", 4), 1, 1, [b"a", b"b"])
            await bus.acknowledge("risk_engine", {INTENTS: 2})
        key = f"{server.home.namespace}|strat.intent|strategy_runner"
        with server.client() as client:
            assert client.xrange(key) == [(b"1-0", {b"d": b"a"}), (b"2-0", {b"d": b"b"})]
            assert client.hgetall(f"{key}|meta") == {b"epoch": b"e1", b"incarnation": b"4"}
            assert client.hgetall(f"{key}|acks") == {b"risk_engine": b"2"}


async def test_process_is_told_when_the_bus_itself_fails(server: RedisServer) -> None:
    """A bug while connecting, here the listener's, must not leave a process that looks alive and hears nothing."""

    class Faulty(RecordingListener):
        def on_bus_connected(self, run_id: str) -> None:
            raise RuntimeError("bug")

    heard = Faulty()
    bus = RedisBus(lambda: server.url, server.home.namespace, "faulty", QUICK)
    await bus.start([INTENTS], heard)
    await heard.until(lambda h: bool(h.broken))
    assert str(heard.broken[0]) == "bug"
    await bus.stop()
