"""Handles a whole journal again, from its first input, on a machine built anew: what it should have said, and where it should stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from apps.cli.journals import JournalReader
from core.codec import Codec
from core.errors import NjordError
from core.ids import account_prefix
from core.journal import OutputRow, decode_attached
from core.machine import Archive, ConfigLoaded, Machine
from core.recovery import compare, input_of
from core.replay import ReplayConductor, ReplayProgress
from core.settings import Settings
from core.topics import Daemon
from execution.broker_gateway import GatewayState, build_gateway
from execution.oms import OmsState, build_oms
from execution.venues.simulated import VenueState, build_venue
from risk.engine import RiskState, build_risk_engine
from strategies.host import HostState, build_host

__all__ = ["Replayed", "replay"]

_SNAPSHOTS: dict[Daemon, type] = {
    Daemon.MD_INGEST: ReplayProgress,
    Daemon.STRATEGY_RUNNER: HostState,
    Daemon.RISK_ENGINE: RiskState,
    Daemon.OMS: OmsState,
    Daemon.BROKER: GatewayState,
    Daemon.PAPER_VENUE: VenueState,
}


class Replayed(NamedTuple):
    """A journal handled again: the machine as it then stands, how much was handled, and where it differed (empty: nowhere)."""

    machine: Machine[Any]
    inputs: int
    problems: list[str]


def replay(daemon: Daemon, journal: JournalReader, settings: Settings, account_epoch: str) -> Replayed:
    """Handle every input of a journal and compare what is said and archived with what was recorded, and the state with the last snapshot.

    A run that began with another configuration goes on with that one, as the daemon did. The first difference ends it.
    """
    build = _builder(daemon, journal.epoch, account_epoch)
    machine, config_hash = build(settings), ""
    outputs: dict[int, list[OutputRow]] = {}
    for output in journal.outputs():
        outputs.setdefault(output.n, []).append(output)
    snapshot_n, snapshot = journal.snapshot() or (0, b"")
    codec, count = Codec(), 0
    archived: dict[tuple[str, str], int] = {}
    for row in journal.inputs():
        try:
            event = input_of(row, codec)
            if isinstance(event, ConfigLoaded) and event.config_hash != config_hash:
                config_hash = event.config_hash
                machine = _rebuilt(daemon, machine, build(Settings.model_validate_json(event.content)))
            effects = machine.handle(event, decode_attached(row.attached), row.now_ns)
            compare(row, event, effects, outputs.get(row.n, []), journal.epoch, daemon.value, codec)
        except (NjordError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            return Replayed(machine, count, [f"{daemon.value}: input {row.n} ({row.kind}): {error}"])
        archived.update(((effect.kind, effect.key), hash(effect.data)) for effect in effects if isinstance(effect, Archive))
        count += 1
        if row.n == snapshot_n and msgspec.json.encode(machine.snapshot()) != snapshot:
            return Replayed(machine, count, [f"{daemon.value}: the snapshot after input {row.n} is not the state that its inputs give"])
    return Replayed(machine, count, _archive_problems(daemon, journal, archived))


def _archive_problems(daemon: Daemon, journal: JournalReader, archived: dict[tuple[str, str], int]) -> list[str]:
    """Where the archive is not what the inputs give. It has no numbers: beside a running daemon it may be ahead of the inputs that were read."""
    problems, found = [], 0
    for row in journal.whole_archive():
        given = archived.get((row.kind, row.key))
        found += given is not None
        if given != hash(row.data) and not journal.is_cut:
            problems.append(f"{daemon.value}: the archive's {row.kind} {row.key} is not what its inputs give")
    if found < len(archived):
        problems.append(f"{daemon.value}: the archive lacks {len(archived) - found} of the {len(archived)} rows that its inputs give")
    return problems


def _rebuilt(daemon: Daemon, old: Machine[Any], new: Machine[Any]) -> Machine[Any]:
    new.restore(msgspec.json.decode(msgspec.json.encode(old.snapshot()), type=_SNAPSHOTS[daemon]))
    return new


def _builder(daemon: Daemon, epoch: str, account_epoch: str) -> Callable[[Settings], Machine[Any]]:
    """How the daemon builds its machine."""
    match daemon:
        case Daemon.MD_INGEST:
            return lambda settings: ReplayConductor()
        case Daemon.STRATEGY_RUNNER:
            return lambda settings: build_host(settings, epoch=epoch)
        case Daemon.RISK_ENGINE:
            return lambda settings: build_risk_engine(settings, id_prefix=account_prefix(settings.environment, settings.account.name, account_epoch))
        case Daemon.OMS:
            return build_oms
        case Daemon.BROKER:
            return build_gateway
        case Daemon.PAPER_VENUE:
            return build_venue
