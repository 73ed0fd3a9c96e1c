"""Shrinking finds the few faults that a failure needs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from backtest.faults.shrink import shrink


@pytest.mark.parametrize("guilty", [{3}, {0, 19}, {4, 5, 6}, {1, 7, 13, 18}])
def test_only_what_is_needed_is_left_when_a_failure_needs_some_of_many(guilty: set[int]) -> None:
    """In the order in which it happened."""
    assert shrink(range(20), lambda faults: guilty <= set(faults)) == sorted(guilty)


def test_nothing_is_left_when_nothing_is_needed() -> None:
    """It fails without any fault: then it is no fault's doing."""
    assert shrink(range(20), lambda faults: True) == []


def test_shrinking_ends_when_its_tries_are_spent() -> None:
    """What was found by then still fails."""
    tries: list[Sequence[int]] = []

    def fails(faults: Sequence[int]) -> bool:
        tries.append(faults)
        return {2, 90} <= set(faults)

    assert {2, 90} <= set(shrink(range(100), fails, tries_max=5))
    assert len(tries) <= 6
