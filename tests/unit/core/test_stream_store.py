"""The stream store is the publish table as a plain object (the conformance suite holds the server's scripts against the same)."""

from __future__ import annotations

import pytest

from core.ports import Entry, PublishOutcome, PublishStatus, StreamId, StreamSlice, Token
from core.stream_store import StreamStore

STREAM = StreamId("out", "me")


def publish(store: StreamStore, first: int, *bodies: bytes, base: int = 1, epoch: str = "e", incarnation: int = 1) -> PublishOutcome:
    """Publish on STREAM."""
    return store.publish(STREAM, Token(epoch, incarnation), base, first, bodies)[0]


def a_store(*bodies: bytes) -> StreamStore:
    """A store that holds these."""
    store = StreamStore()
    if bodies:
        publish(store, 1, *bodies)
    return store


@pytest.mark.parametrize(
    ("first", "bodies", "terms", "outcome"),
    [
        (3, (b"c",), {}, (PublishStatus.STORED, 3)),
        (2, (b"b", b"c"), {}, (PublishStatus.STORED, 3)),
        (1, (b"a",), {}, (PublishStatus.STORED, 2)),
        (4, (b"d",), {}, (PublishStatus.BEHIND, 2)),
        (2, (b"X",), {}, (PublishStatus.FENCED, 2)),
        (3, (b"c",), {"incarnation": 0}, (PublishStatus.FENCED, 2)),
        (3, (b"c",), {"incarnation": 2}, (PublishStatus.STORED, 3)),
        (3, (b"c",), {"epoch": "f"}, (PublishStatus.NEW_EPOCH, 2)),
        (3, (b"c",), {"epoch": "f", "incarnation": 0}, (PublishStatus.NEW_EPOCH, 2)),
        (3, (b"c",), {"base": 9}, (PublishStatus.STORED, 3)),
    ],
)
def test_the_publish_table_holds_when_two_messages_are_there(first: int, bodies: tuple[bytes, ...], terms: dict[str, int], outcome: tuple[PublishStatus, int]) -> None:
    """Row by row, in the order the script tests them."""
    assert publish(a_store(b"a", b"b"), first, *bodies, **terms) == outcome  # type: ignore[arg-type]


@pytest.mark.parametrize(("first", "outcome"), [(7, (PublishStatus.STORED, 7)), (6, (PublishStatus.BEHIND, 6)), (8, (PublishStatus.BEHIND, 6))])
def test_a_missing_stream_begins_at_its_base_and_nowhere_else(first: int, outcome: tuple[PublishStatus, int]) -> None:
    """Everything below has been acknowledged by all."""
    assert publish(a_store(), first, b"x", base=7) == outcome


def test_only_what_was_stored_is_announced() -> None:
    """A repeat is not delivered again."""
    store = a_store(b"a")
    assert store.publish(STREAM, Token("e", 1), 1, 1, (b"a", b"b")) == (PublishOutcome(PublishStatus.STORED, 2), [Entry(2, b"b")])


def test_a_stream_is_read_from_a_number_on() -> None:
    """At most so many entries, and always the end and the epoch."""
    store = a_store(b"a", b"b", b"c")
    assert store.read(STREAM, 2, 1) == StreamSlice((Entry(2, b"b"),), 3, "e")
    assert store.read(StreamId("no", "body"), 1, 9) == StreamSlice((), 0, "")


def test_the_tail_stays_whatever_is_trimmed() -> None:
    """A stream can always say where it ended, and a trimmed message counts as stored."""
    store = a_store(b"a", b"b", b"c")
    store.trim(STREAM, 9)
    assert store.read(STREAM, 1, 9).entries == (Entry(3, b"c"),)
    assert publish(store, 1, b"other") == (PublishStatus.STORED, 3)
    store.trim(StreamId("no", "body"), 9)
    assert store.tail(StreamId("no", "body")) == 0


def test_acknowledgements_are_kept_by_consumer() -> None:
    """The last word of each."""
    store = a_store(b"a")
    store.acknowledge("x", {STREAM: 1})
    store.acknowledge("y", {STREAM: 0})
    assert store.acknowledgements(STREAM) == {"x": 1, "y": 0}


def test_nothing_is_left_when_the_server_lost_everything() -> None:
    """Streams, owners and acknowledgements."""
    store = a_store(b"a")
    store.acknowledge("x", {STREAM: 1})
    store.lose_everything()
    assert (store.streams(), store.acknowledgements(STREAM)) == ([], {})
    assert publish(store, 1, b"a", epoch="f").status is PublishStatus.STORED


@pytest.mark.parametrize(("count", "tail"), [(0, 3), (1, 2), (3, 0), (9, 0)])
def test_a_server_comes_back_with_an_older_end(count: int, tail: int) -> None:
    """Its producer is told where to go on."""
    store = a_store(b"a", b"b", b"c")
    store.lose_tail(STREAM, count)
    assert store.tail(STREAM) == tail
    assert publish(store, 4, b"d") == ((PublishStatus.STORED, 4) if count == 0 else (PublishStatus.BEHIND, tail))
    store.lose_tail(StreamId("no", "body"), 1)


def test_a_stream_is_gone_when_only_trimmed_entries_would_be_left() -> None:
    """Then it begins again at its base."""
    store = a_store(b"a", b"b", b"c")
    store.trim(STREAM, 3)
    store.lose_tail(STREAM, 1)
    assert store.streams() == []
