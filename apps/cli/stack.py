"""`njord up`, `down`, `status`, `logs`: a supervised suite in the background on one machine.

On a trading host systemd does this (deploy/systemd); this is the same suite for a desk without it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console

from apps.cli.homes import living_daemons, occupy, supervisor_pid
from apps.cli.supervisor import Supervisor
from apps.runtime.control_socket import ask_daemon
from apps.runtime.embedded import server_command, wait_ready
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import LoadedSettings, load_settings
from core.errors import ConfigError
from core.settings import Settings

__all__ = ["DaemonStatus", "bring_down", "bring_up", "follow_logs", "require_server", "suite_status"]

_START_TIMEOUT_S = 30.0
_SERVER_TIMEOUT_S = 2.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 0.05
# So much of the end of a log is searched for its last lines.
_TAIL_BYTES = 256 * 1024


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
            is_gone = isinstance(error.__context__, FileNotFoundError | ConnectionRefusedError)
            rows.append(DaemonStatus(daemon.value, "down", ("does not run" if is_gone else str(error),)))
            continue
        state = "ready" if health["ready"] else "not ready"
        rows.append(DaemonStatus(daemon.value, state, tuple(health["reasons"]), health["incarnation"], health["last_n"], health["now_ns"]))
    return rows


def bring_up(home: Home, loaded: LoadedSettings, console: Console) -> int:
    """Start the supervisor detached and wait until everything is ready, or it is clear that something never will be."""
    if running := supervisor_pid(home.root):
        _say(console, f"already up (pid {running}); `njord status` says how it is, `njord down` stops it")
        return 0
    require_server(loaded)
    errors = home.logs / "supervisor.err"
    supervisor = _start_supervisor(home, errors)
    rows: list[DaemonStatus] = []
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        rows = suite_status(home, loaded.settings)
        if all(row.state == "ready" for row in rows):
            _say(console, f"{len(rows)} daemons are ready in {home.root}")
            return 0
        if told := errors.read_text(errors="replace").strip():
            _say(console, told)
            _say(console, "nothing was started" if _has_ended(supervisor) else "the others go on; `njord down` stops them")
            return 1
        time.sleep(_POLL_S)
    for row in rows:
        if row.state != "ready":
            _say(console, f"{row.daemon} is {row.state}: {'; '.join(row.reasons)}; its messages: {home.logs / (row.daemon + '.err')}")
    return 1


def require_server(loaded: LoadedSettings) -> None:
    """Return when the configured server answers, or when none is configured and the home's own will do; else ConfigError."""
    url = loaded.settings.runtime.redis_url
    if not url:
        return
    try:
        wait_ready(url, _SERVER_TIMEOUT_S)
    except ConnectionError as error:
        raise ConfigError(f"{loaded.provenance['runtime.redis_url']} runtime.redis_url: {error}") from None


def _start_supervisor(home: Home, errors: Path) -> subprocess.Popen[bytes]:
    with errors.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "apps.cli.stack"],
            env={**os.environ, "NJORD_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return False
    return True


def bring_down(home: Home, console: Console) -> int:
    """Ask the supervisor to drain and stop everything, or, when there is none left, the daemons themselves."""
    supervisor = supervisor_pid(home.root)
    pids = {"the supervisor": supervisor} if supervisor else living_daemons(home.root)
    if not pids:
        _say(console, f"nothing to stop: no suite is up in {home.root}")
        return 0
    for pid in pids.values():
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        if not supervisor_pid(home.root) and not living_daemons(home.root):
            _say(console, "stopped")
            return 0
        time.sleep(_POLL_S)
    _say(console, f"not stopped within {_STOP_TIMEOUT_S:.0f} s: {', '.join(f'{name} (pid {pid})' for name, pid in pids.items())}")
    return 1


def follow_logs(home: Home, daemon: str, lines: int, follow: bool) -> int:
    """Print the last lines of all logs by time, and go on as they grow."""
    paths = _logs(home, daemon)
    if not paths:
        known = ", ".join(path.stem for path in _logs(home, "")) or "none yet"
        raise ConfigError(f"{home.logs}: no log of {daemon or 'any daemon'}, there are: {known}")
    offsets = {path: path.stat().st_size for path in paths}
    entries = [line for path in paths for line in _last_lines(path, lines)]
    for line in sorted(entries, key=_timestamp)[-lines:]:
        print(line)
    while follow:
        fresh = [line for path in _logs(home, daemon) for line in _new_lines(path, offsets)]
        for line in sorted(fresh, key=_timestamp):
            print(line, flush=True)
        time.sleep(0.2)
    return 0


def _logs(home: Home, daemon: str) -> list[Path]:
    return sorted(path for path in home.logs.glob("*.ndjson") if daemon in ("", path.stem))


def _last_lines(path: Path, lines: int) -> list[str]:
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        begin = stream.seek(max(0, size - _TAIL_BYTES))
        found = stream.read().decode(errors="replace").splitlines()
    return (found[1:] if begin else found)[-lines:]


def _new_lines(path: Path, offsets: dict[Path, int]) -> list[str]:
    """Whole lines that a log has grown by; one that was replaced is read from its beginning."""
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) < offsets.get(path, 0):
            offsets[path] = 0
        stream.seek(offsets.get(path, 0))
        whole = stream.read().rpartition(b"\n")[0]
    if not whole:
        return []
    offsets[path] = offsets.get(path, 0) + len(whole) + 1
    return whole.decode(errors="replace").splitlines()


def _timestamp(line: str) -> str:
    _, _, rest = line.partition('"timestamp": "')
    return rest[:27]


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _supervise() -> int:
    """What runs in the background: start, restart what dies, stop on SIGTERM. What a restart cannot mend is said once."""
    home = open_home()
    runtime = load_settings(home.settings_overlay).settings.runtime
    supervisor = Supervisor(home, runtime.daemons, None if runtime.redis_url else server_command(home))
    stopping = False
    told: set[str] = set()

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with occupy(home.root):
        try:
            supervisor.start()
            while not stopping:
                supervisor.watch()
                for child in supervisor.given_up:
                    if child.name not in told:
                        told.add(child.name)
                        print(f"{child.name} stopped with exit code {child.exit_code}: {child.errors() or 'see ' + str(home.logs)}", file=sys.stderr, flush=True)
                time.sleep(_POLL_S)
        finally:
            supervisor.stop()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(_supervise())
    except ConfigError as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
