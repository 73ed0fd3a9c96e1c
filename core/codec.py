"""The wire format: one JSON object per message, decoded once into typed contracts."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

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


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
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
        except ValueError as error:
            if "unknown field" in str(error):
                return self._decode_leniently(data)
            raise DecodeError(f"message {data[:200]!r}: {error}") from None

    def _decode_leniently(self, data: bytes) -> Envelope:
        """Without the fields that a newer minor version added, wherever they stand; all else must be right."""
        try:
            raw = msgspec.json.decode(data)
            dropped = _drop_unknown_fields(raw, _envelope_type())
            found = self._decoder.decode(msgspec.json.encode(raw))
        except (ValueError, RecursionError) as error:
            raise DecodeError(f"message {data[:200]!r}: {error}") from None
        self.unknown_fields += dropped
        return found


@cache
def _envelope_type() -> inspect.Type:
    return inspect.type_info(Envelope)


def _drop_unknown_fields(raw: Any, expected: inspect.Type) -> int:
    """Take out of `raw` what `expected` has no field for, and count it."""
    match expected, raw:
        case inspect.StructType(array_like=False), dict():
            known = {field.encode_name: field.type for field in expected.fields}
            unknown = [name for name in raw if name not in known and name != expected.tag_field]
            for name in unknown:
                del raw[name]
            return len(unknown) + sum(_drop_unknown_fields(value, known[name]) for name, value in raw.items() if name in known)
        case inspect.UnionType(), dict():
            structs = [kind for kind in expected.types if isinstance(kind, inspect.StructType)]
            return sum(_drop_unknown_fields(raw, kind) for kind in structs if kind.tag == raw.get(kind.tag_field or ""))
        case inspect.VarTupleType(), list():
            return sum(_drop_unknown_fields(item, expected.item_type) for item in raw)
        case _:
            return 0


def type_name(body: Contract) -> str:
    """The tag of a message: its name and major version."""
    tag = body.__struct_config__.tag
    return str(tag)
