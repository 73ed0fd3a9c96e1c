"""Recovery brings a machine to where its journal ends, or says exactly where it could not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from backtest.faults.disk import SimulatedJournal
from core.codec import Codec
from core.errors import JournalError
from core.journal import CallRow, InputRow, OutputRow, Recovered
from core.machine import (
    Attached,
    CallReplied,
    Effect,
    Input,
    Log,
    Mark,
    Message,
    Needs,
    Observed,
    Publish,
    Settled,
)
from core.ports import StreamId
from core.recovery import ReplayMismatch, input_of, recover
from core.venue import NotFound
from tests.support.builders import a_bar
from tests.support.nodes import IN, OUT, Bench, Puppet, PuppetState, a_wire, a_wish


def relay() -> Puppet:
    """Says what it hears."""
    return Puppet(lambda event, _: [Publish(OUT, event.body), Log("info", "x")] if isinstance(event, Message) else ())


def a_journal(count: int = 3, **spec: Any) -> SimulatedJournal:
    """The journal of a relay that heard `count` messages."""
    bench = Bench(relay(), **spec)
    for seq in range(1, count + 1):
        bench.hear(seq)
        bench.step()
    return bench.journal


def test_every_input_is_handled_again_when_there_is_no_snapshot() -> None:
    """State, times, attachments and numbers are those of the life before."""
    machine = relay()
    restored = recover(machine, PuppetState, a_journal().load(), "me")
    assert machine.heard == [("in", 1), ("in", 2), ("in", 3)]
    assert (restored.epoch, restored.incarnation, restored.last_n, restored.rehandled) == ("my-epoch", 2, 3, 3)
    assert restored.output_heads == {OUT: 3}
    assert restored.watermarks == {IN: (3, "up-epoch")}


def test_only_the_suffix_is_handled_again_when_there_is_a_snapshot() -> None:
    """Snapshot plus the inputs after it give the same state as all inputs."""
    whole, rest = relay(), relay()
    recover(whole, PuppetState, a_journal().load(), "me")
    restored = recover(rest, PuppetState, a_journal(snapshot_every=2).load(), "me")
    assert rest.heard == [("in", 3)]
    assert restored.rehandled == 1
    assert whole.snapshot() == rest.snapshot() == PuppetState(3)


def test_attachments_are_given_again_as_they_were() -> None:
    """A replay sees the marks of then, not of now."""
    wants = Puppet(needs=lambda event: Needs(symbols=("IBM",)))
    bench = Bench(wants)
    bench.node._mark(a_bar(5.0))
    bench.hear(1)
    bench.step()
    again = Puppet()
    recover(again, PuppetState, bench.journal.load(), "me")
    assert again.attached == [Attached(marks=(Mark("IBM", 5.0, a_bar().close_ns),))]


def test_open_calls_are_named_when_they_had_no_outcome() -> None:
    """So that the node can tell the machine that they were interrupted."""
    found = msgspec.structs.replace(SimulatedJournal("e").load(), open_calls=(CallRow("a", 1, b"{}"), CallRow("b", 1, b"{}")))
    assert recover(relay(), PuppetState, found, "me").open_calls == ("a", "b")


class TestMismatch:
    """The recorded outputs are the authority."""

    @pytest.mark.parametrize(
        "effects",
        [
            (),
            (Publish(OUT, a_wish(9)),),
            (Publish("other", a_wish(1)),),
            (Publish(OUT, a_wish(1)), Publish(OUT, a_wish(1))),
        ],
    )
    def test_recovery_stops_when_the_machine_says_something_else(self, effects: Sequence[Effect]) -> None:
        """Nothing, other content, another topic, or more: the input is named."""
        with pytest.raises(ReplayMismatch, match="journal input 1: ") as caught:
            recover(Puppet(lambda event, _: effects), PuppetState, a_journal().load(), "me")
        assert caught.value.n == 1

    def test_recovery_stops_when_the_machine_fails_on_a_recorded_input(self) -> None:
        """A release that cannot handle what was handled before is not the one that wrote the journal."""

        def react(event: Input, _: Attached) -> Sequence[Effect]:
            raise KeyError("x")

        with pytest.raises(ReplayMismatch, match="handled again it says KeyError"):
            recover(Puppet(react), PuppetState, a_journal().load(), "me")

    def test_recovery_stops_when_the_snapshot_does_not_fit(self) -> None:
        """Another release's state is refused by name."""

        class OtherState(msgspec.Struct):
            missing: int

        journal = a_journal(snapshot_every=2)
        with pytest.raises(JournalError, match="journal snapshot 2 is no OtherState of this release"):
            recover(relay(), OtherState, journal.load(), "me")

    @pytest.mark.parametrize("kind", ["Message", "Observed"])
    def test_recovery_stops_when_an_input_cannot_be_read(self, kind: str) -> None:
        """Message or not, the row is named."""
        row = InputRow(4, kind, "in", "up", 1, 1, 1, b"{", b"")
        found = msgspec.structs.replace(SimulatedJournal("e").load(), suffix=[row])
        with pytest.raises(JournalError, match="journal input 4"):
            recover(relay(), PuppetState, found, "me")

    def test_a_changed_output_is_noticed_when_its_number_is_the_same(self) -> None:
        """Byte for byte."""
        found: Recovered = a_journal(1).load()
        (row,) = found.suffix_outputs[1]
        forged = OutputRow(row.topic, row.seq, row.n, row.data.replace(b'"1"', b'"2"'))
        with pytest.raises(ReplayMismatch):
            recover(relay(), PuppetState, msgspec.structs.replace(found, suffix_outputs={1: [forged]}), "me")


def test_rows_become_the_inputs_they_were() -> None:
    """Messages from their wire bytes, everything else from the journal's own."""
    codec = Codec()
    message = InputRow(1, "Message", "in", "up", 1, 1, 1, a_wire(IN, 1), b"")
    assert input_of(message, codec) == Message("in", "up", 1, codec.decode(a_wire(IN, 1)).ts_ns, a_wish(1), "up-epoch:in:1", "")
    for event in (Observed(Settled(3)), CallReplied("a", NotFound())):
        row = InputRow(1, type(event).__name__, "", "", 0, 1, 1, msgspec.json.encode(event), b"")
        assert input_of(row, codec) == event


def test_a_stream_is_named_by_topic_and_producer() -> None:
    """And its key holds the suite's namespace."""
    assert StreamId("a", "b").key("ns") == "ns|a|b"
