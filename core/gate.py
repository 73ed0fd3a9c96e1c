"""What the last gate is told beside a request: facts the shell looks up afresh when a call is about to leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.contracts import Approval, KillSwitchState
from core.venue import NotSent, VenueRequest

__all__ = ["ArmState", "Gate", "GateFacts"]


class ArmState(NamedTuple):
    """Whether risk-increasing orders may leave, and why (not)."""

    is_armed: bool
    reason: str


class GateFacts(NamedTuple):
    """The kill switch as it stands, whether the approval's seal is risk's, and whether the account is armed."""

    kill_switch: KillSwitchState
    is_genuine: bool
    arming: ArmState


Gate = Callable[[VenueRequest, Approval | None, GateFacts, int], NotSent | None]
"""A pure function of a request, its approval, the facts and the time (ns UTC): a refusal, or None to let it through."""
