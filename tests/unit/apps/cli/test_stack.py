"""`njord up`, `down`, `status`, `logs`: what is said and which exit code it has."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from apps.cli import stack
from apps.cli.stack import DaemonStatus, bring_down, bring_up, follow_logs, suite_status
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import LoadedSettings
from core.errors import ConfigError
from tests.support.builders import settings_with

HEALTH = {"daemon": "oms", "ready": False, "reasons": ["catching up"], "incarnation": 3, "last_n": 77, "now_ns": 9}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return open_home(tmp_path)


@contextmanager
def _answering(path: Path, answer: dict[str, Any]) -> Iterator[None]:
    """A daemon's socket that gives one answer to one question."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(json.dumps({"ok": True, "result": answer}).encode() + b"\n")

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


class TestStatus:
    """One row per enabled daemon."""

    @pytest.mark.parametrize(("is_ready", "state"), [(True, "ready"), (False, "not ready")])
    def test_daemon_speaks_for_itself_when_it_answers(self, home: Home, is_ready: bool, state: str) -> None:
        """Ready or not, why, and how far."""
        settings = settings_with(runtime={"daemons": ["oms"]})
        with _answering(home.socket("oms"), HEALTH | {"ready": is_ready}):
            assert suite_status(home, settings) == [DaemonStatus("oms", state, ("catching up",), 3, 77, 9)]

    def test_daemon_is_down_when_nobody_listens(self, home: Home) -> None:
        """No socket, or one that a killed process left behind; every enabled daemon has its row."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(home.socket("oms")))
        rows = suite_status(home, settings_with(runtime={"daemons": ["oms", "broker"]}))
        assert rows == [DaemonStatus("oms", "down", ("does not run",)), DaemonStatus("broker", "down", ("does not run",))]

    def test_daemon_is_down_with_the_reason_when_it_hangs_up(self, home: Home) -> None:
        """What is unusual is told as it is."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(home.socket("oms")))
            listener.listen()
            thread = threading.Thread(target=lambda: listener.accept()[0].close())
            thread.start()
            (row,) = suite_status(home, settings_with(runtime={"daemons": ["oms"]}))
            thread.join()
        assert row.state == "down"
        assert "closed without an answer" in row.reasons[0] or "reset" in row.reasons[0] or "Broken pipe" in row.reasons[0]


class _Process:
    """A supervisor that was started in the background."""

    def __init__(self, errors: str, has_ended: bool) -> None:
        self.errors = errors
        self.has_ended = has_ended
        self.arguments: list[str] = []
        self.environment: dict[str, str] = {}

    def __call__(self, arguments: list[str], *, env: dict[str, str], stderr: io.BufferedWriter, start_new_session: bool, **_: Any) -> _Process:
        self.arguments, self.environment = arguments, env
        assert start_new_session
        stderr.write(self.errors.encode())
        return self

    def wait(self, timeout: float) -> int:
        """Whether it has ended."""
        if not self.has_ended:
            raise subprocess.TimeoutExpired("supervisor", timeout)
        return 2


