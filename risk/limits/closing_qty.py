"""Order lifecycle rule: what closes a position may never sell it twice.

A stop and an exit that both work, each for the whole position, would leave the account on the other side. So an order that
promises only to reduce is held against its owner's own position less everything of the owner's that is closing it already.
An entry of the owner's that has no end yet counts as held: the owner may hear of its fill before risk does, and an exit must
not wait for that.
"""

from __future__ import annotations

from core.contracts import Denial
from risk.case import OrderCase
from risk.denials import DenialCode, deny

__all__ = ["check"]


def check(case: OrderCase) -> Denial | None:
    """Denies a reduce-only order for more than its owner holds beyond what is closing already."""
    closing = case.closing
    if closing is None or closing.working_qty + closing.order_qty <= closing.held_qty:
        return None
    return deny(DenialCode.CLOSING_QTY, order_qty=closing.order_qty, closing_qty=closing.working_qty, held_qty=closing.held_qty)
