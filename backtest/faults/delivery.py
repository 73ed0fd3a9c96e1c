"""The delivery campaign: a chain source → relay → sink under every misfortune of wire, server and process, then healed.

What it claims: whatever was said is heard downstream exactly once and in order, nothing is left anywhere, and every journal
gives the state that lived (spec: delivery invariants I11, I12, I13 and L1).
"""

from __future__ import annotations

from typing import Any

import msgspec

from backtest.faults.host import SimulatedHost
from backtest.faults.relay import Relay, RelayState, Source, SourceState
from backtest.faults.schedule import MS, Schedule
from backtest.faults.wire import SimulatedServer, WireFaults
from core.node import NodeSpec, Subscription
from core.ports import StreamId
from core.recovery import recover

__all__ = ["DeliveryReport", "run_delivery"]

_FAULTY_MS = 4_000
_HEAL_BUDGET_MS = 60_000


class DeliveryReport(msgspec.Struct, frozen=True):
    """What one seed gave: `problems` is empty when every claim held; `seen` counts the misfortunes that happened."""

    seed: int
    problems: tuple[str, ...]
    seen: dict[str, int]
    messages: int
    healed_ms: int


def run_delivery(seed: int, messages: int = 120, host_type: type[SimulatedHost] = SimulatedHost) -> DeliveryReport:
    """One seeded run. `host_type` lets a test plant a bug in how actions are performed."""
    schedule = Schedule(seed)
    faults = WireFaults(server_dies=0.0008)
    server = SimulatedServer(schedule, faults)
    hosts = _chain(schedule, server, messages, host_type)
    for host in hosts:
        host.crash = 0.004
        host.start()
    began = schedule.now_ns()
    schedule.run_until(began + _FAULTY_MS * MS)
    faults.heal()
    for host in hosts:
        host.crash = 0.0
    healing = schedule.now_ns()
    expected = [str(number) for number in range(1, messages + 1)]
    schedule.run_until(healing + _HEAL_BUDGET_MS * MS, lambda: _is_settled(hosts, server, expected))
    seen = server.seen | {"crash": sum(host.crashes for host in hosts)}
    return DeliveryReport(seed, tuple(_problems(hosts, server, expected)), seen, messages, (schedule.now_ns() - healing) // MS)


def _chain(schedule: Schedule, server: SimulatedServer, messages: int, host_type: type[SimulatedHost]) -> list[SimulatedHost]:
    start = schedule.now_ns() + 5 * MS
    first, second = StreamId("first", "source"), StreamId("second", "relay")
    return [
        host_type(NodeSpec("source", (), {"first": ("relay",)}, 4, 20), lambda: Source("first", messages, start, 30 * MS), SourceState, schedule, server),
        host_type(NodeSpec("relay", (Subscription(first),), {"second": ("sink",)}, 4, 20), lambda: Relay("second"), RelayState, schedule, server),
        host_type(NodeSpec("sink", (Subscription(second),), {}, 4, 20), Relay, RelayState, schedule, server),
    ]


def _heard(host: SimulatedHost) -> list[str]:
    machine: Any = host.node.machine if host.node is not None else None
    return list(machine.heard) if isinstance(machine, Relay) else []


def _is_settled(hosts: list[SimulatedHost], server: SimulatedServer, expected: list[str]) -> bool:
    return all(host.is_quiet for host in hosts) and len(_heard(hosts[-1])) >= len(expected) and not _unacknowledged(hosts, server)


def _unacknowledged(hosts: list[SimulatedHost], server: SimulatedServer) -> list[str]:
    return [
        f"{topic}: {consumer} acknowledged {server.store.acknowledgements(stream).get(consumer, 0)} of {server.store.tail(stream)}"
        for host in hosts
        for topic, consumers in host.spec.produces.items()
        for stream in (StreamId(topic, host.spec.daemon),)
        for consumer in consumers
        if server.store.acknowledgements(stream).get(consumer, 0) < server.store.tail(stream)
    ]


def _problems(hosts: list[SimulatedHost], server: SimulatedServer, expected: list[str]) -> list[str]:
    found = [f"{host.spec.daemon} gave up: {reason}" for host in hosts for reason in host.exits]
    found += [f"{host.spec.daemon} is not quiet" for host in hosts if not host.is_quiet]
    found += _unacknowledged(hosts, server)
    for host in hosts[1:]:
        if _heard(host) != expected:
            found.append(f"{host.spec.daemon} heard {_heard(host)}")
        seqs = [row.seq for row in host.journal.inputs if row.kind == "Message"]
        if seqs != list(range(1, len(expected) + 1)):
            found.append(f"{host.spec.daemon} journaled {seqs}")
    return found + [problem for host in hosts for problem in _replay_problems(host)]


def _replay_problems(host: SimulatedHost) -> list[str]:
    """The journal, handled again, must give the state that lives."""
    assert host.node is not None
    machine = host.build()
    recover(machine, host.snapshot_type, host.journal.load(), host.spec.daemon)
    lived, replayed = msgspec.json.encode(host.node.machine.snapshot()), msgspec.json.encode(machine.snapshot())
    return [] if lived == replayed else [f"{host.spec.daemon}: the journal gives {replayed!r}, lived was {lived!r}"]
