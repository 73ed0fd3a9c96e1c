"""The embedded server as a process: where it listens, whose life it has, and that there is one of it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.runtime.bus import open_bus
from apps.runtime.embedded import EmbeddedServer, open_server, redis_url, server_command, wait_ready
from apps.runtime.home import Home, open_home
from core.errors import ConfigError
from core.settings import RuntimeSettings, Settings
from tests.support.bus import RecordingListener
from tests.support.redis_server import RedisServer


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    return open_home(tmp_path / "home")


def _is_gone(pid: int, patience_s: float = 5.0) -> bool:
    """Whether a process ends within the time. A child has ended when it can be waited for: its threads may outlive its state Z."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
        except ChildProcessError:
            if not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        time.sleep(0.01)
    return False


def test_address_is_told_when_started(home: Home) -> None:
    """The file names a socket that answers, for its owner alone, and there is no TCP port."""
    with EmbeddedServer(home) as server:
        assert redis_url(home, "") == server.url
        wait_ready(server.url, 1.0)
        assert stat.S_IMODE(home.socket("redis").stat().st_mode) == 0o700
        with RedisServer(home.root).client() as client:
            settings = client.config_get("port", "save", "appendonly", "maxmemory-policy", "dir")
    assert settings == {"port": "0", "save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "dir": str(home.root / "redis")}


def test_same_address_answers_when_killed_and_started_again(home: Home) -> None:
    """`kill -9` leaves a socket file behind; the next start does not mind."""
    server = EmbeddedServer(home)
    server.start()
    url, first = server.url, server.pid
    os.kill(first, signal.SIGKILL)
    assert _is_gone(first)
    assert home.socket("redis").exists()
    server.start()
    assert server.pid != first
    assert server.url == url
    wait_ready(url, 1.0)
    server.stop()
    assert server.pid == 0


def test_server_is_the_child_itself_when_a_supervisor_runs_it(home: Home) -> None:
    """What the supervisor signals is the server, not a launcher in between."""
    child = subprocess.Popen(server_command(home))
    try:
        wait_ready(f"unix://{home.socket('redis')}", 5.0)
        with RedisServer(home.root).client() as client:
            assert client.info("server")["process_id"] == child.pid
    finally:
        child.terminate()
        assert child.wait(5.0) == 0


def test_server_ends_when_its_launcher_is_killed(home: Home) -> None:
    """A launcher that is gone, however it went, leaves no server behind."""
    program = f"from pathlib import Path; from apps.runtime.embedded import EmbeddedServer as S; from apps.runtime.home import open_home; s = S(open_home(Path({str(home.root)!r}))); s.start(); print(s.pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        pid = int(launcher.stdout.readline())
        launcher.kill()
    assert _is_gone(pid)


def test_second_server_is_refused_when_one_runs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the first one's socket away, and half of the suite would talk to each."""
    with EmbeddedServer(home) as first:
        with pytest.raises(ConfigError, match="another server of this home is running"):
            EmbeddedServer(home).start()
        wait_ready(first.url, 1.0)
        assert first.pid


def test_two_homes_have_two_servers_when_started_together(tmp_path: Path) -> None:
    """Nothing is shared."""
    with EmbeddedServer(open_home(tmp_path / "a")) as one, EmbeddedServer(open_home(tmp_path / "b")) as other:
        assert one.url != other.url
        wait_ready(one.url, 1.0)
        wait_ready(other.url, 1.0)


def test_configured_server_is_used_as_it_is_when_named(home: Home, tmp_path: Path) -> None:
    """Nothing is started beside it."""
    with EmbeddedServer(open_home(tmp_path / "other")) as other, open_server(home, other.url) as url:
        assert url == other.url
        assert not home.socket("redis").exists()


def test_own_server_lives_for_the_block_when_none_is_configured(home: Home) -> None:
    """It answers inside and is gone after."""
    with open_server(home, "") as url:
        wait_ready(url, 1.0)
    with pytest.raises(ConnectionError, match="no answer within"):
        wait_ready(url, 0.05)


async def test_bus_waits_for_the_server_when_it_starts_first(home: Home) -> None:
    """Daemons and server may be started in any order."""
    bus, heard = open_bus(home, Settings(), "oms"), RecordingListener()
    await bus.start([], heard)
    await heard.until(lambda h: bool(h.lost))
    assert "no server yet" in heard.lost[0]
    with EmbeddedServer(home):
        await heard.until(lambda h: bool(h.run_ids))
        await bus.stop()


def test_bus_refuses_when_the_configured_address_is_none(home: Home) -> None:
    """A configuration error is told before anything starts."""
    with pytest.raises(ConfigError, match="redis_url"):
        open_bus(home, Settings(runtime=RuntimeSettings(redis_url="localhost")), "oms")
