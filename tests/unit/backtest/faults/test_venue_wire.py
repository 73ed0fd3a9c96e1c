"""The venue wire: every call has one outcome, one connection is current, and pushes that are lost come with the next subscription."""

from __future__ import annotations

from typing import Any

import pytest

from backtest.faults.schedule import MS, Fault, Schedule
from backtest.faults.venue_wire import VenueWire, VenueWireFaults
from core.machine import Answer, CallVenue
from core.venue import Lookup, NotFound, OutcomeUnknown, RequestRejected, Subscribe, Subscribed, VenueEvent, VenueReply, VenueRequest


class Ends:
    """Both ends: the venue answers every lookup with NotFound, and every subscription with what it kept."""

    def __init__(self, *faults: Fault) -> None:
        self.schedule = Schedule(1, script=faults)
        self.wire = VenueWire(self.schedule, VenueWireFaults(), 1_000)
        self.heard: list[Any] = []
        self.asked: list[str] = []
        self.kept: list[VenueEvent] = []
        self.acknowledged: list[int] = []
        self.wire.venue_starts(self)
        self.wire.broker_starts(self)
        self.wait(200)
        self.heard.clear()

    def wait(self, ms: int) -> None:
        """Let things happen."""
        self.schedule.run_until(self.schedule.now_ns() + ms * MS)

    def ask(self, call_id: str, request: VenueRequest) -> None:
        """The broker asks."""
        self.wire.call(CallVenue(call_id, request))

    def subscribe(self) -> None:
        """The broker asks for everything above 0."""
        self.ask(f"s{len(self.asked)}", Subscribe(cursor=0))
        self.wait(50)

    def happen(self, cursor: int) -> None:
        """Something happens at the venue."""
        event = RequestRejected(cursor=cursor, client_order_id="o", request="cancel", reason="late")
        self.kept.append(event)
        self.wire.push(event)
        self.wait(5)

    @property
    def cursors(self) -> list[int]:
        """The events the broker heard."""
        return [event.cursor for event in self.heard if isinstance(event, RequestRejected)]

    def on_venue_up(self) -> None:
        self.heard.append("up")

    def on_venue_down(self, reason: str) -> None:
        self.heard.append("down")

    def on_venue_reply(self, call_id: str, reply: VenueReply) -> None:
        self.heard.append((call_id, reply.cause if isinstance(reply, OutcomeUnknown) else type(reply).__name__))

    def on_venue_event(self, event: VenueEvent) -> None:
        self.heard.append(event)

    def on_request(self, command_id: str, request: VenueRequest) -> None:
        self.asked.append(command_id)
        if isinstance(request, Subscribe):
            self.wire.answer(Answer(command_id, Subscribed(last_cursor=len(self.kept))))
            for event in self.kept:
                self.wire.push(event)
        elif isinstance(request, Lookup):
            self.wire.answer(Answer(command_id, NotFound()))

    def on_push_acknowledged(self, cursor: int) -> None:
        self.acknowledged.append(cursor)


LOOKUP = Lookup(client_order_id="o")


@pytest.mark.parametrize(
    ("fault", "outcome", "is_asked"),
    [
        ("", "NotFound", True),
        ("venue reset before a request arrives", "RESET", False),
        ("venue reset after a request arrived", "RESET", True),
        ("venue answer is lost", "TIMEOUT", True),
    ],
)
def test_call_has_one_outcome_when_the_wire_fails(fault: str, outcome: str, is_asked: bool) -> None:
    """Unknown is what is not known."""
    ends = Ends(*([Fault(fault, 1)] if fault else []))
    ends.ask("c", LOOKUP)
    ends.wait(3_000)
    assert [heard for heard in ends.heard if isinstance(heard, tuple)] == [("c", outcome)]
    assert ends.asked == (["c"] if is_asked else [])


def test_outcome_is_unknown_when_there_is_no_connection() -> None:
    """At once."""
    ends = Ends()
    ends.wire.venue_ended()
    ends.ask("c", LOOKUP)
    assert ends.heard[-1] == ("c", "NOT_CONNECTED")


def test_lost_push_comes_when_the_broker_subscribes_again() -> None:
    """Lost until then, not for ever."""
    ends = Ends(Fault("venue push is lost", 1))
    ends.subscribe()
    ends.happen(1)
    assert ends.cursors == []
    ends.subscribe()
    assert ends.cursors == [1]


def test_late_push_is_overtaken_and_overtakes_nothing() -> None:
    """It comes after what was pushed before it, and after some of what was pushed later."""
    ends = Ends(Fault("venue push is late", 1))
    ends.subscribe()
    for cursor in (1, 2):
        ends.happen(cursor)
    ends.wait(500)
    assert ends.cursors == [2, 1]


def test_push_is_repeated_when_the_wire_repeats_it() -> None:
    """Twice."""
    ends = Ends(Fault("venue push comes twice", 1))
    ends.subscribe()
    ends.happen(1)
    assert ends.cursors == [1, 1]


def test_nothing_is_pushed_before_the_subscription() -> None:
    """The subscription brings it."""
    ends = Ends()
    ends.happen(1)
    assert ends.cursors == []
    ends.subscribe()
    assert ends.cursors == [1]


def test_another_broker_takes_the_place_of_the_first() -> None:
    """Whose calls are unknown from then on."""
    ends, other = Ends(), Ends()
    ends.ask("c", LOOKUP)
    ends.wire.broker_starts(other)
    assert ends.heard == [("c", "RESET"), "down"]
    ends.wait(500)
    assert other.heard[-1] == "up"
    assert ends.wire.belongs_to(other)
    assert not ends.wire.belongs_to(ends)
