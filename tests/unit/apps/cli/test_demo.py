"""`njord demo` without its processes: what it makes of its input, of the folder it finds, of how a run goes, and what it prints."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from apps.cli import demo, stack
from apps.cli.homes import occupy
from apps.cli.journals import JournalReader
from apps.cli.supervisor import STOPPED_FOR_GOOD
from apps.md_ingest.feed import open_feed
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import load_settings
from core.errors import ConfigError
from core.topics import Daemon
from tests.support.journaled_suite import JournaledSuite

HEADER = "symbol,ts,open,high,low,close,volume"


def some_bars(path: Path, days: int = 8, symbols: tuple[str, ...] = ("AAA", "BBB"), close: str = "100") -> Path:
    """A file of daily bars."""
    rows = [f"{symbol},2020-03-{day:02d},100,101,99,{close},1000" for day in range(2, 2 + days) for symbol in symbols]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home to be, with nothing in the environment; signals are given back afterwards."""
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NJORD_HOME", str(tmp_path / "home"))
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    kept = [signal.getsignal(number) for number in numbers]
    yield tmp_path / "home"
    for number, handler in zip(numbers, kept, strict=True):
        signal.signal(number, handler)


class FakeSupervisor:
    """Runs the suite in this thread, as soon as it is started."""

    def __init__(self, home: Home, daemons: tuple[Daemon, ...], server: list[str] | None, *, stays_down: frozenset[int]) -> None:
        assert stays_down == STOPPED_FOR_GOOD - {0}
        assert server is not None
        self.home = home
        self.restarts = {"oms": 1}
        self.given_up: list[Any] = []
        self.is_stopped = False

    def start(self) -> None:
        """The whole replay."""
        settings = load_settings(self.home.settings_overlay).settings
        with JournaledSuite(self.home.root, settings, open_feed(settings)) as suite:
            suite.run()

    def watch(self) -> None:
        """Nothing dies here."""

    def stop(self) -> None:
        """Noted."""
        self.is_stopped = True


def _console() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, width=200), stream


