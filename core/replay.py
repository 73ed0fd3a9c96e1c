"""The conductor of a replay: it publishes a recorded feed on a session clock, one settled instant after the other.

Every instant T of the feed has two halves. First the market moves: `SessionClock(T-1, MARKET)` and the rows of T, which the
venue matches resting orders on. When the whole suite has settled, everyone may look: `SessionClock(T, DECIDE)`. When that has
settled too, the next instant follows, and after the last one `SessionClock(ENDED)`. An order decided at T can therefore be
filled at the earliest on the data after T, by construction and not by care.

The machine owns no feed: `needs` asks for step k and the rows arrive attached. Steps of the clock are numbered 2k (MARKET) and
2k+1 (DECIDE). It starts on `Settled(-1)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core import topics
from core.contracts import SessionClock, SessionPhase
from core.errors import InvariantViolation
from core.feed import visible_ns
from core.machine import (
    NO_NEEDS,
    Attached,
    Effect,
    FeedExhausted,
    FeedRow,
    Input,
    Needs,
    Observed,
    Publish,
    Settled,
)

__all__ = ["ReplayConductor", "ReplayProgress"]


class ReplayProgress(msgspec.Struct, frozen=True):
    """How far a replay has come: the last clock step published (-1: none), the last instant, the feed's last step if known."""

    step: int = -1
    last_ns: int = 0
    feed_step_last: int | None = None
    is_done: bool = False


class ReplayConductor:
    """Machine. Reads Settled and FeedExhausted · Writes control.clock, md.* · Decides when the next instant begins.

    Invariants: published steps are 0, 1, 2, ... without holes or repeats; T strictly increases; a `Settled` that is older
    than the last published step changes nothing, so the shell may repeat itself.
    """

    def __init__(self) -> None:
        self._at = ReplayProgress()

    @property
    def next_wake_ns(self) -> int | None:
        """Never: the conductor is driven by settlement alone, and pacing is the shell's business."""
        return None

    @property
    def is_done(self) -> bool:
        """Whether ENDED has been published."""
        return self._at.is_done

    @property
    def progress(self) -> ReplayProgress:
        """Where the replay stands."""
        return self._at

    def needs(self, event: Input) -> Needs:
        """The rows of the next feed step, when this input ends the one before."""
        if isinstance(event, Observed) and isinstance(event.fact, Settled) and self._wants_feed(event.fact.step):
            return Needs(feed_step=self._feed_step)
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Advance by half an instant when everything published so far has settled."""
        match event:
            case Observed(fact=Settled(step=step)):
                return self._on_settled(step, attached.feed)
            case Observed(fact=FeedExhausted(step=step)):
                self._at = msgspec.structs.replace(self._at, feed_step_last=step)
                return ()
            case _:
                return ()

    def snapshot(self) -> ReplayProgress:
        """The whole state."""
        return self._at

    def restore(self, snapshot: ReplayProgress) -> None:
        """Become the conductor that gave this snapshot."""
        self._at = snapshot

    @property
    def _feed_step(self) -> int:
        """The feed step that comes next."""
        return (self._at.step + 1) // 2

    def _wants_feed(self, settled: int) -> bool:
        return settled == self._at.step and not self._at.is_done and settled % 2 == 1 and not self._is_exhausted

    @property
    def _is_exhausted(self) -> bool:
        last = self._at.feed_step_last
        return last is not None and self._feed_step > last

    def _on_settled(self, settled: int, rows: Sequence[FeedRow]) -> Sequence[Effect]:
        if settled > self._at.step:
            raise InvariantViolation(f"replay: step {settled} settled, but the last one published is {self._at.step}")
        if settled < self._at.step or self._at.is_done:
            return ()
        if settled % 2 == 0:
            return self._advance(self._at.last_ns, SessionPhase.DECIDE)
        if self._is_exhausted:
            return self._advance(self._at.last_ns, SessionPhase.ENDED)
        return self._open(rows)

    def _open(self, rows: Sequence[FeedRow]) -> Sequence[Effect]:
        """Begin the instant of these rows; without rows (not read yet) wait to be asked again."""
        if not rows:
            return ()
        moments = {visible_ns(row.body) for row in rows}
        at_ns = max(moments)
        if len(moments) > 1 or at_ns <= self._at.last_ns + 1:
            raise InvariantViolation(f"replay: feed step {self._feed_step} is at {sorted(moments)}, one instant after {self._at.last_ns} is required")
        clock = self._advance(at_ns, SessionPhase.MARKET)
        return [*clock, *(Publish(row.topic, row.body) for row in rows)]

    def _advance(self, at_ns: int, phase: SessionPhase) -> list[Effect]:
        step = self._at.step + 1
        self._at = msgspec.structs.replace(self._at, step=step, last_ns=at_ns, is_done=phase is SessionPhase.ENDED)
        now_ns = at_ns - 1 if phase is SessionPhase.MARKET else at_ns
        return [Publish(topics.CONTROL_CLOCK.name(), SessionClock(now_ns=now_ns, step=step, phase=phase))]
