"""The command line itself: every command runs, every wrong input ends with one clear line and exit code 2."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from apps.cli import main as cli
from apps.runtime.home import open_home
from core.topics import Daemon
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings

COMMANDS = ["demo", "verify", "status", "orders", "positions", "fills", "up", "down", "logs", "simulate", "kill", "config"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a suite that has traded to its end. Tests only read it."""
    root = tmp_path_factory.mktemp("finished")
    settings = trading_settings()
    with JournaledSuite(root, settings, a_zigzag(16), 1) as suite:
        suite.run()
    suite.home.settings_overlay.write_text(yaml.safe_dump(json.loads(settings.model_dump_json())))
    yield root


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "home"))


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished suite is the one that is meant."""
    monkeypatch.setenv("NJORD_HOME", str(finished))
    return finished


@pytest.mark.parametrize("command", ["", *COMMANDS, "kill trip", "kill status", "config show"])
def test_help_is_on_stdout_alone_when_asked(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command says what it does; stderr stays silent."""
    assert cli._run([*command.split(), "--help"]) == 0
    told = capsys.readouterr()
    assert "Usage: njord" in told.out
    assert told.err == ""


def test_commands_are_listed_when_none_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them."""
    assert cli._run([]) == 0
    told = capsys.readouterr().out
    assert [command for command in COMMANDS if f" {command} " not in told] == []


def test_version_is_the_packages_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """Not a placeholder."""
    assert cli._run(["--version"]) == 0
    assert capsys.readouterr().out.strip() not in ("", "0.0.0")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("frobnicate", "frobnicate"),
        ("demo --bogus", "--bogus"),
        ("demo --data", "--data"),
        ("demo extra", "extra"),
        ("kill bogus", "bogus"),
        ("verify --wait soon", "soon"),
        ("verify --wait -1", "--wait"),
        ("logs --lines 0", "--lines"),
        ("simulate --seeds 0", "--seeds"),
        ("orders --status nope", "nope"),
    ],
)
def test_usage_is_refused_when_it_makes_no_sense(arguments: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, on stderr, with where to look; no traceback."""
    assert cli._run(arguments.split()) == 2
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert told.out == ""
    assert len(lines) == 2
    assert lines[0].startswith("njord: ")
    assert problem in lines[0]
    assert "--help" in lines[1]


@pytest.mark.parametrize("command", ["verify", "status", "orders", "positions", "fills", "logs", "down"])
def test_home_is_named_when_no_suite_has_run_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And looking makes nothing."""
    assert cli._run([command]) == 2
    assert capsys.readouterr().err == f"njord: {tmp_path}/home: holds no journal, no suite has run here yet; NJORD_HOME names the suite\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["orders", "positions", "fills"])
def test_journal_is_named_when_the_oms_has_none(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A suite that was opened and never started."""
    open_home(tmp_path / "home")
    assert cli._run([command]) == 2
    assert "oms.sqlite: not found, this suite has no orders yet" in capsys.readouterr().err


def test_journal_is_named_when_it_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback of a library."""
    open_home(tmp_path / "home").journal("oms").write_bytes(b"no database at all" * 99)
    assert cli._run(["orders"]) == 2
    assert "oms.sqlite: file is not a database" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "demo"])
def test_folder_is_named_when_no_home_can_be_made_there(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in the way, a folder one may not write."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "file" / "home"))
    assert cli._run([command]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"njord: {tmp_path}/file/home")
    assert told.endswith(": Not a directory\n")


@pytest.mark.parametrize("command", ["up", "config show", "verify", "status"])
def test_every_problem_of_the_settings_is_told_when_there_are_some(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown key and a contradiction, one line each, with their file; nothing is started."""
    home = open_home(tmp_path / "home")
    home.settings_overlay.write_text("limits: {order_qty_max: 20000, bogus: 1}\n")
    assert cli._run(command.split()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"njord: {home.settings_overlay}") for line in lines)
    assert any("limits.bogus: is not a known key" in line for line in lines)
    assert list(home.state.iterdir()) == []


