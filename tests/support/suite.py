"""A whole suite as real processes in a folder of its own: start, watch, kill, verify. Used by the end-to-end tests."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import yaml

from apps.cli.supervisor import Supervisor, daemon_command
from apps.cli.verify.report import VerifyReport, verify_home
from apps.runtime.control_socket import ask_daemon
from apps.runtime.embedded import server_command
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import LoadedSettings, load_settings
from core.topics import Daemon

__all__ = ["RunningSuite"]


class RunningSuite:
    """Processes of one home under the shipped configuration (`environment`), with `overlay` on top."""

    def __init__(self, root: Path, overlay: dict[str, Any], environment: str = "demo") -> None:
        self.home: Home = open_home(root)
        self.home.settings_overlay.write_text(yaml.safe_dump({"environment": environment, **overlay}))
        self.loaded: LoadedSettings = load_settings(self.home.settings_overlay)
        self.supervisor = Supervisor(self.home, self.loaded.settings.runtime.daemons, server_command(self.home))
        self.kills: list[str] = []
        self.announced_again = 0
        self.tails_lost = 0

    def __enter__(self) -> RunningSuite:
        self.supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()

    def progress(self) -> dict[str, Any] | None:
        """Where the replay stands, None while md_ingest cannot say."""
        try:
            return ask_daemon(self.home.socket(Daemon.MD_INGEST.value), {"query": "progress"}, timeout_s=1.0).get("result")
        except ConnectionError:
            return None

    def health(self, daemon: Daemon) -> dict[str, Any] | None:
        """A daemon's own word, None while it cannot be asked."""
        try:
            return ask_daemon(self.home.socket(daemon.value), {"query": "health"}, timeout_s=1.0).get("result")
        except ConnectionError:
            return None

    def run_to_end(self, timeout_s: float, meanwhile: Callable[[dict[str, Any]], None] = lambda progress: None) -> None:
        """Supervise until the replay has finished; `meanwhile` may kill things."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.supervisor.watch()
            given_up = [f"{child.name} exit {child.exit_code}: {child.errors()}" for child in self.supervisor.given_up]
            assert not given_up, "; ".join(given_up) + self.logs()
            found = self.progress()
            if found is not None:
                if found["is_finished"]:
                    return
                meanwhile(found)
            time.sleep(0.01)
        raise AssertionError(f"not finished within {timeout_s:.0f} s: {self.progress()}" + self.logs())

    def wait_ready(self, daemon: Daemon, timeout_s: float = 10.0) -> float:
        """Seconds until a daemon says it is ready."""
        began = time.monotonic()
        while time.monotonic() - began < timeout_s:
            self.supervisor.watch()
            health = self.health(daemon)
            if health is not None and health["ready"]:
                return time.monotonic() - began
            time.sleep(0.005)
        raise AssertionError(f"{daemon.value} is not ready within {timeout_s:.0f} s: {self.health(daemon)}" + self.logs())

    def kill(self, name: str) -> None:
        """`kill -9`."""
        pid = self.supervisor.children[name].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self.kills.append(name)

    def killer(self, seed: int, names: list[str], every_steps: tuple[int, int]) -> Callable[[dict[str, Any]], None]:
        """Kills one of `names` after every so many steps of the replay and a random part of a step more, whatever the machine's speed.

        The next kill waits until the last one's victim is ready again: what never gets up proves nothing.
        """
        draw = random.Random(seed)
        due = draw.randint(*every_steps)
        killed = ""

        def meanwhile(progress: dict[str, Any]) -> None:
            nonlocal due, killed
            if progress["step"] < due or (killed and not self._is_back(killed)):
                return
            time.sleep(draw.uniform(0.0, 0.03))
            killed = draw.choice(names)
            self.kill(killed)
            due = progress["step"] + draw.randint(*every_steps)

        return meanwhile

    def _is_back(self, name: str) -> bool:
        """Whether a killed process serves again; the server is back when the supervisor has started it."""
        if name == "redis":
            return self.supervisor.children[name].pid is not None
        health = self.health(Daemon(name))
        return health is not None and bool(health["ready"])

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal, if the process lives."""
        self.supervisor.children[name].signal(number)

    def run_daemon(self, daemon: Daemon) -> tuple[int, str]:
        """Run a daemon of this home to its end, beside the supervised one: exit code and what it printed."""
        done = subprocess.run(daemon_command(daemon), env={**os.environ, "NJORD_HOME": str(self.home.root)}, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    def wait_for_open_place(self, timeout_s: float) -> bool:
        """Whether, within the time, the broker comes to have an order call that has no outcome."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.rows(Daemon.BROKER, "select 1 from calls where outcome_n is null and call_id like '%.place%' limit 1"):
                return True
            time.sleep(0.002)
        return False

    def announce_again(self, draw: random.Random) -> None:
        """Deliver some stored messages a second time, as a server or a network might."""
        with contextlib.suppress(redis.RedisError), self._client() as client:
            for key in self._streams(client):
                for _, fields in client.xrevrange(key, count=draw.randint(1, 5)):
                    self.announced_again += int(client.publish(key, fields[b"d"]) > 0)

    def lose_tails(self, draw: random.Random) -> None:
        """What coming back with an older state looks like: the last entries of every stream are gone, and so are all connections."""
        with contextlib.suppress(redis.RedisError), self._client() as client:
            for key in self._streams(client):
                entries = client.xrange(key)
                keep = entries[: max(1, len(entries) - draw.randint(1, 3))]
                pipeline = client.pipeline(transaction=True)
                pipeline.delete(key)
                for seq, fields in keep:
                    pipeline.xadd(key, fields, id=seq)
                pipeline.execute()
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)
            self.tails_lost += 1

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.home.socket("redis")), socket_timeout=2.0)

    def _streams(self, client: redis.Redis) -> list[bytes]:
        keys: Any = client.keys(f"{self.home.namespace}|*")
        return sorted(key for key in keys if not key.endswith((b"|meta", b"|acks")))

    def verify(self, wait_s: float = 10.0) -> VerifyReport:
        """`njord verify --wait`."""
        return verify_home(self.home, self.loaded, wait_s)

    def rows(self, daemon: Daemon, query: str) -> list[tuple[Any, ...]]:
        """Rows of a daemon's journal."""
        connection = sqlite3.connect(f"file:{self.home.journal(daemon.value)}?mode=rw", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def logs(self) -> str:
        """The last warnings and errors of all daemons."""
        lines = [
            line for path in sorted(self.home.logs.glob("*.ndjson")) for line in path.read_text().splitlines() if '"level": "info"' not in line and '"level": "debug"' not in line
        ]
        return "\n" + "\n".join(sorted(lines, key=lambda line: line.partition('"timestamp": "')[2])[-20:])
