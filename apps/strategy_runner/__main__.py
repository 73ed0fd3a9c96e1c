"""strategy_runner: hosts the strategies.

Reads md.bars.*, orders.events, risk.decision, control.clock · Writes strat.intent, telemetry.no_trade · Decides what the
strategies wish for; one that raises is quarantined alone.
"""

from __future__ import annotations

from apps.runtime.daemon import DaemonParts, Suite, main
from core.topics import Daemon
from strategies.host import HostState, build_host

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The strategy host; its intents carry the epoch of this journal."""
    return DaemonParts(build_host(suite.settings, epoch=suite.epoch), HostState)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.STRATEGY_RUNNER, build))
