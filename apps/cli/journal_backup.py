"""`njord journal backup` and `restore`: copies that are consistent, and that are put back only when nobody knows more than they do.

A backup is one file per journal, made by SQLite's own backup, its segments, and a manifest that says what each must be: hash, epoch,
last numbers. Each journal is consistent in itself, also beside a running suite; only a stopped suite's journals are of one moment.
The key that seals approvals is in no backup.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from apps.cli.homes import occupy
from apps.cli.journal_bus import Marks, bus_marks
from apps.cli.journal_check import JournalFacts, beyond, facts_of, journal_daemons
from apps.cli.journals import JournalReader
from apps.runtime.home import Home
from apps.runtime.journal import segment_paths, take_lock
from apps.runtime.wal import damaged_log
from core.errors import ConfigError, JournalError
from core.ports import StreamId
from core.settings import Settings
from core.topics import Daemon
from core.topology import node_spec

__all__ = ["MANIFEST", "BackedUp", "Manifest", "RolledBack", "backup", "read_manifest", "restore"]

MANIFEST = "manifest.json"
_VERSION = 1


class BackedUp(msgspec.Struct, frozen=True):
    """One journal in a backup: its files with their SHA-256, the journal first, and what a reader must find in them."""

    daemon: str
    files: dict[str, str]
    epoch: str
    incarnation: int
    last_n: int
    last_link: str
    heads: dict[str, int]
    watermarks: dict[str, int]


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds, and which suite it is of."""

    version: int
    made_ns: int
    namespace: str
    account_epoch: str
    journals: tuple[BackedUp, ...]


class RolledBack(JournalError):
    """Somebody knows more than the backup: putting it back would be a silent rollback."""


