"""From settings to a running daemon: the one place where journal, bus, clock, node and shell are put together.

A daemon's `__main__` names what it is (machine, snapshot type, gate, venue side) and calls `main`; everything else is the
same for all of them, and so are the exit codes: 0 stopped cleanly, 2 the configuration or the journal cannot be used, 70-75
as the node says.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import uvloop

from apps.runtime.bus import open_bus
from apps.runtime.clock import SessionClockFollower, SystemClock, wall_ns
from apps.runtime.control_socket import ControlSocket
from apps.runtime.home import Home, open_home
from apps.runtime.journal import SqliteJournal
from apps.runtime.kill_file import KillFile
from apps.runtime.logs import open_log
from apps.runtime.settings_loader import LoadedSettings, load_settings
from apps.runtime.shell import Shell
from apps.runtime.venue_link import VenueClient, VenueServer
from core.contracts import KillSwitchState
from core.errors import ConfigError, JournalError
from core.instrument import Instrument
from core.machine import ConfigLoaded, FeedRow, Machine
from core.node import Gate, Node
from core.recovery import recover
from core.settings import Settings
from core.topics import Daemon
from core.topology import node_spec

__all__ = ["DaemonParts", "Suite", "main", "open_suite"]

EXIT_CONFIG = 2

Background = Callable[[Shell], Awaitable[None]]


class Suite(NamedTuple):
    """What a daemon is built from. `epoch` is the id of its own journal."""

    home: Home
    loaded: LoadedSettings
    epoch: str = ""

    @property
    def settings(self) -> Settings:
        """The validated settings."""
        return self.loaded.settings

    @property
    def instruments(self) -> dict[str, Instrument]:
        """The instrument of every symbol that has one."""
        found = ((symbol, self.settings.instrument(symbol)) for symbol in self.settings.symbols)
        return {symbol: instrument for symbol, instrument in found if instrument is not None}


class DaemonParts(NamedTuple):
    """What makes one daemon different from the others.

    `feed` gives the rows of a step (md_ingest alone), `background` runs beside the shell, `venue` and `server` are the two
    sides of a venue connection.
    """

    machine: Machine[Any]
    snapshot_type: type
    gate: Gate | None = None
    venue: VenueClient | None = None
    server: Callable[[Shell], VenueServer] | None = None
    feed: Callable[[int], tuple[FeedRow, ...]] | None = None
    background: Background | None = None


class _Surroundings:
    """Lookups of the node, answered by the journal, the feed and the kill file."""

    def __init__(self, journal: SqliteJournal, kill_file: KillFile, feed: Callable[[int], tuple[FeedRow, ...]] | None) -> None:
        self._journal = journal
        self._kill_file = kill_file
        self._feed = feed

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        return self._journal.archived(keys)

    def feed(self, step: int) -> tuple[FeedRow, ...]:
        return self._feed(step) if self._feed is not None else ()

    def kill_switch(self) -> KillSwitchState:
        return self._kill_file.read()


def open_suite() -> Suite:
    """The suite this process belongs to, by NJORD_HOME and NJORD_ENV."""
    home = open_home()
    return Suite(home, load_settings(home.settings_overlay))


def main(daemon: Daemon, build: Callable[[Suite], DaemonParts]) -> int:
    """Run one daemon to its end; the exit code. Errors that a person must mend are printed, one per line."""
    try:
        suite = open_suite()
        if daemon not in suite.settings.runtime.daemons:
            raise ConfigError(f"runtime.daemons: {daemon.value} is not among {', '.join(suite.settings.runtime.daemons)}, only daemons that are listed may run")
        journal = SqliteJournal(suite.home.journal(daemon.value), wall_ns())
        try:
            return _run(daemon, suite._replace(epoch=journal.epoch), journal, build)
        finally:
            journal.close()
    except (ConfigError, JournalError) as error:
        print(f"{daemon.value}: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _run(daemon: Daemon, suite: Suite, journal: SqliteJournal, build: Callable[[Suite], DaemonParts]) -> int:
    settings = suite.settings
    log, stream = open_log(suite.home.logs, daemon.value, settings.runtime.log_level)
    try:
        parts = build(suite)
        # Decoding a large snapshot makes only live objects; the collector would walk them again and again for nothing.
        gc.disable()
        restored = recover(parts.machine, parts.snapshot_type, journal.load(), daemon.value)
        gc.collect()
        gc.freeze()
        # What a machine keeps lives for long and in no cycles: looking through it at the default pace would find nothing.
        gc.set_threshold(50_000, 20, 100)
        gc.enable()
        log.info("started", incarnation=restored.incarnation, last_n=restored.last_n, rehandled=restored.rehandled, config_hash=suite.loaded.config_hash)
        clock = SessionClockFollower(restored.last_now_ns) if settings.runtime.clock == "session" else SystemClock()
        kill_file = KillFile(suite.home.kill_file)
        surroundings = _Surroundings(journal, kill_file, parts.feed)
        node = Node(node_spec(daemon, settings), parts.machine, restored, clock, surroundings, parts.gate)
        node.on_config(ConfigLoaded(suite.loaded.config_hash, suite.loaded.content))
        shell = Shell(
            node=node,
            journal=journal,
            bus=open_bus(suite.home, settings, daemon.value),
            clock=clock,
            home=suite.home,
            settings=settings,
            kill_file=kill_file,
            log=log,
            venue=parts.venue,
            server=parts.server,
        )
        code = uvloop.run(_serve(suite, daemon, shell, parts.background))
        if code == 0:
            journal.rotate(settings.journal.rotate_inputs_max)
        log.info("stopped", code=code)
        return code
    except (ConfigError, JournalError) as error:
        log.critical("refused", reason=str(error))
        raise
    finally:
        stream.close()


async def _serve(suite: Suite, daemon: Daemon, shell: Shell, background: Background | None) -> int:
    control = ControlSocket(suite.home.socket(daemon.value), shell)
    running = asyncio.ensure_future(shell.run((lambda: background(shell)) if background is not None else None))
    await asyncio.sleep(0)
    await control.start()
    try:
        return await running
    finally:
        await control.stop()
