"""Virtual time: a heap of things to do, and one seeded generator per kind of misfortune.

Separate generators keep seeds comparable: switching one kind of fault off does not shift the others.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

__all__ = ["MS", "Schedule"]

MS = 1_000_000


class Schedule:
    """The event loop of a simulated world. Equal seeds give equal runs."""

    def __init__(self, seed: int, start_ns: int = 1_700_000_000_000_000_000) -> None:
        self.seed = seed
        self._now = start_ns
        self._count = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._generators: dict[str, random.Random] = {}

    def now_ns(self) -> int:
        """Virtual nanoseconds UTC (the `Clock` port)."""
        return self._now

    def observe(self, now_ns: int) -> None:
        """Nothing: no session clock runs here."""

    def chance(self, kind: str) -> random.Random:
        """The generator of one kind of decision."""
        if kind not in self._generators:
            self._generators[kind] = random.Random(f"{self.seed}/{kind}")
        return self._generators[kind]

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._heap, (self._now + max(0, delay_ns), self._count, action))

    def step(self) -> bool:
        """Do the next thing; False when nothing is left."""
        if not self._heap:
            return False
        self._now, _, action = heapq.heappop(self._heap)
        action()
        return True

    def run_until(self, at_ns: int, is_done: Callable[[], bool] = lambda: False) -> None:
        """Do everything that is due before `at_ns`, or until `is_done`."""
        while self._heap and self._heap[0][0] <= at_ns and not is_done():
            self.step()