class TestUp:
    """Start in the background and wait until everything is ready."""

    @pytest.fixture
    def say(self) -> io.StringIO:
        """What is said."""
        return io.StringIO()

    def _up(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO, process: _Process, *states: str, redis_url: str = "") -> int:
        settings = settings_with(runtime={"redis_url": redis_url})
        seen = iter(states)
        moments = iter(range(0, 1000, 7))
        monkeypatch.setattr("apps.cli.stack.subprocess.Popen", process)
        monkeypatch.setattr(stack, "suite_status", lambda home, settings: [DaemonStatus("oms", next(seen), ("why",))])
        monkeypatch.setattr("apps.cli.stack.time.monotonic", lambda: next(moments))
        monkeypatch.setattr("apps.cli.stack.time.sleep", lambda seconds: None)
        loaded = LoadedSettings(settings, "h", "", {"runtime.redis_url": "NJORD_REDIS_URL"})
        return bring_up(home, loaded, Console(file=say, width=300))

    def test_exit_code_is_zero_when_all_become_ready(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO) -> None:
        """The supervisor gets this home, wherever it was started."""
        process = _Process("", False)
        assert self._up(home, monkeypatch, say, process, "down", "not ready", "ready") == 0
        assert process.arguments[1:] == ["-m", "apps.cli.stack"]
        assert process.environment["NJORD_HOME"] == str(home.root)
        assert "1 daemons are ready" in say.getvalue()

    def test_reason_is_told_at_once_when_a_daemon_cannot_run(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO) -> None:
        """What only a person can mend is not waited for."""
        assert self._up(home, monkeypatch, say, _Process("md_ingest stopped with exit code 2: no file", False), "down", "down") == 1
        assert say.getvalue() == "md_ingest stopped with exit code 2: no file\nthe others go on; `njord down` stops them\n"

    def test_nothing_is_started_when_the_home_is_taken(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO) -> None:
        """The supervisor itself refused."""
        assert self._up(home, monkeypatch, say, _Process("oms (pid 7) still run here", True), "down") == 1
        assert say.getvalue() == "oms (pid 7) still run here\nnothing was started\n"

    def test_who_is_not_ready_is_told_when_the_time_is_over(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO) -> None:
        """And where to look."""
        assert self._up(home, monkeypatch, say, _Process("", False), *["not ready"] * 9) == 1
        assert f"oms is not ready: why; its messages: {home.logs}/oms.err" in say.getvalue()

    def test_nothing_happens_when_it_is_up_already(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO) -> None:
        """Asking twice is no error."""
        monkeypatch.setattr(stack, "supervisor_pid", lambda root: 7)
        assert self._up(home, monkeypatch, say, _Process("", False)) == 0
        assert "already up (pid 7)" in say.getvalue()

    def test_server_is_named_when_it_does_not_answer(self, home: Home, monkeypatch: pytest.MonkeyPatch, say: io.StringIO) -> None:
        """A configured address that nobody serves: where it came from, and what is wrong."""
        with pytest.raises(ConfigError, match=r"NJORD_REDIS_URL runtime\.redis_url: .*no answer"):
            self._up(home, monkeypatch, say, _Process("", False), redis_url=f"unix://{home.root}/nobody.sock")


