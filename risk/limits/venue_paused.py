"""EXE-16, a venue to which no entry is sent now: what is approved would only be refused at the exit, and reserved in vain meanwhile."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies while the broker says that entries stop."""
    paused = case.situation.venue_paused
    return deny(DenialCode.VENUE_PAUSED, venue=case.venue, why=paused) if paused else None
