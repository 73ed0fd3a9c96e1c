"""The sometimes-ledger says what a campaign has not seen."""

from __future__ import annotations

from backtest.faults.coverage import MUST_HAPPEN, never_happened
from backtest.faults.plan import FAULT_KINDS
from core.order.transitions import transition_table


def test_everything_is_missing_when_nothing_happened() -> None:
    """And nothing is when all of it did."""
    assert never_happened({}) == list(MUST_HAPPEN)
    assert never_happened(dict.fromkeys(MUST_HAPPEN, 1)) == []
    assert never_happened(dict.fromkeys(MUST_HAPPEN, 1) | {"drop": 0}) == ["drop"]


def test_nothing_is_asked_for_twice() -> None:
    """Each has one line."""
    assert len(set(MUST_HAPPEN)) == len(MUST_HAPPEN)
    assert len(set(FAULT_KINDS)) == len(FAULT_KINDS)


def test_order_changes_asked_for_are_those_of_the_table() -> None:
    """A change that no table holds could never happen."""
    for what in MUST_HAPPEN:
        if what.startswith("order "):
            before, _, after = what.removeprefix("order ").partition(" -> ")
            assert f"| {before} | {after} |" in transition_table()
