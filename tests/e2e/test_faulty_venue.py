"""The shipped demo at a venue that lies: real processes, a real socket, every fault at its shipped rate."""

from __future__ import annotations

from pathlib import Path

from apps.cli.demo import Wish, _overlay
from core.topics import Daemon
from tests.support.suite import RunningSuite
from tests.support.whole import problems_of

_ROWS = 900


def test_suite_is_whole_when_its_venue_has_every_fault(tmp_path: Path) -> None:
    """Lost answers, cut connections, pages of HTML, late and busted executions, splits, orders by hand: at the end both ledgers agree.

    The overlay is what `njord demo --faults all` writes.
    """
    overlay = _overlay(Wish(faults="all")) | {"feed": {"rows_max": _ROWS}}
    with RunningSuite(tmp_path, overlay) as suite:
        suite.run_to_end(60.0)
    assert problems_of(suite) == []
    faults = suite.verify().faults
    assert len(faults) >= 10, faults
    assert suite.supervisor.restarts == {}
    assert suite.rows(Daemon.BROKER, "select 1 from calls where outcome_n is not null and call_id like '%.lookup%' limit 1")
