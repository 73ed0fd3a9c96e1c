"""The smallest machines: one speaks by the clock, one passes on."""

from __future__ import annotations

import msgspec

from backtest.faults.relay import Relay, RelayState, Source, SourceState
from core.contracts import CancelIntent
from core.machine import NO_NEEDS, NOTHING_ATTACHED, ConfigLoaded, Publish, Wake
from tests.support.builders import NOW, a_clock, a_message
from tests.support.nodes import a_wish


def said(source: Source) -> list[str]:
    """Wake it until it is silent; what it said."""
    found = []
    while (due := source.next_wake_ns) is not None:
        for effect in source.handle(Wake(due), NOTHING_ATTACHED, due):
            assert isinstance(effect, Publish) and isinstance(effect.body, CancelIntent)
            found.append(effect.body.intent_id)
    return found


def test_a_source_counts_to_its_end() -> None:
    """Every number once, one to three at a time, then silence."""
    source = Source("first", 10, NOW, 5)
    assert source.needs(Wake(NOW)) is NO_NEEDS
    assert source.handle(ConfigLoaded("h", "{}"), NOTHING_ATTACHED, NOW) == ()
    assert said(source) == [str(number) for number in range(1, 11)]
    assert source.snapshot() == SourceState(10, None)


def test_a_restored_source_goes_on_where_it_was() -> None:
    """Through JSON and back."""
    source, other = Source("first", 10, NOW, 5), Source("first", 10, NOW, 5)
    source.handle(Wake(NOW), NOTHING_ATTACHED, NOW)
    other.restore(msgspec.json.decode(msgspec.json.encode(source.snapshot()), type=SourceState))
    assert said(other) == said(source)


def test_a_relay_says_what_it_hears() -> None:
    """And remembers the order; a listener only remembers."""
    for topic, effects in (("second", [Publish("second", a_wish(7))]), ("", [])):
        relay = Relay(topic)
        assert list(relay.handle(a_message("first", a_wish(7)), NOTHING_ATTACHED, NOW)) == effects
        assert list(relay.handle(a_message("first", a_clock()), NOTHING_ATTACHED, NOW)) == []
        assert relay.heard == ["7"]
        other = Relay(topic)
        other.restore(msgspec.json.decode(msgspec.json.encode(relay.snapshot()), type=RelayState))
        assert other.snapshot() == relay.snapshot()
    assert (relay.next_wake_ns, relay.needs(Wake(NOW))) == (None, NO_NEEDS)
