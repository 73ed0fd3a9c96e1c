"""`njord journal`: check, seal, back up, restore and adopt journals. Exit codes as of the whole command line."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from apps.cli import render
from apps.cli.homes import existing_home, occupy
from apps.cli.journal_backup import RolledBack, backup, restore
from apps.cli.journal_check import EXIT_BROKEN, JournalReport, check_home, journal_daemons
from apps.cli.journal_seal import Sealed, adopt, seal
from apps.runtime.clock import wall_ns
from apps.runtime.home import Home
from apps.runtime.settings_loader import load_settings
from core.errors import JournalError
from core.settings import Settings
from core.topics import Daemon

__all__ = ["journal"]

journal = App(name="journal", help="The journals: check, seal, back up, restore, adopt.")

_Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON instead of text.")]
_Daemon = Annotated[str, Parameter(show_default=False, help="Only these daemons' journals; all when none is named.")]


@journal.command
def check(*daemons: _Daemon, json: _Json = False) -> int:
    """Whether journals are whole, and whether the bus, a consumer or another journal knows more than they do.

    0 sound, 1 not, 3 sound as far as can be told without the bus. Only reads, also beside a running suite.
    """
    home, settings = _suite()
    report = check_home(home, settings, daemons)
    if json:
        _print(report)
    else:
        _tell_check(report)
    return report.exit_code


@journal.command(name="seal")
def seal_command(*daemons: _Daemon, json: _Json = False) -> int:
    """Handle again what came after the last snapshot, and put a snapshot behind it: before another release starts.

    0 sealed, 1 when handling something again said something else: the text says which input, and the release that wrote it must seal it.
    """
    home, settings = _suite()
    sealed: list[Sealed] = []
    refused: list[str] = []
    with occupy(home.root):
        for name in journal_daemons(home, daemons):
            try:
                sealed.append(seal(home, settings, Daemon(name), wall_ns()))
            except JournalError as error:
                refused.append(f"{name}: {error}")
    if json:
        _print({"sealed": sealed, "refused": refused})
    else:
        for one in sealed:
            print(f"{one.daemon}: sealed behind input {one.last_n}, {one.handled_again} handled again")
        for problem in refused:
            print(f"njord: {problem}", file=sys.stderr)
    return EXIT_BROKEN if refused else 0


@journal.command(name="backup")
def backup_command(target: Annotated[Path, Parameter(help="An empty folder, made when it is not there.")], *daemons: _Daemon, json: _Json = False) -> int:
    """Copy journals, consistent each, with a manifest of hashes and last numbers."""
    manifest = backup(existing_home(), target, daemons, wall_ns())
    if json:
        _print(manifest)
    else:
        for one in manifest.journals:
            print(f"{one.daemon}: {len(one.files)} files, up to input {one.last_n}, epoch {one.epoch}")
    return 0


@journal.command(name="restore")
def restore_command(
    source: Annotated[Path, Parameter(help="The folder of a backup.")],
    *daemons: _Daemon,
    accept_loss: Annotated[bool, Parameter(negative="", show_default=False, help="Also when others know more than the backup; `adopt` must follow.")] = False,
    json: _Json = False,
) -> int:
    """Put journals of a backup back; what was there is moved aside. 1 when others know more than the backup does."""
    home, settings = _suite()
    try:
        manifest = restore(home, settings, source, daemons, wall_ns(), accept_loss=accept_loss)
    except RolledBack as error:
        print(f"njord: {error}", file=sys.stderr)
        return EXIT_BROKEN
    if json:
        _print(manifest)
    else:
        for one in manifest.journals:
            print(f"{one.daemon}: restored up to input {one.last_n}, epoch {one.epoch}")
    return 0


@journal.command(name="adopt")
def adopt_command(
    daemon: Annotated[str, Parameter(help="Whose journal lost history.")],
    *,
    reason: Annotated[str, Parameter(show_default=False, help="Why the old history is given up; it is kept in every journal that is touched.")],
    json: _Json = False,
) -> int:
    """Begin a new history of one daemon: a new epoch, beyond every number that anybody knows of. Everything must be stopped."""
    home, settings = _suite()
    journal_daemons(home, (daemon,))
    adopted = adopt(home, settings, Daemon(daemon), reason=reason, actor=getpass.getuser(), epoch=os.urandom(6).hex(), now_ns=wall_ns())
    if json:
        _print(adopted)
        return 0
    print(f"{daemon}: epoch {adopted.epoch_before} is over, {adopted.epoch} begins")
    for topic, (first, last) in adopted.skipped.items():
        print(f"  {topic} {first} to {last} are given up: their content is lost, and who has not heard them will not")
    for stream, first in adopted.again.items():
        print(f"  {stream} is taken in again from {first} on")
    return 0


def _suite() -> tuple[Home, Settings]:
    home = existing_home()
    return home, load_settings(home.settings_overlay).settings


def _print(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def _tell_check(report: JournalReport) -> None:
    columns = ("daemon", "sound", "epoch", "incarnation ", "inputs ", "to handle again ", "said ", "archive ", "open calls ", "quarantined ")
    rows: Sequence[tuple[Any, ...]] = [
        (f.daemon, "no" if f.problems else "yes", f.epoch, f.incarnation, f.last_n, f.suffix, f.outputs, f.archived, f.open_calls, f.quarantined) for f in report.journals
    ]
    console = render.console_for(sys.stdout)
    render.print_table(console, "journals", columns, [tuple(str(cell) for cell in row) for row in rows])
    lines = [f"{f.daemon}: {text}" for f in report.journals for text in (*f.problems, *f.operations)]
    for line in [*lines, f"bus: {report.bus}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
