"""The circuit breaker: what opens it, the one question that closes it, and how long it waits."""

from __future__ import annotations

from typing import Any

import pytest

from core.settings import BreakerSettings
from execution.circuit_breaker import BreakerState, CircuitBreaker
from tests.support.builders import NOW

MS = 1_000_000
SECOND = 1_000 * MS
SHIPPED = BreakerSettings()


def _breaker(**settings: Any) -> CircuitBreaker:
    return CircuitBreaker(BreakerSettings(**settings))


def _calls(breaker: CircuitBreaker, answers: str, took_ns: int = MS) -> list[str]:
    """Outcomes in a row, `.` answered and `x` not; why each opened the breaker."""
    return [breaker.on_outcome(f"c{i}", took_ns, NOW, is_answer=answer == ".") for i, answer in enumerate(answers)]


def _opened(**settings: Any) -> CircuitBreaker:
    breaker = _breaker(**settings)
    breaker.on_outcome("c", 6 * SECOND, NOW, is_answer=True)
    assert breaker.is_open
    return breaker


def test_shipped_breaker_is_the_one_that_is_documented() -> None:
    """Slower than five seconds opens it, for a minute."""
    assert (SHIPPED.latency_ms_max, SHIPPED.open_ms, SHIPPED.open_ms_max) == (5_000, 60_000, 960_000)


@pytest.mark.parametrize(("took_ns", "is_open"), [(5_000 * MS, False), (5_000 * MS + 1, True)])
def test_breaker_opens_when_a_call_takes_longer_than_the_bound(took_ns: int, is_open: bool) -> None:
    """One is enough, answered or not; exactly the bound is not."""
    breaker = _breaker()
    why = breaker.on_outcome("c", took_ns, NOW, is_answer=True)
    assert (breaker.is_open, bool(why)) == (is_open, is_open)


@pytest.mark.parametrize(
    ("answers", "is_open"),
    [("x" * 9, False), ("x" * 10, True), ("." * 5 + "x" * 5, False), ("." * 4 + "x" * 6, True), ("x" * 5 + "." * 5 + "x" * 5, False), ("." * 30 + "x" * 6, True)],
    ids=["too few to judge", "all", "half", "more than half", "old ones are forgotten", "after many good ones"],
)
def test_breaker_opens_when_too_many_of_the_last_calls_have_no_answer(answers: str, is_open: bool) -> None:
    """More than half of the last ten, once there have been ten."""
    breaker = _breaker(calls=10)
    whys = _calls(breaker, answers)
    assert breaker.is_open is is_open
    assert [bool(why) for why in whys] == [False] * (len(answers) - 1) + [is_open]


def test_exactly_one_probe_is_asked_when_the_time_is_over() -> None:
    """While it is under way nothing more is due, and other answers do not count for it."""
    breaker = _opened()
    due = [breaker.due_ns]
    assert breaker.begin_probe("paper") == "paper.probe1"
    due.append(breaker.due_ns)
    assert _calls(breaker, "......") == [""] * 6
    assert [*due, breaker.due_ns] == [NOW + 60 * SECOND, None, None]
    assert breaker.is_open


def test_breaker_closes_when_the_probe_is_answered() -> None:
    """With a clean slate; the next probe has another name."""
    breaker = _opened()
    breaker.on_outcome(breaker.begin_probe("paper"), MS, NOW, is_answer=True)
    assert (breaker.is_open, breaker.state) == (False, BreakerState(probes=1))


@pytest.mark.parametrize(("took_ns", "is_answer"), [(MS, False), (6 * SECOND, True)], ids=["no answer", "slow"])
def test_breaker_waits_twice_as_long_when_the_probe_fails(took_ns: int, is_answer: bool) -> None:
    """A minute, two, four, up to the bound, and a minute again after it has been closed."""
    breaker, waits, now_ns = _opened(open_ms_max=300_000), [], NOW
    for _ in range(4):
        now_ns = breaker.due_ns or 0
        breaker.on_outcome(breaker.begin_probe("paper"), took_ns, now_ns, is_answer=is_answer)
        waits.append(((breaker.due_ns or 0) - now_ns) // SECOND)
    assert waits == [120, 240, 300, 300]
    breaker.on_outcome(breaker.begin_probe("paper"), MS, now_ns, is_answer=True)
    breaker.on_outcome("c", 6 * SECOND, now_ns, is_answer=True)
    assert breaker.due_ns == now_ns + 60 * SECOND


def test_open_breaker_is_not_opened_again_by_calls_on_their_way() -> None:
    """What was asked before it opened fails as well; that makes it wait no longer."""
    breaker = _opened()
    assert _calls(breaker, "x" * 50) == [""] * 50
    assert breaker.due_ns == NOW + 60 * SECOND
