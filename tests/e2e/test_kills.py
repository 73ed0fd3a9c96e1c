"""Real processes, killed at random moments and at the worst ones: nothing is lost, doubled or unexplained."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.contracts import ExecType, VenueReport
from core.topics import BROKER_REPORTS, Daemon
from tests.e2e.conftest import SHIPPED
from tests.support.story import said_of
from tests.support.suite import RunningSuite
from tests.support.whole import problems_of

TIMEOUT_S = 180.0
DAEMONS = [daemon.value for daemon in Daemon]


def _assert_whole(suite: RunningSuite) -> None:
    """Everything that must hold whatever happened: all invariants, and one end for every intent."""
    assert problems_of(suite) == [], suite.kills


@pytest.mark.parametrize("name", [*DAEMONS, "redis"])
def test_nothing_is_lost_when_one_process_is_killed_again_and_again(name: str, tmp_path: Path) -> None:
    """`kill -9` at random moments all through the replay; the server comes back empty each time."""
    with RunningSuite(tmp_path, SHIPPED) as suite:
        suite.run_to_end(TIMEOUT_S, suite.killer(seed=len(name), names=[name], every_steps=(60, 140)))
    assert len(suite.kills) >= 3
    assert suite.supervisor.restarts[name] >= 3
    _assert_whole(suite)


def test_nothing_is_lost_when_everything_is_killed_and_messages_come_twice(tmp_path: Path) -> None:
    """All daemons, the venue and the server in random order, while stored messages are announced a second time."""
    with RunningSuite(tmp_path, SHIPPED) as suite:
        killer = suite.killer(seed=7, names=[*DAEMONS, "redis"], every_steps=(20, 60))
        draw = random.Random(11)

        def meanwhile(progress: dict[str, Any]) -> None:
            killer(progress)
            suite.announce_again(draw)

        suite.run_to_end(TIMEOUT_S, meanwhile)
    assert len(set(suite.kills)) >= 5
    assert suite.announced_again > 0
    _assert_whole(suite)


def test_nothing_is_lost_when_the_server_forgets_the_last_messages(tmp_path: Path) -> None:
    """A server that comes back with an older state is topped up from the journals."""
    with RunningSuite(tmp_path, SHIPPED) as suite:
        draw = random.Random(3)
        due = 50

        def meanwhile(progress: dict[str, Any]) -> None:
            nonlocal due
            if progress["step"] >= due:
                suite.lose_tails(draw)
                due = progress["step"] + draw.randint(50, 120)

        suite.run_to_end(TIMEOUT_S, meanwhile)
    assert suite.tails_lost >= 3
    _assert_whole(suite)


class TestDoubt:
    """Calls whose outcome nobody heard, brought about at the worst moments."""

    def test_order_is_sent_once_more_when_the_venue_never_got_it(self, tmp_path: Path) -> None:
        """The venue is killed with the request unread: looked up, not found, sent again under the same id."""
        reports = _provoke(tmp_path, lambda suite: suite.kill(Daemon.PAPER_VENUE.value))
        assert _ways(reports)["not found"] >= 1

    def test_order_is_adopted_when_the_venue_has_it(self, tmp_path: Path) -> None:
        """The broker is killed before it heard the answer: looked up, found, adopted."""

        def kill_broker(suite: RunningSuite) -> None:
            suite.kill(Daemon.BROKER.value)
            suite.send(Daemon.PAPER_VENUE.value, signal.SIGCONT)

        reports = _provoke(tmp_path, kill_broker)
        assert _ways(reports)["found"] >= 1


def _provoke(root: Path, disaster: Callable[[RunningSuite], None]) -> list[VenueReport]:
    """Hold the venue still until the broker has an open call, strike, and let the replay end; the broker's reports."""
    with RunningSuite(root, SHIPPED) as suite:
        provoked = 0

        def meanwhile(progress: dict[str, Any]) -> None:
            nonlocal provoked
            if provoked >= 4 or progress["step"] < 100 * (provoked + 1):
                return
            suite.send(Daemon.PAPER_VENUE.value, signal.SIGSTOP)
            if suite.wait_for_open_place(0.3):
                disaster(suite)
                provoked += 1
            suite.send(Daemon.PAPER_VENUE.value, signal.SIGCONT)

        suite.run_to_end(TIMEOUT_S, meanwhile)
    assert provoked >= 1
    _assert_whole(suite)
    return [body for body in said_of(suite.home, Daemon.BROKER, BROKER_REPORTS.name(venue="sim")) if isinstance(body, VenueReport)]


def _ways(reports: list[VenueReport]) -> Counter[str]:
    """How each doubt ended, by the reports' own words."""
    ways: Counter[str] = Counter()
    doubted: set[str] = set()
    for report in reports:
        if report.exec_type is ExecType.IN_DOUBT:
            doubted.add(report.client_order_id)
        elif report.client_order_id in doubted and report.evidence in ("QUERY", "PUSH"):
            doubted.discard(report.client_order_id)
            ways["not found" if report.exec_type in (ExecType.ATTEMPTED, ExecType.NEVER_REACHED) else "found"] += 1
    return ways


def test_second_instance_is_refused_when_one_runs(tmp_path: Path) -> None:
    """Two OMS on one journal: the second one says who is there and leaves with the code that nobody restarts."""
    with RunningSuite(tmp_path, SHIPPED) as suite:
        suite.wait_ready(Daemon.OMS)
        code, text = suite.run_daemon(Daemon.OMS)
        assert code == 2
        assert f"pid {suite.supervisor.children['oms'].pid}" in text
        assert suite.health(Daemon.OMS) is not None
