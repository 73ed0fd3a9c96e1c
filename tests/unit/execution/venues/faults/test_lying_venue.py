"""The faulty venue as a machine: the same inputs give the same lies, and after any mixture of them the books agree."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.contracts import OrderIntent, OrderType, Side
from core.machine import Answer, Attached, Command, Effect, Input
from core.topics import Daemon
from core.venue import Cancel, FetchOpenOrders, OrdersFetched, Place
from execution.venues.faults.fault import BAD_REPLY, RESET, TIMEOUT
from execution.venues.faults.lying_venue import DESK, LyingVenue, LyingVenueState, WireAct, wire_act
from execution.venues.faults.registry import FAULTS, build_served_venue
from tests.support.builders import settings_with
from tests.support.faulty_floor import FaultyFloor
from tests.support.venue import VenueDriver, a_request

_ALL = {name: max(kind.shipped_rate, 0.1) for name, kind in FAULTS.items()}


class _Noting(FaultyFloor):
    """A floor that keeps what the venue was given and what it said."""

    def __init__(self, seed: int) -> None:
        self.history: list[tuple[Input, Attached, int, list[Effect]]] = []
        super().__init__(_ALL, seed=seed, strikes_max=None, ban_ms=5_000, silence_ms=20_000)

    def note(self, daemon: Daemon, event: Input, attached: Attached, effects: list[Effect]) -> None:
        if daemon is Daemon.PAPER_VENUE and isinstance(self.machines[daemon], LyingVenue):
            self.history.append((event, attached, self.now_ns, effects))


def _trade(floor: FaultyFloor, seed: int, steps: int = 25) -> None:
    """A busy quarter of an hour, and its end."""
    draw = random.Random(seed)
    intents: list[OrderIntent] = []
    for number in range(1, steps):
        kind = draw.random()
        if kind < 0.6 or not intents:
            terms: dict[str, Any] = (
                {"order_type": OrderType.LIMIT, "limit_price": Decimal(draw.choice([99, 100, 101])), "ttl_ms": draw.choice([None, 60_000])} if draw.random() < 0.5 else {}
            )
            intents.append(floor.submit(number, side=draw.choice(list(Side)), order_qty=draw.randint(1, 20), **terms))
        elif kind < 0.8:
            floor.cancel(draw.choice(intents))
        floor.run_for(draw.choice([0, 300, 1_500]))
        if draw.random() < 0.6:
            floor.bar(float(draw.choice([99, 100, 101])))
    floor.end_session()


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_or_doubled_when_all_faults_strike_together(seed: int) -> None:
    """Every fault at a tenth or more, every machine restarted before every input in some: the two ledgers agree at the end."""
    floor = FaultyFloor(_ALL, seed=seed, strikes_max=None, restarts=seed % 4 == 0, ban_ms=5_000, silence_ms=20_000)
    _trade(floor, seed)
    assert len(floor.strikes) >= 5
    floor.require_whole()


def test_the_same_lies_are_told_when_a_journal_is_handled_again() -> None:
    """Inputs, what stood beside them and their times decide everything: another venue given the same says the same."""
    floor = _Noting(seed=3)
    first = floor.venue.snapshot()
    floor.history.clear()
    _trade(floor, 3)
    again = build_served_venue(floor.settings)
    again.restore(first)
    for event, attached, now_ns, effects in floor.history:
        assert list(again.handle(event, attached, now_ns)) == effects
    assert again.snapshot() == floor.venue.snapshot()


def test_strikes_differ_when_the_seed_differs() -> None:
    """A seed is a place where the faults strike."""
    found = set()
    for seed in (1, 2):
        floor = FaultyFloor(_ALL, seed=seed, strikes_max=None, ban_ms=5_000)
        _trade(floor, 1)
        found.add(tuple(sorted(floor.strikes.items())))
    assert len(found) == 2


def test_the_desk_is_served_honestly_when_every_request_is_struck() -> None:
    """What a person does past the trading system is not what the faults are about: an emergency cancel has to work."""
    driver = VenueDriver(settings_with(faults={"rates": {"timeout_not_placed": 1.0}}))
    venue = driver.venue
    assert isinstance(venue, LyingVenue)
    driver.bar()
    driver.send(Command("d0", DESK, Place(order=a_request("o1"))))
    (answer,) = driver.send(Command("d1", DESK, FetchOpenOrders()))
    assert isinstance(answer, Answer) and isinstance(answer.reply, OrdersFetched)
    assert [order.client_order_id for order in answer.reply.orders] == ["o1"]
    driver.send(Command("d2", DESK, Cancel(client_order_id="o1")))
    assert venue.open_orders == ()
    assert venue.strikes == {}


def test_a_venue_begins_to_lie_when_it_is_restored_from_an_honest_one() -> None:
    """Faults are switched on in a configuration, and the next run has them; and off again."""
    honest = VenueDriver(settings_with())
    honest.bar()
    honest.place("o1")
    data = msgspec.json.encode(honest.venue.snapshot())
    lying = build_served_venue(settings_with(faults={"rates": {"overfill": 1.0}}))
    lying.restore(msgspec.json.decode(data, type=LyingVenueState))
    assert lying.open_orders == honest.venue.open_orders
    back = build_served_venue(settings_with())
    back.restore(msgspec.json.decode(msgspec.json.encode(lying.snapshot()), type=LyingVenueState))
    assert back.snapshot() == honest.venue.snapshot()


@pytest.mark.parametrize(("reply", "act"), [(TIMEOUT, WireAct.SAY_NOTHING), (RESET, WireAct.CLOSE), (BAD_REPLY, WireAct.SEND_RUBBISH), ("done", WireAct.SEND)])
def test_the_wire_does_what_the_machine_says_when_an_answer_is_carried(reply: object, act: WireAct) -> None:
    """Whoever carries answers goes by one table."""
    assert wire_act(reply) is act
