"""Between effects and envelopes, envelopes and messages."""

from __future__ import annotations

from typing import cast

from core.codec import Body, Envelope
from core.machine import Input, Message, Publish

__all__ = ["message_of", "wrap"]


def wrap(effect: Publish, producer: str, seq: int, epoch: str, ts_ns: int, cause: Input) -> Envelope:
    """The envelope of a message said because of `cause`: the same for the same cause, whenever it is handled."""
    causation, correlation = "", effect.correlation_id
    if isinstance(cause, Message):
        causation = cause.message_id
        correlation = correlation or cause.correlation_id
    return Envelope(effect.topic, producer, seq, epoch, ts_ns, cast(Body, effect.body), correlation, causation)


def message_of(envelope: Envelope) -> Message:
    """The input an envelope is."""
    return Message(envelope.topic, envelope.producer, envelope.seq, envelope.ts_ns, envelope.body, envelope.message_id, envelope.correlation_id)
