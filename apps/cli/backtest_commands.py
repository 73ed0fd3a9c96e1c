"""`njord backtest` and `njord replay`: run a strategy over recorded bars, and read what a run said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.console import Console

from apps.cli import render
from apps.cli.homes import home_root
from apps.cli.progress import shown_progress
from apps.runtime.settings_loader import load_settings
from core.errors import ConfigError

__all__ = ["register"]

_Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON instead of text.")]
_Results = Annotated[Path, Parameter(help="Where runs are kept.")]
_Quiet = Parameter(show_default=False)
_Count = Parameter(show_default=False, validator=Number(gte=1))


def register(app: App) -> None:
    """Give the command line these commands."""
    app.command(backtest)
    app.command(replay)
    app.command(lookahead)


def backtest(
    *,
    strategy: Annotated[str, _Quiet],
    data: Annotated[Path, _Quiet],
    symbols: Annotated[tuple[str, ...], _Quiet] = (),
    set_: Annotated[tuple[str, ...], Parameter(name="--set", show_default=False)] = (),
    rows: Annotated[int | None, _Count] = None,
    start: Annotated[str | None, _Quiet] = None,
    end: Annotated[str | None, _Quiet] = None,
    profile: Annotated[str, Parameter(name=("--profile", "--execution-profile"), show_default=False)] = "",
    seed: Annotated[int | None, _Quiet] = None,
    results: _Results = Path("results/runs"),
    cache: bool = True,
    json: _Json = False,
) -> int:
    """Run a strategy over recorded bars, through the risk engine, OMS and venue that trade live, and keep the run.

    Parameters
    ----------
    strategy
        A registered strategy, or `module:Class`.
    data
        Parquet or CSV with the columns symbol, ts (or date), open, high, low, close, volume; or a folder of Parquet files.
    symbols
        Only these symbols of the data.
    set_
        A parameter of the strategy (`fast=10`), or with a dot a setting (`limits.order_qty_max=100`).
    rows
        Only the first so many bars.
    start
        Only bars that close after this day or time (ISO 8601, UTC).
    end
        Only bars that close until then; a day is included.
    profile
        idealistic, realistic or stressed: the venue's frictions. As configured when left out.
    seed
        The venue's seed.
    cache
        Read a run that is kept already instead of running it again.
    """
    from backtest.config import BacktestConfig
    from backtest.engine import prepare, run_or_read

    params, overlay = _assigned(set_)
    loaded = load_settings(home_root() / "config.yaml", environment="backtest")
    settings = _overlaid(loaded.settings, overlay)
    config = BacktestConfig(settings=settings, params=params, symbols=symbols, start=start, end=end, rows=rows, profile=profile, seed=seed, results=results, cache=cache)
    console = render.console_for(sys.stderr if json else sys.stdout)
    prepared = prepare(_strategy(strategy), data, config)
    with shown_progress(console, len(prepared.feed), "backtest", "instants") as show:
        config = msgspec.structs.replace(config, on_progress=lambda done, _total: show(done, ""))
        result = run_or_read(prepared, config)
    summary = result.summary
    if json:
        told = msgspec.to_builtins(summary, builtin_types=(), str_keys=True) | {
            "seconds": round(result.seconds, 6),
            "bars_per_second": round(result.bars_per_second),
            "is_cached": result.is_cached,
            "folder": str(result.folder),
        }
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        _tell(render.console_for(sys.stdout), result)
    return 1 if summary.quarantined else 0


def replay(
    *,
    run_id: Annotated[str, _Quiet],
    symbol: Annotated[str, _Quiet] = "",
    date: Annotated[str, _Quiet] = "",
    errors_only: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    limit: Annotated[int | None, _Count] = None,
    results: _Results = Path("results/runs"),
    json: _Json = False,
) -> int:
    """Tell what a kept run said, in order: decisions, changes of orders, executions and alerts.

    Parameters
    ----------
    run_id
        The run's name; a unique beginning of it will do.
    symbol
        Only what is about this symbol.
    date
        Only what happened on this day (UTC, like 2013-10-07).
    errors_only
        Only denials, refusals and alerts.
    limit
        At most so many.
    """
    from backtest.artifacts import find_run, read_said
    from backtest.replay import Filter, told

    folder = find_run(results, run_id)
    lines = told(read_said(folder), Filter(symbol, date, errors_only, limit))
    if json:
        for line in lines:
            print(msgspec.json.encode(line.said).decode())
    else:
        console = render.console_for(sys.stdout)
        for line in lines:
            console.print(f"{line.when}  {line.text}", markup=False, highlight=False)
    return 0


def lookahead(
    *,
    strategy: Annotated[str, _Quiet],
    data: Annotated[Path, _Quiet],
    symbols: Annotated[tuple[str, ...], _Quiet] = (),
    set_: Annotated[tuple[str, ...], Parameter(name="--set", show_default=False)] = (),
    rows: Annotated[int | None, _Count] = None,
    json: _Json = False,
) -> int:
    """Whether a strategy decides with what it cannot know yet, and how many bars it needs to warm up.

    0 clean, 1 look-ahead, 3 too few decisions to tell.

    Parameters
    ----------
    strategy
        A registered strategy, `module:Class`, or `module:function` that makes one of the whole table.
    data
        As of `njord backtest`.
    symbols
        Only these symbols of the data.
    set_
        A parameter of the strategy (`fast=10`), or with a dot a setting.
    rows
        Only the first so many rows.
    """
    from backtest.config import BacktestConfig
    from backtest.data import read_table
    from backtest.lookahead import Verdict, find_lookahead

    params, overlay = _assigned(set_)
    settings = _overlaid(load_settings(home_root() / "config.yaml", environment="backtest").settings, overlay)
    _, table = read_table(data, symbols)
    if symbols:
        table = table.filter(table["symbol"].is_in(symbols))
    report = find_lookahead(_strategy(strategy), table.head(rows) if rows else table, BacktestConfig(settings=settings, params=params, symbols=symbols))
    if json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        warm = "not told" if report.warm_up_bars is None else f"{report.warm_up_bars} bars"
        print(f"{report.verdict}: {report.compared} decisions compared, warm-up {warm}" + (f", first difference {report.first_difference}" if report.first_difference else ""))
    return {Verdict.CLEAN: 0, Verdict.LOOKAHEAD: 1, Verdict.NOT_ENOUGH_EVIDENCE: 3}[report.verdict]


def _strategy(name: str) -> Any:
    """A registered name as it is; `module:Class` as the class it names."""
    module, colon, attribute = name.partition(":")
    if not colon:
        return name
    from importlib import import_module

    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"strategy {name!r}: {error}") from None
    finally:
        sys.path.remove(str(Path.cwd()))


def _assigned(pairs: tuple[str, ...]) -> tuple[dict[str, str], dict[str, Any]]:
    """Parameters of the strategy, and settings by section."""
    params: dict[str, str] = {}
    overlay: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {pair!r}: KEY=VALUE is required")
        if "." not in key:
            params[key] = value
            continue
        *sections, leaf = key.split(".")
        at = overlay
        for section in sections:
            at = at.setdefault(section, {})
        at[leaf] = None if value == "null" else value
    return params, overlay


def _overlaid(settings: Any, overlay: dict[str, Any]) -> Any:
    import pydantic

    try:
        return type(settings).model_validate(_merged(settings.model_dump(), overlay))
    except pydantic.ValidationError as error:
        raise ConfigError(*(f"--set {'.'.join(str(part) for part in item['loc'])}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors())) from None


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return base | {key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value for key, value in over.items()}


def _tell(console: Console, result: Any) -> None:
    render.print_table(console, f"backtest {result.run_id}", ("", ""), list(_rows(result)))
    console.print(f"kept in {result.folder}; `njord replay --run-id {result.run_id}` tells it", markup=False, highlight=False)


def _rows(result: Any) -> Iterator[tuple[str, str]]:
    summary = result.summary
    yield "strategies", ", ".join(summary.strategies)
    yield "symbols", ", ".join(summary.symbols)
    yield "bars", f"{summary.bars} of {summary.timeframe}, {_utc(summary.first_ns)} to {_utc(summary.last_ns)}"
    yield "intents", f"{summary.intents}, {summary.denied} denied"
    for code, count in summary.denials.items():
        yield "", f"{code}: {count}"
    yield "orders, fills", f"{summary.orders}, {summary.fills}"
    yield "equity", f"{summary.opening_equity:.2f} to {summary.final_equity:.2f} {summary.currency} ({summary.total_return:+.2%}, drawdown {summary.max_drawdown:.2%})"
    yield "fees", f"{summary.fees}"
    if result.quality.odd:
        yield "LOOK AT THE DATA", f"{', '.join(result.quality.odd)}: outliers or prices off the grid, see data_quality.json"
    for symbol, qty in summary.positions.items():
        yield "holds", f"{qty} {symbol}"
    for name, why in summary.quarantined.items():
        yield "QUARANTINED", f"{name}: {why}"
    yield "took", "from the cache" if result.is_cached else f"{result.seconds:.2f} s, {result.bars_per_second:,.0f} bars/s"


def _utc(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M")
