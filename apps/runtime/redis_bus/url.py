"""Where a Redis server is, as its URL says it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from core.errors import ConfigError

__all__ = ["RedisUrl", "parse_redis_url"]

_DEFAULT_PORT = 6379
_FORMS = "redis://[user:password@]host[:port][/db] or unix://[user:password@]/path[?db=n]"


class RedisUrl(NamedTuple):
    """A server's address and what it asks for. `path` is set for a Unix socket, otherwise host and port are."""

    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    password: str = ""
    db: int = 0

    def __str__(self) -> str:
        """The address as it may be shown: without user and password."""
        return f"unix://{self.path}" if self.path else f"redis://{self.host}:{self.port}/{self.db}"


def parse_redis_url(url: str) -> RedisUrl:
    """The parts of a redis:// or unix:// URL; ConfigError names what is wrong with it, never showing its password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}, {_FORMS} is required") from None
    if parts.scheme == "rediss":
        raise ConfigError("redis_url: TLS (rediss://) is not spoken, put a TLS proxy in front of the server and name its redis:// or unix:// address")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    query = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(query) - {"db"})
    if unknown:
        raise ConfigError(f"redis_url: unknown option {', '.join(unknown)}, only db is allowed")
    db = query.get("db", [""])[-1]
    if parts.scheme == "unix" and parts.path and not parts.hostname:
        return RedisUrl(path=unquote(parts.path), user=user, password=password, db=_db(db))
    if parts.scheme == "redis" and parts.hostname:
        return RedisUrl(parts.hostname, port or _DEFAULT_PORT, "", user, password, _db(db or parts.path.strip("/")))
    raise ConfigError(f"redis_url: scheme {parts.scheme!r}, host {parts.hostname or ''!r}, path {parts.path!r}, {_FORMS} is required")


def _db(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"redis_url: database {text!r}, a number from 0 is required")
    return int(text)
