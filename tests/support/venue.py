"""A simulated venue with everything a shell would do for it: attachments, the archive, and a record of what it said."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from core.contracts import Bar, OrderStatus, OrderType, SessionPhase, Side, TimeInForce
from core.machine import Answer, Archive, Attached, Command, Effect, Input, Push
from core.settings import Settings
from core.venue import Accepted, BrokerFill, BrokerOrderReq, OrderFilled, OrderUpdated, Place, Refused, VenueEvent, VenueReply, VenueRequest
from execution.venues.simulated import VenueState, build_venue
from tests.support.builders import NOW, SYMBOL, a_bar, a_clock, a_message, dec, settings_with

__all__ = ["MINUTE", "VenueDriver", "a_request"]

MINUTE = 60 * 10**9


def a_request(client_order_id: str = "o1", order_type: OrderType = OrderType.MARKET, side: Side = Side.BUY, **changes: Any) -> BrokerOrderReq:
    """Terms as a broker sends them: ten shares of SYMBOL for the day."""
    values: dict[str, Any] = {"symbol": SYMBOL, "time_in_force": TimeInForce.DAY, "order_qty": 10} | changes
    for name in ("order_qty", "limit_price", "stop_price"):
        values[name] = dec(values.get(name))
    return BrokerOrderReq(client_order_id=client_order_id, side=side, order_type=order_type, **values)


class VenueDriver:
    """Drives one venue. `now_ns` is the time of the next input; a bar moves it to the bar's end."""

    def __init__(self, settings: Settings | None = None, **rules: Any) -> None:
        self.settings = settings or settings_with(venue={"fee_rate": 0} | rules)
        self.venue = build_venue(self.settings)
        self.archive: dict[str, bytes] = {}
        self.now_ns = NOW
        self.events: list[VenueEvent] = []
        self.effects: list[Effect] = []
        self._commands = 0

    def send(self, event: Input, now_ns: int | None = None) -> Sequence[Effect]:
        """Hand an input over as the node does; archive rows must be new, events contiguous."""
        self.now_ns = self.now_ns if now_ns is None else now_ns
        before = self.venue.last_cursor
        needs = self.venue.needs(event)
        found = {f"{kind}/{key}": self.archive[f"{kind}/{key}"] for kind, key in needs.archived if f"{kind}/{key}" in self.archive}
        effects = list(self.venue.handle(event, Attached(archived=found), self.now_ns))
        for effect in effects:
            if isinstance(effect, Archive):
                assert f"{effect.kind}/{effect.key}" not in self.archive, f"{effect.kind}/{effect.key} is archived twice"
                self.archive[f"{effect.kind}/{effect.key}"] = effect.data
        new = [effect.event for effect in effects if isinstance(effect, Push) and effect.event.cursor > before]
        assert [event.cursor for event in new] == list(range(before + 1, self.venue.last_cursor + 1))
        self.events += new
        self.effects += effects
        return effects

    def ask(self, request: VenueRequest) -> VenueReply:
        """The venue's answer to a request; the first effect that concerns the request."""
        self._commands += 1
        command = Command(f"c{self._commands}", "broker", request)
        answers = [effect for effect in self.send(command) if isinstance(effect, Answer)]
        assert [answer.command_id for answer in answers] == [command.command_id]
        reply = answers[0].reply
        assert isinstance(reply, VenueReply)
        return reply

    def ask_nothing(self, request: VenueRequest) -> None:
        """Send a request that gets no answer and has no effect outside."""
        assert list(self.send(Command("", "broker", request))) == []

    def place(self, client_order_id: str = "o1", order_type: OrderType = OrderType.MARKET, side: Side = Side.BUY, **changes: Any) -> None:
        """Place an order that the venue must take."""
        reply = self.ask(Place(order=a_request(client_order_id, order_type, side, **changes)))
        assert isinstance(reply, Accepted), reply

    def refusal(self, request: VenueRequest) -> str:
        """The code of a request the venue must refuse."""
        reply = self.ask(request)
        assert isinstance(reply, Refused), reply
        return reply.code

    def bar(self, close: float = 100.0, **changes: Any) -> list[VenueEvent]:
        """The next bar, one minute on unless told otherwise; what the venue pushed because of it."""
        values = {"close_ns": self.now_ns + MINUTE} | changes
        return self.show(a_bar(close, **values))

    def show(self, bar: Bar) -> list[VenueEvent]:
        """This bar, as the market half of its instant brings it."""
        count = len(self.events)
        self.send(a_message(f"md.bars.1m.{bar.symbol}", bar), max(self.now_ns, bar.close_ns - 1))
        self.now_ns = max(self.now_ns, bar.close_ns)
        return self.events[count:]

    def clock(self, now_ns: int, phase: SessionPhase = SessionPhase.DECIDE) -> list[VenueEvent]:
        """The session clock says so; what the venue pushed because of it."""
        count = len(self.events)
        self.send(a_message("control.clock", a_clock(now_ns, phase=phase)), now_ns)
        return self.events[count:]

    @property
    def next_wake_ns(self) -> int | None:
        """When the venue wants to be woken."""
        return self.venue.next_wake_ns

    @property
    def fills(self) -> list[BrokerFill]:
        """Every execution pushed, oldest first."""
        return [event.fill for event in self.events if isinstance(event, OrderFilled)]

    @property
    def ends(self) -> dict[str, OrderStatus]:
        """How orders ended, by client order id."""
        ended = {event.order.client_order_id: event.order.status for event in self.events if isinstance(event, OrderUpdated) and event.order.status.is_terminal}
        return ended | {event.fill.client_order_id: event.status for event in self.events if isinstance(event, OrderFilled) and event.status is OrderStatus.FILLED}

    def traded(self) -> list[tuple[str, Decimal, Decimal]]:
        """Every execution as (client order id, quantity, price)."""
        return [(fill.client_order_id, fill.last_qty, fill.last_price) for fill in self.fills]

    def restarted(self) -> VenueDriver:
        """Another driver whose venue is restored from this one's snapshot bytes, with the same archive."""
        other = VenueDriver(self.settings)
        other.venue.restore(msgspec.json.decode(msgspec.json.encode(self.venue.snapshot()), type=VenueState))
        other.archive = dict(self.archive)
        other.now_ns, other._commands = self.now_ns, self._commands
        return other
