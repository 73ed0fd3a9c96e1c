"""Control 42, a consumer too far behind: decisions that nobody takes up pile up as orders nobody sees."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies while a topic of risk is over its backlog bound."""
    topics = case.situation.backlogs
    return deny(DenialCode.BACKLOG, topics=" ".join(topics)) if topics else None
