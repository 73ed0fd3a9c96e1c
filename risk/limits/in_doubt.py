"""Control 27, an order of unknown outcome: no more risk in its symbol until it is known."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies while an order of the symbol is in doubt."""
    return deny(DenialCode.IN_DOUBT, orders=case.exposure.in_doubt) if case.exposure.in_doubt else None
