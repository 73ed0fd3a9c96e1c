"""oms: the only writer of orders, fills, positions and cash.

Reads risk.decision, broker.reports.{venue}, control.clock · Writes orders.accepted.{venue}, orders.events, fills.new,
positions.snapshot, account.snapshot · Decides what an order's state is.
"""

from __future__ import annotations

from apps.runtime.daemon import DaemonParts, Suite, main
from core.topics import Daemon
from execution.oms import OmsState, build_oms

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The order ledger."""
    return DaemonParts(build_oms(suite.settings), OmsState)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.OMS, build))
