"""`njord journal seal` and `adopt`: what an operator does before another release starts, and after history was lost.

Sealing is recovery without a run: every input since the last snapshot is handled again, must say exactly the same again, and a
snapshot is put behind the last one, so that the next release finds nothing to handle again.

Adopting is the end of a history that cannot be had back. The journal gets a new epoch and goes on beyond every number that anybody
knows of, takes in again what it had taken in and lost, and everybody else is told, in their journals, what they will not hear.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from apps.cli.homes import occupy
from apps.cli.journal_bus import Marks, bus_marks, set_bus_aside
from apps.cli.journals import ADOPTED, JournalReader
from apps.cli.verify.replayed import SNAPSHOT_TYPES, builder_of
from apps.runtime.home import Home
from apps.runtime.journal import SqliteJournal, take_lock
from apps.runtime.journal_sums import SUM_KEY, StateSum
from apps.runtime.wal import damaged_log
from core.errors import ConfigError, JournalError
from core.journal import Batch
from core.node import Subscription
from core.ports import StreamId
from core.recovery import recover
from core.settings import Settings
from core.topics import Daemon, View
from core.topology import node_spec

__all__ = ["Adopted", "Sealed", "adopt", "seal"]


class Sealed(msgspec.Struct, frozen=True):
    """A sealed journal: how many inputs were handled again, and the last one, behind which the snapshot stands."""

    daemon: str
    handled_again: int
    last_n: int


class Adopted(msgspec.Struct, frozen=True):
    """A new history: the epochs before and after, the numbers nobody will hear (first, last) by topic, what is taken in again from which number on."""

    daemon: str
    epoch_before: str
    epoch: str
    skipped: dict[str, tuple[int, int]]
    again: dict[str, int]
    bus_keys_set_aside: int


def seal(home: Home, settings: Settings, daemon: Daemon, now_ns: int) -> Sealed:
    """Recover a stopped daemon's journal with this release, and snapshot behind its last input.

    JournalError when the daemon runs, when the journal cannot be trusted, or when handling an input again says something else:
    then the release that wrote it must seal it.
    """
    journal = SqliteJournal(home.journal(daemon.value), now_ns)
    try:
        machine = builder_of(daemon, journal.epoch, home.account_epoch)(settings)
        try:
            restored = recover(machine, SNAPSHOT_TYPES[daemon], journal.load(), daemon.value)
        except JournalError as error:
            raise JournalError(f"{journal.path}: not sealed: {error}") from error
        if restored.rehandled:
            journal.commit(Batch(snapshot=(restored.last_n, msgspec.json.encode(machine.snapshot()))))
        return Sealed(daemon.value, restored.rehandled, restored.last_n)
    finally:
        journal.close()


def adopt(home: Home, settings: Settings, daemon: Daemon, *, reason: str, actor: str, epoch: str, now_ns: int) -> Adopted:
    """Give a daemon's journal a new epoch, and let it and everybody else go on from what is left. Everything must be stopped.

    Refused (ConfigError) while anything runs, without a reason, or while a configured bus cannot be asked: numbers that only it
    knows of would be given twice.
    """
    if not reason.strip():
        raise ConfigError("--reason: empty, say why the old history is given up; it is kept in the journal")
    with occupy(home.root):
        marks = _marks(home, settings)
        _set_damage_aside(home.journal(daemon.value), epoch)
        seal(home, settings, daemon, now_ns)
        with _locked(home, settings):
            adopted = _adopt(home, settings, daemon, marks, reason, actor, epoch, now_ns)
        # Last: until then everybody knows the old history and stops at the new one.
        kept = set_bus_aside(home, settings, f"archived-{epoch}|") if settings.runtime.redis_url else 0
    return msgspec.structs.replace(adopted, bus_keys_set_aside=kept)


def _marks(home: Home, settings: Settings) -> Marks:
    streams = [StreamId(topic, daemon.value) for daemon in settings.runtime.daemons for topic in node_spec(daemon, settings).produces]
    try:
        return bus_marks(home, settings, streams)
    except ConnectionError as error:
        # The home's own server keeps nothing over its end, so there is nothing it could know.
        if settings.runtime.redis_url:
            raise ConfigError(f"the bus cannot be asked what it knows: {error}; start the server, not the suite") from None
        return {}


def _adopt(home: Home, settings: Settings, daemon: Daemon, marks: Marks, reason: str, actor: str, epoch: str, now_ns: int) -> Adopted:
    readers = _readers(home, settings)
    mine = readers[daemon]
    spec = node_spec(daemon, settings)
    heads: dict[str, int] = {}
    for topic in spec.produces:
        stream = StreamId(topic, daemon.value)
        tail, acks = marks.get(stream, (0, {}))
        heads[topic] = max([mine.heads.get(topic, 0), tail, *acks.values(), *(reader.watermarks.get(stream, 0) for reader in readers.values())])
    skipped = {topic: (mine.heads.get(topic, 0) + 1, head) for topic, head in heads.items() if head > mine.heads.get(topic, 0)}
    unheard = {
        other: {s.stream.topic: (reader.watermarks.get(s.stream, 0) + 1, heads[s.stream.topic]) for s in _journaled(other, settings) if s.stream.producer == daemon.value}
        for other, reader in readers.items()
    }
    again = {s.stream: mine.watermarks.get(s.stream, 0) + 1 for s in _journaled(daemon, settings)}
    before, last_n = mine.epoch, max((row.n for row in mine.inputs()), default=0)
    for reader in readers.values():
        reader.close()
    note = _Note(now_ns, actor, reason)
    told = {f"{stream.topic} of {stream.producer}": first for stream, first in again.items()}
    with _edited(home.journal(daemon.value)) as database:
        database.execute("update meta set value = ? where key = 'epoch'", (epoch,))
        for topic, head in heads.items():
            database.execute("insert or replace into heads values(?, ?)", (topic, head))
            database.executemany("insert or replace into acked values(?, ?, ?)", [(topic, consumer, head) for consumer in spec.produces[topic]])
        note.write(database, ADOPTED, {"epoch_before": before, "epoch": epoch, "after_n": last_n, "skipped": skipped, "again": told})
    for other in readers:
        missed = {topic: span for topic, span in unheard[other].items() if span[0] <= span[1]}
        lowered = {stream.topic: first - 1 for stream, first in again.items() if stream.producer == other.value}
        if other is daemon or not (unheard[other] or lowered):
            continue
        with _edited(home.journal(other.value)) as database:
            for topic, (_, head) in unheard[other].items():
                database.execute("insert or replace into watermarks values(?, ?, ?, ?)", (topic, daemon.value, head, epoch))
            for topic, seq in lowered.items():
                database.execute("update acked set seq = min(seq, ?) where topic = ? and consumer = ?", (seq, topic, daemon.value))
            note.write(database, f"accept the new history of {daemon.value}", {"epoch": epoch, "skipped": missed, "lowered": lowered})
    return Adopted(daemon.value, before, epoch, skipped, told, 0)


def _journaled(daemon: Daemon, settings: Settings) -> list[Subscription]:
    """The streams whose messages a daemon's journal counts."""
    return [subscription for subscription in node_spec(daemon, settings).subscriptions if subscription.view is View.JOURNALED]


