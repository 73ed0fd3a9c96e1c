"""Looks at the kill file: its existence stops trading, and not being able to look counts as tripped."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.contracts import KillSwitchState, KillSwitchStatus
from core.kill_switch import parse_kill_file

__all__ = ["KillFile"]


# Far more than any reason: what is longer means stop as well, and must not hold up whoever looks.
_READ_MAX = 65_536


class KillFile:
    """The kill file of one suite. `read` is cheap enough to be the last thing before the wire."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: KillSwitchState | None = None

    def read(self) -> KillSwitchState:
        """What the file says now."""
        self._last = self._look()
        return self._last

    def read_change(self) -> KillSwitchState | None:
        """What the file says now, if that is news."""
        before = self._last
        now = self.read()
        return now if now != before else None

    def _look(self) -> KillSwitchState:
        try:
            # Without waiting: a pipe in the file's place would keep the caller for as long as nobody writes to it.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._absent()
        except OSError as error:
            return self._unreadable(error.strerror or str(error))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return self._unreadable("is no regular file")
            content = os.read(descriptor, _READ_MAX)
        except OSError as error:
            return self._unreadable(error.strerror or str(error))
        finally:
            os.close(descriptor)
        # Bytes that are no text are still somebody's wish to stop.
        return parse_kill_file(content.decode("utf-8", "replace"))

    def _absent(self) -> KillSwitchState:
        """Only a folder without the file is clear."""
        # A link whose target is gone is not a clear switch: somebody put it there, and what it said can no longer be read.
        if os.path.lexists(self.path):
            return self._unreadable("is a link to nothing")
        # Nor is a missing folder: someone moved or unmounted what the switch lives on.
        if not self.path.parent.is_dir():
            return KillSwitchState(status=KillSwitchStatus.UNREADABLE, reason=f"{self.path.parent}: no such folder")
        return parse_kill_file(None)

    def _unreadable(self, why: str) -> KillSwitchState:
        return KillSwitchState(status=KillSwitchStatus.UNREADABLE, reason=f"{self.path}: {why}")
