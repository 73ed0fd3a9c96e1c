"""Seeds that once failed: every campaign runs them first."""

from __future__ import annotations

__all__ = ["REGRESSIONS"]

REGRESSIONS: dict[int, str] = {
    2: "a call was released before the venue connection was wanted, and nobody was there to take it",
    284: "a late push overtook the answer to the subscription it followed",
    618: "the venue died of the acknowledgement of its own push",
}
"""Seed and what it showed."""
