"""The line between the venue and the account: whether it carries anything, and which events it has swallowed."""

from __future__ import annotations

import msgspec

__all__ = ["Line"]


class Line(msgspec.Struct, omit_defaults=True):
    """The state of the connection as the venue's faults have it.

    `withheld` are numbers of events that were not pushed; `silent_until_ns` is until when the stream says nothing, `dead_until_ns` until
    when nothing comes through either way, but at most `dead_requests` more requests are lost on it; `banned_until_ns` is until when
    every request is refused; `storm` is how often the connection ends again, `skips_backfill` whether the next subscription brings
    nothing of what was withheld.
    """

    withheld: tuple[int, ...] = ()
    silent_until_ns: int = 0
    dead_until_ns: int = 0
    dead_requests: int = 0
    banned_until_ns: int = 0
    storm: int = 0
    skips_backfill: bool = False

    def withhold(self, cursor: int) -> None:
        """This event is not pushed."""
        self.withheld = (*self.withheld, cursor)

    def forget(self, cursor: int) -> None:
        """Everything up to here has come through."""
        self.withheld = tuple(held for held in self.withheld if held > cursor)

    def swallows_push(self, now_ns: int) -> bool:
        """Whether a push gets lost now."""
        return now_ns < self.silent_until_ns or self.is_dead(now_ns)

    def swallows_request(self, now_ns: int) -> bool:
        """Whether a request gets lost now; a dead line is noticed after some."""
        if not self.is_dead(now_ns):
            return False
        self.dead_requests -= 1
        return True

    def is_dead(self, now_ns: int) -> bool:
        """Whether nothing comes through."""
        return self.dead_requests > 0 and now_ns < self.dead_until_ns

    def heal(self) -> None:
        """Nothing is wrong with it any more."""
        self.silent_until_ns = self.dead_until_ns = self.dead_requests = self.banned_until_ns = self.storm = 0
        self.skips_backfill = False
