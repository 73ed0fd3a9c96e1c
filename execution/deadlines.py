"""When each order must be asked to go: a set of named moments whose earliest is always at hand."""

from __future__ import annotations

import heapq

__all__ = ["Deadlines"]


class Deadlines:
    """At most one moment per name; `next_ns` costs nothing, a change costs the logarithm of how many there are.

    Invariant: the heap's first entry is in force, entries further back may be outdated.
    """

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    @property
    def next_ns(self) -> int | None:
        """The earliest moment, or None."""
        return self._heap[0][0] if self._heap else None

    def put(self, name: str, due_ns: int | None) -> None:
        """Set or move a moment; None removes it."""
        if self._due.get(name) == due_ns:
            return
        if due_ns is None:
            del self._due[name]
        else:
            self._due[name] = due_ns
            heapq.heappush(self._heap, (due_ns, name))
        self._drop_outdated()

    def take_due(self, now_ns: int) -> list[str]:
        """Remove and return the names whose moment has come, earliest first, equal moments by name."""
        taken = []
        while self._heap and self._heap[0][0] <= now_ns:
            _, name = heapq.heappop(self._heap)
            del self._due[name]
            taken.append(name)
            self._drop_outdated()
        return taken

    def _drop_outdated(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
