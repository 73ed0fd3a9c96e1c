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
from core.errors import JournalError
from core.journal import (
    MESSAGE_KIND,
    InputRow,
    OutputRow,
    QuarantineRow,
    Recovered,
    decode_attached,
    decode_input,
)
from core.machine import Effect, Input, Machine, Publish
from core.ports import StreamId
from core.wire import message_of, wrap

__all__ = ["ReplayMismatch", "Restored", "input_of", "recover"]


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
    """The input a journal row holds."""
    return message_of(codec.decode(row.data)) if row.kind == MESSAGE_KIND else decode_input(row)


def recover(machine: Machine[Any], snapshot_type: type, recovered: Recovered, daemon: str) -> Restored:
    """Bring `machine` to where the journal ends; ReplayMismatch when it does not repeat itself."""
    codec = Codec()
    if recovered.snapshot is not None:
        machine.restore(msgspec.json.decode(recovered.snapshot[1], type=snapshot_type))
    count = 0
    for row in recovered.suffix:
        event = input_of(row, codec)
        effects = machine.handle(event, decode_attached(row.attached), row.now_ns)
        recorded = recovered.suffix_outputs.get(row.n, [])
        _compare(row, event, effects, recorded, recovered.epoch, daemon, codec)
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


def _compare(row: InputRow, event: Input, effects: Sequence[Effect], recorded: list[OutputRow], epoch: str, daemon: str, codec: Codec) -> None:
    said = [e for e in effects if isinstance(e, Publish)]
    if len(said) != len(recorded):
        raise ReplayMismatch(row.n, ", ".join(r.topic for r in recorded), ", ".join(e.topic for e in said))
    for effect, output in zip(said, recorded, strict=True):
        data = codec.encode(wrap(effect, daemon, output.seq, epoch, row.now_ns, event))
        if effect.topic != output.topic or data != output.data:
            raise ReplayMismatch(row.n, f"{output.topic} {output.seq} {output.data.decode()}", f"{effect.topic} {data.decode()}")
