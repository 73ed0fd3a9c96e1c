"""`njord demo`: a whole suite on recorded bars, started, watched, restarted where it dies, and summed up."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import yaml
from rich.console import Console
from rich.markup import escape

from apps.cli.homes import home_root, occupy
from apps.cli.journals import open_journals
from apps.cli.progress import Show, shown_progress
from apps.cli.render import print_findings, print_summary
from apps.cli.stack import require_server
from apps.cli.summary import Summary, summarize
from apps.cli.supervisor import STOPPED_FOR_GOOD, Supervisor
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
from strategies.registry import available_kinds

__all__ = ["DemoResult", "run_demo"]

_ENVIRONMENT = "demo"
_STALLED_S = 60.0
_POLL_S = 0.1
_HISTORY_MAX = 3
_MARK = "# Written by `njord demo`; the next demo in this folder writes it anew.\n"
_INTERRUPTED = 128 + signal.SIGINT


class DemoResult(msgspec.Struct, frozen=True):
    """What `njord demo --json` prints. `restarts` counts processes that died and were started again."""

    home: str
    steps: int
    seconds: float
    restarts: dict[str, int]
    summary: Summary
    verify: VerifyReport


def run_demo(data: Path | None, strategy: str, console: Console, as_json: bool) -> int:
    """Run it in NJORD_HOME; 0 when the replay ended and every invariant holds, 1 when not, 2 when the input cannot be used, 130 when interrupted."""
    # A demo is a demo whatever NJORD_ENV says, and so are the processes it starts.
    os.environ["NJORD_ENV"] = _ENVIRONMENT
    overlay = _overlay(data, strategy)
    loaded = _checked(overlay)
    feed = open_feed(loaded.settings)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with occupy(home_root()):
            home = _fresh_home(home_root(), overlay)
            began = time.monotonic()
            problem, restarts = _replay(home, loaded, feed, console)
            if problem:
                console.print(f"[red]{escape(problem)}[/red]", highlight=False, soft_wrap=True)
                return 1
            result = _result(home, loaded, feed, time.monotonic() - began, restarts)
    except KeyboardInterrupt:
        console.print(f"interrupted, everything is stopped; state and logs are in {escape(str(home_root()))}", highlight=False, soft_wrap=True)
        return _INTERRUPTED
    _tell(result, console, as_json)
    return 0 if result.verify.holds else 1


def _interrupt(number: int, frame: object) -> None:
    """Ask to stop, however we were asked: a supervisor that only dies leaves its children behind."""
    raise KeyboardInterrupt


def _overlay(data: Path | None, strategy: str) -> dict[str, Any]:
    """The settings of this demo on top of config/demo.yaml."""
    overlay: dict[str, Any] = {"environment": _ENVIRONMENT}
    kinds = {kind.kind: kind for kind in available_kinds()}
    if strategy and (strategy not in kinds or kinds[strategy].error):
        raise ConfigError(f"--strategy {strategy}: not available, there are {', '.join(str(kind) for kind in kinds.values())}")
    shipped = load_settings(environment=_ENVIRONMENT).settings
    symbols = list(shipped.feed.symbols)
    if data is not None:
        path = str(data.resolve())
        unfiltered = shipped.feed.model_copy(update={"path": path, "symbols": ()})
        feed = open_feed(shipped.model_copy(update={"feed": unfiltered, "strategies": {}}))
        symbols = sorted(feed.symbols)
        overlay["feed"] = {"kind": "recorded", "path": path, "symbols": symbols, "timeframe": feed.timeframe}
    if data is not None or strategy:
        kind = strategy or next(iter(shipped.strategies.values())).kind
        overlay["strategies"] = {name: None for name in shipped.strategies} | {"demo": {"kind": kind, "symbols": symbols}}
    return overlay


def _checked(overlay: dict[str, Any]) -> LoadedSettings:
    """The settings this overlay leads to. Read before anything in the home is touched, so bad input costs nobody an earlier run."""
    with tempfile.TemporaryDirectory(prefix="njord-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(overlay))
        loaded = load_settings(path)
    require_server(loaded)
    return loaded


def _fresh_home(root: Path, overlay: dict[str, Any]) -> Home:
    """An empty home for this run; an earlier demo's state is kept aside, anything else in the folder is left alone and refused."""
    settings_file = root / "config.yaml"
    holds_state = (root / "state").exists() and any((root / "state").iterdir())
    if (holds_state or settings_file.exists()) and not _is_demo(settings_file):
        raise ConfigError(f"{root}: holds a suite that is no demo; give the demo another folder with NJORD_HOME")
    if holds_state:
        _set_aside(root)
    home = open_home(root)
    settings_file.write_text(_MARK + yaml.safe_dump(overlay, sort_keys=False))
    return home


