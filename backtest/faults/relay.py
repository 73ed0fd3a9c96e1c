"""The two smallest machines that exercise every promise of delivery: one that speaks by the clock, one that passes on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.contracts import CancelIntent
from core.machine import NO_NEEDS, Attached, Effect, Input, Message, Needs, Publish, Wake

__all__ = ["Relay", "RelayState", "Source", "SourceState"]


class SourceState(msgspec.Struct, frozen=True):
    """How many messages were said and when the next one is due."""

    said: int
    due_ns: int | None


class Source:
    """Machine. Says `count` numbered messages on `topic`, one to three per wake."""

    def __init__(self, topic: str, count: int, start_ns: int, every_ns: int) -> None:
        self._topic, self._count, self._every_ns = topic, count, every_ns
        self._at = SourceState(0, start_ns)

    @property
    def next_wake_ns(self) -> int | None:
        """While something is left to say."""
        return self._at.due_ns

    def needs(self, event: Input) -> Needs:
        """Nothing."""
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Say the next few."""
        if not isinstance(event, Wake):
            return ()
        first = self._at.said + 1
        last = min(self._count, first + first % 3)
        self._at = SourceState(last, now_ns + self._every_ns if last < self._count else None)
        return [
            Publish(self._topic, CancelIntent(intent_id=str(number), strategy_id="source", target_intent_id=str(number), created_ns=now_ns)) for number in range(first, last + 1)
        ]

    def snapshot(self) -> SourceState:
        """The whole state."""
        return self._at

    def restore(self, snapshot: SourceState) -> None:
        """Become the source that gave this snapshot."""
        self._at = snapshot


class RelayState(msgspec.Struct, frozen=True):
    """What was heard, in order."""

    heard: tuple[str, ...] = ()


class Relay:
    """Machine. Remembers what it hears in order and says it again on `topic` (empty: it only listens)."""

    def __init__(self, topic: str = "") -> None:
        self._topic = topic
        self.heard: list[str] = []

    @property
    def next_wake_ns(self) -> int | None:
        """Never."""
        return None

    def needs(self, event: Input) -> Needs:
        """Nothing."""
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Note and pass on."""
        if not (isinstance(event, Message) and isinstance(event.body, CancelIntent)):
            return ()
        self.heard.append(event.body.intent_id)
        return [Publish(self._topic, event.body)] if self._topic else ()

    def snapshot(self) -> RelayState:
        """The whole state."""
        return RelayState(tuple(self.heard))

    def restore(self, snapshot: RelayState) -> None:
        """Become the relay that gave this snapshot."""
        self.heard = list(snapshot.heard)
