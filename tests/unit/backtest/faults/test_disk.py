"""The simulated journal: what was committed is there for the next run, and nothing else."""

from __future__ import annotations

from backtest.faults.disk import SimulatedJournal
from core.journal import ArchiveRow, Batch, CallRow, InputRow, OutputRow, QuarantineRow
from core.ports import Entry, StreamId
from tests.support.builders import NOW

STREAM = StreamId("in", "up")


def an_input(n: int) -> InputRow:
    """Input `n`."""
    return InputRow(n, "Wake", "", "", 0, NOW + n, 0, b"{}", b"")


def a_journal() -> SimulatedJournal:
    """Three inputs, four outputs, one open call."""
    journal = SimulatedJournal("e")
    journal.commit(
        Batch(
            inputs=[an_input(1), an_input(2)],
            outputs=[OutputRow("b", 1, 1, b"b1"), OutputRow("a", 1, 1, b"a1"), OutputRow("a", 2, 2, b"a2")],
            calls=[CallRow("done", 1, b""), CallRow("open", 2, b"")],
            watermarks={STREAM: (2, "up")},
            archive=[ArchiveRow("k", "1", b"x")],
            acked=[("a", "down", 1)],
        )
    )
    journal.commit(Batch(inputs=[an_input(3)], outputs=[OutputRow("a", 3, 3, b"a3")], outcomes=[("done", 3)], quarantine=[QuarantineRow("in", "up", 3, "why", b"")]))
    return journal


def test_the_next_run_finds_what_was_committed() -> None:
    """Numbers, times, heads, watermarks, open calls, acknowledgements and poison."""
    found = a_journal().load()
    assert (found.epoch, found.incarnation, found.last_n, found.last_now_ns) == ("e", 1, 3, NOW + 3)
    assert [row.n for row in found.suffix] == [1, 2, 3]
    assert {n: [(row.topic, row.seq) for row in rows] for n, rows in found.suffix_outputs.items()} == {1: [("a", 1), ("b", 1)], 2: [("a", 2)], 3: [("a", 3)]}
    assert found.output_heads == {"a": 3, "b": 1}
    assert found.watermarks == {STREAM: (2, "up")}
    assert [row.call_id for row in found.open_calls] == ["open"]
    assert found.acked == {"a": {"down": 1}}
    assert [row.seq for row in found.quarantine] == [3]


def test_every_run_has_a_number_of_its_own() -> None:
    """A zombie is told from its successor by it."""
    journal = SimulatedJournal("e")
    assert [journal.load().incarnation for _ in range(3)] == [1, 2, 3]
    assert (journal.load().last_n, journal.load().last_now_ns) == (0, 0)


def test_only_what_follows_the_snapshot_is_handled_again() -> None:
    """With its outputs."""
    journal = a_journal()
    journal.commit(Batch(snapshot=(2, b"state")))
    found = journal.load()
    assert found.snapshot == (2, b"state")
    assert [row.n for row in found.suffix] == [3]
    assert list(found.suffix_outputs) == [3]


def test_outputs_and_archive_can_be_asked_for() -> None:
    """From a number on, at most so many; what is not there is absent."""
    journal = a_journal()
    assert journal.outputs("a", 2, 1) == [Entry(2, b"a2")]
    assert journal.outputs("none", 1, 9) == []
    assert journal.archived([("k", "1"), ("k", "2")]) == {"k/1": b"x"}
