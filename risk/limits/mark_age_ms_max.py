"""Control 13, the price everything else is judged by: there is one, it is a price, and it is recent."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import NS_PER_MS, OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies without a usable mark, or with one older than the limit or dated after now."""
    quote, allowed_ms = case.quote, case.limits.mark_age_ms_max
    if quote.price is None or quote.age_ns is None:
        return deny(DenialCode.NO_REFERENCE_PRICE, mark="missing" if quote.age_ns is None else "not a price")
    if 0 <= quote.age_ns <= allowed_ms * NS_PER_MS:
        return None
    return deny(DenialCode.STALE_PRICE, mark_age_ms=quote.age_ns / NS_PER_MS, mark_age_ms_max=allowed_ms)
