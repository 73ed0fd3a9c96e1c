"""The crash windows: between which two things a process died."""

from __future__ import annotations

from collections.abc import Iterator

from core.journal import MESSAGE_KIND
from core.node import Action, Call, Commit
from core.outbox import Write
from core.topics import STRAT_INTENT

__all__ = ["windows_of"]

_BEFORE_COMMIT = {
    MESSAGE_KIND: "W8 died between receiving and committing",
    "CallReplied": "W12 died before an outcome was committed",
    "VenuePushed": "W13 died before a push was committed",
}


def windows_of(action: Action, *, is_publishing: bool) -> Iterator[str]:
    """The windows a death right before this action falls into; `is_publishing` while a publication has no answer yet."""
    match action:
        case Commit(batch):
            yield "W1 died before a commit"
            kinds = {row.kind for row in batch.inputs}
            yield from (window for kind, window in _BEFORE_COMMIT.items() if kind in kinds)
            if batch.snapshot is not None:
                yield "W26 died before a snapshot was committed"
        case Write(stream):
            yield "W2 died after a commit, before publishing"
            if stream.topic == STRAT_INTENT.name():
                yield "W31 strategy died after its intent was committed"
        case Call():
            yield "W10 died after an attempt was committed, before the call"
        case _:
            pass
    if is_publishing:
        yield "W3 died with a publish under way"
