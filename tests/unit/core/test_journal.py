"""Journal rows: what is kept of an input, what is chained, and how one transaction grows."""

from __future__ import annotations

import msgspec
import pytest

from core.contracts import CancelAllOrders, KillSwitchState, KillSwitchStatus
from core.errors import DecodeError, InvariantViolation
from core.journal import (
    CHAIN_START,
    ArchiveRow,
    Batch,
    CallRow,
    InputRow,
    OutputRow,
    QuarantineRow,
    decode_attached,
    decode_call,
    decode_input,
    encode_attached,
    encode_call,
    encode_input,
    next_link,
)
from core.machine import (
    NOTHING_ATTACHED,
    Attached,
    CallInterrupted,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    FeedRow,
    Input,
    Mark,
    Observed,
    VenuePushed,
    Wake,
)
from core.venue import Lookup, NotFound, RequestRejected
from tests.support.builders import NOW, a_bar

ROW = InputRow(1, "Message", "in", "up", 1, NOW, 7, b"data", b"beside")
OUTPUTS = (OutputRow("out", 1, 1, b"one"), OutputRow("out", 2, 1, b"two"))


def test_every_input_but_a_message_comes_back_from_its_row() -> None:
    """A message is kept as its wire bytes."""
    inputs: tuple[Input, ...] = (
        Wake(NOW),
        Command("c", "someone", CancelAllOrders(reason="r")),
        Command("c", "broker", Lookup(client_order_id="a")),
        Observed(KillSwitchState(status=KillSwitchStatus.TRIPPED)),
        ConfigLoaded("h", "{}"),
        CallReplied("a", NotFound()),
        CallInterrupted("a"),
        VenuePushed(RequestRejected(cursor=1, client_order_id="a", request="cancel", reason="")),
    )
    for event in inputs:
        assert decode_input(InputRow(1, type(event).__name__, "", "", 0, NOW, 0, encode_input(event), b"")) == event


def test_a_row_that_holds_no_input_is_named() -> None:
    """By number and kind."""
    with pytest.raises(DecodeError, match=r"journal input 4 \(Wake\)"):
        decode_input(InputRow(4, "Wake", "", "", 0, NOW, 0, b"{", b""))


def test_attachments_come_back_and_none_cost_nothing() -> None:
    """Marks, archived rows, feed rows."""
    attached = Attached((Mark("IBM", 5.0, NOW),), {"order/1": b"\x00\xff"}, (FeedRow("md.bars.1m.IBM", a_bar()),))
    assert decode_attached(encode_attached(attached)) == attached
    assert encode_attached(NOTHING_ATTACHED) == b""
    assert decode_attached(b"") is NOTHING_ATTACHED


def test_a_call_comes_back_from_its_row() -> None:
    """With its fence."""
    call = CallVenue("a.lookup1", Lookup(client_order_id="a"), "out")
    assert decode_call(encode_call(call)) == call


def test_a_batch_forgets_what_an_input_added_when_it_is_cut() -> None:
    """Rows of every kind after the last complete input go, what was there before stays."""
    batch = Batch(inputs=[ROW], outputs=[OUTPUTS[0]], calls=[CallRow("a", 1, b"")], outcomes=[("b", 1)], archive=[ArchiveRow("k", "1", b"")])
    assert not batch.is_empty
    kept = msgspec.json.encode(batch)
    batch.inputs.append(ROW._replace(n=2))
    batch.outputs.append(OUTPUTS[0]._replace(n=2))
    batch.calls.append(CallRow("c", 2, b""))
    batch.outcomes.append(("d", 2))
    batch.archive.append(ArchiveRow("k", "2", b""))
    batch.cut(1, 1)
    assert msgspec.json.encode(batch) == kept


@pytest.mark.parametrize(
    ("batch", "is_empty"),
    [
        (Batch(), True),
        (Batch(inputs=[ROW]), False),
        (Batch(acked=[("out", "down", 1)]), False),
        (Batch(quarantine=[QuarantineRow("in", "up", 3, "why", b"")]), False),
        (Batch(snapshot=(1, b"")), False),
    ],
)
def test_a_batch_knows_whether_there_is_anything_to_commit(batch: Batch, is_empty: bool) -> None:
    """An fsync for nothing would cost as much as one for something."""
    assert batch.is_empty is is_empty


class TestChain:
    """Rows are hash-chained, so that a cut, swapped or edited row shows."""

    LINK = next_link(CHAIN_START, ROW, OUTPUTS)

    @pytest.mark.parametrize("changed", [{"n": 2}, {"kind": "Wake"}, {"topic": "on"}, {"producer": "us"}, {"seq": 2}, {"now_ns": NOW + 1}, {"data": b"dat"}, {"attached": b""}])
    def test_the_link_changes_with_every_part_of_the_input(self, changed: dict[str, object]) -> None:
        """All that a replay depends on; when it arrived is for people."""
        row = ROW._replace(**changed)  # type: ignore[arg-type]
        assert next_link(CHAIN_START, row, [output._replace(n=row.n) for output in OUTPUTS]) != self.LINK
        assert next_link(CHAIN_START, ROW._replace(arrived_ns=8), OUTPUTS) == self.LINK

    @pytest.mark.parametrize(
        "outputs",
        [
            OUTPUTS[:1],
            OUTPUTS[::-1],
            (OUTPUTS[0], OUTPUTS[1]._replace(topic="in")),
            (OUTPUTS[0], OUTPUTS[1]._replace(seq=3)),
            (OUTPUTS[0], OUTPUTS[1]._replace(data=b"tow")),
        ],
    )
    def test_the_link_changes_with_what_was_said(self, outputs: tuple[OutputRow, ...]) -> None:
        """Missing, swapped or edited."""
        assert next_link(CHAIN_START, ROW, outputs) != self.LINK

    def test_the_link_depends_on_all_before_it(self) -> None:
        """And on nothing else: equal rows after equal rows give equal links."""
        assert next_link(self.LINK, ROW, OUTPUTS) != self.LINK
        assert next_link(CHAIN_START, ROW, OUTPUTS) == self.LINK
        assert len(self.LINK) == 16

    def test_an_output_of_another_input_cannot_be_chained(self) -> None:
        """That would hide where it came from."""
        with pytest.raises(InvariantViolation, match="output out 1 belongs to input 2, not 1"):
            next_link(CHAIN_START, ROW, [OUTPUTS[0]._replace(n=2)])
