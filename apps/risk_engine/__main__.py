"""risk_engine: nothing reaches the market without its word.

Reads strat.intent, orders.events, md.bars.* (marks), control.clock · Writes risk.decision, control.limits, telemetry.risk ·
Decides whether an intent may become an order.
"""

from __future__ import annotations

from apps.runtime.daemon import DaemonParts, Suite, main
from core.ids import account_prefix
from core.topics import Daemon
from risk.engine import RiskState, build_risk_engine

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The risk engine; the orders it names carry the mark of this account."""
    settings = suite.settings
    id_prefix = account_prefix(settings.environment, settings.account.name, suite.home.account_epoch)
    return DaemonParts(build_risk_engine(settings, id_prefix=id_prefix), RiskState)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.RISK_ENGINE, build))
