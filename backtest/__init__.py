"""Backtests: the machines that trade live, over recorded bars. `backtest.run(strategy, data, config)` is the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtest.config import BacktestConfig
    from backtest.engine import run, run_range
    from backtest.result import BacktestResult
    from backtest.subject import Leg

__all__ = ["BacktestConfig", "BacktestResult", "Leg", "run", "run_range"]

_HOMES = {"BacktestConfig": "backtest.config", "BacktestResult": "backtest.result", "Leg": "backtest.subject", "run": "backtest.engine", "run_range": "backtest.engine"}


def __getattr__(name: str) -> Any:
    """The public names, read when they are first asked for: the fault simulator lives in this package too and needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
