"""Virtual time: things happen when they are due, in the order they were asked for, and the same for the same seed."""

from __future__ import annotations

from backtest.faults.schedule import MS, Fault, Schedule


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


def test_misfortune_has_a_name_when_it_happens() -> None:
    """Its kind, and how often that kind had been asked."""
    schedule = Schedule(1)
    drawn = [schedule.happens("drop", 0.2) for _ in range(50)]
    assert schedule.fired == [Fault("drop", k) for k, happened in enumerate(drawn, 1) if happened]
    assert schedule.seen == {"drop": sum(drawn)}
    assert 0 < sum(drawn) < 50


def test_exactly_what_is_named_happens_when_there_is_a_script() -> None:
    """Whatever the chances are; and every chance is counted."""
    schedule = Schedule(1, script=[Fault("drop", 2), Fault("cut", 1)])
    assert [schedule.happens("drop", 1.0) for _ in range(3)] == [False, True, False]
    assert schedule.happens("cut", 0.0)
    assert schedule.asked == {"drop": 3, "cut": 1}


def test_nothing_happens_when_the_world_is_healed() -> None:
    """Not even what a script names."""
    schedule = Schedule(1, script=[Fault("drop", 1)])
    schedule.heal()
    assert not schedule.happens("drop", 1.0)


def test_details_are_the_same_when_other_misfortunes_are_left_out() -> None:
    """They hang on the name of what happened alone."""

    def detail(*script: Fault) -> float:
        schedule = Schedule(1, script=script)
        schedule.happens("cut", 0.0)
        schedule.happens("drop", 0.0)
        return schedule.details().random()

    assert detail(Fault("cut", 1), Fault("drop", 1)) == detail(Fault("drop", 1)) != detail(Fault("cut", 1))


def test_time_is_what_was_asked_for_when_nothing_is_due() -> None:
    """Waiting takes time although nothing happens."""
    schedule = Schedule(1)
    until_ns = schedule.now_ns() + 5 * MS
    schedule.run_until(until_ns)
    assert schedule.now_ns() == until_ns


def test_trace_differs_when_anything_in_it_differs() -> None:
    """Lines and data alike; the last lines are kept for people."""
    hashes = set()
    for line, data in (("a", b""), ("b", b""), ("a", b"x")):
        schedule = Schedule(1)
        schedule.trace(line, data)
        hashes.add(schedule.trace_hash)
        assert list(schedule.lines) == [f"0.000 {line}"]
    assert len(hashes) == 3
