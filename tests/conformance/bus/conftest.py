"""One world per test: the in-memory broker, then a real server of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bus import BusWorld, MemoryWorld, RedisWorld
from tests.support.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real server; the test fails when there is none to start."""
    with RedisServer(tmp_path / "home") as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
def world(request: pytest.FixtureRequest) -> BusWorld:
    """Both worlds in turn."""
    return MemoryWorld() if request.param == "memory" else RedisWorld(request.getfixturevalue("redis_server"))