class _Note:
    """What is kept of an operation in every journal it touches."""

    def __init__(self, at_ns: int, actor: str, reason: str) -> None:
        self._row = at_ns, actor, reason

    def write(self, database: sqlite3.Connection, what: str, detail: dict[str, Any]) -> None:
        at_ns, actor, reason = self._row
        database.execute("create table if not exists operations(at_ns integer not null, actor text not null, what text not null, reason text not null, detail text not null)")
        database.execute("insert into operations values(?, ?, ?, ?, ?)", (at_ns, actor, what, reason, msgspec.json.encode(detail).decode()))


@contextmanager
def _edited(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on a journal that nobody runs on, with the sum of its tables made anew."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("pragma synchronous = full")
            database.execute("begin immediate")
            yield database
            database.execute("insert or replace into meta values(?, ?)", (SUM_KEY, StateSum.of(database).value))
            database.execute("commit")
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error


@contextmanager
def _locked(home: Home, settings: Settings) -> Iterator[None]:
    """Hold every journal of the suite, so that no daemon starts meanwhile; JournalError when one runs."""
    with ExitStack() as held:
        for daemon in settings.runtime.daemons:
            if home.journal(daemon.value).exists():
                held.enter_context(open(take_lock(home.journal(daemon.value).with_suffix(".lock")), "rb", closefd=True))
        yield


def _readers(home: Home, settings: Settings) -> dict[Daemon, JournalReader]:
    return {daemon: JournalReader(home.journal(daemon.value), daemon.value) for daemon in settings.runtime.daemons if home.journal(daemon.value).exists()}


def _set_damage_aside(path: Path, mark: str) -> None:
    """The operator has seen the damaged log: it is kept under another name, and does not make the journal suspect any more."""
    kept = damaged_log(path)
    if kept.exists():
        kept.rename(kept.with_name(f"{kept.name}.{mark}"))
