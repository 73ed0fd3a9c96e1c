"""What is left when one daemon is dead for good: L4."""

from __future__ import annotations

from backtest.faults.schedule import MS
from backtest.faults.suite import SimulatedSuite
from core.topics import Daemon

__all__ = ["SAFE_WITHIN", "rest_is_safe"]

SAFE_WITHIN = 7_000 * MS
"""An approval's life, and a moment to get through with it."""

_MAKES_NO_ORDERS = (Daemon.PAPER_VENUE,)


def rest_is_safe(suite: SimulatedSuite, dead: Daemon, dead_ns: int) -> list[str]:
    """L4: some time after the death no order leaves any more, and a cancel of everything has left nothing open but protective orders."""
    problems = []
    if dead not in _MAKES_NO_ORDERS:
        problems += [
            f"order {sent.request.order.client_order_id} left {(sent.sent_ns - dead_ns) // MS} ms after {dead.value} had died"
            for sent in suite.broker.sent
            if sent.sent_ns > dead_ns + SAFE_WITHIN
        ]
    venue, gateway = suite.venue_machine, suite.gateway
    if venue is None or gateway is None:
        return problems
    protective = {order.client_order_id for order in gateway.snapshot().orders if order.protective}
    return problems + [
        f"order {order.client_order_id} is open although everything was to be cancelled, and {dead.value} is dead"
        for order in venue.snapshot().orders
        if not protective & {order.client_order_id, *order.lineage}
    ]
