"""The command `njord`. Exit codes: 0 done, 1 the answer is no, 2 the input or configuration cannot be used, 3 not settled yet."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from rich.console import Console

from apps.cli import render
from apps.cli.arming import tell_risk
from apps.cli.backtest_commands import register as register_backtests
from apps.cli.homes import existing_home, home_root
from apps.cli.journal_commands import journal
from apps.cli.journals import JournalReader
from apps.cli.stack import bring_down, bring_up, follow_logs, suite_status
from apps.cli.summary import fills as read_fills
from apps.cli.summary import orders as read_orders
from apps.cli.summary import positions as read_positions
from apps.runtime.home import open_home
from apps.runtime.kill_file import KillFile
from apps.runtime.settings_loader import load_settings
from core.contracts import ArmAccount, DisarmAccount, OperatorCommand, OrderResolution, OrderStatus, ResolveOrder, SettleSuspense, Severity
from core.errors import ConfigError, NjordError
from core.order import Facet
from core.topics import Daemon

__all__ = ["main"]

EXIT_UNUSABLE = 2

app = App(name="njord", help="The trading suite in NJORD_HOME (default ./var).", version=lambda: version("njord"), version_flags=["--version"])
alerts = App(name="alerts", help="What a person should have heard.")
kill = App(name="kill", help="The kill switch: a file whose existence stops trading.")
config = App(name="config", help="The configuration in force.")
app.command(alerts)
app.command(kill)
orders = App(name="orders", help="The orders of this suite: `njord orders` lists them, `njord orders resolve` ends one nobody knows the end of.")
suspense = App(name="suspense", help="Executions that belong to no order.")
app.command(orders)
app.command(suspense)
app.command(config)
app.command(journal)
register_backtests(app)

Flag = Parameter(negative="", show_default=False)
Faults = Annotated[str, Parameter(show_default=False)]
Json = Annotated[bool, Flag, Parameter(name="--json", help="Print JSON instead of a table.")]
Symbol = Annotated[str, Parameter(show_default=False, help="Only those of this symbol.")]
Count = Parameter(validator=Number(gte=1))


@app.command
def demo(
    *,
    data: Annotated[Path | None, Parameter(show_default=False)] = None,
    strategy: Annotated[str, Parameter(show_default=False)] = "",
    faults: Faults = "",
    fault_seed: Annotated[int, Parameter(show_default=False)] = 1,
    json: Json = False,
) -> int:
    """Run the whole suite on recorded bars and sum it up. 0 when it ended and every invariant holds.

    Parameters
    ----------
    data
        Parquet or CSV with the columns symbol, ts, open, high, low, close, volume; the shipped daily bars when left out.
    strategy
        The registered strategy to run on every symbol; the shipped one when left out.
    faults
        How the venue misbehaves: all, or names of docs/VENUE_FAULTS.md with commas between, each with :rate or at its shipped rate.
    fault_seed
        Another seed lets the faults strike elsewhere.
    """
    from apps.cli.demo import Wish, run_demo

    return run_demo(Wish(data, strategy, faults, fault_seed), render.console_for(sys.stderr if json else sys.stdout), json)


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
    switch = KillFile(home.kill_file).read()
    _show(json, rows, lambda console: render.print_status(console, str(home.root), rows, switch))
    return 0 if all(row.state == "ready" for row in rows) else 1


@orders.default
@orders.command(name="list")
def list_orders(
    *,
    symbol: Symbol = "",
    status: Annotated[OrderStatus | None, Parameter(show_default=False, help="Only those that stand so.")] = None,
    external: Annotated[bool, Flag, Parameter(help="Only those at the venue that are not ours.")] = False,
    in_doubt: Annotated[bool, Flag, Parameter(help="Only those of which nobody knows what became of them.")] = False,
    lost: Annotated[bool, Flag, Parameter(help="Only those that a person has to resolve.")] = False,
    json: Json = False,
) -> int:
    """The orders of this suite, and those of others at its account, from the OMS's journal."""
    facets = {facet.value for facet, is_asked in ((Facet.EXTERNAL, external), (Facet.IN_DOUBT, in_doubt), (Facet.LOST, lost)) if is_asked}
    with _oms() as oms:
        rows = [r for r in read_orders(oms) if symbol in ("", r.symbol) and status in (None, r.status) and facets <= set(r.facets)]
    _show(json, rows, lambda console: render.print_orders(console, rows))
    return 0


