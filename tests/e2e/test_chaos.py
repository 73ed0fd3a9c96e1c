"""One round of `make chaos`: the campaign's own sample, and proof that a round that is not whole is told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from core.topics import Daemon
from tests.chaos.campaign import run_round
from tests.chaos.misfortunes import MISFORTUNES
from tests.support.suite import RunningSuite
from tests.support.whole import problems_of


def test_a_round_of_chaos_ends_whole() -> None:
    """Kills, stops, cut and torn connections, a full disk: nothing is lost, doubled or unexplained."""
    found = run_round(seed=1, misfortunes=18, steps=120)
    assert found.problems == ()
    assert found.kills >= 5
    assert found.fills >= 100
    assert len(found.struck) >= 6


def test_a_suite_that_is_not_whole_is_told(tmp_path: Path) -> None:
    """What the campaign looks at would see a lost decision."""
    with RunningSuite(tmp_path, {"feed": {"rows_max": 300}, "strategies": {"trend": {"params": {"fast": 1, "slow": 2}}}}) as suite:
        suite.run_to_end(60.0)
    assert problems_of(suite) == []
    journal = sqlite3.connect(suite.home.journal(Daemon.OMS.value))
    journal.execute("delete from archive where kind = 'order' and id = (select min(id) from archive where kind = 'order')")
    journal.commit()
    journal.close()
    assert problems_of(suite)


def test_every_misfortune_has_a_name_of_its_own() -> None:
    """The ledger counts by name."""
    assert len({misfortune.name for misfortune in MISFORTUNES}) == len(MISFORTUNES)