class TestDown:
    """Drain and stop."""

    def _down(self, home: Home, monkeypatch: pytest.MonkeyPatch, supervisors: list[int], daemons: list[dict[str, int]]) -> tuple[int, str, list[tuple[int, int]]]:
        killed: list[tuple[int, int]] = []
        moments = iter(range(0, 1000, 6))
        monkeypatch.setattr(stack, "supervisor_pid", lambda root: supervisors.pop(0) if len(supervisors) > 1 else supervisors[0])
        monkeypatch.setattr(stack, "living_daemons", lambda root: daemons.pop(0) if len(daemons) > 1 else daemons[0])
        monkeypatch.setattr("apps.cli.stack.os.kill", lambda pid, number: killed.append((pid, number)))
        monkeypatch.setattr("apps.cli.stack.time.monotonic", lambda: next(moments))
        monkeypatch.setattr("apps.cli.stack.time.sleep", lambda seconds: None)
        say = io.StringIO()
        return bring_down(home, Console(file=say, width=300)), say.getvalue(), killed

    def test_supervisor_is_asked_when_there_is_one(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """It drains the daemons; down waits until it and they are gone."""
        assert self._down(home, monkeypatch, [7, 7, 0], [{"oms": 8}, {}]) == (0, "stopped\n", [(7, signal.SIGTERM)])

    def test_daemons_are_asked_when_no_supervisor_is_left(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """A supervisor that was killed leaves them behind."""
        assert self._down(home, monkeypatch, [0], [{"oms": 8, "broker": 9}, {}]) == (0, "stopped\n", [(8, signal.SIGTERM), (9, signal.SIGTERM)])

    def test_nothing_is_stopped_when_nothing_runs(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """That is no error."""
        code, text, killed = self._down(home, monkeypatch, [0], [{}])
        assert (code, killed) == (0, [])
        assert "nothing to stop" in text

    def test_exit_code_is_one_when_something_does_not_stop(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is killed here: who it is, is told."""
        code, text, killed = self._down(home, monkeypatch, [7], [{}])
        assert (code, killed) == (1, [(7, signal.SIGTERM)])
        assert text == "not stopped within 20 s: the supervisor (pid 7)\n"


def _line(at: int, what: str) -> str:
    return json.dumps({"event": what, "timestamp": f"2026-01-01T00:00:{at:02d}.000000Z"})


class TestLogs:
    """The logs of all daemons as one."""

    @pytest.fixture
    def logs(self, home: Home) -> Home:
        """Two logs whose lines alternate."""
        (home.logs / "oms.ndjson").write_text("".join(_line(at, f"oms {at}") + "\n" for at in range(0, 20, 2)))
        (home.logs / "broker.ndjson").write_text("".join(_line(at, f"broker {at}") + "\n" for at in range(1, 20, 2)))
        return home

    def _events(self, text: str) -> list[str]:
        return [json.loads(line)["event"] for line in text.splitlines()]

    def test_last_lines_of_all_are_merged_by_time_when_asked(self, logs: Home, capsys: pytest.CaptureFixture[str]) -> None:
        """The last three of all, not of each."""
        assert follow_logs(logs, "", 3, False) == 0
        assert self._events(capsys.readouterr().out) == ["broker 17", "oms 18", "broker 19"]

    def test_one_daemon_is_shown_when_it_is_named(self, logs: Home, capsys: pytest.CaptureFixture[str]) -> None:
        """And nothing of the others."""
        assert follow_logs(logs, "oms", 2, False) == 0
        assert self._events(capsys.readouterr().out) == ["oms 16", "oms 18"]

    @pytest.mark.parametrize("name", ["nope", "*", "o*"])
    def test_daemon_is_refused_when_it_has_no_log(self, logs: Home, name: str) -> None:
        """With those that have one; a name is a name and no pattern."""
        with pytest.raises(ConfigError, match="there are: broker, oms"):
            follow_logs(logs, name, 5, False)

    def test_only_whole_lines_of_the_end_are_read_when_a_log_is_long(self, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
        """A large log costs no more than a small one, and its first line read is no half one."""
        (home.logs / "oms.ndjson").write_text("".join(_line(k % 60, f"{k} {'x' * 1000}") + "\n" for k in range(600)))
        assert follow_logs(home, "", 10_000, False) == 0
        shown = self._events(capsys.readouterr().out)
        assert 200 < len(shown) < 300

    def test_new_lines_come_as_they_are_written_when_following(self, logs: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Whole ones, of a log that is new as well, and of one that began anew."""

        def grow() -> None:
            with (logs.logs / "oms.ndjson").open("a") as stream:
                stream.write(_line(30, "oms 30") + "\n" + _line(33, "half")[:20])
            (logs.logs / "risk_engine.ndjson").write_text(_line(29, "risk 29") + "\n")

        def finish() -> None:
            with (logs.logs / "oms.ndjson").open("a") as stream:
                stream.write(_line(33, "half")[20:] + "\n")
            (logs.logs / "broker.ndjson").write_text(_line(40, "broker 40") + "\n")

        def stop() -> None:
            raise KeyboardInterrupt

        steps: Iterator[Callable[[], None]] = iter((grow, finish, stop))
        monkeypatch.setattr("apps.cli.stack.time.sleep", lambda seconds: next(steps)())
        with pytest.raises(KeyboardInterrupt):
            follow_logs(logs, "", 1, True)
        assert self._events(capsys.readouterr().out) == ["broker 19", "risk 29", "oms 30", "half", "broker 40"]
