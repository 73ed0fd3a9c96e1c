"""Keeps a suite's processes alive the way systemd would: what dies is started again, until it is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from apps.runtime.home import Home
from core.topics import Daemon

__all__ = ["STOPPED_FOR_GOOD", "Child", "Supervisor", "daemon_command"]

# Configuration errors, halts and a journal that could not be written: a restart cannot mend them, a person must look first
# (deploy/systemd says the same).
STOPPED_FOR_GOOD = frozenset({0, 2, 70, 71, 73, 75})

_BACKOFF_FIRST_S = 0.05
_BACKOFF_MAX_S = 2.0
_STABLE_S = 5.0


def daemon_command(daemon: Daemon) -> list[str]:
    """How a daemon is started."""
    return [sys.executable, "-m", f"apps.{daemon.value}"]


class Child:
    """One supervised process."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path, stays_down: frozenset[int] = STOPPED_FOR_GOOD) -> None:
        self.name = name
        self.restarts = 0
        self.exit_code: int | None = None
        self._command = command
        self._environment = environment
        self._log = log
        self._stays_down = stays_down
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._backoff = _BACKOFF_FIRST_S
        self._again_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def has_given_up(self) -> bool:
        """Whether it ended in a way that starting again cannot mend."""
        return self.exit_code is not None and self.exit_code in self._stays_down

    def start(self) -> None:
        """Start the process; what it prints goes to its log."""
        self.exit_code = None
        self._started = time.monotonic()
        with self._log.open("ab") as stream:
            self._process = subprocess.Popen(self._command, env=dict(self._environment), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)

    def watch(self) -> bool:
        """Notice a death, and start again when its pause is over; True when it has just been restarted."""
        if self._process is None:
            return False
        now = time.monotonic()
        if self.exit_code is None:
            code = self._process.poll()
            if code is None:
                return False
            self.exit_code = code
            self._backoff = _BACKOFF_FIRST_S if now - self._started > _STABLE_S else min(self._backoff * 2, _BACKOFF_MAX_S)
            self._again_at = now + self._backoff
        if self.has_given_up or now < self._again_at:
            return False
        self.restarts += 1
        self.start()
        return True

    def signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within the time."""
        if self._process is None:
            return True
        try:
            self.exit_code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """`kill -9`, if it lives, and see it gone."""
        self.signal(signal.SIGKILL)
        self.wait(5.0)

    def errors(self, lines: int = 5) -> str:
        """The last lines it printed: daemons print only what a person must mend."""
        try:
            with self._log.open("rb") as stream:
                return _tail(stream, lines)
        except FileNotFoundError:
            return ""


class Supervisor:
    """All processes of one home: the server, when it is the home's own, and the daemons. `stays_down` are the exit codes after which nothing is started again."""

    def __init__(
        self,
        home: Home,
        daemons: tuple[Daemon, ...],
        server: list[str] | None,
        environment: Mapping[str, str] | None = None,
        stays_down: frozenset[int] = STOPPED_FOR_GOOD,
    ) -> None:
        shared = {**os.environ, **(environment or {}), "NJORD_HOME": str(home.root)}
        commands = {daemon.value: daemon_command(daemon) for daemon in daemons}
        if server is not None:
            commands = {"redis": server, **commands}
        self.children = {name: Child(name, command, shared, home.logs / f"{name}.err", stays_down) for name, command in commands.items()}

    def start(self) -> None:
        """Start everything; daemons wait for the server and for one another by themselves."""
        for child in self.children.values():
            child.start()

    def watch(self) -> list[str]:
        """Restart what has died; the names of those restarted."""
        return [name for name, child in self.children.items() if child.watch()]

    @property
    def given_up(self) -> list[Child]:
        """Those that a restart cannot mend."""
        return [child for child in self.children.values() if child.has_given_up]

    @property
    def restarts(self) -> dict[str, int]:
        """How often each was started again."""
        return {name: child.restarts for name, child in self.children.items() if child.restarts}

    def stop(self, timeout_s: float = 10.0) -> list[str]:
        """Drain the daemons, then the server; the names of those that had to be killed. Interrupted, it kills what is left."""
        server = [child for name, child in self.children.items() if name == "redis"]
        daemons = [child for name, child in self.children.items() if name != "redis"]
        try:
            return [child.name for group in (daemons, server) for child in _stop(group, timeout_s)]
        finally:
            for child in self.children.values():
                child.kill()


def _stop(group: list[Child], timeout_s: float) -> list[Child]:
    """Ask all of them at once; those that have not ended in time are killed."""
    for child in group:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    late = [child for child in group if not child.wait(max(0.0, deadline - time.monotonic()))]
    for child in late:
        child.kill()
    return late


def _tail(stream: IO[bytes], lines: int) -> str:
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - 8192))
    return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