def backup(home: Home, target: Path, names: Sequence[str], now_ns: int) -> Manifest:
    """Copy these journals (all when none is named) into an empty folder; JournalError when one of them is not whole."""
    daemons = journal_daemons(home, names)
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target}: not empty, a backup wants a folder of its own")
    target.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(_VERSION, now_ns, home.namespace, home.account_epoch, tuple(_backed_up(home, target, name) for name in daemons))
    partial = target / f"{MANIFEST}.partial"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _sync(partial)
    partial.rename(target / MANIFEST)
    _sync(target)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """What a folder says it holds; ConfigError when it is no backup, JournalError when its files are not what it says."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ConfigError(f"{source / MANIFEST}: not found, this is no whole backup") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{source / MANIFEST}: {error}") from None
    if manifest.version != _VERSION:
        raise ConfigError(f"{source / MANIFEST}: version {manifest.version}, this release knows {_VERSION}")
    for journal in manifest.journals:
        for name, recorded in journal.files.items():
            path = source / name
            if not path.exists() or Path(name).name != name:
                raise JournalError(f"{path}: missing from the backup")
            if _hash(path) != recorded:
                raise JournalError(f"{path}: is not the file that was backed up, its SHA-256 is another")
    return manifest


def restore(home: Home, settings: Settings, source: Path, names: Sequence[str], now_ns: int, *, accept_loss: bool) -> Manifest:
    """Put journals of a backup (all of it when none is named) in the place of what is there, which is moved aside and kept.

    RolledBack when the bus, a consumer or another journal knows more than the backup, unless the loss is accepted; whoever accepts
    it adopts a new history before anything starts. Everything must be stopped.
    """
    manifest = read_manifest(source)
    if (manifest.namespace, manifest.account_epoch) != (home.namespace, home.account_epoch):
        raise ConfigError(f"{source}: is of suite {manifest.namespace}, {home.root} is suite {home.namespace}")
    known = {journal.daemon: journal for journal in manifest.journals}
    for name in names:
        if name not in known:
            raise ConfigError(f"{source}: holds no journal of {name}, only of {', '.join(known)}")
    chosen = [known[name] for name in names] if names else list(manifest.journals)
    with occupy(home.root), ExitStack() as held:
        for journal in chosen:
            held.enter_context(open(take_lock(home.journal(journal.daemon).with_suffix(".lock")), "rb"))
        if not accept_loss:
            _require_newest(home, settings, source, chosen)
        for journal in chosen:
            _put_back(home, source, journal, now_ns)
    return msgspec.structs.replace(manifest, journals=tuple(chosen))


def _backed_up(home: Home, target: Path, name: str) -> BackedUp:
    path, copy = home.journal(name), target / f"{name}.sqlite"
    # A look first: a damaged log is told and not copied over.
    with JournalReader(path, name):
        pass
    try:
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(copy)) as made:
            live.execute("pragma query_only = 1")
            live.backup(made)
            made.execute("pragma journal_mode = delete")
    except sqlite3.Error as error:
        raise JournalError(f"{path}: {error}") from error
    copies = [copy, *(Path(shutil.copy2(segment, target / segment.name)) for segment in segment_paths(path))]
    facts = _facts(copy, name)
    for file in copies:
        _sync(file)
    return BackedUp(name, {file.name: _hash(file) for file in copies}, facts.epoch, facts.incarnation, facts.last_n, facts.last_link, facts.heads, facts.watermarks)


def _facts(path: Path, name: str) -> JournalFacts:
    with JournalReader(path, name) as reader:
        facts = facts_of(reader)
    if facts.problems:
        raise JournalError(f"{path}: not whole: {'; '.join(facts.problems)}")
    return facts


def _require_newest(home: Home, settings: Settings, source: Path, chosen: Sequence[BackedUp]) -> None:
    """RolledBack when anybody who is not put back as well knows more than the backup does."""
    restored = {journal.daemon: journal for journal in chosen}
    others: dict[StreamId, dict[str, int]] = {}
    for daemon in settings.runtime.daemons:
        if daemon.value in restored:
            marks = {StreamId(*name.split(" of ")): seq for name, seq in restored[daemon.value].watermarks.items()}
        elif home.journal(daemon.value).exists():
            with JournalReader(home.journal(daemon.value), daemon.value) as reader:
                marks = reader.watermarks
        else:
            continue
        for stream, seq in marks.items():
            others.setdefault(stream, {})[daemon.value] = seq
    bus = _marks(home, settings)
    found = [
        f"{journal.daemon}: {problem}"
        for journal in chosen
        for problem in [*beyond(Daemon(journal.daemon), settings, journal.heads, journal.watermarks, bus, others), *_younger(home, settings, journal, restored)]
    ]
    if found:
        raise RolledBack(
            f"{source}: not restored, others know more than this backup: {'; '.join(found)}. `--accept-loss` puts it back all the same; "
            "then `njord journal adopt` gives it a new history, with a reason"
        )


def _younger(home: Home, settings: Settings, journal: BackedUp, restored: dict[str, BackedUp]) -> list[str]:
    """What the journals that stay have had acknowledged by the one that is put back: it had taken that in, and would not have any more."""
    found = []
    for subscription in node_spec(Daemon(journal.daemon), settings).subscriptions:
        stream = subscription.stream
        if stream.producer in restored or not home.journal(stream.producer).exists():
            continue
        with JournalReader(home.journal(stream.producer), stream.producer) as reader:
            seq = reader.acked.get(stream.topic, {}).get(journal.daemon, 0)
        taken = journal.watermarks.get(f"{stream.topic} of {stream.producer}", 0)
        if seq > taken:
            found.append(f"lost history: the journal of {stream.producer} has {stream.topic} acknowledged up to {seq}, the backup took it in up to {taken}")
    return found


def _marks(home: Home, settings: Settings) -> Marks:
    streams = [StreamId(topic, daemon.value) for daemon in settings.runtime.daemons for topic in node_spec(daemon, settings).produces]
    try:
        return bus_marks(home, settings, streams)
    except ConnectionError as error:
        if settings.runtime.redis_url:
            raise ConfigError(f"the bus cannot be asked what it knows: {error}; start the server, not the suite") from None
        return {}


def _put_back(home: Home, source: Path, journal: BackedUp, now_ns: int) -> None:
    path = home.journal(journal.daemon)
    aside = home.state / f"replaced-{now_ns}"
    aside.mkdir(exist_ok=True)
    # The lock stays: it is held, and it is about the place and not about the content.
    for file in [path, *(path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm")), damaged_log(path), *segment_paths(path)]:
        if file.exists():
            file.rename(aside / file.name)
    for name in journal.files:
        partial = home.state / f"{name}.partial"
        shutil.copyfile(source / name, partial)
        _sync(partial)
        partial.rename(home.state / name)
    _sync(home.state)
    if _facts(path, journal.daemon).last_link != journal.last_link:
        raise JournalError(f"{path}: is not the journal that was backed up")


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
