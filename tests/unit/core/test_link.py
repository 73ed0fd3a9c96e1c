"""A link turns lost, repeated and late deliveries into every message, once, in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.link import READ_CHUNK, Link, LinkHole, Read
from core.ports import StreamId

STREAM = StreamId("in", "up")


def taken(link: Link[str]) -> list[tuple[int, str]]:
    """Everything that is next in sequence."""
    found = []
    while (item := link.take()) is not None:
        found.append(item)
    return found


def read(from_seq: int) -> Read:
    """A read of STREAM."""
    return Read(STREAM, from_seq, READ_CHUNK)


def test_messages_are_taken_in_order_when_they_come_in_order() -> None:
    """From the watermark on, without a read."""
    link: Link[str] = Link(STREAM, 4)
    assert link.on_live(5, "a") is None
    assert link.on_live(6, "b") is None
    assert taken(link) == [(5, "a"), (6, "b")]
    assert not link.has_gap


def test_a_repeat_is_dropped_when_it_was_seen() -> None:
    """Nothing is taken twice."""
    link: Link[str] = Link(STREAM, 0)
    for _ in range(2):
        assert link.on_live(1, "a") is None
    link.on_read([(1, "a")], 1)
    assert taken(link) == [(1, "a")]


def test_a_hole_is_read_once_when_deliveries_jump() -> None:
    """One read is outstanding at most; what came early waits for it."""
    link: Link[str] = Link(STREAM, 0)
    assert link.on_live(3, "c") == read(1)
    assert link.on_live(5, "e") is None
    assert link.has_gap
    assert taken(link) == []
    assert link.on_read([(1, "a"), (2, "b")], 3) is None
    assert taken(link) == [(1, "a"), (2, "b"), (3, "c")]
    assert link.has_gap


def test_held_messages_are_taken_when_the_missing_one_comes_live() -> None:
    """Late is as good as read."""
    link: Link[str] = Link(STREAM, 0)
    link.on_live(2, "b")
    link.on_live(4, "d")
    link.on_live(1, "a")
    assert taken(link) == [(1, "a"), (2, "b")]
    link.on_read([(1, "a"), (2, "b"), (3, "c")], 4)
    assert taken(link) == [(3, "c"), (4, "d")]
    assert not link.has_gap


def test_no_gap_is_left_when_a_read_brings_what_was_held() -> None:
    """A daemon would never be ready again."""
    link: Link[str] = Link(STREAM, 0)
    link.on_live(3, "c")
    link.on_read([(1, "a"), (2, "b"), (3, "c")], 3)
    assert taken(link) == [(1, "a"), (2, "b"), (3, "c")]
    assert not link.has_gap


def test_early_messages_are_read_again_when_too_many_are_held() -> None:
    """The buffer is bounded; what does not fit is in the stream."""
    link: Link[int] = Link(STREAM, 0)
    for seq in range(2, 10_010):
        link.on_live(seq, seq)
    assert link.on_read([(1, 1)], 10_009) == read(10_002)
    count = 0
    while link.take() is not None:
        count += 1
    assert count == 10_001


@pytest.mark.parametrize(("last_seq", "wanted"), [(0, None), (4, None), (5, read(5)), (9, read(5)), (2, read(2))])
def test_the_tail_calls_for_a_read_when_it_is_not_where_we_are(last_seq: int, wanted: Read | None) -> None:
    """Behind: from what is next. The stream shorter than we are: its last entry, to see whose history it is."""
    assert Link[str](STREAM, 4).on_tail(last_seq) == wanted


def test_the_next_piece_is_read_when_the_stream_goes_on() -> None:
    """Chunk after chunk until the end."""
    link: Link[str] = Link(STREAM, 0)
    link.on_tail(3)
    assert link.on_read([(1, "a"), (2, "b")], 3) == read(3)
    assert link.on_read([(3, "c")], 3) is None


def test_a_hole_in_the_stream_is_an_error_when_the_oldest_entry_is_too_new() -> None:
    """History is lost; the text says what was needed and what was found."""
    link: Link[str] = Link(STREAM, 0)
    with pytest.raises(LinkHole, match="message 1 is needed but the oldest kept is 3"):
        link.on_read([(3, "c")], 3)


def test_a_hole_in_the_stream_is_an_error_when_nothing_is_left_of_it() -> None:
    """Asking again for ever would find nothing."""
    link: Link[str] = Link(STREAM, 0)
    with pytest.raises(LinkHole, match="message 1 is needed"):
        link.on_read([], 3)


def test_nothing_comes_out_of_a_stopped_link() -> None:
    """Not what was ready, not what was held, nor what comes."""
    link: Link[str] = Link(STREAM, 0)
    link.on_live(1, "a")
    link.on_live(3, "c")
    link.stop("why")
    assert link.on_live(2, "b") is None
    assert link.on_tail(9) is None
    assert link.on_read([(2, "b")], 9) is None
    assert taken(link) == []
    assert link.stopped == "why"


def test_a_read_is_asked_again_when_the_connection_broke() -> None:
    """The answer will not come any more."""
    link: Link[str] = Link(STREAM, 0)
    assert link.on_tail(1) == read(1)
    assert link.on_tail(1) is None
    link.on_lost()
    assert link.on_tail(1) == read(1)


def test_nothing_is_read_when_the_end_is_looked_at_while_deliveries_flow() -> None:
    """Under load there is always something on its way; only a link that has stood still since the look before is missing it."""
    link: Link[int] = Link(STREAM, 0)
    assert link.on_check(3) is None
    link.on_live(1, 1)
    assert link.on_check(5) is None
    assert link.on_check(6) == read(2)


def test_a_stream_that_got_shorter_is_read_at_the_first_look() -> None:
    """It lost its end, or tells another history: that is no message on its way."""
    link: Link[int] = Link(STREAM, 5)
    assert link.on_check(5) is None
    assert link.on_check(3) == read(3)


@given(st.lists(st.one_of(st.integers(1, 8), st.sampled_from(["read", "tail", "lost"])), max_size=60))
def test_everything_is_taken_once_and_in_order_whatever_the_wire_does(events: list[int | str]) -> None:
    """Any mix of lost, repeated and early deliveries, reads and reconnects; one last tail check brings the rest."""
    link: Link[int] = Link(STREAM, 0)
    found: list[tuple[int, int]] = []
    asked: Read | None = None
    for event in [*events, "lost", "tail", "read"]:
        if event == "tail":
            asked = link.on_tail(8) or asked
        elif event == "lost":
            link.on_lost()
            asked = None
        elif isinstance(event, int):
            asked = link.on_live(event, event) or asked
        elif asked is not None:
            answered, asked = asked, None
            asked = link.on_read([(seq, seq) for seq in range(answered.from_seq, 9)], 8)
        found += _ints(link)
    assert found == [(seq, seq) for seq in range(1, 9)]


def _ints(link: Link[int]) -> list[tuple[int, int]]:
    found = []
    while (item := link.take()) is not None:
        found.append(item)
    return found
