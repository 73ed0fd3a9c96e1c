"""What must hold after every run, one small function each: it takes what the suite wrote and did, and says in a sentence what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from backtest.faults.invariants import approvals, delivery, ledger, orders
from backtest.faults.invariants.records import Records, collect

__all__ = ["AFTER_DISASTER_CHECKS", "CHECKS", "DEEP_CHECKS", "SAFETY_CHECKS", "Check", "Records", "check", "collect"]


class Check(NamedTuple):
    """An invariant's number and the function that holds it against the records."""

    invariant: str
    function: Callable[[Records], list[str]]


SAFETY_CHECKS: tuple[Check, ...] = (
    Check("I3", orders.intent_has_one_lineage),
    Check("I6", orders.quantities_add_up),
    Check("I7", approvals.sent_is_approved),
    Check("I8", approvals.nothing_leaves_after_a_kill),
    Check("I9", approvals.exposure_is_within_limits),
    Check("I11", delivery.streams_are_contiguous),
    Check("I12", delivery.effects_follow_commits),
    Check("I13", delivery.journal_gives_the_state),
    Check("I14", delivery.a_zombie_does_nothing),
    Check("I15", ledger.entries_are_double),
    Check("I17", approvals.decisions_have_evidence),
)
"""What holds at every moment, whoever is dead."""

AFTER_DISASTER_CHECKS: tuple[Check, ...] = (
    Check("L1", delivery.a_halt_says_why),
    Check("I6", orders.quantities_add_up),
    Check("I8", approvals.nothing_leaves_after_a_kill),
    Check("I15", ledger.entries_are_double),
)
"""What still can be asked when history is lost: the rest is for a person to find out."""

CHECKS: tuple[Check, ...] = (
    Check("L1", delivery.nobody_gave_up),
    Check("L1", delivery.everything_is_at_rest),
    *SAFETY_CHECKS,
    Check("I1", ledger.executions_are_booked_once),
    Check("I2", ledger.balances_follow_from_entries),
    Check("I2", ledger.everyone_shows_the_same_position),
    Check("I4", orders.status_is_the_venues),
    Check("I5", orders.intents_end),
    Check("I10", orders.doubt_ends_by_evidence),
    Check("L2", approvals.kill_leaves_nothing_open),
)
"""What holds when everybody lives and everything is at rest."""

DEEP_CHECKS: tuple[Check, ...] = (Check("I13", delivery.journal_gives_the_state_from_its_beginning),)
"""What costs as much as the run itself, and is therefore looked at in some runs only."""


def check(records: Records, checks: tuple[Check, ...]) -> list[str]:
    """Every problem these checks find, each with the number of its invariant."""
    return [f"{invariant}: {problem}" for invariant, function in checks for problem in function(records)]
