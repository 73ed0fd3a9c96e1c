"""broker: the only process that trades the account.

Reads orders.accepted.{venue}, control.lease, control.clock · Writes broker.reports.{venue} · Decides when an order is sent, asked after or
resolved; the last gate stands between its attempts and the wire.
"""

from __future__ import annotations

from apps.broker.lease import LeaseEar
from apps.broker.venue_client import SocketVenue
from apps.runtime.approval_key import load_approval_key
from apps.runtime.daemon import DaemonParts, Suite, main
from apps.runtime.shell import Closing
from core.contracts import DrainOrders
from core.topics import Daemon
from execution.broker_gateway import GatewayState, build_gateway
from execution.gate import build_gate

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The gateway and its venue connection."""
    settings = suite.settings
    venue = SocketVenue(suite.home.socket("venue"), settings.venue.call_timeout_ms)
    key = load_approval_key(suite.home.approval_key)
    ear = LeaseEar(settings, key)
    gateway = build_gateway(settings)
    is_to_cancel = settings.runtime.drain == "cancel"
    return DaemonParts(
        gateway,
        GatewayState,
        gate=build_gate(settings),
        venue=venue,
        background=ear.run,
        approval_key=key,
        arming=ear.state,
        hears=ear.hears,
        closing=Closing(DrainOrders(reason="the broker is being stopped"), lambda: gateway.is_flat) if is_to_cancel else None,
        unready=lambda: gateway.unready_reason,
    )


if __name__ == "__main__":
    raise SystemExit(main(Daemon.BROKER, build))
