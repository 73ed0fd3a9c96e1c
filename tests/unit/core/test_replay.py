"""The conductor publishes a feed half an instant at a time, and only when the half before has settled."""

from __future__ import annotations

import msgspec
import pytest

from core.contracts import Bar, SessionClock, SessionPhase
from core.errors import InvariantViolation
from core.machine import Attached, ConfigLoaded, Effect, FeedExhausted, FeedRow, Input, Needs, Observed, Publish, Settled
from core.replay import ReplayConductor, ReplayProgress
from tests.support.builders import NOW, a_bar

MINUTE = 60 * 10**9


def rows(k: int, *, symbols: tuple[str, ...] = ("IBM",)) -> tuple[FeedRow, ...]:
    """Step `k` of a feed of minutes."""
    return tuple(FeedRow(f"md.bars.1m.{symbol}", a_bar(symbol=symbol, close_ns=NOW + k * MINUTE)) for symbol in symbols)


def settle(conductor: ReplayConductor, step: int, feed: tuple[FeedRow, ...] = ()) -> list[object]:
    """Tell it that `step` has settled; what it says."""
    event = Observed(Settled(step))
    return [effect.body for effect in conductor.handle(event, Attached(feed=feed), NOW) if isinstance(effect, Publish)]


def clock(now_ns: int, step: int, phase: SessionPhase) -> SessionClock:
    """A tick."""
    return SessionClock(now_ns=now_ns, step=step, phase=phase)


def test_the_market_moves_before_anyone_may_look() -> None:
    """One nanosecond before T the bars go out, at T the clock says DECIDE, after the last one ENDED."""
    conductor = ReplayConductor()
    conductor.handle(Observed(FeedExhausted(1)), Attached(), NOW)
    assert settle(conductor, -1, rows(0)) == [clock(NOW - 1, 0, SessionPhase.MARKET), rows(0)[0].body]
    assert settle(conductor, 0) == [clock(NOW, 1, SessionPhase.DECIDE)]
    assert settle(conductor, 1, rows(1)) == [clock(NOW + MINUTE - 1, 2, SessionPhase.MARKET), rows(1)[0].body]
    assert settle(conductor, 2) == [clock(NOW + MINUTE, 3, SessionPhase.DECIDE)]
    assert settle(conductor, 3) == [clock(NOW + MINUTE, 4, SessionPhase.ENDED)]
    assert conductor.is_done
    assert settle(conductor, 4) == []


def test_the_rows_of_the_next_step_are_asked_for_when_an_instant_ends() -> None:
    """And for nothing else."""
    conductor = ReplayConductor()
    assert conductor.needs(Observed(Settled(-1))) == Needs(feed_step=0)
    assert conductor.needs(ConfigLoaded("h", "{}")) == Needs()
    settle(conductor, -1, rows(0))
    assert conductor.needs(Observed(Settled(0))) == Needs()
    settle(conductor, 0)
    assert conductor.needs(Observed(Settled(1))) == Needs(feed_step=1)
    conductor.handle(Observed(FeedExhausted(0)), Attached(), NOW)
    assert conductor.needs(Observed(Settled(1))) == Needs()


def test_nothing_happens_when_an_old_step_settles_again() -> None:
    """The shell may repeat itself."""
    conductor = ReplayConductor()
    settle(conductor, -1, rows(0))
    before = conductor.snapshot()
    assert settle(conductor, -1, rows(0)) == []
    assert conductor.snapshot() == before


def test_it_waits_when_the_rows_are_not_there_yet() -> None:
    """It is asked again."""
    conductor = ReplayConductor()
    assert settle(conductor, -1) == []
    assert settle(conductor, -1, rows(0)) != []


def test_a_feed_without_steps_ends_at_once() -> None:
    """There is nothing to replay."""
    conductor = ReplayConductor()
    conductor.handle(Observed(FeedExhausted(-1)), Attached(), NOW)
    assert settle(conductor, -1) == [clock(0, 0, SessionPhase.ENDED)]


def test_a_step_that_was_never_published_cannot_settle() -> None:
    """Whoever says so is wrong about everything else too."""
    with pytest.raises(InvariantViolation, match="step 3 settled, but the last one published is -1"):
        settle(ReplayConductor(), 3)


def test_a_feed_must_go_forward_one_instant_at_a_time() -> None:
    """Two instants in one step, or an instant that is not later, would let somebody see the future."""
    mixed = (*rows(0), FeedRow("md.bars.1m.AAPL", a_bar(symbol="AAPL", close_ns=NOW + 1)))
    with pytest.raises(InvariantViolation, match="one instant after 0 is required"):
        settle(ReplayConductor(), -1, mixed)
    conductor = ReplayConductor()
    settle(conductor, -1, rows(0))
    settle(conductor, 0)
    with pytest.raises(InvariantViolation):
        settle(conductor, 1, rows(0))


def test_every_other_input_is_nothing_to_it() -> None:
    """It is driven by settlement alone."""
    conductor = ReplayConductor()
    event: Input = ConfigLoaded("h", "{}")
    effects: list[Effect] = list(conductor.handle(event, Attached(), NOW))
    assert effects == []
    assert conductor.next_wake_ns is None


def test_a_restored_conductor_goes_on_where_the_snapshot_was_taken() -> None:
    """Through JSON and back."""
    conductor, other = ReplayConductor(), ReplayConductor()
    settle(conductor, -1, rows(0))
    other.restore(msgspec.json.decode(msgspec.json.encode(conductor.snapshot()), type=ReplayProgress))
    assert other.progress == conductor.progress == ReplayProgress(step=0, last_ns=NOW)
    assert settle(other, 0) == settle(conductor, 0)


def test_all_rows_of_an_instant_go_out_together() -> None:
    """In the feed's order, behind the clock."""
    bodies = settle(ReplayConductor(), -1, rows(0, symbols=("AAPL", "IBM")))
    assert [body.symbol for body in bodies if isinstance(body, Bar)] == ["AAPL", "IBM"]
