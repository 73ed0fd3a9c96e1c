"""A death is told by what was about to be done."""

from __future__ import annotations

import pytest

from backtest.faults.windows import windows_of
from core.journal import Batch, InputRow
from core.machine import CallVenue
from core.node import Acknowledge, Action, Call, Commit
from core.outbox import Write
from core.ports import StreamId
from core.venue import Lookup


def a_row(kind: str) -> InputRow:
    """An input of this kind."""
    return InputRow(1, kind, "", "", 0, 1, 0, b"", b"")


@pytest.mark.parametrize(
    ("action", "windows"),
    [
        (Commit(Batch(inputs=[a_row("Wake")])), ["W1"]),
        (Commit(Batch(inputs=[a_row("Message"), a_row("VenuePushed")])), ["W1", "W8", "W13"]),
        (Commit(Batch(inputs=[a_row("CallReplied")], snapshot=(1, b""))), ["W1", "W12", "W26"]),
        (Write(StreamId("orders.events", "oms"), 1, 1, ()), ["W2"]),
        (Write(StreamId("strat.intent", "strategy_runner"), 1, 1, ()), ["W2", "W31"]),
        (Call(CallVenue("c", Lookup(client_order_id="o"))), ["W10"]),
        (Acknowledge({}), []),
    ],
)
def test_death_falls_into_its_windows(action: Action, windows: list[str]) -> None:
    """And into one more while a publication is under way."""
    assert [window.split()[0] for window in windows_of(action, is_publishing=False)] == windows
    assert [window.split()[0] for window in windows_of(action, is_publishing=True)] == [*windows, "W3"]
