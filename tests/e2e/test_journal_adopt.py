"""A journal that lost history, put back from an older backup in a suite of real processes: refused, then adopted, then whole at the venue."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from apps.cli import main as cli
from apps.cli.journal_check import check_home
from tests.support.suite import RunningSuite

_SHIPPED = {"feed": {"rows_max": 180 * 5}}


class _FarEnough(Exception):
    """The replay has come as far as was asked."""


def _run(root: Path, until_step: int | None) -> RunningSuite:
    """Run the suite in a home on, to a step or to its end, and stop it."""

    def meanwhile(progress: dict[str, Any]) -> None:
        if until_step is not None and progress["step"] >= until_step:
            raise _FarEnough

    suite = RunningSuite(root, _SHIPPED)
    with suite, contextlib.suppress(_FarEnough):
        suite.run_to_end(120.0, meanwhile)
    return suite


def test_venue_and_books_agree_when_an_old_journal_is_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The OMS comes back from a third of the way: what it had forgotten is taken in again, nothing is sent or booked twice."""
    root = tmp_path / "home"
    monkeypatch.setenv("NJORD_HOME", str(root))
    monkeypatch.setenv("NJORD_ENV", "demo")
    _run(root, 160)
    assert cli._run(["journal", "backup", str(tmp_path / "older"), "oms"]) == 0
    suite = _run(root, 260)
    assert check_home(suite.home, suite.loaded.settings).sound
    assert cli._run(["journal", "restore", str(tmp_path / "older")]) == 1
    assert "lost history" in capsys.readouterr().err
    assert cli._run(["journal", "restore", str(tmp_path / "older"), "--accept-loss"]) == 0
    assert cli._run(["journal", "adopt", "oms", "--reason", "an end-to-end test"]) == 0
    suite = _run(root, None)
    assert suite.progress() is None
    assert check_home(suite.home, suite.loaded.settings).sound
    # Numbers were given up, and that is what is broken from then on; executions, orders, money and determinism are whole.
    report = suite.verify()
    assert report.broken == ("I11",), [finding.problems for finding in report.findings]
    assert next(finding for finding in report.findings if finding.invariant == "I1").checked > 3
    missing = next(finding for finding in report.findings if finding.invariant == "I11").problems
    assert all(problem.startswith("orders.") and problem.endswith("is missing where it was said") for problem in missing), missing
