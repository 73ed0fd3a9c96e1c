"""What may happen once in a run, to the suite as a whole: a kill, a death for good, a zombie, a disaster to a journal or a message."""

from __future__ import annotations

from enum import StrEnum

from backtest.faults.host import ProcessFaults
from backtest.faults.plan import FaultPlan
from backtest.faults.schedule import MS, Schedule
from backtest.faults.suite import SimulatedSuite
from core.contracts import KillSwitchState, KillSwitchStatus, TradingState
from core.topics import Daemon

__all__ = ["Disaster", "Incidents"]

_ROLLBACK_MAX = 6
# The venue is another house: it is not replaced, it dies.
_REPLACEABLE = tuple(daemon for daemon in Daemon if daemon is not Daemon.PAPER_VENUE)


class Disaster(StrEnum):
    """What ends in a halt and a person: a journal that rolled back or is gone, a message nobody can read."""

    ROLLBACK = "W17 a journal rolled back"
    LOSS = "W18 W19 a journal was lost"
    POISON = "W23 a message became unreadable"


class Incidents:
    """Which of them this seed meets. `dying` is the daemon that dies for good, `disaster` what befalls `victim`, `dead_ns` when it did."""

    def __init__(self, schedule: Schedule, plan: FaultPlan) -> None:
        self.dead_ns = 0
        self._schedule = schedule
        self._kill = schedule.happens("kill switch is tripped", plan.kill)
        self.dying: Daemon | None = None
        self.disaster: Disaster | None = None
        self.victim = Daemon.OMS
        self.replaced: Daemon | None = None
        if schedule.happens("a daemon dies for good", plan.death):
            self.dying = schedule.details().choice(tuple(Daemon))
        elif schedule.happens("a disaster", plan.disaster):
            details = schedule.details()
            self.disaster, self.victim = details.choice(tuple(Disaster)), details.choice(tuple(Daemon))
        elif schedule.happens("a daemon is replaced while it is stopped", plan.zombie):
            self.replaced = schedule.details().choice(_REPLACEABLE)

    @property
    def is_lasting(self) -> bool:
        """Whether somebody may stay dead."""
        return self.dying is not None or self.disaster is not None

    def plan(self, suite: SimulatedSuite, faulty_ns: int) -> None:
        """Let them happen at moments of this run."""
        draw = self._schedule.chance("incidents")
        at_ns = draw.randint(200 * MS, faulty_ns - 100 * MS)
        if self._kill:
            self._plan_kill(suite, faulty_ns)
        if self.dying is not None:
            self._schedule.after(at_ns, lambda: self._die(suite))
        elif self.disaster is not None:
            self._schedule.after(at_ns, lambda: self._befall(suite))
        elif self.replaced is not None:
            self._schedule.after(at_ns, lambda: self._replace(suite))

    def _plan_kill(self, suite: SimulatedSuite, faulty_ns: int) -> None:
        """The kill switch is tripped at some moment; it may be cleared again, or not."""
        draw = self._schedule.chance("kill")
        state = draw.choice((TradingState.HALTED, TradingState.REDUCING))
        at_ns = draw.randint(200 * MS, faulty_ns)
        kill_file = suite.kill_file
        self._schedule.after(at_ns, lambda: kill_file.write(KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=state, reason="simulated")))
        if draw.random() < 0.4:
            self._schedule.after(at_ns + draw.randint(100, 1_500) * MS, lambda: kill_file.write(KillSwitchState(status=KillSwitchStatus.CLEAR)))

    def _die(self, suite: SimulatedSuite) -> None:
        assert self.dying is not None
        self._schedule.note(f"dies for good/{self.dying.value}")
        self.dead_ns = self._schedule.now_ns()
        suite.hosts[self.dying].die_for_good()

    def _replace(self, suite: SimulatedSuite) -> None:
        assert self.replaced is not None
        host = suite.hosts[self.replaced]
        if host.node is None:
            return  # Dead just now: nobody has to be replaced.
        self._schedule.note("W21 a daemon is replaced while it is stopped")
        suite.fork(self.replaced, self._schedule.chance("zombie").randint(30, 900) * MS)

    def _befall(self, suite: SimulatedSuite) -> None:
        assert self.disaster is not None
        self._schedule.note(self.disaster.value)
        self.dead_ns = self._schedule.now_ns()
        host = suite.hosts[self.victim]
        match self.disaster:
            case Disaster.ROLLBACK:
                host.die()
                # A second death before the first connection would hide the loss behind new messages of the same numbers: not promised.
                host.faults = ProcessFaults()
                host.journal.lose_last(self._schedule.chance("rollback").randint(1, _ROLLBACK_MAX))
            case Disaster.LOSS:
                host.die()
                host.journal.lose_all()
            case Disaster.POISON:
                host.poisons_next = True
