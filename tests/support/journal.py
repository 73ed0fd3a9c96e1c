"""Batches and rows for tests of journals."""

from __future__ import annotations

from core.journal import MESSAGE_KIND, Batch, CallRow, InputRow, OutputRow
from core.ports import StreamId

__all__ = ["INTENTS", "a_batch", "a_call", "an_input", "an_output"]

INTENTS = StreamId("strat.intent", "strategy_runner")


def an_input(n: int, kind: str = MESSAGE_KIND, data: bytes = b"{}", attached: bytes = b"") -> InputRow:
    """Input `n`: message `n` of the intents unless of another kind."""
    is_message = kind == MESSAGE_KIND
    return InputRow(n, kind, INTENTS.topic if is_message else "", INTENTS.producer if is_message else "", n if is_message else 0, n * 10, n * 10 + 1, data, attached)


def an_output(seq: int, n: int, topic: str = "risk.decision", data: bytes | None = None) -> OutputRow:
    """Message `seq` of a topic, said while handling input `n`."""
    return OutputRow(topic, seq, n, data if data is not None else b"%d" % seq)


def a_call(call_id: str, n: int) -> CallRow:
    """A venue call attempted while handling input `n`."""
    return CallRow(call_id, n, b'{"call":true}')


def a_batch(first: int, last: int) -> Batch:
    """Inputs `first` to `last`, each with one output of the same number, and the watermark they lead to."""
    return Batch(
        inputs=[an_input(n) for n in range(first, last + 1)],
        outputs=[an_output(n, n) for n in range(first, last + 1)],
        watermarks={INTENTS: (last, "e")},
    )
