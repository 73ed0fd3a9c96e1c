"""Control 42, an input that stands still: what it carried is unknown, so no risk is added until a person has looked."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies while a durable input of risk is stopped."""
    links = case.situation.stopped_links
    return deny(DenialCode.LINK_STOPPED, links=" ".join(links)) if links else None
