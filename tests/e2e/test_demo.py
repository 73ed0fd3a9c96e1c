"""`njord demo` as a user runs it: with bars of their own, with bars that cannot be used, and interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars
import pytest

from apps.cli.homes import living_daemons
from apps.runtime.control_socket import ask_daemon
from apps.runtime.home import Home, open_home
from core.topics import Daemon
from tests.support.redis_server import RedisServer

_DAYS = 90


def _bars(days: int = _DAYS) -> polars.DataFrame:
    """Two symbols that rise and fall, so that averages cross."""
    rows = []
    for symbol, offset in (("AAA", 0), ("BBB", 7)):
        for day in range(days):
            phase = (day + offset) % 24
            close = 100.0 + (phase if phase < 12 else 24 - phase)
            stamp = f"{2020 + day // 336}-{1 + day % 336 // 28:02d}-{1 + day % 28:02d}"
            rows.append({"symbol": symbol, "ts": stamp, "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 10_000.0})
    return polars.DataFrame(rows)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "apps.cli.main", "demo", *arguments]


def _environment(home: Path) -> dict[str, str]:
    return {"NJORD_HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_users_bars_run_through_the_suite_when_given(tmp_path: Path, kind: str) -> None:
    """Everything on stdout is one JSON object with what happened, and every invariant holds."""
    file = tmp_path / f"bars.{kind}"
    bars = _bars()
    bars.write_csv(file) if kind == "csv" else bars.write_parquet(file)
    done = subprocess.run(
        _command("--data", str(file), "--strategy", "sma_cross", "--json"), env=_environment(tmp_path / "home"), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["steps"] == _DAYS
    assert found["verify"]["holds"] is True
    assert found["summary"]["intents"] == found["summary"]["allowed"] + sum(found["summary"]["denied"].values()) > 0
    assert found["summary"]["orders"]["FILLED"] == found["summary"]["fills"] > 0
    assert living_daemons(tmp_path / "home") == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda bars: bars.drop("volume"), "volume"),
        (lambda bars: bars.with_columns(close=polars.lit(float("nan"))), "close"),
        (lambda bars: bars.with_columns(volume=-polars.col("volume")), "volume"),
        (lambda bars: bars.clear(), "bars.csv"),
    ],
)
def test_nothing_is_started_when_the_bars_cannot_be_used(tmp_path: Path, change: Any, message: str) -> None:
    """Exit code 2, the column at fault on stderr, and no folder of a suite is left behind."""
    file = tmp_path / "bars.csv"
    change(_bars()).write_csv(file)
    done = subprocess.run(_command("--data", str(file)), env=_environment(tmp_path / "home"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "home" / "state").exists()


def _is_served(home: Path) -> bool:
    """Whether a server holds its lock in this home: the kernel frees it with the process."""
    with (home / "redis" / "server.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _until_it_moves(home: Path) -> None:
    """Wait until every daemon of a demo is there and its replay has begun."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(living_daemons(home)) == 6 and _progress(open_home(home)) not in (None, -1):
            return
        time.sleep(0.02)
    raise AssertionError(f"the demo in {home} did not begin")


def _progress(home: Home) -> int | None:
    """The step a demo stands at."""
    try:
        return int(ask_daemon(home.socket(Daemon.MD_INGEST.value), {"query": "progress"}, timeout_s=1.0)["result"]["step"])
    except (ConnectionError, KeyError):
        return None


def test_demo_goes_on_and_ends_when_its_processes_die(tmp_path: Path) -> None:
    """One killed, one asked to end by a stranger: both come back, the table says so, and nothing is missing."""
    home, file = tmp_path / "home", tmp_path / "bars.parquet"
    _bars(500).write_parquet(file)
    process = subprocess.Popen(_command("--data", str(file), "--json"), env=_environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _until_it_moves(home)
    daemons = living_daemons(home)
    os.kill(daemons["oms"], signal.SIGKILL)
    os.kill(daemons["risk_engine"], signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    assert found["restarts"] == {"oms": 1, "risk_engine": 1}
    assert found["verify"]["holds"] is True
    assert "restarted: " in err


def test_two_demos_share_a_server_when_it_is_configured(tmp_path: Path) -> None:
    """Two homes, one machine, one server: no name collides, and neither hears of the other."""
    file = tmp_path / "bars.csv"
    _bars().write_csv(file)
    with RedisServer(tmp_path / "server") as server:
        homes = [tmp_path / "one", tmp_path / "other"]
        runs = [
            subprocess.Popen(
                _command("--data", str(file), "--json"),
                env=_environment(home) | {"NJORD_REDIS_URL": server.url},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for home in homes
        ]
        said = [run.communicate(timeout=120) for run in runs]
        with server.client() as client:
            keys: Any = client.keys("*")
    assert [run.returncode for run in runs] == [0, 0], said
    results = [json.loads(out) for out, _ in said]
    assert [result["home"] for result in results] == [str(home) for home in homes]
    assert results[0]["summary"]["balances"] == results[1]["summary"]["balances"]
    assert {key.partition(b"|")[0].decode() for key in keys} == {open_home(home).namespace for home in homes}
    assert not (homes[0] / "redis").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_running_when_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or being asked to end, stops every process, says where the state is, and the code is 130."""
    home = tmp_path / "home"
    process = subprocess.Popen(_command(), env=_environment(home), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    _until_it_moves(home)
    assert _is_served(home)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == f"interrupted, everything is stopped; state and logs are in {home}"
    assert living_daemons(home) == {}
    assert not _is_served(home)
