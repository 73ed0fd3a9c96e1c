"""Deadlines: the earliest moment is always at hand, whatever was moved or removed before."""

# A property is looked at twice, and changes between the looks.
# mypy: disable-error-code="unreachable"

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from execution.deadlines import Deadlines


def test_earliest_is_next_when_moments_are_moved_and_removed() -> None:
    """What is outdated never shows."""
    deadlines = Deadlines()
    assert deadlines.next_ns is None
    deadlines.put("a", 10)
    deadlines.put("b", 20)
    assert deadlines.next_ns == 10
    deadlines.put("a", 30)
    assert deadlines.next_ns == 20
    deadlines.put("b", None)
    assert deadlines.next_ns == 30
    deadlines.put("missing", None)
    assert deadlines.take_due(29) == []
    assert deadlines.take_due(30) == ["a"]
    assert deadlines.next_ns is None


_CHANGES = st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 20)), max_size=30)


@given(changes=_CHANGES, now_ns=st.integers(0, 20))
def test_due_names_come_by_time_then_name_when_changes_came_in_any_order(changes: list[tuple[str, int | None]], now_ns: int) -> None:
    """The order of what is due depends on the moments alone, never on how they were reached."""
    deadlines, expected = Deadlines(), dict[str, int]()
    for name, due_ns in changes:
        deadlines.put(name, due_ns)
        expected.pop(name, None)
        if due_ns is not None:
            expected[name] = due_ns
        assert deadlines.next_ns == min(expected.values(), default=None)
    due = sorted((due_ns, name) for name, due_ns in expected.items() if due_ns <= now_ns)
    assert deadlines.take_due(now_ns) == [name for _, name in due]
    assert deadlines.next_ns == min((due_ns for due_ns in expected.values() if due_ns > now_ns), default=None)
