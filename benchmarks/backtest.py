"""How fast the backtest is: SMA 10/30 on seeded one-minute bars, in and out on every cross, with risk and the whole order path on.

    python -m benchmarks.backtest                      100,000 and 500,000 bars, then 200,000 against 2,000,000
    python -m benchmarks.backtest --bars 100000        one size
    python -m benchmarks.backtest --bars 100000 --csv bars.csv.gz   the same on a file (columns ts, open, high, low, close, volume)

Processor time is what is told: on a machine that others use as well, elapsed time measures them. Every size runs in a process of its own,
so that its memory is its own: the largest resident size, less what the process had before it had any bar.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from backtest.config import BacktestConfig, default_settings
from backtest.engine import prepare, run_prepared
from core.contracts import Bar
from core.settings import InstrumentSettings
from strategies.strategy import Context, NoState, Strategy, StrategyParams

__all__ = ["Cross", "seeded_bars"]

_SYMBOL = "SPY"
_QTY = Decimal(10)
_BEGIN_US = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


class Cross(Strategy[StrategyParams, NoState]):
    """Ten shares while the 10-bar average is above the 30-bar one, out when it is below: running sums, as the peers' indicators keep them."""

    def __init__(self, params: StrategyParams, symbols: tuple[str, ...], state: NoState) -> None:
        super().__init__(params, symbols, state)
        self._closes: list[float] = []
        self._fast = self._slow = 0.0
        self._was_above: bool | None = None
        self._holds = False

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Two sums, and an order when they have crossed."""
        closes, close = self._closes, bar.close
        closes.append(close)
        self._fast += close
        self._slow += close
        seen = len(closes)
        if seen > 10:
            self._fast -= closes[-11]
        if seen <= 30:
            if seen < 30:
                return
        else:
            self._slow -= closes[0]
            del closes[0]
        above = self._fast * 3.0 > self._slow
        if self._was_above is not None and above is not self._was_above and above is not self._holds:
            (ctx.buy if above else ctx.sell)(_SYMBOL, _QTY)
            self._holds = above
        self._was_above = above


def seeded_bars(count: int, seed: int = 7) -> pl.DataFrame:
    """So many one-minute bars on the cent grid: a geometric walk of 2 bp a bar."""
    draw = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(draw.normal(0, 2e-4, count)))
    opened = np.concatenate([[100], close[:-1]])
    high = np.maximum(opened, close) * (1 + np.abs(draw.normal(0, 1e-4, count)))
    low = np.minimum(opened, close) * (1 - np.abs(draw.normal(0, 1e-4, count)))
    prices = np.round(np.stack([opened, high, low, close]), 2)
    times = pl.Series("ts", _BEGIN_US + 60_000_000 * np.arange(count, dtype=np.int64)).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"ts": times, "open": prices[0], "high": prices.max(axis=0), "low": prices.min(axis=0), "close": prices[3], "volume": draw.integers(100, 10_000, count)})


def measure(count: int, csv: str, strategy: str) -> dict[str, float]:
    """One run in this process: bars, fills, processor seconds of the run alone, bars per second, and MiB."""
    table = pl.read_csv(csv, n_rows=count, try_parse_dates=True) if csv else seeded_bars(count)
    empty_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    settings = default_settings().model_copy(update={"instruments": {"default": InstrumentSettings(session="24/7")}})
    config = BacktestConfig(settings=settings, symbols=(_SYMBOL,), results=None, params={"order_qty": 10} if strategy == "sma_cross" else {})
    prepared = prepare("sma_cross" if strategy == "sma_cross" else Cross, table, config)
    del table
    began = time.process_time()
    result = run_prepared(prepared, config)
    took = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - empty_kib) / 1024
    summary = result.summary
    return {"bars": summary.bars, "fills": summary.fills, "denied": summary.denied, "seconds": round(took, 3), "bars_per_second": round(summary.bars / took), "mib": round(grown)}


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for and print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bars", type=int, action="append", help="a size; may be given more than once")
    parser.add_argument("--csv", default="", help="bars from a file instead of the seeded ones")
    parser.add_argument("--strategy", default="cross", choices=["cross", "sma_cross"], help="the lean one, or the shipped one")
    parser.add_argument("--here", action="store_true", help="in this process")
    wanted = parser.parse_args(arguments)
    sizes = wanted.bars or [100_000, 500_000, 200_000, 2_000_000]
    for size in sizes:
        if wanted.here:
            print(json.dumps(measure(size, wanted.csv, wanted.strategy)))
        else:
            command = [sys.executable, "-m", "benchmarks.backtest", "--here", "--bars", str(size), "--strategy", wanted.strategy, *(["--csv", wanted.csv] if wanted.csv else [])]
            print(subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[1]).stdout.strip(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
