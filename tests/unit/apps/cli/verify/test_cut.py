"""The cut over the journals of a suite that goes on while they are read: never a false breach, never a breach hidden."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from apps.cli import journals
from apps.cli.verify import cut
from apps.cli.verify.report import VerifyReport, verify_home
from core.topics import Daemon
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings

STEPS = 24


class Moving:
    """A suite that handles a few inputs before each journal is opened, as a running one does."""

    def __init__(self, root: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.suite = JournaledSuite(root, trading_settings(venue={"partial_fill_probability": 0.5}), a_zigzag(STEPS), seed)
        self.cuts = 0
        self._draw = random.Random(seed)
        self._patch = monkeypatch

    def look(self) -> VerifyReport:
        """One verification while the suite moves."""
        reader, narrow = journals.JournalReader, cut.narrow

        def opened(path: Path, daemon: str) -> journals.JournalReader:
            self.suite.advance(self._draw.randint(0, 12))
            return reader(path, daemon)

        def counted(now: cut.Journals, later: cut.Journals) -> None:
            narrow(now, later)
            self.cuts += any(found.is_cut for found in now.values())

        with self._patch.context() as patch:
            patch.setattr(journals, "JournalReader", opened)
            patch.setattr(cut, "narrow", counted)
            return verify_home(self.suite.home, self.suite.loaded)

    def looks(self) -> list[VerifyReport]:
        """Verifications until the replay has ended."""
        self.suite.advance(self._draw.randint(30, 60))
        found = [self.look()]
        while self.suite.advance(self._draw.randint(1, 15)):
            found.append(self.look())
        self.suite.run()
        return found


@pytest.mark.parametrize("seed", range(5))
def test_nothing_looks_broken_when_the_suite_goes_on_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever the daemons do between one journal's opening and the next one's, a sound suite is at most not settled."""
    moving = Moving(tmp_path, seed, monkeypatch)
    reports = moving.looks()
    assert [report.broken for report in reports] == [()] * len(reports)
    assert any(report.pending for report in reports)
    assert moving.cuts, "the suite never ran ahead, so nothing was shown"
    assert verify_home(moving.suite.home, moving.suite.loaded).exit_code == 0
    moving.suite.close()


def test_a_sound_suite_looks_broken_when_the_cut_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read one after the other and left as they are, the journals contradict one another: the cut is what keeps that out."""
    monkeypatch.setattr(cut, "narrow", lambda journals, later: None)
    moving = Moving(tmp_path, 1, monkeypatch)
    assert any(report.broken for report in moving.looks())
    moving.suite.close()


def test_consumer_is_cut_to_what_its_producer_had_said_when_it_was_read_later(tmp_path: Path) -> None:
    """The message too many goes, with all that its consumer did after it, and so on down the line."""
    with JournaledSuite(tmp_path, trading_settings(), a_zigzag(STEPS), 3) as suite:
        suite.advance(100)
        early = journals.open_journals(suite.home, (Daemon.STRATEGY_RUNNER.value,))
        suite.run()
        names = tuple(daemon.value for daemon in Daemon)
        late, later = journals.open_journals(suite.home, names), journals.open_journals(suite.home, names)
        late[Daemon.STRATEGY_RUNNER.value].close()
        late[Daemon.STRATEGY_RUNNER.value] = early[Daemon.STRATEGY_RUNNER.value]
        cut.narrow(late, later)
        heads = {stream: head for reader in late.values() for stream, head in reader.heads.items()}
        for daemon in (Daemon.RISK_ENGINE, Daemon.OMS, Daemon.BROKER, Daemon.PAPER_VENUE):
            reader = late[daemon.value]
            assert reader.is_cut
            assert all(handled <= heads.get(stream.topic, 0) for stream, handled in reader.watermarks.items())
        assert not late[Daemon.STRATEGY_RUNNER.value].is_cut
        assert not late[Daemon.MD_INGEST.value].is_cut
        asked = {json.loads(row.data)["command_id"] for row in late[Daemon.PAPER_VENUE.value].inputs("Command")}
        assert asked <= {"", *(call.row.call_id for call in late[Daemon.BROKER.value].calls())}
        for reader in {*late.values(), *later.values()}:
            reader.close()


def test_loss_of_history_is_broken_when_a_producer_forgot_what_others_handled(tmp_path: Path) -> None:
    """A journal put back to an older copy: what it does not hold even when looked at again was never said, and is not cut away."""
    root, copy = tmp_path / "suite", tmp_path / "old"
    with JournaledSuite(root, trading_settings(), a_zigzag(STEPS), 3) as suite:
        suite.advance(150)
        with sqlite3.connect(suite.home.journal("strategy_runner")) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        suite.run()
    shutil.copy(copy, suite.home.journal("strategy_runner"))
    report = verify_home(suite.home, suite.loaded)
    assert report.exit_code == 1
    assert "I11" in report.broken
    said = next(finding for finding in report.findings if finding.invariant == "I11")
    assert any("risk_engine: strat.intent of strategy_runner" in problem and "were said" in problem for problem in said.problems)


def test_request_is_broken_when_the_broker_has_forgotten_it(tmp_path: Path) -> None:
    """The venue was asked for something that the broker's journal never held: no cut explains that."""
    with JournaledSuite(tmp_path, trading_settings(), a_zigzag(STEPS), 3) as suite:
        suite.run()
    with sqlite3.connect(suite.home.journal("broker")) as connection:
        assert connection.execute("delete from calls where call_id = (select min(call_id) from calls where call_id like '%place%')").rowcount == 1
    connection.close()
    assert "I12" in verify_home(suite.home, suite.loaded).broken
