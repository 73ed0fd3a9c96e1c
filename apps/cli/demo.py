"""`njord demo`: a whole suite on recorded bars, started, watched, restarted where it dies, and summed up."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from apps.cli.journals import open_journals
from apps.cli.render import print_findings, print_summary
from apps.cli.summary import Summary, summarize
from apps.cli.supervisor import Supervisor
from apps.cli.verify.report import VerifyReport, verify_home
from apps.md_ingest.feed import open_feed
from apps.runtime.control_socket import ask_daemon
from apps.runtime.embedded import server_command
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import LoadedSettings, load_settings
from core.contracts import Bar
from core.errors import ConfigError
from core.feed import Feed
from core.topics import Daemon
from strategies.registry import registered_kinds

__all__ = ["DemoResult", "run_demo"]

_STALLED_S = 60.0
_HISTORY_MAX = 3


class DemoResult(msgspec.Struct, frozen=True):
    """What `njord demo --json` prints. `restarts` counts processes that died and were started again."""

    summary: Summary
    verify: VerifyReport
    steps: int
    seconds: float
    restarts: dict[str, int]


def run_demo(data: Path | None, strategy: str, console: Console, as_json: bool) -> int:
    """Run it in NJORD_HOME; 0 when the replay ended and every invariant holds, 1 when not, 2 when the input cannot be used."""
    settings_overlay = _overlay(data, strategy)
    home = _fresh_home(settings_overlay)
    loaded = load_settings(home.settings_overlay)
    feed = open_feed(loaded.settings)
    supervisor = Supervisor(home, loaded.settings.runtime.daemons, server_command(home) if not loaded.settings.runtime.redis_url else None)
    began = time.monotonic()
    supervisor.start()
    try:
        problem = _watch(home, supervisor, feed, console)
    finally:
        supervisor.stop()
    if problem:
        console.print(f"[red]{problem}[/red]")
        return 1
    result = _result(home, loaded, feed, time.monotonic() - began, supervisor)
    if as_json:
        print(msgspec.json.encode(result).decode())
    else:
        print_summary(console, result.summary, f"{result.steps} steps in {result.seconds:.1f} s, restarts: {_restarts(result.restarts)}")
        print_findings(console, result.verify)
        console.print(f"State is in {home.root}; try: njord orders · njord fills · njord positions · njord verify")
    return 0 if result.verify.holds else 1


def _overlay(data: Path | None, strategy: str) -> dict[str, Any]:
    """The settings of this demo on top of config/demo.yaml."""
    overlay: dict[str, Any] = {"environment": "demo"}
    if strategy and strategy not in registered_kinds():
        raise ConfigError(f"--strategy {strategy!r}: unknown, allowed are {', '.join(sorted(registered_kinds()))}")
    shipped = load_settings(environment="demo").settings
    symbols = list(shipped.feed.symbols)
    if data is not None:
        overlay["feed"] = {"kind": "recorded", "path": str(data.resolve()), "symbols": []}
        unfiltered = shipped.feed.model_copy(update={"path": str(data.resolve()), "symbols": ()})
        feed = open_feed(shipped.model_copy(update={"feed": unfiltered, "strategies": {}}))
        symbols = sorted(feed.symbols)
        overlay["feed"] |= {"symbols": symbols, "timeframe": feed.timeframe}
    if data is not None or strategy:
        kind = strategy or next(iter(shipped.strategies.values())).kind
        overlay["strategies"] = {name: None for name in shipped.strategies} | {"demo": {"kind": kind, "symbols": symbols}}
    return overlay


def _fresh_home(overlay: dict[str, Any]) -> Home:
    """An empty home for this run; an earlier demo's state is kept aside, anything else in the folder is left alone and refused."""
    root = Path(os.environ.get("NJORD_HOME") or "var").resolve()
    settings_file = root / "config.yaml"
    if (root / "state").exists() and any((root / "state").iterdir()):
        if not settings_file.exists() or yaml.safe_load(settings_file.read_text()).get("environment") != "demo":
            raise ConfigError(f"{root}: holds the state of a suite that is no demo; give the demo another folder with NJORD_HOME")
        _set_aside(root)
    home = open_home(root)
    settings_file.write_text("# Written by `njord demo`; the next demo in this folder writes it anew.\n" + yaml.safe_dump(overlay, sort_keys=False))
    return home


def _set_aside(root: Path) -> None:
    """Move the last run to history/<n>, and forget all but the newest few."""
    history = root / "history"
    history.mkdir(exist_ok=True)
    numbers = sorted(int(folder.name) for folder in history.iterdir() if folder.name.isdigit())
    target = history / str((numbers[-1] if numbers else 0) + 1)
    target.mkdir()
    for name in ("state", "log", "suite.json", "config.yaml"):
        if (root / name).exists():
            (root / name).rename(target / name)
    shutil.rmtree(root / "run", ignore_errors=True)
    for number in numbers[: max(0, len(numbers) + 1 - _HISTORY_MAX)]:
        shutil.rmtree(history / str(number))


def _watch(home: Home, supervisor: Supervisor, feed: Feed, console: Console) -> str:
    """Show progress until the replay has ended; a reason when it cannot."""
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    last_step, last_moved = -1, time.monotonic()
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        task = progress.add_task("replay", total=len(feed), note="starting")
        while True:
            supervisor.watch()
            if supervisor.given_up:
                child = supervisor.given_up[0]
                return f"{child.name} stopped with exit code {child.exit_code}: {child.errors() or 'see ' + str(home.logs)}"
            reply = _progress(home)
            if reply is not None:
                progress.update(task, completed=min(len(feed), (reply["step"] + 1) // 2), note=_note(supervisor))
                if reply["is_finished"]:
                    return ""
                if reply["step"] != last_step:
                    last_step, last_moved = reply["step"], time.monotonic()
            if time.monotonic() - last_moved > _STALLED_S:
                return f"the replay stands at step {last_step} since {_STALLED_S:.0f} s; `njord status` and the logs in {home.logs} say why"
            time.sleep(0.1)


def _progress(home: Home) -> dict[str, Any] | None:
    try:
        reply = ask_daemon(home.socket(Daemon.MD_INGEST.value), {"query": "progress"}, timeout_s=1.0)
    except ConnectionError:
        return None
    return reply.get("result")


def _note(supervisor: Supervisor) -> str:
    return f"restarted: {_restarts(supervisor.restarts)}" if supervisor.restarts else ""


def _restarts(restarts: dict[str, int]) -> str:
    return ", ".join(f"{name} ×{count}" for name, count in restarts.items()) or "none"


def _result(home: Home, loaded: LoadedSettings, feed: Feed, seconds: float, supervisor: Supervisor) -> DemoResult:
    marks = {row.body.symbol: row.body.close for k in range(len(feed)) for row in feed.step(k).rows if isinstance(row.body, Bar)}
    journals = open_journals(home, tuple(d.value for d in loaded.settings.runtime.daemons))
    try:
        summary = summarize(journals, marks)
    finally:
        for reader in journals.values():
            reader.close()
    return DemoResult(summary, verify_home(home, loaded), len(feed), seconds, supervisor.restarts)
