"""The sometimes-ledger: what a campaign must have seen happen, or it proved nothing about it."""

from __future__ import annotations

from collections.abc import Mapping

from backtest.faults.incidents import Disaster
from backtest.faults.plan import LIES
from core.topics import Daemon

__all__ = ["MUST_HAPPEN", "SEEDS_ENOUGH", "never_happened"]

_DAEMONS = tuple(daemon.value for daemon in Daemon)
_PER_DAEMON = ("crash", "torn commit", "recovery crash", "disk error", "pause")

_FAULTS = (
    "drop",
    "duplicate",
    "delay",
    "cut",
    "request cut",
    "late request",
    "partition",
    "server_dies",
    "server_dies_late",
    "server came back empty",
    "server came back whole",
    "server came back with lost tails",
    "slow consumer cut off",
    "venue reset before a request arrives",
    "venue reset after a request arrived",
    "venue request is slow",
    "venue answer is lost",
    "venue answer is slow",
    "venue answered after the time was over",
    "venue call timed out",
    "venue push is lost",
    "venue push is late",
    "venue push comes twice",
    "kill switch is tripped",
)
_WINDOWS = (
    "W1 died before a commit",
    "W2 died after a commit, before publishing",
    "W3 publish was already there",
    "W3 died with a publish under way",
    "W6 a tail check found what was missed",
    "W8 died between receiving and committing",
    "W9 died inside a commit, which is there",
    "W10 died after an attempt was committed, before the call",
    "W11 died during a call",
    "W12 died before an outcome was committed",
    "W13 died before a push was committed",
    "W14 something happened at the venue while nobody listened",
    "W15 died inside a commit, which is torn",
    "W16 a commit failed",
    "W26 died before a snapshot was committed",
    "W31 strategy died after its intent was committed",
    "publish answered BEHIND",
)
_TRANSITIONS = (
    "PENDING -> SUBMITTED",
    "PENDING -> CANCELLED",
    "SUBMITTED -> ACCEPTED",
    "SUBMITTED -> FILLED",
    "SUBMITTED -> PARTIALLY_FILLED",
    "SUBMITTED -> CANCELLED",
    "SUBMITTED -> REJECTED",
    "SUBMITTED -> EXPIRED",
    "ACCEPTED -> PARTIALLY_FILLED",
    "ACCEPTED -> FILLED",
    "ACCEPTED -> CANCELLED",
    "ACCEPTED -> EXPIRED",
    "PARTIALLY_FILLED -> FILLED",
    "PARTIALLY_FILLED -> CANCELLED",
    "PARTIALLY_FILLED -> EXPIRED",
)

# A ban, a storm and an end nobody asked for come once in thousands of seeds; what they do is tested one by one.
_RARE = frozenset({"418_ban", "reconnect_storm", "unsolicited_cancel", "stream_drop_without_close"})

MUST_HAPPEN: tuple[str, ...] = (
    *_FAULTS,
    *(f"{kind}/{daemon}" for kind in _PER_DAEMON for daemon in _DAEMONS),
    *_WINDOWS,
    *(disaster.value for disaster in Disaster),
    *(f"dies for good/{daemon}" for daemon in _DAEMONS),
    *(f"venue {lie}" for lie in LIES if lie not in _RARE),
    *(f"order {transition}" for transition in _TRANSITIONS),
)
"""Fault kinds, crash windows and order transitions that the simulated world can give."""

SEEDS_ENOUGH = 2_000
"""From so many seeds on something that never happened makes a campaign red; fewer cannot be asked to have met everything."""


def never_happened(seen: Mapping[str, int]) -> list[str]:
    """What of it a campaign has not seen."""
    return [what for what in MUST_HAPPEN if not seen.get(what)]