@orders.command
def resolve(
    client_order_id: Annotated[str, Parameter(help="The order.")],
    *,
    as_: Annotated[OrderResolution, Parameter(name="--as", help="How it ended.")],
    reason: Annotated[str, Parameter(show_default=False, help="Why you know; it is kept in the broker's journal.")],
    qty: Annotated[Decimal | None, Parameter(show_default=False, help="What was executed, when not all of it (filled alone).")] = None,
    price: Annotated[Decimal | None, Parameter(show_default=False, help="At which price (filled alone).")] = None,
    exec_id: Annotated[str, Parameter(show_default=False, help="The venue's execution id, if known (filled alone).")] = "",
    json: Json = False,
) -> int:
    """Say how an order in doubt, or a lost one, has ended. 1 when the broker refuses, because evidence says otherwise or something is missing."""
    wish = ResolveOrder(client_order_id=client_order_id, resolution=as_, reason=reason, last_qty=qty, last_price=price, exec_id=exec_id)
    return _tell(Daemon.BROKER, wish, json)


@app.command
def reconcile(
    *,
    now: Annotated[bool, Flag, Parameter(help="Compare everything now, instead of showing the last comparison.")] = False,
    sync_from_broker: Annotated[bool, Flag, Parameter(help="Adopt the venue's positions and cash where they differ.")] = False,
    reason: Annotated[str, Parameter(show_default=False, help="Why; it is kept in the journals. Required to adopt.")] = "",
    timeout: Annotated[float, Parameter(validator=Number(gt=0), help="Seconds to wait for the comparison.")] = 30.0,
    json: Json = False,
) -> int:
    """How the account compares with its venue. 0 when they agree, 1 when they differ or it is refused, 3 when nobody knows yet."""
    from apps.cli.reconcile import NOT_YET, exit_code_of, last_report, reconcile_now

    home, problem = existing_home(), "the account has not been compared with its venue yet"
    if now or sync_from_broker:
        report, problem = reconcile_now(home, reason, timeout, is_sync=sync_from_broker)
    else:
        report = last_report(home)
    if report is None:
        _show(json, {"problem": problem}, lambda console: console.print(problem, markup=False, highlight=False))
        return 1 if problem.startswith("refused") else NOT_YET
    _show(json, report, lambda console: render.print_reconciliation(console, report))
    return exit_code_of(report)


@suspense.default
@suspense.command(name="list")
def list_suspense(*, json: Json = False) -> int:
    """Executions that belong to no order, until they are settled. 0 when there are none, 1 when there are."""
    from apps.cli.reconcile import suspense_rows

    rows = suspense_rows(existing_home())
    _show(json, rows, lambda console: render.print_suspense(console, rows))
    return 1 if rows else 0


