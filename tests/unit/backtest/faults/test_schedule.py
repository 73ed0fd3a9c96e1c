"""Virtual time: things happen when they are due, in the order they were asked for, and the same for the same seed."""

from __future__ import annotations

from backtest.faults.schedule import MS, Schedule


def test_things_happen_when_they_are_due_and_in_the_order_they_were_asked_for() -> None:
    """Time is where the last thing happened."""
    schedule, seen = Schedule(1, start_ns=0), list[tuple[str, int]]()
    for name, delay in (("late", 2), ("first", 1), ("second", 1), ("past", -5)):
        schedule.after(delay * MS, lambda name=name: seen.append((name, schedule.now_ns())))  # type: ignore[misc]
    while schedule.step():
        pass
    assert seen == [("past", 0), ("first", MS), ("second", MS), ("late", 2 * MS)]
    assert not schedule.step()


def test_a_run_stops_at_its_time_or_when_it_is_done() -> None:
    """What is due later stays."""
    schedule, seen = Schedule(1, start_ns=0), list[int]()
    for delay in (1, 2, 3):
        schedule.after(delay, lambda delay=delay: seen.append(delay))  # type: ignore[misc]
    schedule.run_until(3, lambda: len(seen) == 1)
    assert seen == [1]
    schedule.run_until(2)
    assert seen == [1, 2]


def test_no_session_clock_runs_here() -> None:
    """Only the schedule moves time."""
    schedule = Schedule(1, start_ns=5)
    schedule.observe(9)
    assert schedule.now_ns() == 5


def test_chances_depend_on_the_seed_and_the_kind_and_on_nothing_else() -> None:
    """Switching one kind of misfortune off does not shift the others."""
    one, other = Schedule(1), Schedule(1)
    for _ in range(5):
        other.chance("noise").random()
    assert [one.chance("cut").random() for _ in range(3)] == [other.chance("cut").random() for _ in range(3)]
    assert Schedule(1).chance("cut").random() != Schedule(2).chance("cut").random()
    assert Schedule(1).chance("cut").random() != Schedule(1).chance("drop").random()
