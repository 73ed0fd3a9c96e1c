"""A server and its connections: requests and replies take time, deliveries get lost or repeated, the server dies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from backtest.faults.schedule import MS, Schedule
from core.ports import StreamId
from core.stream_store import StreamStore

__all__ = ["SimulatedServer", "Subscriber", "WireFaults"]

T = TypeVar("T")


class WireFaults(msgspec.Struct):
    """Chances per event, 0 to 1; `heal` sets them all to nothing."""

    drop: float = 0.03
    duplicate: float = 0.03
    cut: float = 0.002
    server_dies: float = 0.0
    comes_back_empty: float = 0.3
    comes_back_short: float = 0.3

    def heal(self) -> None:
        """No more misfortune."""
        self.drop = self.duplicate = self.cut = self.server_dies = 0.0


class Subscriber(Protocol):
    """What the server knows of a client."""

    def on_delivery(self, stream: StreamId, data: bytes) -> None:
        """A live delivery."""

    def on_connected(self) -> None:
        """The connection stands, and the subscriptions with it."""

    def on_disconnected(self) -> None:
        """The connection is gone."""


class SimulatedServer:
    """One Redis. A connection is a number that goes stale when either end dies; what belongs to a stale one never arrives."""

    def __init__(self, schedule: Schedule, faults: WireFaults) -> None:
        self.store = StreamStore()
        self.faults = faults
        self.seen: dict[str, int] = {}
        self._schedule = schedule
        self._connections: dict[str, int] = {}
        self._subscribers: dict[str, tuple[Subscriber, frozenset[StreamId]]] = {}
        self._last_at: dict[tuple[str, str], int] = {}
        self._is_up = True

    def connect(self, name: str, subscriber: Subscriber, streams: frozenset[StreamId]) -> None:
        """Connect a client, now or when the server is back."""
        self._connections[name] = connection = self._connections.get(name, 0) + 1
        self._subscribers[name] = (subscriber, streams)

        def stand() -> None:
            if self._connections.get(name) != connection:
                return
            if self._is_up:
                subscriber.on_connected()
            else:
                self._schedule.after(20 * MS, stand)

        self._schedule.after(self._delay(), stand)

    def disconnect(self, name: str) -> None:
        """The client is gone (it died): nothing in flight to it arrives."""
        self._connections[name] = self._connections.get(name, 0) + 1
        self._subscribers.pop(name, None)

    def ask(self, name: str, request: Callable[[StreamStore], T], reply: Callable[[T], None]) -> None:
        """A request and its reply; a connection that goes stale in between leaves the outcome unknown."""
        connection = self._connections.get(name)

        def arrive() -> None:
            is_stale = self._connections.get(name) != connection
            # What a client sent before it died or was cut off may still arrive; only the reply is certain to be lost.
            if not self._is_up or (is_stale and not self._happens("late request", 0.5)):
                return
            answer = request(self.store)
            if is_stale:
                return
            if self._happens("cut", self.faults.cut):
                self._cut(name)
                return
            self._travel("down", name, lambda: reply(answer) if self._connections.get(name) == connection else None)
            if self._happens("server_dies", self.faults.server_dies):
                self.die()

        self._travel("up", name, arrive)

    def announce(self, stream: StreamId, data: bytes) -> None:
        """PUBLISH: to whoever is subscribed, at most once each, unless misfortune repeats it."""
        for name, (subscriber, streams) in list(self._subscribers.items()):
            if stream not in streams or self._happens("drop", self.faults.drop):
                continue
            for _ in range(2 if self._happens("duplicate", self.faults.duplicate) else 1):
                self._deliver(name, subscriber, stream, data)

    def die(self) -> None:
        """The process is killed; what comes back may be whole, empty, or an older state."""
        self._is_up = False
        draw = self._schedule.chance("comeback").random()
        if draw < self.faults.comes_back_empty:
            self._note("server came back empty")
            self.store.lose_everything()
        elif draw < self.faults.comes_back_empty + self.faults.comes_back_short:
            self._note("server came back with lost tails")
            for stream in self.store.streams():
                self.store.lose_tail(stream, self._schedule.chance("tail").randint(0, 5))
        else:
            self._note("server came back whole")
        for name in list(self._subscribers):
            self._cut(name)
        self._schedule.after(50 * MS, self._come_back)

    def _come_back(self) -> None:
        self._is_up = True

    def _cut(self, name: str) -> None:
        self._note("connection cut")
        subscriber, streams = self._subscribers[name]
        self._connections[name] = cut = self._connections[name] + 1
        subscriber.on_disconnected()

        def reconnect() -> None:
            # A client that died meanwhile has its own, newer connection.
            if self._connections[name] == cut:
                self.connect(name, subscriber, streams)

        self._schedule.after(self._schedule.chance("reconnect").randint(1, 40) * MS, reconnect)

    def _deliver(self, name: str, subscriber: Subscriber, stream: StreamId, data: bytes) -> None:
        connection = self._connections[name]
        self._travel("push", name, lambda: subscriber.on_delivery(stream, data) if self._connections.get(name) == connection else None)

    def _travel(self, direction: str, name: str, arrive: Callable[[], None]) -> None:
        """One connection is one TCP stream: nothing overtakes what was sent before it."""
        at_ns = max(self._schedule.now_ns() + self._delay(), self._last_at.get((direction, name), 0))
        self._last_at[direction, name] = at_ns
        self._schedule.after(at_ns - self._schedule.now_ns(), arrive)

    def _delay(self) -> int:
        return self._schedule.chance("delay").randint(20_000, 2 * MS)

    def _happens(self, kind: str, probability: float) -> bool:
        happened = probability > 0 and self._schedule.chance(kind).random() < probability
        if happened:
            self._note(kind)
        return happened

    def _note(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1
