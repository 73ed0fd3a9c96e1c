"""The wire format: one JSON object per message, decoded once into typed contracts."""

from __future__ import annotations

from typing import Any

import msgspec

from core.contracts import (
    AccountSnapshot,
    Alert,
    ArmLease,
    Bar,
    BookSnapshot,
    BookUpdate,
    CancelIntent,
    CancelOrder,
    Contract,
    ExecutionReport,
    FillEvent,
    Heartbeat,
    LedgerAdjusted,
    LimitsChanged,
    NoTrade,
    OrderIntent,
    OrderStateChanged,
    PositionSnapshot,
    ReplaceIntent,
    ReplaceOrder,
    RiskDecision,
    RiskEvent,
    SessionClock,
    SubmitOrder,
    Ticker,
    Trade,
    VenueReport,
)
from core.errors import DecodeError
from core.ids import message_id

__all__ = ["Body", "Codec", "Envelope", "type_name"]

Body = (
    AccountSnapshot
    | Alert
    | ArmLease
    | Bar
    | BookSnapshot
    | BookUpdate
    | CancelIntent
    | CancelOrder
    | ExecutionReport
    | FillEvent
    | Heartbeat
    | LedgerAdjusted
    | LimitsChanged
    | NoTrade
    | OrderIntent
    | OrderStateChanged
    | PositionSnapshot
    | ReplaceIntent
    | ReplaceOrder
    | RiskDecision
    | RiskEvent
    | SessionClock
    | SubmitOrder
    | Ticker
    | Trade
    | VenueReport
)
"""Everything that may stand in an envelope."""


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What surrounds a message on the wire.

    `seq` is contiguous from 1 per (topic, producer); `epoch` is the id of the producer's journal. The bytes hold nothing
    that a restart changes (no incarnation, no wall clock), so a message published again is the same message.
    """

    topic: str
    producer: str
    seq: int
    epoch: str
    ts_ns: int
    body: Body
    correlation_id: str = ""
    causation_id: str = ""

    @property
    def message_id(self) -> str:
        """The derived id of this message."""
        return message_id(self.epoch, self.topic, self.seq)


class Codec:
    """Encodes and decodes envelopes. `unknown_fields` counts fields of newer minor versions that were dropped."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Envelope)
        self.unknown_fields = 0

    def encode(self, envelope: Envelope) -> bytes:
        """The wire bytes of an envelope."""
        return self._encoder.encode(envelope)

    def decode(self, data: bytes) -> Envelope:
        """The envelope in these bytes; DecodeError says what is wrong with them."""
        try:
            return self._decoder.decode(data)
        except msgspec.ValidationError as error:
            if "unknown field" in str(error):
                return self._decode_leniently(data)
            raise DecodeError(f"message {data[:200]!r}: {error}") from None
        except msgspec.DecodeError as error:
            raise DecodeError(f"message {data[:200]!r}: {error}") from None

    def _decode_leniently(self, data: bytes) -> Envelope:
        """Drop one unknown field after the other until the rest is a valid message or an error of another kind."""
        raw = msgspec.json.decode(data)
        while True:
            try:
                return msgspec.convert(raw, Envelope)
            except msgspec.ValidationError as error:
                if not _drop_unknown_field(raw, str(error)):
                    raise DecodeError(f"message {data[:200]!r}: {error}") from None
                self.unknown_fields += 1


def _drop_unknown_field(raw: Any, error: str) -> bool:
    """Remove the field msgspec's message names (`... unknown field `x` - at `$.body``); False when it names none."""
    parts = error.split("`")
    if "unknown field" not in parts[0]:
        return False
    node = raw
    for step in parts[3].split(".")[1:] if len(parts) > 3 else ():
        name, _, index = step.partition("[")
        node = node[name]
        if index:
            node = node[int(index.rstrip("]"))]
    del node[parts[1]]
    return True


def type_name(body: Contract) -> str:
    """The tag of a message: its name and major version."""
    tag = body.__struct_config__.tag
    return str(tag)
