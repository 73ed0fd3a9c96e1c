"""Derived identifiers: every id can be computed again from what it names, so a retry can never mint a second one."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal

from core.money import normal

__all__ = ["CLIENT_ORDER_ID_MAX", "account_prefix", "client_order_id", "content_hash", "intent_id", "message_id", "request_id"]

CLIENT_ORDER_ID_MAX = 31
"""Longest client order id every supported venue accepts (Binance spot allows 36, Kraken 18-36, Alpaca 128)."""

_SEPARATOR = "\x1f"


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()


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
        raise ValueError(f"client order id prefix {prefix!r} is too long, at most {CLIENT_ORDER_ID_MAX - 26} characters are allowed")
    return derived


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
