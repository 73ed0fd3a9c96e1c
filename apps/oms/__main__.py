"""oms: the only writer of orders, fills, positions and cash.

Reads risk.decision, broker.reports.{venue}, control.clock · Writes orders.accepted.{venue}, orders.events, fills.new,
positions.snapshot, account.snapshot, recon.report · Decides what an order's state is, and where the account differs from its venue's.
"""

from __future__ import annotations

from apps.runtime.daemon import DaemonParts, Suite, main
from apps.runtime.shell import Shell
from core.topics import Daemon
from execution.oms import OmsState, build_oms

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The order ledger."""
    oms = build_oms(suite.settings)

    async def tell_operators(shell: Shell) -> None:
        shell.queries["suspense"] = lambda: oms.suspense_table

    return DaemonParts(oms, OmsState, background=tell_operators)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.OMS, build))
