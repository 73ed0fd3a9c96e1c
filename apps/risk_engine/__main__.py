"""risk_engine: nothing reaches the market without its word.

Reads strat.intent, orders.events, md.bars.* (marks), control.clock · Writes risk.decision, control.limits, control.lease,
telemetry.risk · Decides whether an intent may become an order, and whether the account is armed.
"""

from __future__ import annotations

from apps.risk_engine.lease import LeaseGiver
from apps.runtime.approval_key import load_approval_key
from apps.runtime.daemon import DaemonParts, Suite, main
from core.ids import account_prefix
from core.topics import Daemon
from risk.engine import RiskState, build_risk_engine

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The risk engine; the orders it names carry the mark of this account."""
    settings = suite.settings
    id_prefix = account_prefix(settings.environment, settings.account.name, suite.home.account_epoch)
    key = load_approval_key(suite.home.approval_key)
    engine = build_risk_engine(settings, id_prefix=id_prefix)
    return DaemonParts(engine, RiskState, background=LeaseGiver(engine, settings, key).run, approval_key=key)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.RISK_ENGINE, build))
