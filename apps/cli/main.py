"""The command `njord`. Exit codes: 0 done, 1 the answer is no, 2 the input or configuration cannot be used, 3 not settled yet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from rich.console import Console

from apps.cli import render
from apps.cli.homes import existing_home, home_root
from apps.cli.journals import JournalReader
from apps.cli.stack import bring_down, bring_up, follow_logs, suite_status
from apps.cli.summary import fills as read_fills
from apps.cli.summary import orders as read_orders
from apps.cli.summary import positions as read_positions
from apps.runtime.home import open_home
from apps.runtime.settings_loader import load_settings
from core.contracts import OrderStatus
from core.errors import ConfigError, NjordError
from core.topics import Daemon

__all__ = ["main"]

EXIT_UNUSABLE = 2

app = App(name="njord", help="The trading suite in NJORD_HOME (default ./var).", version=lambda: version("njord"), version_flags=["--version"])
kill = App(name="kill", help="The kill switch: a file whose existence stops trading.")
config = App(name="config", help="The configuration in force.")
app.command(kill)
app.command(config)

Flag = Parameter(negative="", show_default=False)
Json = Annotated[bool, Flag, Parameter(name="--json", help="Print JSON instead of a table.")]
Symbol = Annotated[str, Parameter(show_default=False, help="Only those of this symbol.")]
Count = Parameter(validator=Number(gte=1))


@app.command
def demo(*, data: Annotated[Path | None, Parameter(show_default=False)] = None, strategy: Annotated[str, Parameter(show_default=False)] = "", json: Json = False) -> int:
    """Run the whole suite on recorded bars and sum it up. 0 when it ended and every invariant holds.

    Parameters
    ----------
    data
        Parquet or CSV with the columns symbol, ts, open, high, low, close, volume; the shipped daily bars when left out.
    strategy
        The registered strategy to run on every symbol; the shipped one when left out.
    """
    from apps.cli.demo import run_demo

    return run_demo(data, strategy, render.console_for(sys.stderr if json else sys.stdout), json)


@app.command
def verify(*, wait: Annotated[float, Parameter(validator=Number(gte=0))] = 0.0, json: Json = False) -> int:
    """Check the execution invariants over all journals and the venue's own ledger, running or not.

    0 when all hold and nothing is under way, 1 when one is broken, 3 when something is under way.

    Parameters
    ----------
    wait
        Seconds to wait for what is still under way.
    """
    from apps.cli.verify.report import verify_home

    home = existing_home()
    report = verify_home(home, load_settings(home.settings_overlay), wait)
    _show(json, report, lambda console: render.print_findings(console, report))
    return report.exit_code


@app.command
def status(*, json: Json = False) -> int:
    """Every daemon: ready or why not, how far it has come. 0 when all are ready, 1 when not."""
    home = existing_home()
    rows = suite_status(home, load_settings(home.settings_overlay).settings)
    _show(json, rows, lambda console: render.print_status(console, str(home.root), rows))
    return 0 if all(row.state == "ready" for row in rows) else 1


@app.command
def orders(*, symbol: Symbol = "", status: Annotated[OrderStatus | None, Parameter(show_default=False, help="Only those that stand so.")] = None, json: Json = False) -> int:
    """The orders of this suite, from the OMS's journal."""
    with _oms() as oms:
        rows = [r for r in read_orders(oms) if symbol in ("", r.symbol) and status in (None, r.status)]
    _show(json, rows, lambda console: render.print_orders(console, rows))
    return 0


@app.command
def positions(*, symbol: Symbol = "", json: Json = False) -> int:
    """What each strategy holds, from the OMS's journal."""
    with _oms() as oms:
        rows = [p for p in read_positions(oms) if p.position_qty and symbol in ("", p.symbol)]
    _show(json, rows, lambda console: render.print_positions(console, rows))
    return 0


@app.command
def fills(*, symbol: Symbol = "", json: Json = False) -> int:
    """Every booked execution, from the OMS's journal."""
    with _oms() as oms:
        rows = [f for f in read_fills(oms) if symbol in ("", f.symbol)]
    _show(json, rows, lambda console: render.print_fills(console, rows))
    return 0


@app.command
def up() -> int:
    """Start the suite of this home in the background, supervised. 0 when every daemon is ready."""
    loaded = load_settings(home_root() / "config.yaml")
    return bring_up(open_home(), loaded, render.console_for(sys.stdout))


@app.command
def down() -> int:
    """Drain and stop the suite of this home."""
    return bring_down(existing_home(), render.console_for(sys.stdout))


