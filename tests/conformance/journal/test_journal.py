"""What every journal does, the one on disk and the simulator's: keep a batch whole, and give it back after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from apps.runtime.journal import SqliteJournal
from backtest.faults.disk import SimulatedJournal
from core.journal import ArchiveRow, Batch, Journal, QuarantineRow
from core.ports import Entry
from tests.support.journal import INTENTS, a_batch, a_call, an_input, an_output


class JournalWorld(Protocol):
    """A journal, and the process that holds it dying and coming back."""

    @property
    def journal(self) -> Journal:
        """As the living process holds it."""

    def restart(self) -> None:
        """The process dies; the next one takes the journal."""


class SqliteWorld:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.journal = SqliteJournal(path, 1)

    def restart(self) -> None:
        self.journal.close()
        self.journal = SqliteJournal(self._path, 2)

    def close(self) -> None:
        self.journal.close()


class SimulatedWorld:
    def __init__(self) -> None:
        self.journal = SimulatedJournal("e")

    def restart(self) -> None:
        """What is committed is all there is."""

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture(params=["sqlite", "simulated"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JournalWorld]:
    """Both journals in turn."""
    found = SqliteWorld(tmp_path / "oms.sqlite") if request.param == "sqlite" else SimulatedWorld()
    yield found
    found.close()


def test_nothing_is_there_when_it_is_new(world: JournalWorld) -> None:
    """A first start has no past and an epoch of its own."""
    found = world.journal.load()
    assert (found.last_n, found.last_now_ns, found.snapshot, list(found.suffix)) == (0, 0, None, [])
    assert (found.output_heads, found.watermarks, found.open_calls, found.acked, found.quarantine) == ({}, {}, (), {}, ())
    assert found.epoch


def test_everything_is_there_when_it_is_opened_again(world: JournalWorld) -> None:
    """Inputs, outputs, heads and watermarks come back as they were committed."""
    world.journal.commit(a_batch(1, 3))
    world.restart()
    found = world.journal.load()
    assert list(found.suffix) == [an_input(n) for n in (1, 2, 3)]
    assert found.suffix_outputs == {n: [an_output(n, n)] for n in (1, 2, 3)}
    assert (found.last_n, found.last_now_ns) == (3, 30)
    assert found.output_heads == {"risk.decision": 3}
    assert found.watermarks == {INTENTS: (3, "e")}


def test_suffix_begins_after_the_snapshot_when_there_is_one(world: JournalWorld) -> None:
    """Only what the snapshot has not seen is handled again."""
    world.journal.commit(a_batch(1, 2))
    world.journal.commit(Batch(snapshot=(2, b'{"s":1}')))
    world.journal.commit(a_batch(3, 4))
    world.restart()
    found = world.journal.load()
    assert found.snapshot == (2, b'{"s":1}')
    assert [row.n for row in found.suffix] == [3, 4]
    assert sorted(found.suffix_outputs) == [3, 4]


def test_call_stays_open_when_no_outcome_was_committed(world: JournalWorld) -> None:
    """An attempt is remembered until its outcome is: that is what makes it in doubt."""
    world.journal.commit(Batch(inputs=[an_input(1)], calls=[a_call("a.place1", 1), a_call("b.place1", 1)]))
    world.journal.commit(Batch(inputs=[an_input(2, "CallReplied")], outcomes=[("a.place1", 2)]))
    world.restart()
    assert [call.call_id for call in world.journal.load().open_calls] == ["b.place1"]


def test_archived_row_is_found_when_asked_for_by_kind_and_key(world: JournalWorld) -> None:
    """A key that was never archived is absent, which is not the same as empty."""
    world.journal.commit(Batch(inputs=[an_input(1)], archive=[ArchiveRow("order", "o-1", b"one"), ArchiveRow("intent", "i-1", b"two")]))
    world.restart()
    assert world.journal.archived([("order", "o-1"), ("intent", "i-1"), ("order", "i-1")]) == {"order/o-1": b"one", "intent/i-1": b"two"}


def test_later_row_stands_when_a_key_is_archived_again(world: JournalWorld) -> None:
    """A late fill on an ended order archives it again."""
    world.journal.commit(Batch(inputs=[an_input(1)], archive=[ArchiveRow("order", "o-1", b"old")]))
    world.journal.commit(Batch(inputs=[an_input(2)], archive=[ArchiveRow("order", "o-1", b"new")]))
    assert world.journal.archived([("order", "o-1")]) == {"order/o-1": b"new"}


def test_outputs_are_read_from_a_number_on_when_a_stream_is_topped_up(world: JournalWorld) -> None:
    """In order, up to a count, of one topic alone."""
    world.journal.commit(a_batch(1, 5))
    world.journal.commit(Batch(inputs=[an_input(6)], outputs=[an_output(1, 6, "telemetry.risk")]))
    assert world.journal.outputs("risk.decision", 2, 3) == [Entry(2, b"2"), Entry(3, b"3"), Entry(4, b"4")]
    assert world.journal.outputs("risk.decision", 6, 3) == []


def test_acknowledgements_and_quarantine_are_there_when_opened_again(world: JournalWorld) -> None:
    """How far consumers were, and what could not be handled."""
    poison = QuarantineRow(INTENTS.topic, INTENTS.producer, 7, "no sense", b"x")
    world.journal.commit(Batch(acked=[("risk.decision", "oms", 3)], quarantine=[poison]))
    world.journal.commit(Batch(acked=[("risk.decision", "oms", 5)]))
    world.restart()
    found = world.journal.load()
    assert found.acked == {"risk.decision": {"oms": 5}}
    assert found.quarantine == (poison,)


def test_incarnation_grows_when_a_process_takes_it(world: JournalWorld) -> None:
    """The later of two instances is told apart, and the epoch stays."""
    before = world.journal.load()
    world.restart()
    after = world.journal.load()
    assert after.incarnation > before.incarnation
    assert after.epoch == before.epoch