def _is_demo(settings_file: Path) -> bool:
    """Whether a demo wrote this: what a person wrote is never overwritten."""
    return settings_file.exists() and settings_file.read_bytes().startswith(_MARK.encode())


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


def _replay(home: Home, loaded: LoadedSettings, feed: Feed, console: Console) -> tuple[str, dict[str, int]]:
    """Start everything, watch it to the end and stop it: why it could not end (empty: it did), and what was restarted.

    Here even what ended by itself is started again: nobody but the demo may end it, and the demo asks for the end last.
    """
    runtime = loaded.settings.runtime
    server = None if runtime.redis_url else server_command(home)
    supervisor = Supervisor(home, runtime.daemons, server, stays_down=STOPPED_FOR_GOOD - {0})
    try:
        supervisor.start()
        with shown_progress(console, len(feed)) as show:
            return _watch(home, supervisor, len(feed), show), supervisor.restarts
    finally:
        supervisor.stop()


def _watch(home: Home, supervisor: Supervisor, steps: int, show: Show) -> str:
    """Show progress until the replay has ended; a reason when it cannot."""
    last_step, last_moved = -1, time.monotonic()
    while True:
        supervisor.watch()
        if supervisor.given_up:
            child = supervisor.given_up[0]
            return f"{child.name} stopped with exit code {child.exit_code}: {child.errors() or 'see ' + str(home.logs)}"
        reply = _progress(home)
        if reply is not None:
            show(min(steps, (reply["step"] + 1) // 2), _note(supervisor))
            if reply["is_finished"]:
                return ""
            if reply["step"] != last_step:
                last_step, last_moved = reply["step"], time.monotonic()
        if time.monotonic() - last_moved > _STALLED_S:
            return f"the replay stands at step {last_step} since {_STALLED_S:.0f} s; the logs in {home.logs} say why"
        time.sleep(_POLL_S)


def _progress(home: Home) -> dict[str, Any] | None:
    try:
        reply = ask_daemon(home.socket(Daemon.MD_INGEST.value), {"query": "progress"}, timeout_s=1.0)
    except ConnectionError:
        return None
    return reply.get("result")


def _note(supervisor: Supervisor) -> str:
    return f"restarted: {_counts(supervisor.restarts)}" if supervisor.restarts else ""


def _counts(restarts: dict[str, int]) -> str:
    return ", ".join(f"{name} x{count}" for name, count in restarts.items()) or "none"


def _result(home: Home, loaded: LoadedSettings, feed: Feed, seconds: float, restarts: dict[str, int]) -> DemoResult:
    marks = {row.body.symbol: row.body.close for k in range(len(feed)) for row in feed.step(k).rows if isinstance(row.body, Bar)}
    journals = open_journals(home, tuple(d.value for d in loaded.settings.runtime.daemons))
    try:
        summary = summarize(journals, marks, {symbol: i.multiplier for symbol in marks if (i := loaded.settings.instrument(symbol)) is not None})
    finally:
        for reader in journals.values():
            reader.close()
    return DemoResult(str(home.root), len(feed), seconds, restarts, summary, verify_home(home, loaded))


def _tell(result: DemoResult, console: Console, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(result).decode())
        return
    print_summary(console, result.summary, f"{result.steps} steps in {result.seconds:.1f} s, restarts: {_counts(result.restarts)}")
    print_findings(console, result.verify)
    console.print(f"State is in {escape(result.home)}; try: njord orders · njord fills · njord positions · njord verify", highlight=False, soft_wrap=True)
