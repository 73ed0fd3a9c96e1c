"""A run on disk: `results/runs/<run_id>/`.

    manifest.json          what the run hangs on: hashes of code, configuration and data, the commit, seed, the whole configuration
    summary.json           the run in numbers
    decision_events.jsonl  decisions, order events, executions and alerts in the order they were said
    orders.jsonl           the last word on every order
    trades.jsonl           every execution
    data_quality.json      what is odd about the data
    equity.parquet         ts_ns, equity, cash per instant

Every file is a function of code, configuration and data alone, to the byte. A folder appears whole or not at all: it is written
under another name and moved.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from glob import escape as glob_escape
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from backtest.data_quality import DataQuality
from backtest.equity import EquityCurve
from backtest.fingerprint import Fingerprint
from backtest.loop import Said
from backtest.result import BacktestResult, Summary
from core.errors import ConfigError
from core.settings import Settings

__all__ = ["Manifest", "find_run", "read_run", "read_said", "run_folder", "write_run"]

_encode = msgspec.json.Encoder(decimal_format="string").encode
_said = msgspec.json.Decoder(Said)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a run hangs on, and what it was configured with."""

    run_id: str
    fingerprint: Fingerprint
    seed: int
    data: str
    settings: dict[str, Any]


def run_folder(results: Path, run_id: str) -> Path:
    """Where a run is kept; ConfigError when the name is no name of a run."""
    if not run_id or "/" in run_id or run_id.startswith("."):
        raise ConfigError(f"run id {run_id!r}: a name without slash is required")
    return results / run_id


def find_run(results: Path, run_id: str) -> Path:
    """The folder of the one run whose name is, or begins with, this; ConfigError when there is none, or more than one."""
    folder = run_folder(results, run_id)
    if folder.is_dir():
        return folder
    found = sorted(path.name for path in results.glob(f"{glob_escape(run_id)}*") if path.is_dir())
    if len(found) != 1:
        raise ConfigError(f"run {run_id!r}: {'no such run' if not found else 'could be ' + ', '.join(found)} in {results}")
    return results / found[0]


def write_run(results: Path, result: BacktestResult, settings: Settings, fingerprint: Fingerprint, data: str) -> Path:
    """Keep a run; the folder of one that is there already is replaced."""
    folder = run_folder(results, result.run_id)
    results.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{result.run_id}-", dir=results))
    try:
        manifest = Manifest(run_id=result.run_id, fingerprint=fingerprint, seed=settings.venue.seed, data=data, settings=settings.model_dump(mode="json"))
        _write_json(made / "manifest.json", manifest)
        _write_json(made / "summary.json", result.summary)
        _write_json(made / "data_quality.json", result.quality)
        _write_lines(made / "decision_events.jsonl", result.said)
        _write_lines(made / "orders.jsonl", result.orders)
        _write_lines(made / "trades.jsonl", result.fills)
        pl.DataFrame({"ts_ns": result.equity.ts_ns, "equity": result.equity.equity, "cash": result.equity.cash}).write_parquet(made / "equity.parquet")
        made.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder


def read_run(folder: Path) -> BacktestResult:
    """A run that was kept; ConfigError when there is none, or what is there is none."""
    try:
        summary = msgspec.json.decode((folder / "summary.json").read_bytes(), type=Summary)
        quality = msgspec.json.decode((folder / "data_quality.json").read_bytes(), type=DataQuality)
        table = pl.read_parquet(folder / "equity.parquet")
        said = list(read_said(folder))
    except (OSError, msgspec.DecodeError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"{folder}: cannot be read as a run: {error}") from None
    equity = EquityCurve(table["ts_ns"].to_numpy().astype(np.int64), table["equity"].to_numpy().astype(np.float64), table["cash"].to_numpy().astype(np.float64))
    return BacktestResult(summary=summary, said=said, equity=equity, quality=quality, folder=folder, is_cached=True)


def read_said(folder: Path) -> Iterator[Said]:
    """What a run said, in order."""
    with (folder / "decision_events.jsonl").open("rb") as lines:
        for line in lines:
            yield _said.decode(line)


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(_encode(value)) + b"\n")


def _write_lines(path: Path, values: Iterable[Said]) -> None:
    with path.open("wb") as file:
        file.writelines(_encode(value) + b"\n" for value in values)
