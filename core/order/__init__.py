"""The order as facts with a derived status: `from core.order import Order, fold`."""

from core.order.facts import (
    Amendment,
    Closure,
    Command,
    Execution,
    Facet,
    Origin,
    Request,
    RequestKind,
    RequestState,
    Terms,
)
from core.order.fold import Folded, fold
from core.order.lineage import close_by_us, request_cancel, request_replace
from core.order.order import Order, is_order_stale, new_order
from core.order.transitions import (
    TRANSITIONS,
    Evidence,
    Transition,
    require_command,
    require_transition,
    transition_table,
)

__all__ = [
    "TRANSITIONS",
    "Amendment",
    "Closure",
    "Command",
    "Evidence",
    "Execution",
    "Facet",
    "Folded",
    "Order",
    "Origin",
    "Request",
    "RequestKind",
    "RequestState",
    "Terms",
    "Transition",
    "close_by_us",
    "fold",
    "is_order_stale",
    "new_order",
    "request_cancel",
    "request_replace",
    "require_command",
    "require_transition",
    "transition_table",
]
