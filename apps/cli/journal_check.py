"""`njord journal check`: whether a journal is whole, and whether anybody knows more of its history than it does itself.

Whole: its pages and indexes, the chain over inputs and outputs, contiguous numbers, the tables a start relies on, the archive.
Not rolled back: no stream on the bus, no acknowledgement and no other journal is beyond its own last numbers. Everything is only
read, beside a running suite as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from apps.cli.journal_bus import Marks, bus_marks
from apps.cli.journals import EmptyJournal, JournalReader, open_journals
from apps.runtime.home import Home
from core.errors import ConfigError, JournalError
from core.ports import StreamId
from core.settings import Settings
from core.topics import Daemon, View
from core.topology import node_spec

__all__ = ["JournalFacts", "JournalReport", "beyond", "check_home", "facts_of", "journal_daemons"]

EXIT_BROKEN, EXIT_NOT_COMPARED = 1, 3
_PROBLEMS_MAX = 50
_COMPARED, _NOT_RUNNING = "compared", "not running"


class JournalFacts(msgspec.Struct, frozen=True):
    """One journal: who it is, how far it goes, and what is wrong with it. Streams are written `topic of producer`."""

    daemon: str
    epoch: str = ""
    incarnation: int = 0
    inputs: int = 0
    last_n: int = 0
    snapshot_n: int = 0
    outputs: int = 0
    archived: int = 0
    open_calls: int = 0
    quarantined: int = 0
    last_link: str = ""
    heads: dict[str, int] = {}
    watermarks: dict[str, int] = {}
    acked: dict[str, dict[str, int]] = {}
    operations: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def suffix(self) -> int:
        """How many inputs the next start would handle again."""
        return self.last_n - self.snapshot_n


class JournalReport(msgspec.Struct, frozen=True):
    """What `njord journal check --json` prints.

    `bus` is `compared`; `not running` for the home's own server, which keeps nothing over its end; else why it could not be asked.
    """

    sound: bool
    bus: str
    journals: tuple[JournalFacts, ...]

    @property
    def exit_code(self) -> int:
        """0 sound, 1 not, 3 sound as far as can be told without the bus."""
        return EXIT_BROKEN if not self.sound else 0 if self.bus in (_COMPARED, _NOT_RUNNING) else EXIT_NOT_COMPARED


def journal_daemons(home: Home, names: Sequence[str]) -> tuple[str, ...]:
    """The daemons that are meant: those named, else all that have a journal here. ConfigError for one that has none."""
    for name in names:
        if name not in {daemon.value for daemon in Daemon}:
            raise ConfigError(f"{name}: no daemon, one of {', '.join(Daemon)} is required")
        if not home.journal(name).exists():
            raise ConfigError(f"{home.journal(name)}: not found, this suite has no journal of {name}")
    found = tuple(names) or tuple(daemon.value for daemon in Daemon if home.journal(daemon.value).exists())
    if not found:
        raise ConfigError(f"{home.state}: holds no journal; NJORD_HOME names the suite")
    return found


def check_home(home: Home, settings: Settings, names: Sequence[str] = ()) -> JournalReport:
    """Check these journals, all when none is named."""
    daemons = journal_daemons(home, names)
    # The bus first: what it knows then, a journal that is read later must know too.
    marks, bus = _marks(home, settings)
    found = {name: _facts(home, name) for name in daemons}
    others = _watermarks(home, settings)
    journals = []
    for name, facts in found.items():
        # Read once more after the others: what they had taken in by then was said before.
        heads = _heads(home, name) or facts.heads
        problems = (*facts.problems, *beyond(Daemon(name), settings, heads, facts.watermarks, marks, others))
        journals.append(msgspec.structs.replace(facts, problems=problems))
    return JournalReport(not any(facts.problems for facts in journals), bus, tuple(journals))


def facts_of(reader: JournalReader) -> JournalFacts:
    """One journal as it stands, read whole."""
    problems = [*reader.unsound(), *reader.damage(), *_number_problems(reader)]
    if len(problems) > _PROBLEMS_MAX:
        problems = [*problems[:_PROBLEMS_MAX], f"and {len(problems) - _PROBLEMS_MAX} more"]
    last_n = max((row.n for row in reader.inputs()), default=0)
    snapshot = reader.snapshot()
    return JournalFacts(
        daemon=reader.daemon,
        epoch=reader.epoch,
        incarnation=reader.incarnation,
        inputs=sum(1 for _ in reader.inputs()),
        last_n=last_n,
        snapshot_n=snapshot[0] if snapshot else 0,
        outputs=sum(1 for _ in reader.outputs()),
        archived=sum(1 for _ in reader.whole_archive()),
        open_calls=sum(call.outcome_n is None for call in reader.calls()),
        quarantined=len(reader.quarantine()),
        last_link=reader.last_link.hex(),
        heads=reader.heads,
        watermarks={_name(stream): seq for stream, seq in reader.watermarks.items()},
        acked=reader.acked,
        operations=tuple(f"{operation.what} by {operation.actor}: {operation.reason}" for operation in reader.operations()),
        problems=tuple(problems),
    )


def beyond(daemon: Daemon, settings: Settings, heads: Mapping[str, int], watermarks: Mapping[str, int], marks: Marks, others: Mapping[StreamId, Mapping[str, int]]) -> list[str]:
    """Who knows more of a daemon's history than its journal: each is a proof that the journal rolled back."""
    spec, found = node_spec(daemon, settings), []
    for topic in spec.produces:
        stream, head = StreamId(topic, daemon.value), heads.get(topic, 0)
        tail, acks = marks.get(stream, (0, {}))
        if tail > head:
            found.append(f"lost history: {topic} was published up to {tail}, the journal ends at {head}")
        for consumer, seq in acks.items():
            if seq > head:
                found.append(f"lost history: {consumer} acknowledged {topic} up to {seq}, the journal ends at {head}")
        for consumer, seq in others.get(stream, {}).items():
            if seq > head:
                found.append(f"lost history: the journal of {consumer} holds {topic} up to {seq}, the one of {daemon.value} ends at {head}")
    for subscription in spec.subscriptions:
        stream = subscription.stream
        seq, taken = marks.get(stream, (0, {}))[1].get(daemon.value, 0), watermarks.get(_name(stream), 0)
        if subscription.view is View.JOURNALED and seq > taken:
            found.append(f"lost history: {stream.topic} was acknowledged up to {seq}, the journal took it in up to {taken}")
    return found


