"""Recovery: a journal and a machine become the state of the moment the process died.

The last snapshot is restored and every later input is handled again with what was attached to it. The recorded outputs are
the authority: the machine must say exactly the same again (topic, number, bytes), else this release is not the one that
wrote the journal, or the machine is not deterministic, and nothing may be sent on such ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from core.codec import Codec
from core.errors import DecodeError, JournalError
from core.journal import (
    MESSAGE_KIND,
    InputRow,
    OutputRow,
    QuarantineRow,
    Recovered,
    decode_attached,
    decode_input,
)
from core.machine import HANDLER_FAULTS, Effect, Input, Machine, Publish
from core.ports import StreamId
from core.wire import message_of, wrap

__all__ = ["ReplayMismatch", "Restored", "compare", "input_of", "recover"]


class ReplayMismatch(JournalError):
    """Handling a recorded input again said something else than what was recorded; `n` names the input."""

    def __init__(self, n: int, recorded: str, said: str) -> None:
        self.n = n
        super().__init__(f"journal input {n}: recorded {recorded or 'nothing'}, handled again it says {said or 'nothing'}")


class Restored(msgspec.Struct, frozen=True):
    """Where a node goes on from."""

    epoch: str
    incarnation: int
    last_n: int = 0
    last_now_ns: int = 0
    output_heads: dict[str, int] = msgspec.field(default_factory=dict)
    watermarks: dict[StreamId, tuple[int, str]] = msgspec.field(default_factory=dict)
    open_calls: tuple[str, ...] = ()
    acked: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    quarantine: tuple[QuarantineRow, ...] = ()
    rehandled: int = 0


def input_of(row: InputRow, codec: Codec) -> Input:
    """The input a journal row holds; JournalError when this release cannot read it."""
    try:
        return message_of(codec.decode(row.data)) if row.kind == MESSAGE_KIND else decode_input(row)
    except DecodeError as error:
        raise JournalError(f"journal input {row.n}: {error}") from None


def recover(machine: Machine[Any], snapshot_type: type, recovered: Recovered, daemon: str) -> Restored:
    """Bring `machine` to where the journal ends; ReplayMismatch when it does not repeat itself."""
    codec = Codec()
    if recovered.snapshot is not None:
        machine.restore(_snapshot_of(*recovered.snapshot, snapshot_type))
    count = 0
    for row in recovered.suffix:
        event = input_of(row, codec)
        recorded = recovered.suffix_outputs.get(row.n, [])
        effects = _handle_again(machine, row, event, recorded)
        compare(row, event, effects, recorded, recovered.epoch, daemon, codec)
        count += 1
    return Restored(
        recovered.epoch,
        recovered.incarnation,
        recovered.last_n,
        recovered.last_now_ns,
        recovered.output_heads,
        recovered.watermarks,
        tuple(call.call_id for call in recovered.open_calls),
        recovered.acked,
        recovered.quarantine,
        count,
    )


def _snapshot_of(n: int, data: bytes, snapshot_type: type) -> Any:
    try:
        return msgspec.json.decode(data, type=snapshot_type)
    except ValueError as error:
        raise JournalError(f"journal snapshot {n} is no {snapshot_type.__name__} of this release: {error}") from None


def _handle_again(machine: Machine[Any], row: InputRow, event: Input, recorded: list[OutputRow]) -> Sequence[Effect]:
    try:
        return machine.handle(event, decode_attached(row.attached), row.now_ns)
    except HANDLER_FAULTS as error:
        raise ReplayMismatch(row.n, ", ".join(r.topic for r in recorded), f"{type(error).__name__}: {error}") from error


def compare(row: InputRow, event: Input, effects: Sequence[Effect], recorded: Sequence[OutputRow], epoch: str, daemon: str, codec: Codec) -> None:
    """ReplayMismatch unless what is said about an input is what was recorded about it, topic, number and bytes."""
    said = [e for e in effects if isinstance(e, Publish)]
    if len(said) != len(recorded):
        raise ReplayMismatch(row.n, ", ".join(r.topic for r in recorded), ", ".join(e.topic for e in said))
    for effect, output in zip(said, recorded, strict=True):
        data = codec.encode(wrap(effect, daemon, output.seq, epoch, row.now_ns, event))
        if effect.topic != output.topic or data != output.data:
            raise ReplayMismatch(row.n, f"{output.topic} {output.seq} {output.data.decode()}", f"{effect.topic} {data.decode()}")