@app.command
def logs(
    *,
    daemon: Annotated[str, Parameter(show_default=False, help="Only this daemon's.")] = "",
    lines: Annotated[int, Count, Parameter(help="How many of the last lines.")] = 20,
    follow: Annotated[bool, Flag, Parameter(help="Go on as they grow, until interrupted.")] = False,
) -> int:
    """The daemons' structured logs, merged in the order of their time."""
    return follow_logs(existing_home(), daemon, lines, follow)


@app.command
def simulate(
    *,
    seeds: Annotated[int, Count, Parameter(help="How many.")] = 200,
    first: Annotated[int, Parameter(validator=Number(gte=0), help="The first seed.")] = 0,
    json: Json = False,
) -> int:
    """Run the fault simulator's delivery campaign over a range of seeds; 1 when one breaks a claim."""
    from apps.cli.simulate import run_simulation

    return run_simulation(first, seeds, json, render.console_for(sys.stderr if json else sys.stdout))


@app.command
def emergency_cancel(
    *,
    timeout: Annotated[float, Parameter(validator=Number(gt=0), help="Seconds to go on asking.")] = 10.0,
    desk: Annotated[Path | None, Parameter(show_default=False, help="The socket of the venue's desk, when it is not this home's.")] = None,
    json: Json = False,
) -> int:
    """Cancel everything that is open at the venue, with nothing but the venue: the rest of the suite may be gone.

    0 when nothing is open any more, 1 when something still is, 2 when the venue cannot be asked.
    """
    from apps.cli.emergency import cancel_everything, desk_of, desk_path

    console = render.console_for(sys.stderr if json else sys.stdout)
    with desk_of(desk or desk_path(home_root())) as call:
        report = cancel_everything(call, timeout, lambda text: console.print(text, markup=False, highlight=False))
    _show(json, report, lambda to: to.print(f"{report.cancels} cancels for {len(report.found)} orders; {len(report.left)} are still open", highlight=False))
    return report.exit_code


@kill.command
def trip(
    reason: Annotated[str, Parameter(show_default=False, help="Why; it is shown wherever the switch denies.")] = "",
    *,
    reducing: Annotated[bool, Flag, Parameter(help="Let orders that only reduce positions through.")] = False,
) -> int:
    """Stop trading: write the kill file (the same as deploy/kill-switch trip)."""
    return _kill_switch("trip", *(["--reducing"] if reducing else []), *(["--", reason] if reason else []))


@kill.command
def clear(reason: Annotated[str, Parameter(show_default=False, help="Why; it is kept in the switch's history.")] = "") -> int:
    """Take the kill file away: trading may go on."""
    return _kill_switch("clear", *(["--", reason] if reason else []))


@kill.command(name="status")
def kill_status() -> int:
    """What the daemons see: 0 when clear, 3 when tripped or unreadable."""
    return _kill_switch("status")


@config.command
def show(*, json: Json = False) -> int:
    """Every value in force, and which file or variable it came from."""
    loaded = load_settings(home_root() / "config.yaml")
    values = _flat(loaded.settings.model_dump(mode="json"))
    rows = [(key, value, loaded.provenance.get(key, "default")) for key, value in values]
    _show(
        json,
        [{"key": k, "value": v, "source": s} for k, v, s in rows],
        lambda console: render.print_table(console, f"config {loaded.config_hash}", ("key", "value", "source"), rows),
    )
    return 0


def main() -> None:
    """Entry point of the command line."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    """Run one command; its exit code. Errors that a person must mend are printed, one per line."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _unusable(" ".join(str(error).split()), "`njord --help` lists the commands, `njord COMMAND --help` the options of one")
    except ConfigError as error:
        return _unusable(*error.problems)
    except NjordError as error:
        return _unusable(str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read this has enough; the interpreter must not try to tell them the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _unusable(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return code if isinstance(code, int) else 0


def _unusable(*problems: str) -> int:
    for problem in problems:
        print(f"njord: {problem}", file=sys.stderr)
    return EXIT_UNUSABLE


def _oms() -> JournalReader:
    path = existing_home().journal(Daemon.OMS.value)
    if not path.exists():
        raise ConfigError(f"{path}: not found, this suite has no orders yet; NJORD_HOME names the suite")
    return JournalReader(path, Daemon.OMS.value)


def _kill_switch(*arguments: str) -> int:
    script = Path(__file__).resolve().parents[2] / "deploy" / "kill-switch"
    return subprocess.run([str(script), *arguments], check=False).returncode


def _show(as_json: bool, value: Any, table: Callable[[Console], None]) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(value)).decode())
    else:
        table(render.console_for(sys.stdout))


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    return [(prefix, msgspec.json.encode(value).decode() if not isinstance(value, str) else value)]


if __name__ == "__main__":
    main()
