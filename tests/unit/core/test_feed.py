"""What a feed is made of, and when a datum may be known."""

from __future__ import annotations

from core.contracts import Trade
from core.feed import bar_row, visible_ns
from core.machine import FeedRow
from tests.support.builders import NOW, a_bar


def test_a_bar_stands_on_the_topic_of_its_symbol_and_timeframe() -> None:
    """Filled in from the bar itself."""
    assert bar_row(a_bar()) == FeedRow("md.bars.1m.IBM", a_bar())


def test_a_bar_may_be_known_when_it_is_over_and_a_print_when_it_happens() -> None:
    """Nobody sees a bar before its close."""
    assert visible_ns(a_bar(close_ns=NOW)) == NOW
    assert visible_ns(Trade(symbol="IBM", price=1.0, size=1.0, exchange_ns=NOW)) == NOW
