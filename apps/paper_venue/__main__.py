"""paper_venue: the simulated venue, a process with a ledger of its own.

Reads md.bars.*, control.clock, requests on its socket · Writes nothing on the bus · Decides what trades, and at which price.
"""

from __future__ import annotations

from apps.paper_venue.venue_server import SocketVenueServer
from apps.runtime.daemon import DaemonParts, Suite, main
from core.topics import Daemon
from execution.venues.simulated import VenueState, build_venue

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The venue and the socket it serves."""
    return DaemonParts(build_venue(suite.settings), VenueState, server=SocketVenueServer)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.PAPER_VENUE, build))
