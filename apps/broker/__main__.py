"""broker: the only process that trades the account.

Reads orders.accepted.{venue}, control.clock · Writes broker.reports.{venue} · Decides when an order is sent, asked after or
resolved; the last gate stands between its attempts and the wire.
"""

from __future__ import annotations

from apps.broker.venue_client import SocketVenue
from apps.runtime.daemon import DaemonParts, Suite, main
from core.topics import Daemon
from execution.broker_gateway import GatewayState, build_gateway
from execution.gate import build_gate

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The gateway and its venue connection."""
    settings = suite.settings
    venue = SocketVenue(suite.home.socket("venue"), settings.venue.call_timeout_ms)
    return DaemonParts(build_gateway(settings), GatewayState, gate=build_gate(settings), venue=venue)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.BROKER, build))
