"""`njord arm`, `njord disarm`, and what `njord status` says of entries: over the daemons' own sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apps.cli import main as cli
from apps.cli.arming import arm_text
from apps.cli.stack import suite_status
from apps.runtime.home import Home, open_home
from core.topics import Daemon
from tests.support.builders import settings_with


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that is meant."""
    monkeypatch.setenv("NJORD_HOME", str(tmp_path))
    return open_home(tmp_path)


@contextmanager
def _daemon(path: Path, *replies: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """A daemon that gives these replies, one per request; the requests."""
    asked: list[dict[str, Any]] = []

    def serve() -> None:
        for reply in replies:
            connection, _ = listener.accept()
            with connection:
                asked.append(json.loads(connection.recv(4096)))
                connection.sendall(json.dumps(reply).encode() + b"\n")

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()


@pytest.mark.parametrize(("text", "code"), [("armed", 0), ("refused: the account is HALTED, ACTIVE is required", 1)])
def test_risk_is_told_the_phrase_and_the_reason_when_a_person_arms(home: Home, capsys: pytest.CaptureFixture[str], text: str, code: int) -> None:
    """The answer is printed, and a refusal is exit code 1."""
    with _daemon(home.socket("risk_engine"), {"ok": True, "text": text}) as asked:
        assert cli._run(["arm", "--phrase", "ARM paper 25000", "--reason", "open"]) == code
    assert asked == [{"command": {"type": "ArmAccount.1", "phrase": "ARM paper 25000", "reason": "open"}}]
    assert capsys.readouterr().out == f"{text}\n"


def test_risk_is_told_when_a_person_disarms(home: Home) -> None:
    """No phrase is asked for."""
    with _daemon(home.socket("risk_engine"), {"ok": True, "text": "disarmed"}) as asked:
        assert cli._run(["disarm", "--reason", "lunch"]) == 0
    assert asked == [{"command": {"type": "DisarmAccount.1", "reason": "lunch"}}]


def test_arming_fails_when_risk_does_not_answer(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What that means is said."""
    assert cli._run(["disarm", "--reason", "r"]) == 2
    assert "risk_engine does not answer, so nothing has changed; a broker that does not hear from it is disarmed" in capsys.readouterr().err


def test_status_says_what_risk_and_the_broker_say_of_entries(home: Home) -> None:
    """Each in its own words: risk's decision, and what the broker's gate would do."""
    health = {"ok": True, "result": {"ready": True, "reasons": [], "incarnation": 1, "last_n": 2, "now_ns": 3}}
    risk = _daemon(home.socket("risk_engine"), health, {"ok": True, "result": [True, "armed by ops: open"]})
    broker = _daemon(home.socket("broker"), health, {"ok": True, "result": [False, "the lease has ended"]})
    with risk, broker:
        rows = suite_status(home, settings_with(runtime={"daemons": ["risk_engine", "broker", "oms"]}))
    assert [row.arming for row in rows] == ["armed: armed by ops: open", "disarmed: the lease has ended", ""]


def test_nothing_is_said_when_a_daemon_cannot_say(home: Home) -> None:
    """Down, or an older one."""
    assert arm_text(home, Daemon.BROKER) == ""
    with _daemon(home.socket("broker"), {"ok": False, "text": "query 'arming': unknown"}):
        assert arm_text(home, Daemon.BROKER) == ""
