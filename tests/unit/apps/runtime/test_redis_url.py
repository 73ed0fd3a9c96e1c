"""Where a server is, read from its URL."""

from __future__ import annotations

import pytest

from apps.runtime.redis_bus.url import RedisUrl, parse_redis_url
from core.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", RedisUrl("localhost", 6379)),
        ("redis://localhost:6390/2", RedisUrl("localhost", 6390, db=2)),
        ("redis://localhost:6390/?db=4", RedisUrl("localhost", 6390, db=4)),
        ("redis://:secret@db.example:6390", RedisUrl("db.example", 6390, password="secret")),
        ("redis://me:p%40ss%2Fword@[::1]:6390/1", RedisUrl("::1", 6390, "", "me", "p@ss/word", 1)),
        ("unix:///run/redis.sock", RedisUrl(path="/run/redis.sock")),
        ("unix://:secret@/run/my%20redis.sock?db=3", RedisUrl(path="/run/my redis.sock", password="secret", db=3)),
    ],
)
def test_parts_are_found_when_the_url_is_good(url: str, expected: RedisUrl) -> None:
    """Host, port, path, user, password and database, each unquoted."""
    assert parse_redis_url(url) == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "is required"),
        ("localhost:6379", "is required"),
        ("http://localhost", "scheme 'http'"),
        ("redis://", "is required"),
        ("unix://", "is required"),
        ("unix://relative/path", "is required"),
        ("redis://localhost:port", "is required"),
        ("redis://localhost/one", "database 'one', a number from 0"),
        ("redis://localhost/-1", "database '-1', a number from 0"),
        ("redis://localhost?timeout=3", "unknown option timeout, only db"),
        ("rediss://localhost", "TLS"),
    ],
)
def test_url_is_refused_when_it_cannot_be_used(url: str, complaint: str) -> None:
    """With what it was and what is required."""
    with pytest.raises(ConfigError, match=complaint):
        parse_redis_url(url)


@pytest.mark.parametrize("url", ["redis://me:secret@localhost/x", "redis://me:secret@localhost?x=1", "http://me:secret@localhost", "unix://me:secret@/x?db=a"])
def test_password_is_never_shown_when_the_url_is_refused(url: str) -> None:
    """Errors end in logs."""
    with pytest.raises(ConfigError) as caught:
        parse_redis_url(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("url", "shown"), [("redis://me:secret@localhost/2", "redis://localhost:6379/2"), ("unix://:secret@/run/r.sock", "unix:///run/r.sock")])
def test_address_is_shown_without_password_when_printed(url: str, shown: str) -> None:
    """Reasons and log lines name the server only."""
    assert str(parse_redis_url(url)) == shown
