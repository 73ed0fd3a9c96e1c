"""The backtest of every shipped strategy, held against the recorded one, byte for byte.

A difference means that something between bar and booked fill decides otherwise than before. When that was meant,
`python -m tests.golden.refresh` records the new runs; nothing else writes them.
"""

from __future__ import annotations

import pytest

from strategies.registry import BUILT_IN
from tests.golden.runs import RUNS, run_lines, run_path


def test_every_shipped_strategy_has_a_golden_run() -> None:
    """A kind without one could change unnoticed."""
    assert set(RUNS) == set(BUILT_IN)


@pytest.mark.parametrize("kind", sorted(RUNS))
def test_run_is_the_recorded_one(kind: str) -> None:
    """Same market, same executions to the last digit, same summary; and something was traded."""
    recorded = run_path(kind).read_text().splitlines()
    assert run_lines(kind) == recorded
    assert len(recorded) > 5