@suspense.command
def settle(
    suspense_key: Annotated[str, Parameter(help="The row, as `njord suspense list` names it.")],
    *,
    to: Annotated[str, Parameter(help="Whose they are: a strategy, or _external.")],
    reason: Annotated[str, Parameter(show_default=False, help="Why you know; it is kept in the OMS's journal.")],
    json: Json = False,
) -> int:
    """Give what is in suspense to its owner. 1 when the OMS refuses."""
    return _tell(Daemon.OMS, SettleSuspense(suspense_key=suspense_key, owner=to, reason=reason), json)


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
    campaign: Annotated[
        Literal["lifecycle", "points", "delivery"], Parameter(help="The whole suite with its orders; a death at every point of a short run; the links alone.")
    ] = "lifecycle",
    seeds: Annotated[int, Count, Parameter(help="How many.")] = 200,
    first: Annotated[int, Parameter(validator=Number(gte=0), help="The first seed.")] = 0,
    seed: Annotated[int | None, Parameter(validator=Number(gte=0), show_default=False, help="Only this seed, with its faults and its trace.")] = None,
    replay: Annotated[Path | None, Parameter(show_default=False, help="A failure that was written down, run again.")] = None,
    jobs: Annotated[int, Parameter(validator=Number(gte=0), help="Processes; 0: one for each core.")] = 0,
    without: Annotated[tuple[str, ...], Parameter(show_default=False, help="A kind of fault that is switched off.")] = (),
    failures_max: Annotated[int, Parameter(validator=Number(gte=0), help="Stop when so many seeds have failed; 0: never.")] = 0,
    results: Annotated[Path, Parameter(help="Where failures are written.")] = Path("results/simulation"),
    json: Json = False,
) -> int:
    """Run the fault simulator over a range of seeds; 1 when one breaks an invariant."""
    from apps.cli.simulate import Wish, cores, replay_failure, run_simulation, show_seed

    console = render.console_for(sys.stderr if json else sys.stdout)
    if replay is not None:
        return replay_failure(replay, json, console)
    if seed is not None:
        return show_seed(seed, json, console)
    return run_simulation(Wish(campaign, first, seeds, jobs or cores(), without, failures_max), json, results, console)


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


@app.command
def arm(
    *,
    phrase: Annotated[str, Parameter(show_default=False, help="The exact words: ARM, the account, its largest order. A refusal names them.")],
    reason: Annotated[str, Parameter(show_default=False, help="Why; it is kept in risk's journal.")],
) -> int:
    """Let risk-increasing orders leave, until something ends it. 1 when risk refuses. The simulated venue needs no arming."""
    return _tell_risk(ArmAccount(phrase=phrase, reason=reason))


@app.command
def disarm(*, reason: Annotated[str, Parameter(show_default=False, help="Why; it is kept in risk's journal.")]) -> int:
    """Let no risk-increasing order leave any more. Cancels and reductions go on."""
    return _tell_risk(DisarmAccount(reason=reason))


@app.command
def decisions(
    *,
    symbol: Symbol = "",
    strategy: Annotated[str, Parameter(show_default=False, help="Only those of this strategy.")] = "",
    denied: Annotated[bool, Flag, Parameter(help="Only what was denied.")] = False,
    json: Json = False,
) -> int:
    """What risk answered to every wish, and why it denied, from its journal."""
    from apps.cli.why import decisions_of, print_decisions

    rows = decisions_of(existing_home(), symbol=symbol, strategy=strategy, denied=denied)
    _show(json, rows, lambda console: print_decisions(console, rows))
    return 0


@app.command
def no_trades(*, json: Json = False) -> int:
    """Why strategies did nothing, by symbol and reason, and how often each reason began."""
    from apps.cli.why import idle_reasons_of, print_idle_reasons

    rows = idle_reasons_of(existing_home())
    _show(json, rows, lambda console: print_idle_reasons(console, rows))
    return 0


@alerts.default
@alerts.command(name="list")
def list_alerts(*, least: Annotated[Severity | None, Parameter(show_default=False, help="Only those from this severity on.")] = None, json: Json = False) -> int:
    """Everything a daemon alerted a person to, from all journals."""
    from apps.cli.why import alerts_of, print_alerts

    found = alerts_of(existing_home(), least)
    _show(json, found, lambda console: print_alerts(console, found))
    return 0


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
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show an arrow shows a question mark: what was done must not end in how it is told.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
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


def _tell(daemon: Daemon, command: OperatorCommand, as_json: bool) -> int:
    from apps.cli.reconcile import tell_daemon

    text, code = tell_daemon(existing_home(), daemon, command)
    _show(as_json, {"answer": text, "refused": bool(code)}, lambda console: console.print(text, markup=False, highlight=False, soft_wrap=True))
    return code


def _tell_risk(command: OperatorCommand) -> int:
    text, code = tell_risk(existing_home(), command)
    print(text)
    return code


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
