"""md_ingest: brings the market to the suite.

Reads a recorded or synthetic feed · Writes md.bars.*, control.clock · Decides when the next instant of a replay begins.
"""

from __future__ import annotations

from apps.md_ingest.feed import check_publishable, open_feed
from apps.md_ingest.settlement import Settlement
from apps.runtime.daemon import DaemonParts, Suite, main
from core.replay import ReplayConductor, ReplayProgress
from core.topics import Daemon

__all__ = ["build"]


def build(suite: Suite) -> DaemonParts:
    """The conductor of the feed, and what tells it that an instant has settled."""
    feed = check_publishable(open_feed(suite.settings), suite.settings)
    conductor = ReplayConductor()
    settlement = Settlement(conductor, feed, suite.settings)
    return DaemonParts(conductor, ReplayProgress, feed=lambda k: feed.step(k).rows if k < len(feed) else (), background=settlement.run)


if __name__ == "__main__":
    raise SystemExit(main(Daemon.MD_INGEST, build))
