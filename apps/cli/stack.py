"""`njord up`, `down`, `status`, `logs`: a supervised suite in the background on one machine.

On a trading host systemd does this (deploy/systemd); this is the same suite for a desk without it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console

from apps.cli.supervisor import Supervisor
from apps.runtime.control_socket import ask_daemon
from apps.runtime.embedded import server_command
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import LoadedSettings, load_settings
from core.errors import ConfigError
from core.settings import Settings

__all__ = ["DaemonStatus", "bring_down", "bring_up", "follow_logs", "suite_status"]

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0


class DaemonStatus(msgspec.Struct, frozen=True):
    """One daemon: `state` is ready, not ready or down."""

    daemon: str
    state: str
    reasons: tuple[str, ...]
    incarnation: int = 0
    inputs: int = 0
    now_ns: int = 0


def suite_status(home: Home, settings: Settings) -> list[DaemonStatus]:
    """Ask every enabled daemon how it is."""
    rows = []
    for daemon in settings.runtime.daemons:
        try:
            health = ask_daemon(home.socket(daemon.value), {"query": "health"}, timeout_s=2.0)["result"]
        except ConnectionError as error:
            rows.append(DaemonStatus(daemon.value, "down", (str(error),)))
            continue
        state = "ready" if health["ready"] else "not ready"
        rows.append(DaemonStatus(daemon.value, state, tuple(health["reasons"]), health["incarnation"], health["last_n"], health["now_ns"]))
    return rows


def bring_up(home: Home, loaded: LoadedSettings, console: Console) -> int:
    """Start the supervisor detached and wait until everything is ready."""
    running = _supervisor_pid(home)
    if running:
        console.print(f"already up (pid {running}); `njord status` says how it is, `njord down` stops it")
        return 0
    with (home.logs / "supervisor.err").open("ab") as stream:
        subprocess.Popen([sys.executable, "-m", "apps.cli.stack"], env={**os.environ, "NJORD_HOME": str(home.root)}, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
    deadline = time.monotonic() + _START_TIMEOUT_S
    rows: list[DaemonStatus] = []
    while time.monotonic() < deadline:
        rows = suite_status(home, loaded.settings)
        if all(row.state == "ready" for row in rows):
            console.print(f"{len(rows)} daemons are ready in {home.root}")
            return 0
        time.sleep(0.1)
    for row in rows:
        if row.state != "ready":
            console.print(f"[red]{row.daemon}[/red] is {row.state}: {'; '.join(row.reasons)}; its messages: {home.logs / (row.daemon + '.err')}", highlight=False)
    return 1


def bring_down(home: Home, console: Console) -> int:
    """Ask the supervisor to drain and stop everything."""
    pid = _supervisor_pid(home)
    if not pid:
        console.print("nothing to stop: no suite is up in this home")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        if not _supervisor_pid(home):
            console.print("stopped")
            return 0
        time.sleep(0.05)
    console.print(f"[red]the supervisor (pid {pid}) has not stopped within {_STOP_TIMEOUT_S:.0f} s[/red]")
    return 1


def follow_logs(home: Home, daemon: str, lines: int, follow: bool) -> int:
    """Print the last lines of each log by time, and go on as they grow."""
    paths = sorted(home.logs.glob(f"{daemon or '*'}.ndjson"))
    if not paths:
        known = ", ".join(path.stem for path in sorted(home.logs.glob("*.ndjson"))) or "none yet"
        raise ConfigError(f"{home.logs}: no log of {daemon or 'any daemon'}, there are: {known}")
    entries = [line for path in paths for line in path.read_text().splitlines()[-lines:]]
    for line in sorted(entries, key=_timestamp)[-lines:]:
        print(line)
    if not follow:
        return 0
    offsets = {path: path.stat().st_size for path in paths}
    while True:
        for path, offset in offsets.items():
            with path.open() as stream:
                stream.seek(offset)
                fresh = stream.read()
                offsets[path] = stream.tell()
            if fresh:
                print(fresh, end="", flush=True)
        time.sleep(0.2)


def _timestamp(line: str) -> str:
    _, _, rest = line.partition('"timestamp": "')
    return rest[:27]


def _pid_file(home: Home) -> Path:
    return home.root / "run" / "supervisor.pid"


def _supervisor_pid(home: Home) -> int:
    """The living supervisor's pid, or 0; a recycled pid of something else does not count."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(_pid_file(home).read_text())
        if b"apps.cli.stack" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def _supervise() -> int:
    """What runs in the background: start, restart what dies, stop on SIGTERM."""
    home = open_home()
    loaded = load_settings(home.settings_overlay)
    server = None if loaded.settings.runtime.redis_url else server_command(home)
    supervisor = Supervisor(home, loaded.settings.runtime.daemons, server)
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    _pid_file(home).write_text(str(os.getpid()))
    supervisor.start()
    while not stopping:
        supervisor.watch()
        time.sleep(0.05)
    supervisor.stop()
    _pid_file(home).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(_supervise())
