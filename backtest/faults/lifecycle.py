"""The order-lifecycle campaign: the whole suite trades while everything around it fails, is healed, and must then be right.

Two phases. In the first the market moves, strategies wish, and the seed's misfortunes happen. Then the world is healed, nobody
wishes any more, the suite comes to rest, and every invariant is held against what was written and done. In some runs one daemon dies
for good instead, or a journal loses history and its daemon halts: then the others must reach the safe state by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable

import msgspec
from msgspec import structs

from backtest.faults.incidents import Incidents
from backtest.faults.invariants import AFTER_DISASTER_CHECKS, CHECKS, DEEP_CHECKS, SAFETY_CHECKS, Check, check, collect
from backtest.faults.invariants.safe_state import SAFE_WITHIN, rest_is_safe
from backtest.faults.plan import FaultPlan, plan_of
from backtest.faults.schedule import MS, Fault, Schedule
from backtest.faults.suite import INTERVAL, SimulatedSuite, Workload, simulated_settings
from core.contracts import CancelAllOrders
from core.machine import Command
from core.settings import Settings
from core.topics import Daemon
from execution.venues.faults.lying_venue import LyingVenue

__all__ = ["LifecycleReport", "run_lifecycle"]

_LOOK = 25 * MS
_HEAL_BUDGET_MS = 120_000
_DEEP_EVERY = 3
_BARS_AFTER_A_DEATH = 60
_FAULTY_MAX = 1_500 * MS
_CANCELLED_WITHIN = 3_000 * MS
_NOTICED_WITHIN = 1_500 * MS
# A minute before the New York close of 2023-11-14: in some runs day orders see their day end.
_DAY_ENDS_NS = 1_699_995_600_000_000_000


class LifecycleReport(msgspec.Struct, frozen=True):
    """What one seed gave. `problems` is empty when every invariant held; `faults` are the misfortunes that happened, `seen` counts them
    and everything else worth counting; `healed_ms` is how long it took to come to rest. `lines` end the trace of a failure; of a scripted
    run `asked` says how often each kind of misfortune could have happened."""

    seed: int
    problems: tuple[str, ...]
    seen: dict[str, int]
    faults: tuple[Fault, ...]
    events: int
    healed_ms: int
    trace_hash: str
    lines: tuple[str, ...] = ()
    asked: dict[str, int] = {}


def run_lifecycle(
    shipped: Settings,
    seed: int,
    *,
    workload: Workload | None = None,
    script: Iterable[Fault] | None = None,
    without: Collection[str] = (),
    plan: FaultPlan | None = None,
) -> LifecycleReport:
    """One seeded run under the shipped settings. With a `script` exactly those misfortunes happen and no others."""
    run = _Run(shipped, seed, workload or Workload(), script, plan or plan_of(seed, without))
    try:
        return run.go()
    except Exception as error:  # Whatever the simulated suite raises is a finding, and the campaign goes on to the next seed.
        return run.report((f"raised {type(error).__name__}: {error}",), 0)


class _Run:
    """The world of one seed."""

    def __init__(self, shipped: Settings, seed: int, workload: Workload, script: Iterable[Fault] | None, plan: FaultPlan) -> None:
        draw = random.Random(f"{seed}/settings")
        start_ns = _DAY_ENDS_NS - draw.choice((1, 1, 3_000, 4_000)) * 1_000 * MS + draw.randint(0, 1_000) * MS
        self.schedule = Schedule(seed, start_ns, script)
        self.incidents = Incidents(self.schedule, plan)
        if self.incidents.is_lasting:
            # Long enough to see that nothing leaves any more although the others go on wishing.
            workload = structs.replace(workload, bars=_BARS_AFTER_A_DEATH, wishing_bars=_BARS_AFTER_A_DEATH)
        late_ms, snapshot_every, batch_max = draw.choice((0, 0, 1_000)), draw.choice((3, 20, 60, 5_000)), draw.choice((1, 3, 256))
        settings = simulated_settings(shipped, seed, workload, plan.lies, late_arrival_ms=late_ms, snapshot_every=snapshot_every, batch_max=batch_max)
        self.suite = SimulatedSuite(self.schedule, settings, workload, plan.wire, plan.venue, plan.process)
        self.active_ns = workload.bars * INTERVAL
        self.faulty_ns = min(workload.bars * INTERVAL, _FAULTY_MAX) + 200 * MS

    def go(self) -> LifecycleReport:
        """The faults, the healing, and what the invariants say."""
        schedule, suite, incidents = self.schedule, self.suite, self.incidents
        incidents.plan(suite, self.faulty_ns)
        suite.start()
        schedule.run_until(suite.began_ns + self.faulty_ns)
        schedule.heal()
        for zombie in suite.zombies:
            zombie.die_for_good()
        if incidents.dying is not None:
            return self._end_without({incidents.dying: incidents.dead_ns}, SAFETY_CHECKS)
        if incidents.disaster is None and not suite.zombies:
            return self._end_whole()
        schedule.run_until(suite.began_ns + self.active_ns + _NOTICED_WITHIN)
        halted = {daemon: host.ended_ns for daemon, host in suite.hosts.items() if host.ended_ns}
        if not halted and suite.zombies:
            # A zombie's acknowledgements are not fenced: they may stand where its successor has not come, or has gone beyond. Rest cannot be asked for.
            schedule.run_until(schedule.now_ns() + SAFE_WITHIN)
            return self.report(tuple(check(collect(suite), SAFETY_CHECKS)), 0)
        if not halted:
            # What was lost had not been told to anybody and was done again; the zombie was fenced before it did harm.
            return self._end_whole()
        for daemon in halted:
            schedule.note(f"halted/{daemon.value}")
        return self._end_without(halted, AFTER_DISASTER_CHECKS)

    def _end_whole(self) -> LifecycleReport:
        """Everybody lives: the suite must come to rest, and then be right."""
        schedule, suite = self.schedule, self.suite
        healing_ns = schedule.now_ns()
        while schedule.now_ns() < healing_ns + _HEAL_BUDGET_MS * MS and not suite.is_settled:
            schedule.run_until(schedule.now_ns() + _LOOK)
        records = collect(suite)
        checks = (*CHECKS, *DEEP_CHECKS) if schedule.seed % _DEEP_EVERY == 0 else CHECKS
        for event in records.events:
            schedule.note(f"order {event.old_status} -> {event.new_status}")
        return self.report(tuple(check(records, checks)), (schedule.now_ns() - healing_ns) // MS)

    def _end_without(self, dead: dict[Daemon, int], checks: tuple[Check, ...]) -> LifecycleReport:
        """Some are dead for good: the others must reach the safe state, and a cancel of everything must still work."""
        schedule, suite = self.schedule, self.suite
        schedule.run_until(max(dead.values()) + SAFE_WITHIN + 2_000 * MS)
        suite.broker.command(Command("operator.cancel", "operator", CancelAllOrders(reason="a daemon is dead")))
        schedule.run_until(schedule.now_ns() + _CANCELLED_WITHIN)
        problems = check(collect(suite), checks)
        problems += [f"L4: {problem}" for daemon, dead_ns in dead.items() for problem in rest_is_safe(suite, daemon, dead_ns)]
        return self.report(tuple(problems), 0)

    def report(self, problems: tuple[str, ...], healed_ms: int) -> LifecycleReport:
        """What is known now."""
        schedule, venue = self.schedule, self.suite.venue_machine
        seen = schedule.seen | self.suite.server.seen
        if isinstance(venue, LyingVenue):
            seen |= {f"venue {name}": strikes for name, strikes in venue.strikes.items()}
        return LifecycleReport(
            seed=schedule.seed,
            problems=problems,
            seen=seen,
            faults=tuple(schedule.fired),
            events=schedule.events,
            healed_ms=healed_ms,
            trace_hash=schedule.trace_hash,
            lines=tuple(schedule.lines) if problems or schedule.is_scripted else (),
            asked=schedule.asked if schedule.is_scripted else {},
        )
