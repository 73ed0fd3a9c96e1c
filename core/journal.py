"""The journal port and the rows it keeps: everything a machine saw, and everything it said, in one order.

A batch is one transaction. Rows are hash-chained, so a cut, swapped or edited row is visible to any reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from core.errors import DecodeError, InvariantViolation
from core.machine import (
    NOTHING_ATTACHED,
    Attached,
    CallInterrupted,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    Input,
    Observed,
    VenuePushed,
    Wake,
)
from core.ports import Entry, StreamId

__all__ = [
    "CHAIN_START",
    "MESSAGE_KIND",
    "ArchiveRow",
    "Batch",
    "CallRow",
    "InputRow",
    "Journal",
    "OutputRow",
    "QuarantineRow",
    "Recovered",
    "decode_attached",
    "decode_call",
    "decode_input",
    "encode_attached",
    "encode_call",
    "encode_input",
    "next_link",
]

MESSAGE_KIND = "Message"
CHAIN_START = b"\0" * 16

_Recorded = Wake | Command | Observed | ConfigLoaded | CallReplied | CallInterrupted | VenuePushed
_encoder = msgspec.json.Encoder()
_inputs: msgspec.json.Decoder[Input] = msgspec.json.Decoder(_Recorded)
_attachments = msgspec.json.Decoder(Attached)
_calls = msgspec.json.Decoder(CallVenue)


class InputRow(NamedTuple):
    """One input with everything attached to it. For a Message `data` is its wire bytes and `topic`/`producer`/`seq` name it."""

    n: int
    kind: str
    topic: str
    producer: str
    seq: int
    now_ns: int
    arrived_ns: int
    data: bytes
    attached: bytes


class OutputRow(NamedTuple):
    """One message said while handling input `n`; `data` is the wire bytes."""

    topic: str
    seq: int
    n: int
    data: bytes


class CallRow(NamedTuple):
    """One venue call attempted while handling input `n`."""

    call_id: str
    n: int
    data: bytes


class ArchiveRow(NamedTuple):
    """Something finished, unique by (kind, key) for ever."""

    kind: str
    key: str
    data: bytes


class QuarantineRow(NamedTuple):
    """An input that could not be handled; its link stays stopped until a person releases it."""

    topic: str
    producer: str
    seq: int
    reason: str
    data: bytes


class Batch(msgspec.Struct):
    """One transaction: what was handled, said, attempted, finished, and how far each stream has come."""

    inputs: list[InputRow] = msgspec.field(default_factory=list)
    outputs: list[OutputRow] = msgspec.field(default_factory=list)
    calls: list[CallRow] = msgspec.field(default_factory=list)
    outcomes: list[tuple[str, int]] = msgspec.field(default_factory=list)
    watermarks: dict[StreamId, tuple[int, str]] = msgspec.field(default_factory=dict)
    archive: list[ArchiveRow] = msgspec.field(default_factory=list)
    acked: list[tuple[str, str, int]] = msgspec.field(default_factory=list)
    quarantine: list[QuarantineRow] = msgspec.field(default_factory=list)
    snapshot: tuple[int, bytes] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self.inputs or self.acked or self.quarantine or self.snapshot)

    def cut(self, complete_n: int, archived: int) -> None:
        """Forget what an input added that was not handled to its end: all after input `complete_n`, and all but `archived` archive rows.

        An input adds its watermark, and what it closes, last of all, so those need no cutting.
        """
        self.inputs = [row for row in self.inputs if row.n <= complete_n]
        self.outputs = [row for row in self.outputs if row.n <= complete_n]
        self.calls = [row for row in self.calls if row.n <= complete_n]
        self.outcomes = [(call_id, n) for call_id, n in self.outcomes if n <= complete_n]
        del self.archive[archived:]


class Recovered(msgspec.Struct, frozen=True):
    """What a journal holds when a process starts: where the last snapshot stands and what happened since."""

    epoch: str
    incarnation: int
    last_n: int
    last_now_ns: int
    snapshot: tuple[int, bytes] | None
    suffix: Iterable[InputRow]
    suffix_outputs: dict[int, list[OutputRow]]
    output_heads: dict[str, int]
    watermarks: dict[StreamId, tuple[int, str]]
    open_calls: tuple[CallRow, ...]
    acked: dict[str, dict[str, int]]
    quarantine: tuple[QuarantineRow, ...]


class Journal(Protocol):
    """Durable memory of one daemon. `commit` returns only when the batch would survive a power cut, else JournalError."""

    def load(self) -> Recovered:
        """What was there when this process took the journal."""

    def commit(self, batch: Batch) -> None:
        """Make a batch durable, all of it or nothing."""

    def archived(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """The archived rows among these (kind, key) pairs, by `kind/key`."""

    def outputs(self, topic: str, from_seq: int, count: int) -> list[Entry]:
        """Committed messages of a topic, in order."""


def encode_input(event: Input) -> bytes:
    """The journal bytes of any input but a Message, which is kept as its wire bytes."""
    return _encoder.encode(event)


def decode_input(row: InputRow) -> Input:
    """The input a row other than a Message's holds."""
    try:
        return _inputs.decode(row.data)
    except msgspec.DecodeError as error:
        raise DecodeError(f"journal input {row.n} ({row.kind}): {error}") from None


def encode_attached(attached: Attached) -> bytes:
    """The journal bytes of an input's attachments; empty for none."""
    return b"" if attached is NOTHING_ATTACHED else _encoder.encode(attached)


def decode_attached(data: bytes) -> Attached:
    """The attachments kept beside an input."""
    return _attachments.decode(data) if data else NOTHING_ATTACHED


def encode_call(call: CallVenue) -> bytes:
    """The journal bytes of a venue call."""
    return _encoder.encode(call)


def decode_call(data: bytes) -> CallVenue:
    """The venue call in these bytes."""
    return _calls.decode(data)


def next_link(chain: bytes, row: InputRow, outputs: Sequence[OutputRow]) -> bytes:
    """The chain value after a row and what was said while handling it: a 128-bit hash over the previous value and both.

    Every piece is preceded by its length, so no two different rows give the same bytes.
    """
    n, kind, topic, producer, seq, now_ns, _, data, attached = row
    pieces = [chain, f"{n}\x1f{kind}\x1f{topic}\x1f{producer}\x1f{seq}\x1f{now_ns}\x1f{len(data)}\x1f{len(attached)}\x1e".encode(), data, attached]
    for said_topic, said_seq, said_n, said in outputs:
        if said_n != n:
            raise InvariantViolation(f"output {said_topic} {said_seq} belongs to input {said_n}, not {n}")
        pieces += (f"\x1e{said_topic}\x1f{said_seq}\x1f{len(said)}\x1e".encode(), said)
    return hashlib.blake2b(b"".join(pieces), digest_size=16).digest()
