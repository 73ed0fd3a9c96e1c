"""Control 33, the addressee: an intent names the account and venue this suite trades, or it was meant for another one."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies an intent for another account or venue."""
    rules = case.rules
    if case.account != rules.account:
        return deny(DenialCode.WRONG_ACCOUNT, account=case.account, allowed=rules.account)
    if case.venue != rules.venue:
        return deny(DenialCode.WRONG_VENUE, venue=case.venue, allowed=rules.venue)
    return None
