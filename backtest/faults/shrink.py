"""Shrinking a failure: which of a seed's misfortunes does it need?

Delta debugging (Zeller and Hildebrandt, 2002) over the list of faults that happened: halves, then quarters and so on are left out,
and whatever fails without them goes on without them. What remains is 1-minimal: leaving out any single fault makes it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["shrink"]

T = TypeVar("T")


def shrink(faults: Sequence[T], fails: Callable[[Sequence[T]], bool], tries_max: int = 400) -> list[T]:
    """The smallest part of `faults` found with which the run still fails; at most `tries_max` runs are spent on it."""
    kept, parts, tries = list(faults), 2, 0
    if not kept or fails([]):
        return []
    while len(kept) > 1 and tries < tries_max:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            tries += 1
            if rest and fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
            if tries >= tries_max:
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(kept))
    return kept