class TestInput:
    """What the demo makes of --data and --strategy."""

    def test_shipped_settings_are_taken_when_nothing_is_given(self, root: Path) -> None:
        """The demo is then exactly config/demo.yaml."""
        assert demo._overlay(None, "") == {"environment": "demo"}

    def test_data_brings_its_symbols_and_timeframe_when_given(self, root: Path, tmp_path: Path) -> None:
        """Every symbol is traded by the shipped strategy, whose own entry goes."""
        path = some_bars(tmp_path / "bars.csv")
        overlay = demo._overlay(path, "")
        assert overlay["feed"] == {"kind": "recorded", "path": str(path), "symbols": ["AAA", "BBB"], "timeframe": "1d"}
        assert overlay["strategies"] == {"trend": None, "demo": {"kind": "sma_cross", "symbols": ["AAA", "BBB"]}}
        settings = demo._checked(overlay).settings
        assert list(settings.strategies) == ["demo"]

    def test_strategy_runs_on_the_shipped_symbols_when_it_alone_is_given(self, root: Path) -> None:
        """The other way round."""
        overlay = demo._overlay(None, "vwap_reversion")
        assert overlay["strategies"]["demo"] == {"kind": "vwap_reversion", "symbols": ["AAPL", "FB", "GOOG", "IBM", "MSFT"]}
        assert demo._checked(overlay).settings.feed.path == "bundled"

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("symbol,ts,open,high,low,close\nA,2020-03-02,1,1,1,1\n", "column volume is missing"),
            (f"{HEADER}\nA,2020-03-02,1,1,1,nan,1\n", "row 1 column close: 'nan'"),
            (f"{HEADER}\nA,2020-03-02,1,1,1,1,-4\n", "row 1 column volume: '-4'"),
            (f"{HEADER}\n", "holds no row"),
        ],
    )
    def test_nothing_is_touched_when_the_data_is_bad(self, root: Path, tmp_path: Path, text: str, problem: str) -> None:
        """The file and the place are named; there is not even a folder."""
        path = tmp_path / "bars.csv"
        path.write_text(text)
        with pytest.raises(ConfigError, match=problem) as refused:
            demo.run_demo(path, "", _console()[0], False)
        assert str(path) in str(refused.value)
        assert not root.exists()

    def test_strategy_is_refused_when_there_is_none_of_that_name(self, root: Path) -> None:
        """With those there are."""
        with pytest.raises(ConfigError, match=r"--strategy nope: not available, there are sma_cross, vwap_reversion"):
            demo.run_demo(None, "nope", _console()[0], False)

    def test_nothing_is_touched_when_the_settings_are_refused(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever else the environment says."""
        monkeypatch.setenv("NJORD_LOG_LEVEL", "loud")
        with pytest.raises(ConfigError, match=r"NJORD_LOG_LEVEL runtime\.log_level: 'loud' is not allowed"):
            demo.run_demo(None, "", _console()[0], False)
        assert not root.exists()

    def test_server_is_named_when_it_does_not_answer(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything is started, so nothing has to stall first."""
        monkeypatch.setenv("NJORD_REDIS_URL", f"unix://{tmp_path}/nobody.sock")
        monkeypatch.setattr(stack, "wait_ready", _nobody)
        with pytest.raises(ConfigError, match=r"NJORD_REDIS_URL runtime\.redis_url: nobody there"):
            demo.run_demo(None, "", _console()[0], False)
        assert not root.exists()


def _nobody(url: str, timeout_s: float) -> None:
    raise ConnectionError("nobody there")


class TestHome:
    """What the demo makes of the folder it finds."""

    def test_home_is_made_when_there_is_none(self, root: Path) -> None:
        """With the settings of this demo in it."""
        home = demo._fresh_home(root, {"environment": "demo", "feed": {"rows_max": 5}})
        assert yaml.safe_load(home.settings_overlay.read_text()) == {"environment": "demo", "feed": {"rows_max": 5}}
        assert load_settings(home.settings_overlay).settings.feed.rows_max == 5

    def test_last_run_is_set_aside_when_there_was_one(self, root: Path) -> None:
        """Whole, under a number; identity, state and logs are new, the kill switch stays where it is."""
        before = demo._fresh_home(root, {"environment": "demo"})
        before.journal("oms").write_text("old")
        (before.logs / "oms.ndjson").write_text("old")
        before.kill_file.write_text("HALTED\n")
        after = demo._fresh_home(root, {"environment": "demo"})
        assert after.namespace != before.namespace
        assert list(after.state.iterdir()) == list(after.logs.iterdir()) == []
        assert after.kill_file.exists()
        kept = root / "history" / "1"
        assert (kept / "state" / "oms.sqlite").read_text() == (kept / "log" / "njord" / "oms.ndjson").read_text() == "old"
        assert before.namespace in (kept / "suite.json").read_text()

    def test_newest_three_are_kept_when_there_were_many(self, root: Path) -> None:
        """History does not fill the disk, and numbers are never given again."""
        for _ in range(6):
            demo._fresh_home(root, {"environment": "demo"}).journal("oms").write_text("x")
        assert sorted(folder.name for folder in (root / "history").iterdir()) == ["3", "4", "5"]

    @pytest.mark.parametrize("settings", [None, "environment: paper\n", "environment: demo\n", "[", "\xff"])
    def test_home_is_refused_when_it_is_no_demos(self, root: Path, settings: str | None) -> None:
        """A suite's state, or settings that a person wrote: left as they are."""
        home = open_home(root)
        home.journal("oms").write_text("precious")
        if settings is not None:
            home.settings_overlay.write_bytes(settings.encode("latin-1"))
        with pytest.raises(ConfigError, match="holds a suite that is no demo"):
            demo.run_demo(None, "", _console()[0], False)
        assert home.journal("oms").read_text() == "precious"
        assert not (root / "history").exists()

    def test_settings_are_kept_when_a_person_wrote_them_and_nothing_has_run(self, root: Path) -> None:
        """A home prepared for another suite is not overwritten either."""
        home = open_home(root)
        home.settings_overlay.write_text("environment: paper\n")
        with pytest.raises(ConfigError, match="holds a suite that is no demo"):
            demo.run_demo(None, "", _console()[0], False)
        assert home.settings_overlay.read_text() == "environment: paper\n"

    def test_home_is_refused_when_a_suite_runs_in_it(self, root: Path) -> None:
        """The first demo goes on undisturbed."""
        with occupy(root), pytest.raises(ConfigError, match="supervised here already"):
            demo.run_demo(None, "", _console()[0], False)


class _Child:
    name, exit_code = "broker", 70

    def __init__(self, text: str) -> None:
        self._text = text

    def errors(self) -> str:
        """What it printed."""
        return self._text


class TestWatch:
    """How a run goes."""

    def _watch(self, home: Home, monkeypatch: pytest.MonkeyPatch, replies: list[Any], seconds: float = 1.0) -> tuple[str, list[tuple[int, str]], FakeSupervisor]:
        supervisor = FakeSupervisor(home, (), ["x"], stays_down=STOPPED_FOR_GOOD - {0})
        shown: list[tuple[int, str]] = []
        moments = (k * seconds for k in range(10_000))
        monkeypatch.setattr(demo, "_progress", lambda home: replies.pop(0) if len(replies) > 1 else replies[0])
        monkeypatch.setattr("apps.cli.demo.time.monotonic", lambda: next(moments))
        monkeypatch.setattr("apps.cli.demo.time.sleep", lambda seconds: None)
        return demo._watch(home, supervisor, 5, lambda done, note: shown.append((done, note))), shown, supervisor  # type: ignore[arg-type]

    def test_progress_is_shown_until_the_replay_has_ended(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two halves of the clock are one step; a silent md_ingest is waited for; restarts are noted."""
        replies = [None, {"step": -1, "is_finished": False}, {"step": 3, "is_finished": False}, None, {"step": 10, "is_finished": True}]
        problem, shown, _ = self._watch(open_home(tmp_path), monkeypatch, replies)
        assert problem == ""
        assert [done for done, _ in shown] == [0, 2, 5]
        assert {note for _, note in shown} == {"restarted: oms x1"}

    def test_reason_is_told_when_the_replay_stands_still(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends by itself also when the suite does not."""
        problem, _, _ = self._watch(open_home(tmp_path), monkeypatch, [{"step": 7, "is_finished": False}], 10.0)
        assert problem.startswith("the replay stands at step 7 since 60 s")
        problem, _, _ = self._watch(open_home(tmp_path), monkeypatch, [None], 10.0)
        assert problem.startswith("the replay stands at step -1 since 60 s")

    @pytest.mark.parametrize(("printed", "told"), [("broker: no file", "broker: no file"), ("", "see ")])
    def test_reason_is_told_when_a_daemon_gave_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, told: str) -> None:
        """What a restart cannot mend ends the demo with that daemon's own words."""
        home = open_home(tmp_path)
        supervisor = FakeSupervisor(home, (), ["x"], stays_down=STOPPED_FOR_GOOD - {0})
        supervisor.given_up = [_Child(printed)]
        assert demo._watch(home, supervisor, 5, lambda done, note: None).startswith(f"broker stopped with exit code 70: {told}")  # type: ignore[arg-type]

    def test_progress_is_none_when_md_ingest_cannot_be_asked(self, tmp_path: Path) -> None:
        """Not up yet, or just restarted."""
        assert demo._progress(open_home(tmp_path)) is None


class TestRun:
    """The whole, with the suite in one thread."""

    @pytest.fixture
    def started(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[FakeSupervisor]:
        """The supervisors that were made."""
        made: list[FakeSupervisor] = []

        def make(*arguments: Any, **options: Any) -> FakeSupervisor:
            made.append(FakeSupervisor(*arguments, **options))
            return made[-1]

        monkeypatch.setattr(demo, "Supervisor", make)
        monkeypatch.setattr(demo, "_progress", lambda home: {"step": 17, "is_finished": True})
        return made

    def test_json_is_complete_and_alone_when_asked(self, root: Path, tmp_path: Path, started: list[FakeSupervisor], capsys: pytest.CaptureFixture[str]) -> None:
        """One document on stdout; amounts are text; everything else goes elsewhere."""
        console, _ = _console()
        assert demo.run_demo(some_bars(tmp_path / "bars.csv"), "", console, True) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["home"], result["steps"], result["restarts"]) == (str(root), 8, {"oms": 1})
        assert set(result["summary"]) == {
            "intents",
            "allowed",
            "denied",
            "orders",
            "fills",
            "positions",
            "balances",
            "realized_pnl",
            "unrealized_pnl",
            "fees",
            "latencies",
        }
        assert result["summary"]["balances"] == {"USD": "100000"}
        assert result["verify"]["holds"] is True
        assert started[0].is_stopped

    def test_demo_is_a_demo_when_the_environment_says_something_else(self, root: Path, tmp_path: Path, started: list[FakeSupervisor], monkeypatch: pytest.MonkeyPatch) -> None:
        """NJORD_ENV is for suites; what the demo starts hears of the demo alone."""
        monkeypatch.setenv("NJORD_ENV", "paper")
        assert demo.run_demo(some_bars(tmp_path / "bars.csv"), "", _console()[0], False) == 0
        assert os.environ["NJORD_ENV"] == "demo"
        with JournalReader(started[0].home.journal("oms"), "oms") as oms:
            content = next(row.data for row in oms.inputs("ConfigLoaded"))
        assert json.loads(json.loads(content)["content"])["environment"] == "demo"

    def test_tables_are_printed_when_nothing_else_is_asked(self, root: Path, tmp_path: Path, started: list[FakeSupervisor]) -> None:
        """Progress, figures, invariants, and where to look next."""
        console, stream = _console()
        assert demo.run_demo(some_bars(tmp_path / "bars.csv"), "", console, False) == 0
        text = stream.getvalue()
        assert all(part in text for part in ("replay: 8 of 8 steps", "8 steps in", "cash USD", "latency intent → decision", "I15", f"State is in {root}"))

    def test_exit_code_is_one_when_an_invariant_does_not_hold(self, root: Path, tmp_path: Path, started: list[FakeSupervisor], monkeypatch: pytest.MonkeyPatch) -> None:
        """The table still comes: it says what."""
        monkeypatch.setattr(demo, "verify_home", lambda home, loaded: _broken())
        console, stream = _console()
        assert demo.run_demo(some_bars(tmp_path / "bars.csv"), "", console, False) == 1
        assert "cash USD" in stream.getvalue()

    def test_exit_code_is_one_when_the_replay_cannot_end(self, root: Path, tmp_path: Path, started: list[FakeSupervisor], monkeypatch: pytest.MonkeyPatch) -> None:
        """The reason is all that is printed."""
        monkeypatch.setattr(demo, "_watch", lambda *_: "it stands still [x]")
        console, stream = _console()
        assert demo.run_demo(some_bars(tmp_path / "bars.csv"), "", console, False) == 1
        assert stream.getvalue() == "it stands still [x]\n"
        assert started[0].is_stopped

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_everything_is_stopped_when_interrupted(
        self, root: Path, tmp_path: Path, started: list[FakeSupervisor], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        """However it is asked to stop: no child outlives it, and the state is where it says."""
        monkeypatch.setattr(demo, "_progress", lambda home: signal.raise_signal(number))
        console, stream = _console()
        assert demo.run_demo(some_bars(tmp_path / "bars.csv"), "", console, False) == 130
        assert stream.getvalue().endswith(f"state and logs are in {root}\n")
        assert started[0].is_stopped


def _broken() -> Any:
    from apps.cli.verify.checks import Finding
    from apps.cli.verify.report import VerifyReport

    return VerifyReport(False, ("I1",), 0, {}, (), (Finding("I1", "fills", 1, 0, 1, ("lost",)),))
