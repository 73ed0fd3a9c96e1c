"""The base of strategies: what a new one gets without writing a line."""

from __future__ import annotations

import pytest

from strategies.strategy import NoState, Strategy, StrategyError, StrategyParams


def test_a_checkpoint_of_this_version_is_read_and_another_refused() -> None:
    """Only a strategy that says how can read an older form."""
    assert Strategy.upgrade_state(1, "{}") == NoState()
    with pytest.raises(StrategyError, match="checkpoint version 2 of Strategy cannot be read, 1 is required"):
        Strategy.upgrade_state(2, "{}")


def test_state_is_what_was_given_until_another_is_restored() -> None:
    """`export_state` and `restore_state` are the two ends of a checkpoint."""
    first, second = NoState(), NoState()
    strategy = Strategy(StrategyParams(), ("IBM",), first)
    assert strategy.export_state() is first
    strategy.restore_state(second)
    assert strategy.export_state() is second
