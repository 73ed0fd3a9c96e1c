"""The machine protocol: how every decision in the suite is taken.

A machine is synchronous, deterministic and total over its inputs. It does no I/O, reads no clock and draws no random
number; everything it may know arrives as an `Input` (with what the shell attached to it), and everything it wants done
leaves as an `Effect`. Because inputs are journaled before any effect is performed, handling the same inputs again gives
the same effects: that is what recovery, replay, the backtest and the fault simulator all rest on.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol, TypeVar

import msgspec

from core.contracts import (
    Approval,
    Contract,
    KillSwitchState,
    MarketData,
    OperatorCommand,
)
from core.errors import NjordError
from core.venue import VenueEvent, VenueReply, VenueRequest

__all__ = [
    "HANDLER_FAULTS",
    "NOTHING_ATTACHED",
    "NO_NEEDS",
    "Answer",
    "Archive",
    "Attached",
    "BacklogState",
    "CallInterrupted",
    "CallReplied",
    "CallVenue",
    "Command",
    "ConfigLoaded",
    "Effect",
    "Fact",
    "FeedExhausted",
    "FeedRow",
    "Halt",
    "Input",
    "LinkStopped",
    "Log",
    "Machine",
    "Mark",
    "Message",
    "Needs",
    "Observed",
    "Publish",
    "Push",
    "Settled",
    "VenueLinkState",
    "VenuePushed",
    "Wake",
]


class _Struct(msgspec.Struct, frozen=True, gc=False):
    pass


class Mark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The latest known price of a symbol and when the market made it (ns UTC)."""

    symbol: str
    price: float
    as_of_ns: int


class Needs(_Struct, frozen=True):
    """What must stand beside an input: marks of `symbols`, archived rows of (kind, key), rows of the feed step `feed_step`."""

    symbols: tuple[str, ...] = ()
    archived: tuple[tuple[str, str], ...] = ()
    feed_step: int | None = None


class FeedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One datum of a recorded or synthetic feed, attached to the input that asked for its step."""

    topic: str
    body: MarketData


class Attached(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The facts the shell found for an input's needs; they are journaled with it, so a replay sees the same.

    A symbol without a mark, or a key without an archived row, is simply absent: missing is never zero.
    """

    marks: tuple[Mark, ...] = ()
    archived: dict[str, bytes] = msgspec.field(default_factory=dict)
    feed: tuple[FeedRow, ...] = ()


NO_NEEDS = Needs()
NOTHING_ATTACHED = Attached()


class Message(_Struct, frozen=True):
    """A message of the bus, in sequence. `message_id` names it for causation; `ts_ns` is its cause's time."""

    topic: str
    producer: str
    seq: int
    ts_ns: int
    body: Contract
    message_id: str = ""
    correlation_id: str = ""


class Wake(_Struct, frozen=True, tag=True):
    """The machine's `next_wake_ns` has come; one for all that were missed."""

    due_ns: int


class Command(_Struct, frozen=True, tag=True):
    """An operator's request (`actor` from the socket's peer credentials), or a venue request over the venue's socket."""

    command_id: str
    actor: str
    body: OperatorCommand | VenueRequest


class Settled(_Struct, frozen=True, tag=True):
    """Replay only: every durable consumer has handled, and published the consequences of, everything up to `step`."""

    step: int


class FeedExhausted(_Struct, frozen=True, tag=True):
    """Replay only: the feed holds no step after `step`."""

    step: int


class VenueLinkState(_Struct, frozen=True, tag=True):
    """The venue connection came up or went down."""

    connected: bool
    text: str = ""


class LinkStopped(_Struct, frozen=True, tag=True):
    """A durable link of this daemon stands still (poison, foreign epoch): what it carried is unknown until a person acts."""

    topic: str
    producer: str
    reason: str


class BacklogState(_Struct, frozen=True, tag=True):
    """How far the slowest durable consumer of `topic` is behind us; `is_over` when the configured bound is passed."""

    topic: str
    behind: int
    is_over: bool


Fact = KillSwitchState | Settled | FeedExhausted | VenueLinkState | LinkStopped | BacklogState


class Observed(_Struct, frozen=True, tag=True):
    """Something the shell saw outside the bus: at start, and whenever it changes."""

    fact: Fact


class ConfigLoaded(_Struct, frozen=True, tag=True):
    """The configuration this run started with: its hash and its canonical JSON."""

    config_hash: str
    content: str


class CallReplied(_Struct, frozen=True, tag=True):
    """A venue call has its outcome; `OutcomeUnknown` is one of them."""

    call_id: str
    reply: VenueReply


class CallInterrupted(_Struct, frozen=True, tag=True):
    """A venue call had been committed and had no outcome when the process died: whether it reached the venue is unknown."""

    call_id: str


class VenuePushed(_Struct, frozen=True, tag=True):
    """The venue sent an event by itself."""

    event: VenueEvent


Input = Message | Wake | Command | Observed | ConfigLoaded | CallReplied | CallInterrupted | VenuePushed


class Publish(_Struct, frozen=True):
    """Say `body` on `topic`, in sequence, after the commit."""

    topic: str
    body: Contract
    correlation_id: str = ""


class CallVenue(_Struct, frozen=True, tag=True):
    """Ask the venue; the attempt is committed before the call.

    A call with an `approval` passes the last gate before it leaves. `after_topic` names the topic whose publications of
    this very input must be accepted before the call leaves (the fence that keeps a zombie from sending); empty: do not wait.
    """

    call_id: str
    request: VenueRequest
    after_topic: str = ""
    approval: Approval | None = None


class Push(_Struct, frozen=True):
    """Venue side only: send this event to the connected account, after the commit."""

    event: VenueEvent


class Answer(_Struct, frozen=True):
    """Reply to a command, after the commit."""

    command_id: str
    reply: Contract | VenueReply | str


class Archive(_Struct, frozen=True):
    """Move something finished to the archive, where (`kind`, `key`) is unique for ever."""

    kind: str
    key: str
    data: bytes


class Halt(_Struct, frozen=True):
    """Stop this daemon after the commit: a person must look."""

    reason: str


class Log(_Struct, frozen=True):
    """One structured log line; the shell adds time and daemon. Levels: debug info warning error critical."""

    level: str
    event: str
    fields: tuple[tuple[str, str | int | Decimal | None], ...] = ()


Effect = Publish | CallVenue | Push | Answer | Archive | Halt | Log

HANDLER_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, NjordError)
"""What a handler's own bug looks like. Anything else (memory, interrupts, the disk) must take its own way out."""

S = TypeVar("S")


class Machine(Protocol[S]):
    """What the node drives. `now_ns` never decreases from one call of `handle` to the next."""

    @property
    def next_wake_ns(self) -> int | None:
        """When the machine wants a `Wake`, or None."""

    def needs(self, event: Input) -> Needs:
        """What `handle` will want beside this input. Must not change state."""

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input. The only place where state changes."""

    def snapshot(self) -> S:
        """The whole state as one msgspec struct."""

    def restore(self, snapshot: S) -> None:
        """Become exactly the machine that gave this snapshot."""
