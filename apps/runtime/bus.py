"""The bus a daemon uses: Redis, wherever this home's settings and its own server say it is."""

from __future__ import annotations

from apps.runtime.embedded import redis_url
from apps.runtime.home import Home
from apps.runtime.redis_bus import RedisBus, parse_redis_url
from core.settings import Settings

__all__ = ["open_bus"]


def open_bus(home: Home, settings: Settings, client_name: str) -> RedisBus:
    """A bus in the home's namespace. A configured address is checked now (ConfigError); the home's own server may come later."""
    configured = settings.runtime.redis_url
    if configured:
        parse_redis_url(configured)
    return RedisBus(lambda: redis_url(home, configured), home.namespace, f"{home.namespace}:{client_name}")
