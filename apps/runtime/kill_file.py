"""Looks at the kill file: its existence stops trading, and not being able to look counts as tripped."""

from __future__ import annotations

from pathlib import Path

from core.contracts import KillSwitchState, KillSwitchStatus
from core.kill_switch import parse_kill_file

__all__ = ["KillFile"]


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
            content = self.path.read_bytes()
        except FileNotFoundError:
            # A missing folder is not a clear switch: someone moved or unmounted what the switch lives on.
            if self.path.parent.is_dir():
                return parse_kill_file(None)
            return KillSwitchState(status=KillSwitchStatus.UNREADABLE, reason=f"{self.path.parent}: no such folder")
        except OSError as error:
            return KillSwitchState(status=KillSwitchStatus.UNREADABLE, reason=f"{self.path}: {error.strerror}")
        # Bytes that are no text are still somebody's wish to stop.
        return parse_kill_file(content.decode("utf-8", "replace"))
