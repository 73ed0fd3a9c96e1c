"""The bus on Redis: an own small protocol over hiredis' parser, the scripts it runs on the server, and the port on top."""

from __future__ import annotations

from apps.runtime.redis_bus.bus import RedisBus, Timing
from apps.runtime.redis_bus.url import RedisUrl, parse_redis_url

__all__ = ["RedisBus", "RedisUrl", "Timing", "parse_redis_url"]
