"""The intents of every shipped strategy on its synthetic market, held against the recorded ones, byte for byte.

A difference means that a strategy, the desk or the host decides otherwise than before. When that was meant,
`python -m tests.golden.refresh` records the new streams; nothing else writes them.
"""

from __future__ import annotations

import pytest

from strategies.registry import BUILT_IN
from tests.golden.streams import STREAMS, golden_path, intent_lines

_LINES_MAX = 1_000


def test_every_shipped_strategy_has_a_golden_stream() -> None:
    """A kind without one could change unnoticed."""
    assert set(STREAMS) == set(BUILT_IN)


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_intents_are_the_recorded_ones(kind: str) -> None:
    """Same market, same wishes: ids, times, quantities, prices and reasons."""
    recorded = golden_path(kind).read_text().splitlines()
    assert intent_lines(kind) == recorded
    assert 20 <= len(recorded) <= _LINES_MAX


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_intent_ids_never_repeat(kind: str) -> None:
    """An id that came twice would be a duplicate to risk, and the second wish would be lost."""
    ids = [line.partition('"intent_id":"')[2].partition('"')[0] for line in golden_path(kind).read_text().splitlines()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_restarts_change_nothing(kind: str) -> None:
    """A strategy that comes back from its snapshot every three bars wishes for the same as one that never stopped."""
    assert intent_lines(kind, restart_every=3) == golden_path(kind).read_text().splitlines()
