"""What can befall a running suite. Each misfortune is over, or mended, when it returns; most daemons then have work to do."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import redis

from core.topics import Daemon
from tests.chaos.proxy import Proxy
from tests.support.suite import RunningSuite

__all__ = ["MISFORTUNES", "Misfortune", "World"]

_DAEMONS = tuple(daemon.value for daemon in Daemon)
_DISK_SLACK = 16_384
_EXIT_JOURNAL = 73


class World(NamedTuple):
    """A running suite, the proxy its server is reached through, and the dice."""

    suite: RunningSuite
    proxy: Proxy
    draw: random.Random


class Misfortune(NamedTuple):
    """A name, how many processes it kills, how often it comes beside the others, and what it does."""

    name: str
    kills: int
    weight: int
    strike: Callable[[World], None]


def _kill_one(world: World) -> None:
    world.suite.kill(world.draw.choice(_DAEMONS))


def _kill_several(world: World) -> None:
    for name in world.draw.sample(_DAEMONS, 3):
        world.suite.kill(name)


def _kill_again_at_once(world: World) -> None:
    """Once more while it recovers."""
    name = world.draw.choice(_DAEMONS)
    for _ in range(2):
        world.suite.kill(name)
        _until(world, lambda: world.suite.supervisor.children[name].pid is not None)
        time.sleep(world.draw.uniform(0.0, 0.4))


def _stop_and_go_on(world: World) -> None:
    name = world.draw.choice((*_DAEMONS, "redis"))
    world.suite.send(name, signal.SIGSTOP)
    time.sleep(world.draw.uniform(0.05, 1.5))
    world.suite.send(name, signal.SIGCONT)


def _server_whole(world: World) -> None:
    """Back with everything it had when it was asked to save."""
    _save(world.suite)
    world.suite.kill("redis")


def _server_older(world: World) -> None:
    """Back with what it held a while ago: the ends of its streams are gone."""
    _save(world.suite)
    time.sleep(world.draw.uniform(0.2, 0.8))
    world.suite.kill("redis")


def _server_empty(world: World) -> None:
    _dump(world.suite).unlink(missing_ok=True)
    world.suite.kill("redis")


def _server_and_daemon(world: World) -> None:
    """Both at once, the server empty: what the daemon said last is in its journal alone."""
    world.suite.kill(world.draw.choice(_DAEMONS))
    _server_empty(world)


def _cut(world: World) -> None:
    world.proxy.cut(world.draw)


def _tear(world: World) -> None:
    world.proxy.tear(world.draw)


def _stall(world: World) -> None:
    world.proxy.stall()
    time.sleep(world.draw.uniform(0.1, 1.0))
    world.proxy.flow()


def _announce_again(world: World) -> None:
    world.suite.announce_again(world.draw)


def _full_disk(world: World) -> None:
    """The journal can grow no more: the daemon must end at once and stay down until somebody has made room."""
    name = world.draw.choice(_DAEMONS)
    child = world.suite.supervisor.children[name]
    pid = child.pid
    if pid is None:
        return
    files = [path for path in world.suite.home.state.glob(f"{name}.sqlite*") if path.is_file()]
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (max(path.stat().st_size for path in files) + _DISK_SLACK, resource.RLIM_INFINITY))
    except (ProcessLookupError, ValueError, FileNotFoundError):
        return
    _until(world, lambda: child.pid != pid and (child.pid is not None or child.has_given_up), 20.0)
    if child.pid == pid:
        # It had nothing to write: give the room back.
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        assert child.exit_code == _EXIT_JOURNAL, f"{name} ended with {child.exit_code} on a full disk, {_EXIT_JOURNAL} is its word for that, and no restart mends it"
        child.start()


MISFORTUNES = (
    Misfortune("kill -9 of a daemon", 1, 8, _kill_one),
    Misfortune("kill -9 of three daemons at once", 3, 3, _kill_several),
    Misfortune("kill -9 twice, the second while it recovers", 2, 3, _kill_again_at_once),
    Misfortune("SIGSTOP, SIGCONT", 0, 4, _stop_and_go_on),
    Misfortune("server killed, back whole", 1, 2, _server_whole),
    Misfortune("server killed, back with an older state", 1, 2, _server_older),
    Misfortune("server killed, back empty", 1, 2, _server_empty),
    Misfortune("server and a daemon killed, server back empty", 2, 2, _server_and_daemon),
    Misfortune("connections cut", 0, 3, _cut),
    Misfortune("connections torn in the middle of a message", 0, 3, _tear),
    Misfortune("connections stalled", 0, 2, _stall),
    Misfortune("stored messages announced again", 0, 2, _announce_again),
    Misfortune("journal on a full disk", 0, 2, _full_disk),
)


def _dump(suite: RunningSuite) -> Path:
    return suite.home.root / "redis" / "dump.rdb"


def _save(suite: RunningSuite) -> None:
    """Let the server write what it holds; one that is just not there keeps what it wrote last."""
    temporary = _dump(suite).with_suffix(".taken")
    try:
        with redis.Redis(unix_socket_path=str(suite.home.socket("redis")), socket_timeout=2.0) as client:
            client.execute_command("SAVE")
    except redis.RedisError:
        return
    shutil.copyfile(_dump(suite), temporary)
    os.replace(temporary, _dump(suite))


def _until(world: World, is_so: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so() and time.monotonic() < deadline:
        world.suite.supervisor.watch()
        time.sleep(0.005)
