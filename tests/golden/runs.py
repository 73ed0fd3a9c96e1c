"""What a backtest of each shipped strategy comes to, as the lines of its golden file: every execution, then the summary.

The run's id is left out: it names the code, which changes with every edit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

import backtest
from backtest.config import BacktestConfig
from strategies.registry import BUILT_IN
from tests.support.bar_tables import a_table

__all__ = ["RUNS", "run_lines", "run_path"]

RUNS: dict[str, dict[str, Any]] = {
    "sma_cross": {"fast": 5, "slow": 20, "allow_short": True},
    "vwap_reversion": {"trades_per_day_max": 5},
}
"""The parameters of each kind's run."""


def run_path(kind: str) -> Path:
    """The golden file of a kind's run."""
    return Path(__file__).parent / f"run-{kind}.jsonl"


def run_lines(kind: str) -> list[str]:
    """The run of a kind under the realistic profile, one JSON line for each execution and one for the summary."""
    assert kind in BUILT_IN
    result = backtest.run(kind, a_table(500, ("ALFA", "BRVO")), BacktestConfig(results=None, params=RUNS[kind], profile="realistic"))
    summary = msgspec.structs.replace(result.summary, run_id="")
    return [msgspec.json.encode(each).decode() for each in (*result.fills, summary)]