class TestAnswers:
    """What is read from a finished suite, as a table and as JSON."""

    def _json(self, arguments: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> object:
        assert cli._run([*arguments.split(), "--json"]) == code
        return json.loads(capsys.readouterr().out)

    def test_orders_are_shown_when_asked(self, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """All, or those of a symbol, or those that stand somewhere; amounts are text."""
        monkeypatch.setenv("COLUMNS", "200")
        rows = self._json("orders", capsys)
        assert isinstance(rows, list)
        assert rows[0]["order_qty"] == "49"
        assert self._json("orders --symbol IBM --status filled", capsys) == [row for row in rows if row["status"] == "FILLED"]
        assert self._json("orders --status PARTIALLY_FILLED", capsys) == self._json("orders --symbol AAPL", capsys) == []
        assert cli._run(["orders"]) == 0
        assert rows[0]["client_order_id"] in capsys.readouterr().out

    def test_positions_and_fills_are_shown_when_asked(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """All, or those of a symbol."""
        held, booked = self._json("positions", capsys), self._json("fills", capsys)
        assert isinstance(held, list) and isinstance(booked, list)
        assert [(row["symbol"], row["position_qty"]) for row in held] == [("IBM", "49")]
        assert {row["symbol"] for row in booked} == {"IBM"}
        assert self._json("positions --symbol AAPL", capsys) == self._json("fills --symbol AAPL", capsys) == []
        for command in ("positions", "fills"):
            assert cli._run([command]) == 0
        assert "102.00" in capsys.readouterr().out

    def test_verdict_is_the_exit_code_when_verified(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The report, and its exit code."""
        report = self._json("verify", capsys)
        assert isinstance(report, dict)
        assert (report["holds"], report["broken"]) == (True, [])
        assert cli._run(["verify", "--wait", "1"]) == 0
        assert "holds" in capsys.readouterr().out

    def test_exit_code_is_one_when_an_invariant_is_broken(self, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A fill taken out of the venue's ledger."""
        copy = open_home(tmp_path / "home")
        for path in (*finished.glob("state/*.sqlite*"), *finished.glob("*.yaml"), *finished.glob("*.json")):
            (copy.root / path.relative_to(finished)).write_bytes(path.read_bytes())
        with sqlite3.connect(copy.journal(Daemon.PAPER_VENUE.value)) as connection:
            assert connection.execute("delete from archive where kind = 'fill' and key = (select min(key) from archive where kind = 'fill')").rowcount == 1
        connection.close()
        assert cli._run(["verify"]) == 1
        assert "I1" in capsys.readouterr().out

    def test_exit_code_is_one_when_nothing_is_ready(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A row for every daemon."""
        rows = self._json("status", capsys, 1)
        assert isinstance(rows, list)
        assert [(row["daemon"], row["state"], row["reasons"]) for row in rows] == [(daemon.value, "down", ["does not run"]) for daemon in Daemon]
        assert cli._run(["status"]) == 1
        assert "does not run" in capsys.readouterr().out

    def test_values_come_with_their_source_when_configuration_is_shown(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The home's own file, a shipped one, or a default."""
        rows = self._json("config show", capsys)
        assert isinstance(rows, list)
        sources = {row["key"]: (row["value"], row["source"]) for row in rows}
        assert sources["environment"][0] == "test"
        assert sources["limits.order_qty_max"] == ("10000", str(here / "config.yaml"))
        assert cli._run(["config", "show"]) == 0
        assert "limits.order_qty_max" in capsys.readouterr().out

    def test_nothing_is_stopped_when_nothing_runs(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """`njord down` twice is no error."""
        assert cli._run(["down"]) == 0
        assert "nothing to stop" in capsys.readouterr().out

    def test_logs_are_refused_when_there_are_none(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Told apart from an empty answer."""
        assert cli._run(["logs", "--daemon", "nope"]) == 2
        assert "no log of nope, there are: none yet" in capsys.readouterr().err


def test_seeds_are_run_when_simulating(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON alone on stdout."""
    assert cli._run(["simulate", "--seeds", "1", "--first", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["first"] == 3


def test_switch_is_tripped_shown_and_cleared_when_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """0 clear, 3 tripped; the reason is taken as it is; no other file of a suite is made."""
    assert cli._run(["kill", "status"]) == 0
    assert cli._run(["kill", "trip", "--reducing", "--", "--no 'quotes'"]) == 0
    assert cli._run(["kill", "status"]) == 3
    told = capfd.readouterr().out
    assert "tripped: REDUCING" in told
    assert "reason: --no 'quotes'" in told
    assert cli._run(["kill", "clear", "drill over"]) == 0
    assert cli._run(["kill", "trip"]) == cli._run(["kill", "clear"]) == 0
    assert cli._run(["kill", "status"]) == 0
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["kill"]
    assert "drill over" in (tmp_path / "home" / "kill" / "history").read_text()


class TestEnds:
    """How a command may end otherwise."""

    def _ends(self, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
        def command(arguments: list[str], **_: object) -> int:
            raise error

        monkeypatch.setattr(cli, "app", command)
        return cli._run([])

    def test_exit_code_says_interrupted_when_interrupted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """128 + SIGINT, and nothing printed."""
        assert self._ends(monkeypatch, KeyboardInterrupt()) == 130

    def test_error_without_a_file_is_told_as_it_is(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """A full disk names no file."""
        assert self._ends(monkeypatch, OSError("disk full")) == 2
        assert capsys.readouterr().err == "njord: disk full\n"

    def test_command_ends_quietly_when_its_reader_has_enough(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """`njord orders | head`."""
        with (tmp_path / "out").open("w") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            assert self._ends(monkeypatch, BrokenPipeError()) == 141

    def test_process_ends_with_the_code_when_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a command returns is what the shell gets; none means 0."""
        monkeypatch.setattr(sys, "argv", ["njord", "x"])
        for answer, code in ((3, 3), (None, 0)):
            monkeypatch.setattr(cli, "app", lambda arguments, answer=answer, **_: answer)
            with pytest.raises(SystemExit) as end:
                cli.main()
            assert end.value.code == code
