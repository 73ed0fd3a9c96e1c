"""A replay of the shipped demo through real processes: reconciled, the same every time, and the same as the backtest loop's."""

from __future__ import annotations

from pathlib import Path

from apps.cli.journals import JournalReader
from apps.md_ingest.feed import open_feed
from backtest.loop import run_loop
from core.journal import decode_input
from core.machine import ConfigLoaded
from core.topics import Daemon
from tests.e2e.conftest import SHIPPED
from tests.support.story import decisions_of, events_of, fills_of, story_of
from tests.support.suite import RunningSuite


def test_every_invariant_holds_when_nothing_goes_wrong(undisturbed: RunningSuite) -> None:
    """All checks hold, nothing is under way, and something was traded: an empty run would prove nothing."""
    report = undisturbed.verify()
    assert report.holds, report
    assert len(fills_of(undisturbed.home)) > 20
    assert {finding.invariant for finding in report.findings} == {"I1", "I2", "I3", "I5", "I6", "I7", "I11", "I12", "I13", "I15"}
    assert all(finding.checked for finding in report.findings)


def test_two_replays_tell_the_same_story(undisturbed: RunningSuite, tmp_path: Path) -> None:
    """Decisions with their evidence, order changes and executions, element by element."""
    with RunningSuite(tmp_path, SHIPPED) as again:
        again.run_to_end(120.0)
    assert story_of(again.home) == story_of(undisturbed.home)


def test_backtest_loop_decides_the_same_as_the_processes(undisturbed: RunningSuite) -> None:
    """The loop, given the suite's ids, gives its very decisions, order changes and executions: there is one implementation."""
    settings = undisturbed.loaded.settings
    with JournalReader(undisturbed.home.journal(Daemon.STRATEGY_RUNNER.value), "runner") as runner:
        epoch = runner.epoch
        config = next(event for row in runner.inputs() if row.kind == ConfigLoaded.__name__ and isinstance(event := decode_input(row), ConfigLoaded))
    result = run_loop(settings, open_feed(settings), epoch=epoch, account_epoch=undisturbed.home.account_epoch, config=config)
    assert result.decisions == decisions_of(undisturbed.home)
    assert result.fills == fills_of(undisturbed.home)
    assert result.events == events_of(undisturbed.home)
