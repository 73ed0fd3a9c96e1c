"""One consistent cut over the journals of a suite that may be running: nothing in it was handled that is not also said in it.

The journals are read one after the other while their daemons go on, so a consumer can already hold what its producer's journal
did not hold yet when it was read. Such a message, and everything its consumer did after it, is left out; that may uncover the
same elsewhere, so it is done until nothing changes. What is left is a state the suite could have been in, and what was said in
it and not handled is in flight.

Left out is only what the producer holds when looked at a second time, after all journals have been read: it was committed
before it left. What it does not hold even then was never said, stays in the cut, and is a breach that the checks will find.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from apps.cli.journals import JournalReader, open_journals
from apps.runtime.home import Home
from core.machine import Command
from core.ports import StreamId
from core.topics import Daemon

__all__ = ["consistent_cut", "narrow"]

Journals = Mapping[str, JournalReader]


class _Named(msgspec.Struct):
    command_id: str


_names = msgspec.json.Decoder(_Named)


@contextmanager
def consistent_cut(home: Home, daemons: tuple[str, ...]) -> Iterator[dict[str, JournalReader]]:
    """The journals that exist, each narrowed to the cut."""
    journals = open_journals(home, daemons)
    try:
        later = open_journals(home, daemons)
        try:
            narrow(journals, later)
        finally:
            _close(later)
        yield journals
    finally:
        _close(journals)


def narrow(journals: Journals, later: Journals) -> None:
    """Cut `journals` until they are consistent; `later` are the same ones, opened after all of them."""
    said_later = _heads(later)
    calls_later = _call_ids(later)
    is_settled = False
    while not is_settled:
        is_settled = True
        heads, calls = _heads(journals), _call_ids(journals)
        for daemon, reader in journals.items():
            beyond = [*_messages_beyond(reader, heads, said_later)]
            if daemon == Daemon.PAPER_VENUE:
                beyond += _requests_beyond(reader, calls, calls_later)
            if beyond:
                reader.cut_at(min(beyond) - 1)
                is_settled = False


def _messages_beyond(reader: JournalReader, heads: Mapping[StreamId, int], later: Mapping[StreamId, int]) -> Iterator[int]:
    """Inputs whose message its producer has not said yet, and says later."""
    for stream, handled in reader.watermarks.items():
        head = heads.get(stream, 0)
        if head < handled and head < later.get(stream, 0) and (n := reader.first_after(stream, head)) is not None:
            yield n


def _requests_beyond(venue: JournalReader, calls: set[str], later: set[str]) -> Iterator[int]:
    """Requests at the venue that the broker has not attempted yet, and attempts later."""
    newer = later - calls
    if newer:
        yield from (row.n for row in venue.inputs(Command.__name__) if _names.decode(row.data).command_id in newer)


def _heads(journals: Journals) -> dict[StreamId, int]:
    return {StreamId(topic, daemon): seq for daemon, reader in journals.items() for topic, seq in reader.heads.items()}


def _call_ids(journals: Journals) -> set[str]:
    broker = journals.get(Daemon.BROKER.value)
    return {call.row.call_id for call in broker.calls()} if broker is not None else set()


def _close(journals: Journals) -> None:
    for reader in journals.values():
        reader.close()
