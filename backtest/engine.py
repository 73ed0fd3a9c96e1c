"""`backtest.run`: strategy, data and configuration in, a result out.

Reads tables and kept runs · Writes results/runs/<run_id>/ · Decides nothing: the machines do, in backtest/loop.py.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from backtest.artifacts import read_run, run_folder, write_run
from backtest.config import BacktestConfig, default_settings
from backtest.data import DataLike, clipped, read_table
from backtest.data_quality import quality_of
from backtest.equity import currency_of, equity_curve
from backtest.fingerprint import Fingerprint, fingerprint_of
from backtest.loop import LoopResult, run_loop
from backtest.profiles import RANGE, with_profile
from backtest.result import BacktestResult, summary_of
from backtest.subject import Leg, StrategyLike, Subject, subject_of
from core.bar_table import bar_feed
from core.bars import BarFeed
from core.machine import ConfigLoaded
from core.settings import FeedSettings, Settings, VenueSettings
from core.topics import Daemon
from execution.oms import Oms
from strategies.host import StrategyHost
from strategies.strategy import Strategy

__all__ = ["Prepared", "prepare", "run", "run_or_read", "run_prepared", "run_range"]

_KEY_LENGTH = 12


class Prepared(NamedTuple):
    """A run that could begin: everything is read, checked and named."""

    subject: Subject
    settings: Settings
    feed: BarFeed
    data: str
    currency: str
    fingerprint: Fingerprint
    profile: str

    @property
    def run_id(self) -> str:
        """The run's name."""
        return f"{self.subject.name.replace('/', '_')}-{self.fingerprint.key[:_KEY_LENGTH]}"


def run(strategy: StrategyLike | Sequence[Leg] | None, data: DataLike, config: BacktestConfig | None = None) -> BacktestResult:
    """Run a strategy over bars, with the risk engine, OMS, gateway and venue that trade live.

    `strategy` is a registered name, a class, an instance, several as `Leg`s, or None for those of `config.settings`. `data` is a Polars or
    pandas frame, a Parquet or CSV file, or a folder of Parquet files. ConfigError lists what keeps the run from beginning;
    InvariantViolation when a machine halts. What the strategy raises quarantines it, and the summary says so.
    """
    config = config or BacktestConfig()
    return run_or_read(prepare(strategy, data, config), config)


def run_or_read(prepared: Prepared, config: BacktestConfig) -> BacktestResult:
    """The kept run of what is prepared, or a new one, which is then kept."""
    if config.results is not None and config.cache and prepared.fingerprint.code:
        folder = run_folder(config.results, prepared.run_id)
        if folder.exists():
            return read_run(folder)
    result = run_prepared(prepared, config)
    if config.results is None:
        return result
    folder = write_run(config.results, result, prepared.settings, prepared.fingerprint, prepared.data)
    return msgspec.structs.replace(result, folder=folder)


def prepare(strategy: StrategyLike | Sequence[Leg] | None, data: DataLike, config: BacktestConfig) -> Prepared:
    """Read and check everything a run needs; ConfigError lists what is wrong."""
    base = config.settings or default_settings()
    wanted = config.symbols or (strategy.symbols if isinstance(strategy, Strategy) else ())
    name, table = read_table(data, wanted)
    symbols = wanted or _symbols_of(strategy, base) or tuple(sorted({str(symbol).strip() for symbol in table["symbol"].unique()}))
    subject = subject_of(strategy, base, symbols, config.params)
    symbols = tuple(dict.fromkeys([*config.symbols, *(symbol for section in subject.sections.values() for symbol in section.symbols)]))
    settings = _settings(base, subject, config, FeedSettings(symbols=symbols, timeframe=base.feed.timeframe, rows_max=None))
    feed = clipped(name, bar_feed(name, table, settings), config.start, config.end, config.rows)
    settings = _settings(base, subject, config, FeedSettings(symbols=symbols, timeframe=feed.timeframe))
    fingerprint = fingerprint_of(subject.classes, settings, feed)
    return Prepared(subject, settings, feed, name, currency_of(settings, symbols), fingerprint, config.profile)


def run_prepared(prepared: Prepared, config: BacktestConfig) -> BacktestResult:
    """Run what is prepared; nothing is written."""
    settings = prepared.settings
    began = time.perf_counter()
    with _fewer_collections():
        loop = run_loop(settings, prepared.feed, config=ConfigLoaded(prepared.fingerprint.config, "{}"), load=prepared.subject.load, on_progress=config.on_progress)
    seconds = time.perf_counter() - began
    equity = equity_curve(prepared.feed, loop.fills, settings, prepared.currency)
    summary = summary_of(
        loop.said,
        equity,
        run_id=prepared.run_id,
        strategies=tuple(prepared.subject.sections),
        symbols=prepared.feed.symbols,
        timeframe=prepared.feed.timeframe,
        profile=prepared.profile,
        bars=loop.bars,
        currency=prepared.currency,
        balances=_ledger_balances(loop),
        opening=settings.account.opening_balances[prepared.currency],
        quarantined=_quarantined(loop),
    )
    return BacktestResult(summary=summary, said=loop.said, equity=equity, quality=quality_of(prepared.feed, settings), seconds=seconds)


def run_range(strategy: StrategyLike | Sequence[Leg] | None, data: DataLike, config: BacktestConfig | None = None) -> dict[str, BacktestResult]:
    """The same run under pessimistic, neutral and optimistic executions: a range instead of a point."""
    config = config or BacktestConfig()
    return {name: run(strategy, data, msgspec.structs.replace(config, profile=profile)) for name, profile in RANGE.items()}


def _symbols_of(strategy: StrategyLike | Sequence[Leg] | None, settings: Settings) -> tuple[str, ...]:
    if strategy is None:
        return settings.symbols
    if isinstance(strategy, str | type | Strategy):
        return ()
    return tuple(dict.fromkeys(symbol for leg in strategy for symbol in (leg.strategy.symbols if isinstance(leg.strategy, Strategy) else leg.symbols)))


def _settings(base: Settings, subject: Subject, config: BacktestConfig, feed: FeedSettings) -> Settings:
    venue = with_profile(base.venue, config.profile)
    if config.seed is not None:
        venue = VenueSettings.model_validate(venue.model_dump() | {"seed": config.seed})
    sections = {name: section.model_dump() for name, section in subject.sections.items()}
    changed: dict[str, Any] = {"environment": "backtest", "feed": feed.model_dump(), "strategies": sections, "venue": venue.model_dump()}
    return Settings.model_validate(base.model_dump() | changed)


def _ledger_balances(loop: LoopResult) -> dict[str, Any]:
    oms = loop.machines[Daemon.OMS]
    return dict(oms.ledger.balances) if isinstance(oms, Oms) else {}


def _quarantined(loop: LoopResult) -> dict[str, str]:
    host = loop.machines[Daemon.STRATEGY_RUNNER]
    records = host.snapshot().strategies if isinstance(host, StrategyHost) else {}
    return {name: record.quarantine for name, record in records.items() if record.quarantine}


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """The cyclic collector finds nothing in values (they hold no cycles), so it looks less often while millions of them are made."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
