"""Streams, journals and rest: I11, I12, I13, L1, and that no daemon gave up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from backtest.faults.daemon import SimulatedDaemon
from backtest.faults.invariants.records import Records
from core.errors import NjordError
from core.journal import MESSAGE_KIND
from core.machine import Archive, Attached, Effect, Input, Machine
from core.node import Node
from core.ports import StreamId
from core.recovery import recover
from core.topics import Daemon, View

__all__ = [
    "a_halt_says_why",
    "a_zombie_does_nothing",
    "effects_follow_commits",
    "everything_is_at_rest",
    "journal_gives_the_state",
    "journal_gives_the_state_from_its_beginning",
    "nobody_gave_up",
    "streams_are_contiguous",
]


def nobody_gave_up(records: Records) -> list[str]:
    """No daemon ended by its own decision, and each could recover."""
    return [f"{daemon.value} gave up: {reason}" for daemon, host in records.suite.hosts.items() for reason in (*host.exits, *host.failures)]


_FAIL_CLOSED = (
    "lost history",
    "belongs to another journal",
    "could not be handled",
    "is needed but the oldest kept is",
    "fenced on",
    "which the journal does not hold",
    ": message b'",
)


def a_halt_says_why(records: Records) -> list[str]:
    """W17, W18, W19, W23: whoever stops because history is lost says so, and nobody stops for another reason."""
    reasons = [(daemon, reason) for daemon, host in records.suite.hosts.items() for reason in (*host.exits, *host.failures)]
    return [f"{daemon.value} gave up: {reason}" for daemon, reason in reasons if not _is_fail_closed(reason)]


def _is_fail_closed(reason: str) -> bool:
    return any(known in reason for known in _FAIL_CLOSED)


def everything_is_at_rest(records: Records) -> list[str]:
    """L1: after the world is healed everything comes to rest in time."""
    return records.suite.unsettled()


def streams_are_contiguous(records: Records) -> list[str]:
    """I11: each consumer handled exactly 1..n of each stream, and the bytes that were said."""
    problems = []
    hosts = records.suite.hosts
    said = {StreamId(topic, daemon.value): [row.data for row in rows] for daemon, host in hosts.items() for topic, rows in host.journal.rows.items()}
    for daemon, host in hosts.items():
        for topic, rows in host.journal.rows.items():
            if [row.seq for row in rows] != list(range(1, len(rows) + 1)):
                problems.append(f"{daemon.value} said {[row.seq for row in rows]} on {topic}")
        handled: defaultdict[StreamId, list[tuple[int, bytes]]] = defaultdict(list)
        for row in host.journal.inputs:
            if row.kind == MESSAGE_KIND:
                handled[StreamId(row.topic, row.producer)].append((row.seq, row.data))
        for subscription in host.spec.subscriptions:
            if subscription.view is not View.JOURNALED:
                continue
            stream = subscription.stream
            if [seq for seq, _ in handled[stream]] != list(range(1, len(handled[stream]) + 1)):
                problems.append(f"{daemon.value} handled {[seq for seq, _ in handled[stream]]} of {stream.topic}")
            elif [data for _, data in handled[stream]] != said.get(stream, [])[: len(handled[stream])]:
                problems.append(f"{daemon.value} handled other bytes of {stream.topic} than were said")
    return problems


def effects_follow_commits(records: Records) -> list[str]:
    """I12: every order that left was a committed attempt at that moment, and every request the venue took is one of the broker's."""
    suite = records.suite
    problems = [violation for host in (*suite.hosts.values(), *suite.zombies) for violation in host.violations]
    problems += [f"{sent.call_id} left before its attempt was committed" for sent in records.sent if not sent.is_attempt_committed]
    problems += [f"{sent.call_id} left before its attempt was published" for sent in records.sent if not sent.is_attempt_published]
    calls = records.suite.broker.journal.calls
    for row in records.suite.venue.journal.inputs:
        if row.kind == "Command":
            command_id = msgspec.json.decode(row.data)["command_id"]
            if command_id and command_id not in calls and not command_id.startswith("operator"):
                problems.append(f"the venue took request {command_id}, the broker has no such attempt")
    return problems


def a_zombie_does_nothing(records: Records) -> list[str]:
    """I14: of two incarnations only one acts: what a replaced process said after its successor had begun is nowhere, and no order of it left."""
    problems = []
    suite = records.suite
    for zombie in suite.zombies:
        daemon = zombie.spec.daemon
        successor = suite.hosts[Daemon(daemon)].journal
        handled = {row.data for host in suite.hosts.values() for row in host.journal.inputs if row.producer == daemon}
        for topic, rows in zombie.journal.rows.items():
            said = {row.seq: row.data for row in successor.rows.get(topic, [])}
            problems += [f"the zombie of {daemon} said {topic} {row.seq}, and was heard" for row in rows if said.get(row.seq) != row.data and row.data in handled]
        problems += [f"the zombie of {zombie.spec.daemon} ended: {reason}" for reason in zombie.exits if not _is_fail_closed(reason)]
    return problems


def journal_gives_the_state(records: Records) -> list[str]:
    """I13: the last snapshot and the inputs after it give the state that lives."""
    return [problem for daemon, host in records.suite.hosts.items() if host.node is not None for problem in _replayed(records, daemon, host, host.node, host.journal.snapshot)]


def journal_gives_the_state_from_its_beginning(records: Records) -> list[str]:
    """I13: so do all inputs from the first one on, and they archive what is archived."""
    return [problem for daemon, host in records.suite.hosts.items() if host.node is not None for problem in _replayed(records, daemon, host, host.node, None)]


class _Archiving:
    """A machine, and everything it archived."""

    def __init__(self, machine: Machine[Any]) -> None:
        self.machine = machine
        self.rows: dict[tuple[str, str], bytes] = {}

    def restore(self, snapshot: Any) -> None:
        """The machine's."""
        self.machine.restore(snapshot)

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """The machine's, and a look at what it archives."""
        effects = self.machine.handle(event, attached, now_ns)
        self.rows.update({(effect.kind, effect.key): effect.data for effect in effects if isinstance(effect, Archive)})
        return effects


def _replayed(records: Records, daemon: Daemon, host: SimulatedDaemon, node: Node, snapshot: tuple[int, bytes] | None) -> list[str]:
    machine = records.suite.build(daemon)
    watched: Any = _Archiving(machine)
    try:
        recover(watched, host.snapshot_type, host.journal.recovered(snapshot), daemon.value)
    except NjordError as error:
        return [f"{daemon.value}: {error}"]
    kept = {key: row.data for key, row in host.journal.archive.items()}
    if snapshot is None and watched.rows != kept:
        differing = sorted(key for key in {*kept, *watched.rows} if kept.get(key) != watched.rows.get(key))
        return [f"{daemon.value}: the archive's {' '.join(differing[0])} is not what its inputs give ({len(differing)} rows differ)"]
    lived, replayed = msgspec.json.encode(node.machine.snapshot()), msgspec.json.encode(machine.snapshot())
    if lived == replayed:
        return []
    at = next((k for k, (a, b) in enumerate(zip(lived, replayed, strict=False)) if a != b), 0)
    return [
        f"{daemon.value}: the journal gives another state than lived, first at ...{lived[max(0, at - 80) : at + 80].decode()}... and ...{replayed[max(0, at - 80) : at + 80].decode()}..."
    ]
