"""What must hold after any misfortune: every invariant, and exactly one end for every intent."""

from __future__ import annotations

from collections import Counter

from core.contracts import OrderIntent, Verdict
from tests.support.story import decisions_of, events_of
from tests.support.suite import RunningSuite

__all__ = ["problems_of"]


def problems_of(suite: RunningSuite) -> list[str]:
    """Each problem as a sentence; nothing when the suite is whole."""
    report = suite.verify()
    problems = [] if report.holds else [f"njord verify: {report}"]
    decisions, events = decisions_of(suite.home), events_of(suite.home)
    answers = Counter(decision.intent.intent_id for decision in decisions)
    problems += [f"intent {intent_id} was decided {count} times" for intent_id, count in answers.items() if count != 1]
    ends = Counter(event.intent_id for event in events if event.new_status.is_terminal and event.old_status is not event.new_status)
    resting = {event.intent_id for event in {event.client_order_id: event for event in events}.values() if not event.new_status.is_terminal}
    for decision in decisions:
        intent = decision.intent
        if decision.verdict is Verdict.ALLOWED and isinstance(intent, OrderIntent):
            wanted = 0 if intent.intent_id in resting else 1
            if ends[intent.intent_id] != wanted:
                problems.append(f"intent {intent.intent_id} ended {ends[intent.intent_id]} times, {wanted} was to be expected")
    return problems
