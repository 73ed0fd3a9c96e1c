"""Derived identifiers: every id can be computed again from what it names, so a retry can never mint a second one."""

from __future__ import annotations

import hashlib
from decimal import Decimal

from core.money import normal

__all__ = ["CLIENT_ORDER_ID_MAX", "account_prefix", "client_order_id", "content_hash", "intent_id", "is_foreign_order", "is_order_of", "message_id", "order_prefix", "request_id"]

CLIENT_ORDER_ID_MAX = 31
"""Longest client order id every supported venue accepts (Binance spot allows 36, Kraken 18-36, Alpaca 128)."""

_SEPARATOR = "\x1f"
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_DERIVED = 26
"""Base32 digits of 128 bits."""
_AS_BASE_32 = bytes(b"0123456789abcdefghijklmnopqrstuv"[_DIGITS.index(chr(code))] if chr(code) in _DIGITS else 33 for code in range(256))
"""Our digits as `int` knows them; everything else becomes `!`, which it refuses."""


def _base32(digest: bytes) -> str:
    """RFC 4648 base32 of 2 or 16 bytes, lower case and without padding, ten bits at a time."""
    bits = 8 * len(digest)
    # Whole pairs of digits; a last digit that is only padding is cut off again.
    pairs = -(-bits // 10)
    number = int.from_bytes(digest) << (10 * pairs - bits)
    text = "".join([_PAIRS[number >> shift & 1023] for shift in range(10 * (pairs - 1), -1, -10)])
    return text[: -(-bits // 5)]


def _hash128(*parts: str) -> bytes:
    return hashlib.blake2b(_SEPARATOR.join(parts).encode(), digest_size=16).digest()


def account_prefix(environment: str, account: str, account_epoch: str) -> str:
    """Five characters that mark an order as ours: environment letter, three of the account epoch, a dash."""
    digest = hashlib.blake2b(_SEPARATOR.join((environment, account, account_epoch)).encode(), digest_size=2).digest()
    return f"{environment[0]}{_base32(digest)[:3]}-"


def client_order_id(prefix: str, strategy_id: str, intent: str, revision: int = 0) -> str:
    """The order id of an intent's `revision`-th lineage step: prefix + base32 of a 128-bit hash, never truncated."""
    derived = prefix + _base32(_hash128(strategy_id, intent, str(revision)))
    if len(derived) > CLIENT_ORDER_ID_MAX:
        raise ValueError(f"client order id prefix {prefix!r} is too long, at most {CLIENT_ORDER_ID_MAX - _DERIVED} characters are allowed")
    return derived


def is_order_of(order_id: str, strategy_id: str, intent: str) -> bool:
    """Whether this is the id of the one order an intent may become, whatever its prefix."""
    # Read back instead of made anew: the broker asks this of every order, and numbers are compared faster than text is built.
    try:
        number = int(order_id[-_DERIVED:].encode("ascii", "replace").translate(_AS_BASE_32), 32)
    except ValueError:
        return False
    # A first digit that is zero could be left out and mean the same.
    return len(order_id) >= _DERIVED and number == int.from_bytes(_hash128(strategy_id, intent, "0")) << 2


def is_foreign_order(order_id: str, own_prefix: str) -> bool:
    """Whether an order id is shaped like ours, for the same environment, and carries another account epoch: another suite made it."""
    is_ours = len(order_id) == len(own_prefix) + _DERIVED and set(order_id[len(own_prefix) :]) <= set(_DIGITS)
    return is_ours and order_id[0] == own_prefix[0] and order_id[len(own_prefix) - 1] == own_prefix[-1] and not order_id.startswith(own_prefix)


def order_prefix(order_id: str) -> str:
    """The prefix of an order id of ours."""
    return order_id[:-_DERIVED]


def intent_id(strategy_id: str, epoch: str, trigger: str, ordinal: int) -> str:
    """The id of the `ordinal`-th wish a strategy drew from one trigger."""
    return f"{strategy_id}:{epoch}:{trigger}:{ordinal}"


def message_id(epoch: str, topic: str, seq: int) -> str:
    """The id of one message: derived, not random, so a message published again keeps its name."""
    return f"{epoch}:{topic}:{seq}"


def request_id(client_id: str, kind: str, ordinal: int) -> str:
    """The id of the `ordinal`-th cancel or replace request about an order."""
    return f"{client_id}.{kind}{ordinal}"


def content_hash(*terms: str | Decimal | None) -> str:
    """A 128-bit hash of order terms, equal exactly when the terms are equal in value."""
    spelled = ["\0" if term is None else term if isinstance(term, str) else normal(term) for term in terms]
    return hashlib.blake2b(_SEPARATOR.join(spelled).encode(), digest_size=16).hexdigest()
