"""An outbox publishes what the journal holds, in order, until the stream has it."""

from __future__ import annotations

import pytest

from core.outbox import WRITE_MAX, Outbox, ReadOutputs, Write
from core.ports import Entry, PublishOutcome, PublishStatus, StreamId

STREAM = StreamId("out", "me")


def an_outbox(last: int = 0, consumers: tuple[str, ...] = ("down",), **acked: int) -> Outbox:
    """An outbox whose journal ends at `last`."""
    return Outbox(STREAM, last, consumers, acked)


def online(*messages: bytes) -> Outbox:
    """A new stream, connected, with messages committed."""
    outbox = an_outbox()
    outbox.on_tail(0)
    for message in messages:
        outbox.add(message)
    return outbox


def stored(last: int) -> PublishOutcome:
    """The script took it."""
    return PublishOutcome(PublishStatus.STORED, last)


def test_messages_are_numbered_and_written_together_when_committed() -> None:
    """Contiguous from what the journal holds."""
    outbox = online(b"a", b"b")
    assert outbox.next_action() == Write(STREAM, 1, 1, (b"a", b"b"))
    found = [outbox.is_drained]
    outbox.on_published(stored(2), 2)
    assert [*found, outbox.is_drained] == [False, True]
    assert outbox.next_action() is None


def test_one_write_is_under_way_at_most() -> None:
    """What comes meanwhile goes with the next one."""
    outbox = online(b"a")
    outbox.next_action()
    outbox.add(b"b")
    assert outbox.next_action() is None
    outbox.on_published(stored(1), 1)
    assert outbox.next_action() == Write(STREAM, 1, 2, (b"b",))


def test_nothing_is_written_while_the_tail_is_unknown() -> None:
    """Before the first connection and after a lost one."""
    outbox = an_outbox()
    outbox.add(b"a")
    assert outbox.next_action() is None
    outbox.on_tail(0)
    assert outbox.next_action() is not None
    outbox.on_lost()
    assert outbox.next_action() is None
    outbox.on_tail(0)
    assert outbox.next_action() == Write(STREAM, 1, 1, (b"a",))


def test_a_write_is_bounded() -> None:
    """The server serves others between."""
    outbox = online(*(b"%d" % n for n in range(WRITE_MAX + 1)))
    write = outbox.next_action()
    assert isinstance(write, Write) and len(write.bodies) == WRITE_MAX
    outbox.on_published(stored(WRITE_MAX), WRITE_MAX)
    assert outbox.next_action() == Write(STREAM, 1, WRITE_MAX + 1, (b"%d" % WRITE_MAX,))


def test_the_journal_is_asked_when_memory_does_not_reach_back() -> None:
    """After a restart, and when the stream fell behind what memory holds."""
    outbox = an_outbox(last=3)
    outbox.on_tail(1)
    assert outbox.next_action() == ReadOutputs(STREAM, 2, WRITE_MAX)
    assert outbox.next_action() is None
    assert outbox.on_outputs([Entry(2, b"b"), Entry(3, b"c")]) == Write(STREAM, 1, 2, (b"b", b"c"))
    outbox.on_published(stored(3), 3)
    assert outbox.is_drained


def test_the_journals_answer_is_dropped_when_it_is_no_longer_what_is_next() -> None:
    """The connection broke, or the tail moved, while the journal was read."""
    outbox = an_outbox(last=3)
    outbox.on_tail(1)
    outbox.next_action()
    outbox.on_tail(2)
    assert outbox.on_outputs([Entry(2, b"b")]) is None
    outbox.on_lost()
    assert outbox.on_outputs([Entry(3, b"c")]) is None


def test_a_message_is_written_again_when_the_stream_is_behind() -> None:
    """BEHIND wrote nothing."""
    outbox = online(b"a", b"b", b"c")
    outbox.next_action()
    outbox.on_published(stored(3), 3)
    outbox.add(b"d")
    outbox.next_action()
    outbox.on_published(PublishOutcome(PublishStatus.BEHIND, 1), 4)
    assert outbox.confirmed == 1
    assert outbox.next_action() == ReadOutputs(STREAM, 2, WRITE_MAX)


def test_an_older_answer_does_not_take_back_what_is_stored() -> None:
    """`confirmed` falls only when the stream says so."""
    outbox = online(b"a", b"b")
    outbox.on_published(stored(2), 2)
    outbox.on_published(stored(2), 1)
    assert outbox.confirmed == 2


@pytest.mark.parametrize(("tail", "unproven", "confirmed"), [(3, None, 3), (0, None, 0), (3, 3, 2), (3, 1, 0), (1, 3, 1), (9, None, 3)])
def test_a_tail_confirms_only_what_needs_no_proof(tail: int, unproven: int | None, confirmed: int) -> None:
    """From a message that a call waits for on, everything is written again; never more than the journal holds is confirmed."""
    outbox = an_outbox(last=3)
    outbox.on_tail(tail, unproven)
    assert outbox.confirmed == confirmed


def test_a_lost_stream_begins_above_what_everybody_has() -> None:
    """The slowest consumer decides; without consumers the newest thousand are enough for who looks on."""
    outbox = an_outbox(9, ("a", "b"), a=7, b=4)
    assert (outbox.base, outbox.backlog) == (5, 5)
    outbox.on_tail(0)
    assert outbox.confirmed == 4
    watched = an_outbox(5_000, ())
    assert (watched.base, watched.backlog) == (4_001, 0)
    assert an_outbox(5, ()).base == 1


def test_an_acknowledgement_is_news_once_and_only_of_a_consumer() -> None:
    """Repeats, steps back and strangers are nothing to journal."""
    outbox = an_outbox(9, ("a", "b"), a=7)
    assert outbox.on_acknowledged({"a": 8, "b": 0, "stranger": 9}) == {"a": 8}
    assert outbox.on_acknowledged({"a": 7}) == {}
    assert outbox.acked == {"a": 8, "b": 0}


def test_memory_is_bounded_while_the_bus_is_away() -> None:
    """What is dropped is in the journal."""
    outbox = an_outbox()
    for n in range(20_001):
        outbox.add(b"%d" % n)
    outbox.on_tail(0)
    assert outbox.next_action() == ReadOutputs(STREAM, 1, WRITE_MAX)
