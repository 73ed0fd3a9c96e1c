"""Opens the feed that the settings name, and refuses one that the suite could not publish."""

from __future__ import annotations

from apps.md_ingest.bars import TIMEFRAMES
from apps.md_ingest.recorded import recorded_feed
from apps.md_ingest.synthetic import synthetic_feed
from core.errors import ConfigError
from core.feed import Feed
from core.settings import Settings

__all__ = ["check_publishable", "open_feed"]


def open_feed(settings: Settings) -> Feed:
    """The feed of `settings.feed`, restricted to the suite's symbols when it names any; ConfigError lists what is wrong with it.

    A recording tells its timeframe itself; a synthetic market has the one that is configured.
    """
    if settings.feed.kind == "recorded":
        return recorded_feed(settings)
    problems = []
    if settings.feed.timeframe not in TIMEFRAMES:
        problems.append(f"feed.timeframe: {settings.feed.timeframe!r} is unknown, allowed are {', '.join(TIMEFRAMES)}")
    if not settings.symbols:
        problems.append("feed.symbols: empty, a synthetic market needs at least one symbol")
    if problems:
        raise ConfigError(*problems)
    return synthetic_feed(settings)


def check_publishable(feed: Feed, settings: Settings) -> Feed:
    """The same feed, when its bars belong on the topics of this suite; ConfigError when they do not.

    Topics are named by the settings, before any file is read, so a feed of another timeframe has none.
    """
    if feed.timeframe != settings.feed.timeframe:
        raise ConfigError(f"feed.timeframe: {settings.feed.timeframe}, but the bars of {settings.feed.path or 'the feed'} are {feed.timeframe}; the two must be the same")
    if stray := sorted(set(feed.symbols) - set(settings.symbols)):
        raise ConfigError(f"feed.symbols: {', '.join(stray)} in the feed belong to no strategy and are not listed; list the symbols to be replayed")
    return feed
