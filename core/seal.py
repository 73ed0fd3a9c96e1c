"""Seals: a keyed hash over a whole message, by which the broker knows that risk and nobody else gave an approval or a lease.

The seal is put on where a message leaves risk's node and is looked at by the broker, last thing before the wire. Machines never
see the key: what they say is the same with every key and without one, so whoever handles a journal again compares messages
without their seals (`unsealed`). That gives nothing away, because a seal is never trusted for being in a journal: only the
broker's own look at it, with the key, lets an order leave.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from core.codec import Envelope
from core.contracts import Approval, ArmLease, RiskDecision

__all__ = ["KEY_BYTES_MIN", "is_sealed", "sealed", "unsealed"]

M = TypeVar("M", bound=Approval | ArmLease)

KEY_BYTES_MIN, _KEY_BYTES_MAX = 32, 64
_encode = msgspec.json.Encoder().encode


def sealed(key: bytes, message: M) -> M:
    """The message with its seal: 128 bits of keyed BLAKE2b over every other field of it."""
    return replace(message, mac=_mac(key, message))


def is_sealed(key: bytes, message: Approval | ArmLease) -> bool:
    """Whether this key sealed exactly this message."""
    return hmac.compare_digest(_mac(key, message), message.mac)


def unsealed(envelope: Envelope) -> Envelope:
    """The envelope as the machine said it, before an approval in it was sealed."""
    body = envelope.body
    if not isinstance(body, RiskDecision) or body.approval is None:
        return envelope
    return replace(envelope, body=replace(body, approval=replace(body.approval, mac="")))


def _mac(key: bytes, message: Approval | ArmLease) -> str:
    # The encoding names every field that is not its default, so two messages that differ never have the same bytes.
    content = _encode(replace(message, mac="") if message.mac else message)
    return hashlib.blake2b(content, digest_size=16, key=key[:_KEY_BYTES_MAX], person=type(message).__name__.encode()).hexdigest()
