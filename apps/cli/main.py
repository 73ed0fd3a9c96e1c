"""The command `njord`. Exit codes: 0 done, 1 the answer is no, 2 the input or configuration cannot be used, 3 not settled yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from apps.cli import render
from apps.cli.journals import JournalReader
from apps.cli.stack import bring_down, bring_up, follow_logs, suite_status
from apps.cli.summary import fills as read_fills
from apps.cli.summary import orders as read_orders
from apps.cli.summary import positions as read_positions
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import LoadedSettings, load_settings
from core.errors import ConfigError, NjordError
from core.topics import Daemon

__all__ = ["main"]

app = App(name="njord", help="The trading suite in NJORD_HOME (default ./var).", version_flags=["--version"])
kill = App(name="kill", help="The kill switch: a file whose existence stops trading.")
config = App(name="config", help="The configuration in force.")
app.command(kill)
app.command(config)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]


@app.command
def demo(*, data: Path | None = None, strategy: str = "", json: Json = False) -> int:
    """Run the whole suite on recorded bars and sum it up.

    Parameters
    ----------
    data
        Parquet or CSV with the columns symbol, ts, open, high, low, close, volume; the shipped daily bars when left out.
    strategy
        The registered strategy to run on every symbol.
    """
    from apps.cli.demo import run_demo

    return run_demo(data, strategy, Console(stderr=json), json)


@app.command
def verify(*, wait: float = 0.0, json: Json = False) -> int:
    """Check the execution invariants over all journals and the venue's own ledger.

    Parameters
    ----------
    wait
        Seconds to wait for what is still under way.
    """
    from apps.cli.verify.report import verify_home

    home, loaded = _suite()
    report = verify_home(home, loaded, wait)
    _show(json, report, lambda console: render.print_findings(console, report))
    return report.exit_code


@app.command
def status(*, json: Json = False) -> int:
    """Every process: ready or why not, how far it has come. 0 when all are ready."""
    home, loaded = _suite()
    rows = suite_status(home, loaded.settings)
    columns = ("daemon", "state", "incarnation ", "inputs ", "session time", "why")
    _show(
        json,
        rows,
        lambda console: render.print_table(
            console,
            str(home.root),
            columns,
            ((r.daemon, r.state, str(r.incarnation), str(r.inputs), render.moment(r.now_ns) if r.now_ns else "-", "; ".join(r.reasons)) for r in rows),
        ),
    )
    return 0 if all(row.state == "ready" for row in rows) else 1


@app.command
def orders(*, symbol: str = "", status: str = "", json: Json = False) -> int:
    """The orders of this suite, from the OMS's journal."""
    with _oms() as oms:
        rows = [r for r in read_orders(oms) if symbol in ("", r.symbol) and status.upper() in ("", r.status)]
    _show(json, rows, lambda console: render.print_orders(console, rows))
    return 0


@app.command
def positions(*, json: Json = False) -> int:
    """What each strategy holds, from the OMS's journal."""
    with _oms() as oms:
        rows = [p for p in read_positions(oms) if p.position_qty]
    _show(json, rows, lambda console: render.print_positions(console, rows))
    return 0


@app.command
def fills(*, symbol: str = "", json: Json = False) -> int:
    """Every booked execution, from the OMS's journal."""
    with _oms() as oms:
        rows = [f for f in read_fills(oms) if symbol in ("", f.symbol)]
    _show(json, rows, lambda console: render.print_fills(console, rows))
    return 0


@app.command
def up() -> int:
    """Start the suite of this home in the background, supervised; 0 when every daemon is ready."""
    home, loaded = _suite()
    return bring_up(home, loaded, Console())


@app.command
def down() -> int:
    """Drain and stop the suite that `njord up` started."""
    return bring_down(open_home(), Console())


@app.command
def logs(*, daemon: str = "", lines: int = 20, follow: bool = False) -> int:
    """The daemons' structured logs, merged in the order of their time."""
    return follow_logs(open_home(), daemon, lines, follow)


@app.command
def simulate(*, seeds: int = 200, first: int = 0, json: Json = False) -> int:
    """Run the fault simulator's delivery campaign over a range of seeds; 1 when one breaks a claim."""
    from apps.cli.simulate import run_simulation

    return run_simulation(first, seeds, json, Console(stderr=json))


@kill.command
def trip(reason: str = "", *, reducing: bool = False) -> int:
    """Stop trading: write the kill file (the same as deploy/kill-switch trip).

    Parameters
    ----------
    reason
        Why; it is shown wherever the switch denies.
    reducing
        Let orders that only reduce positions through.
    """
    return _kill_switch("trip", *(["--reducing"] if reducing else []), reason)


@kill.command
def clear(reason: str = "") -> int:
    """Take the kill file away: trading may go on."""
    return _kill_switch("clear", reason)


@kill.command(name="status")
def kill_status() -> int:
    """0 when clear, 1 when tripped."""
    return _kill_switch("status")


@config.command
def show(*, json: Json = False) -> int:
    """Every value in force, and which file or variable it came from."""
    _, loaded = _suite()
    values = _flat(loaded.settings.model_dump(mode="json"))
    rows = [(key, value, loaded.provenance.get(key, "default")) for key, value in values]
    _show(json, [{"key": k, "value": v, "source": s} for k, v, s in rows], lambda console: render.print_table(console, f"config {loaded.config_hash}", ("key", "value", "source"), rows))
    return 0


def main() -> None:
    """Entry point of the command line."""
    try:
        code = app(exit_on_error=False, print_error=True)
    except ConfigError as error:
        for problem in error.problems:
            print(f"njord: {problem}", file=sys.stderr)
        sys.exit(2)
    except NjordError as error:
        print(f"njord: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    sys.exit(code if isinstance(code, int) else 0)


def _suite() -> tuple[Home, LoadedSettings]:
    home = open_home()
    return home, load_settings(home.settings_overlay)


def _oms() -> JournalReader:
    path = open_home().journal(Daemon.OMS.value)
    if not path.exists():
        raise ConfigError(f"{path}: not found, this suite has no orders yet; NJORD_HOME names the suite")
    return JournalReader(path, Daemon.OMS.value)


def _kill_switch(*arguments: str) -> int:
    script = Path(__file__).resolve().parents[2] / "deploy" / "kill-switch"
    return subprocess.run([str(script), *(a for a in arguments if a)], env={**os.environ, "NJORD_HOME": str(open_home().root)}, check=False).returncode


def _show(as_json: bool, value: Any, table: Any) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(value)).decode())
    else:
        table(Console())


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, msgspec.json.encode(value).decode() if not isinstance(value, str) else value)]


if __name__ == "__main__":
    main()
