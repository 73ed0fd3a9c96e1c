"""Virtual time: a heap of things to do, and one seeded generator per kind of misfortune.

Separate generators keep seeds comparable: switching one kind of fault off does not shift the others. Every misfortune that
happens has a name (its kind, and how often that kind had been asked before), so a run can be told again with any part of its
misfortunes: that is what shrinking a failure and walking through every crash point rest on.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

__all__ = ["MS", "Fault", "Schedule"]

MS = 1_000_000
_TRACE_LINES = 200


class Fault(NamedTuple):
    """One misfortune: the `ordinal`-th time that this kind could have happened, it did."""

    kind: str
    ordinal: int


class Schedule:
    """The event loop of a simulated world. Equal seeds give equal runs.

    With a `script` nothing is drawn: exactly the misfortunes it names happen. `fired` lists those that happened, `seen` counts
    them by kind, `trace_hash` is a running hash over everything that was noted.
    """

    def __init__(self, seed: int, start_ns: int = 1_700_000_000_000_000_000, script: Iterable[Fault] | None = None) -> None:
        self.seed = seed
        self.events = 0
        self.fired: list[Fault] = []
        self.seen: dict[str, int] = {}
        self.lines: deque[str] = deque(maxlen=_TRACE_LINES)
        self.is_healed = False
        self._script = None if script is None else frozenset(script)
        self._asked: dict[str, int] = {}
        self._now = start_ns
        self._start = start_ns
        self._count = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._generators: dict[str, random.Random] = {}
        self._hash = hashlib.blake2b(digest_size=8)

    def now_ns(self) -> int:
        """Virtual nanoseconds UTC (the `Clock` port)."""
        return self._now

    def observe(self, now_ns: int) -> None:
        """Nothing: no session clock runs here."""

    def chance(self, kind: str) -> random.Random:
        """The generator of one kind of decision."""
        found = self._generators.get(kind)
        if found is None:
            found = self._generators[kind] = random.Random(f"{self.seed}/{kind}")
        return found

    # Misfortune.

    def happens(self, kind: str, probability: float) -> bool:
        """Whether this misfortune happens now; never once the world is healed."""
        if self.is_healed or (probability <= 0 and self._script is None):
            return False
        ordinal = self._asked[kind] = self._asked.get(kind, 0) + 1
        happened = self.chance(kind).random() < probability if self._script is None else Fault(kind, ordinal) in self._script
        if happened:
            self.fired.append(Fault(kind, ordinal))
            self.note(kind)
            self.trace(f"fault {kind} {ordinal}")
        return happened

    def details(self) -> random.Random:
        """How the misfortune that has just happened goes: drawn from its name, so that it goes the same whatever else happens."""
        return random.Random(f"{self.seed}/{self.fired[-1]}" if self.fired else f"{self.seed}")

    def heal(self) -> None:
        """No more misfortune."""
        self.is_healed = True
        self.trace("healed")

    @property
    def is_scripted(self) -> bool:
        """Whether a script says what happens."""
        return self._script is not None

    @property
    def asked(self) -> dict[str, int]:
        """How often each kind of misfortune could have happened so far."""
        return dict(self._asked)

    def note(self, what: str) -> None:
        """Count something that happened."""
        self.seen[what] = self.seen.get(what, 0) + 1

    def trace(self, line: str, data: bytes = b"") -> None:
        """Note what happened, for people (`line`) and for the hash (both)."""
        stamped = f"{(self._now - self._start) / MS:.3f} {line}"
        self.lines.append(stamped)
        self._hash.update(stamped.encode())
        self._hash.update(data)

    @property
    def trace_hash(self) -> str:
        """The running hash: equal for runs that went the same."""
        return self._hash.hexdigest()

    # Time.

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._heap, (self._now + max(0, delay_ns), self._count, action))

    def step(self) -> bool:
        """Do the next thing; False when nothing is left."""
        if not self._heap:
            return False
        self._now, _, action = heapq.heappop(self._heap)
        self.events += 1
        action()
        return True

    def run_until(self, at_ns: int, is_done: Callable[[], bool] = lambda: False) -> None:
        """Do everything that is due up to `at_ns`, which is then the time, or until `is_done`."""
        while self._heap and self._heap[0][0] <= at_ns:
            if is_done():
                return
            self.step()
        if not is_done():
            self._now = max(self._now, at_ns)
