"""The delivery campaign holds under every misfortune, and planted bugs do not survive it."""

from __future__ import annotations

import pytest

from backtest.faults.delivery import run_delivery
from backtest.faults.host import SimulatedHost
from core.journal import Batch
from core.node import Acknowledge, Action, Commit
from core.outbox import Write

_SEEDS = range(200)


class PublishesBeforeCommit(SimulatedHost):
    """What leaves first may be lost here and known elsewhere."""

    def _perform(self, actions: list[Action]) -> None:
        super()._perform(sorted(actions, key=lambda a: isinstance(a, Commit)) if any(isinstance(a, Write) for a in actions) else actions)


class AcknowledgesOnReceipt(SimulatedHost):
    """An acknowledgement that does not wait for the commit lets the producer forget."""

    def _perform(self, actions: list[Action]) -> None:
        super()._perform(sorted(actions, key=lambda a: not isinstance(a, Acknowledge)))


class NeverChecksTails(SimulatedHost):
    """The last message of a burst, lost with silence after it, is never missed."""

    def _check_tails(self, life: int) -> None:
        return


class ForgetsLastCommit(SimulatedHost):
    """A disk that said it had synced and had not."""

    def _die(self) -> None:
        if self.journal.inputs and self.journal.inputs[-1].n > 1:
            self.journal.inputs.pop()
        super()._die()


class WatermarkBesideTheTransaction(SimulatedHost):
    """How far a stream was read is written apart from what was done about it."""

    def _do(self, action: Action) -> None:
        if isinstance(action, Commit):
            watermarks = dict(self.journal.watermarks)
            super()._do(action)
            self.journal.watermarks = watermarks
            if not self._dies():
                self.journal.commit(Batch(watermarks=action.batch.watermarks))
        else:
            super()._do(action)


def test_everything_arrives_once_and_in_order_whatever_fails() -> None:
    """Two hundred seeds of crashes, cuts, drops, repeats and servers that come back empty or short."""
    reports = [run_delivery(seed) for seed in _SEEDS]
    assert [report for report in reports if report.problems] == []
    for misfortune in ("crash", "drop", "duplicate", "cut", "late request", "server came back empty", "server came back with lost tails", "server came back whole"):
        happened = sum(report.seen.get(misfortune, 0) for report in reports)
        assert happened >= 10, f"{misfortune} happened {happened} times only: the campaign proves nothing about it"


def test_a_seed_gives_the_same_run_again() -> None:
    """A failing seed is worth nothing unless it fails again."""
    assert run_delivery(7) == run_delivery(7)


@pytest.mark.parametrize("bug", [PublishesBeforeCommit, AcknowledgesOnReceipt, NeverChecksTails, ForgetsLastCommit, WatermarkBesideTheTransaction])
def test_planted_bug_is_found(bug: type[SimulatedHost]) -> None:
    """A simulator that lets a known bug live would let an unknown one live."""
    for seed in range(400):
        try:
            if run_delivery(seed, host_type=bug).problems:
                return
        except Exception:
            return
    pytest.fail(f"{bug.__name__} survived 400 seeds")
