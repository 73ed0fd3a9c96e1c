"""Which home is meant, who supervises it, and who lives in it: nobody's state is ever taken from under a living process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from apps.runtime.home import Home, open_home
from core.errors import ConfigError
from core.topics import Daemon

__all__ = ["existing_home", "home_root", "living_daemons", "occupy", "supervisor_pid"]

_ATTEMPTS = 100


def home_root() -> Path:
    """The folder that NJORD_HOME names, default ./var; it need not exist."""
    return Path(os.environ.get("NJORD_HOME") or "var").resolve()


def existing_home() -> Home:
    """The home of a suite that has been started before; ConfigError when there is none. Looking makes nothing."""
    root = home_root()
    if not (root / "suite.json").exists():
        raise ConfigError(f"{root}: holds no journal, no suite has run here yet; NJORD_HOME names the suite")
    return open_home(root)


@contextlib.contextmanager
def occupy(root: Path) -> Iterator[None]:
    """Be the one supervisor of a home; ConfigError when it has one, or when daemons of an earlier one are still alive."""
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_lock_file(root), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _take(descriptor):
            raise ConfigError(f"{root}: a suite is supervised here already (pid {supervisor_pid(root)}); `njord down` stops it, another NJORD_HOME is another suite")
        if alive := living_daemons(root):
            raise ConfigError(f"{root}: {_named(alive)} still run here without a supervisor; `njord down` stops them, another NJORD_HOME is another suite")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def supervisor_pid(root: Path) -> int:
    """The process that supervises a home, 0 when none does."""
    try:
        descriptor = os.open(_lock_file(root), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(descriptor, 32, 0) or 0)
    else:
        return 0
    finally:
        os.close(descriptor)


def living_daemons(root: Path) -> dict[str, int]:
    """The daemons that run on the journals of a home, with their pids; a recycled pid of something else does not count."""
    found = {}
    for daemon in Daemon:
        with contextlib.suppress(OSError, ValueError):
            pid = int((root / "state" / f"{daemon.value}.lock").read_text())
            if f"apps.{daemon.value}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found[daemon.value] = pid
    return found


def _named(alive: dict[str, int]) -> str:
    return ", ".join(f"{name} (pid {pid})" for name, pid in alive.items())


def _lock_file(root: Path) -> Path:
    return root / "supervisor.lock"


def _take(descriptor: int) -> bool:
    """Whether the lock is ours now. Whoever only asks holds it for an instant, so one refusal is no answer."""
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.sched_yield()
        else:
            return True
    return False