def _marks(home: Home, settings: Settings) -> tuple[Marks, str]:
    streams = [StreamId(topic, daemon.value) for daemon in settings.runtime.daemons for topic in node_spec(daemon, settings).produces]
    try:
        return bus_marks(home, settings, streams), _COMPARED
    except ConnectionError as error:
        return {}, f"not compared: {error}" if settings.runtime.redis_url else _NOT_RUNNING


def _facts(home: Home, name: str) -> JournalFacts:
    try:
        with JournalReader(home.journal(name), name) as reader:
            return facts_of(reader)
    except EmptyJournal as empty:
        return JournalFacts(name, problems=(str(empty),))
    except JournalError as error:
        return JournalFacts(name, problems=(str(error),))


def _heads(home: Home, name: str) -> dict[str, int]:
    try:
        with JournalReader(home.journal(name), name) as reader:
            return reader.heads
    except JournalError:
        return {}  # Told already, when its facts were read.


def _watermarks(home: Home, settings: Settings) -> dict[StreamId, dict[str, int]]:
    """Of every stream what each journal here has taken in; a journal that cannot be read says nothing."""
    found: dict[StreamId, dict[str, int]] = {}
    for daemon in settings.runtime.daemons:
        try:
            journals = open_journals(home, (daemon.value,))
        except JournalError:
            continue
        for name, reader in journals.items():
            with reader:
                for stream, seq in reader.watermarks.items():
                    found.setdefault(stream, {})[name] = seq
    return found


def _number_problems(reader: JournalReader) -> list[str]:
    """Numbers that are not one after the other, per topic and per stream taken in, and last numbers that do not fit them."""
    found: list[str] = []
    skipped = _skipped(reader)
    said: dict[str, int] = {}
    for row in reader.outputs():
        last = said.get(row.topic)
        if last is not None and row.seq != last + 1 and (row.topic, last + 1, row.seq - 1) not in skipped:
            found.append(f"{row.topic} {row.seq} follows {last}")
        said[row.topic] = row.seq
    for topic, head in reader.heads.items():
        if topic in said and head != said[topic] and (topic, said[topic] + 1, head) not in skipped:
            found.append(f"{topic} ends at {said[topic]}, its last number is {head}")
    taken: dict[StreamId, int] = {}
    for message in reader.messages(""):
        taken[StreamId(message.topic, message.producer)] = message.seq
    for stream, seq in reader.watermarks.items():
        if stream in taken and seq != taken[stream] and (stream.topic, taken[stream] + 1, seq) not in skipped:
            found.append(f"{_name(stream)} was taken in up to {taken[stream]}, its last number is {seq}")
    return found


def _skipped(reader: JournalReader) -> set[tuple[str, int, int]]:
    """Numbers that an operator gave up, by topic, first and last."""
    found: set[tuple[str, int, int]] = set()
    for operation in reader.operations():
        detail: dict[str, Any] = msgspec.json.decode(operation.detail)
        found |= {(topic, first, last) for topic, (first, last) in detail.get("skipped", {}).items()}
    return found


def _name(stream: StreamId) -> str:
    return f"{stream.topic} of {stream.producer}"
