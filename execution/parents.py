"""Control 32 at the exit: the children of a parent order never come to more than the parent, whatever sent them and why.

A child says what it is a slice of and how much that is in all. Each child counts with the most it may still execute while it lives
and with what it has executed when it has ended, so that what was not executed may be sliced anew. The first child's word on the
parent's quantity is the one that counts.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.money import ZERO
from execution.live_orders import LiveOrder

__all__ = ["Parent", "Parents"]


class Parent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A parent's quantity, what its ended children executed, and the most each living one may execute, by its first order id."""

    order_qty: Decimal
    done_qty: Decimal = ZERO
    living: dict[str, Decimal] = msgspec.field(default_factory=dict)

    def qty_with(self, child: str, qty: Decimal) -> Decimal:
        """What all children could come to if this one may execute so much."""
        living = sum((q for name, q in self.living.items() if name != child), start=ZERO)
        return self.done_qty + living + max(qty, self.living.get(child, ZERO))


class Parents:
    """The parents of one account, by execution id. Invariant: what a parent's children could come to is at most its quantity."""

    def __init__(self) -> None:
        self.all: dict[str, Parent] = {}

    def objection(self, order: LiveOrder) -> tuple[str, str]:
        """Why a child may not be sent, as code and text; ('', '') for one that may, and for an order that is nobody's child."""
        if not order.execution_id or order.order is None:
            return "", ""
        if order.parent_qty is None:
            # Nothing to hold it against: an entry is not sent, an exit is held to nothing that is unknown.
            is_exit = order.approval is not None and order.approval.reduces
            return ("", "") if is_exit else ("PARENT_UNKNOWN", f"execution_id={order.execution_id}")
        parent = self.all.get(order.execution_id) or Parent(order.parent_qty)
        qty = parent.qty_with(order.first_id, order.order.order_qty)
        if qty <= parent.order_qty:
            return "", ""
        return "PARENT_QTY_MAX", f"execution_id={order.execution_id}, children_qty={qty}, parent_qty={parent.order_qty}"

    def on_admitted(self, order: LiveOrder) -> None:
        """A child is sent, or will be."""
        if order.execution_id and order.order is not None and order.parent_qty is not None:
            parent = self.all.get(order.execution_id) or Parent(order.parent_qty)
            qty = max(order.order.order_qty, parent.living.get(order.first_id, ZERO))
            self.all[order.execution_id] = msgspec.structs.replace(parent, living={**parent.living, order.first_id: qty})

    def on_ended(self, order: LiveOrder) -> None:
        """A child has ended for good: it counts with what it executed."""
        parent = self.all.get(order.execution_id)
        if parent is not None and order.first_id in parent.living:
            living = {child: qty for child, qty in parent.living.items() if child != order.first_id}
            self.all[order.execution_id] = msgspec.structs.replace(parent, done_qty=parent.done_qty + order.cum_qty, living=living)

    def on_late_fill(self, execution_id: str, last_qty: Decimal) -> None:
        """A child executed after its end; one that never said what its parent is for counts for none."""
        if (parent := self.all.get(execution_id)) is not None:
            self.all[execution_id] = msgspec.structs.replace(parent, done_qty=parent.done_qty + last_qty)
