"""Controls 49-51, an account that differs from its venue's: no more risk where the difference is, or anywhere when it lasts."""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies while the account, or its position in the order's symbol, is not the venue's."""
    situation = case.situation
    if situation.unreconciled:
        return deny(DenialCode.RECONCILIATION_BREAK, account=case.account, why=situation.unreconciled)
    if case.order.symbol in situation.broken_symbols:
        return deny(DenialCode.RECONCILIATION_BREAK, symbol=case.order.symbol)
    return None
