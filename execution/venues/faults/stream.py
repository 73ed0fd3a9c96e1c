"""Faults of the stream of events: repeated, silent, cut, without what was missed, with words or times nobody expects."""

from __future__ import annotations

import msgspec

from core.machine import Answer, Effect, Push
from core.venue import Accepted, Cancel, Lookup, OrderFilled, OrderFound, OrderUpdated, Place, Replace, StatusUnclear, VenueEvent, VenueReply, VenueRequest
from execution.venues.faults.fault import NS_PER_MS, RESET, Asked, Fault
from execution.venues.faults.lying_venue import LyingVenue

__all__ = ["STREAM_FAULTS"]


class _AnyEvent(Fault):
    """Strikes whatever is about to be pushed."""

    def hits_event(self, event: VenueEvent) -> bool:
        return True


class DuplicateFill(Fault):
    name = "duplicate_fill"
    does = "pushes an execution twice, and once more as news with a number of its own"
    duty = "books it once: an event number is taken once, and an execution id is booked once"
    incident = "nautilus 1205, Lean.Brokerages.Alpaca 41: duplicate trades"

    def hits_event(self, event: VenueEvent) -> bool:
        return isinstance(event, OrderFilled)

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        assert isinstance(event, OrderFilled), "only executions are struck"
        return [Push(event), Push(event), venue.repeat(event)]


class StreamSilent(_AnyEvent):
    name = "stream_silent"
    does = "says nothing more for `silence_ms`, or until somebody subscribes anew; the connection stands and requests are answered"
    duty = "asks after `venue.silence_ms_max` without a word, while orders are open, and takes in what it missed"
    incident = "alpaca-py 740, ccxt 21731, nautilus 4298: socket open, no data"
    shipped_rate = 0.02

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        venue.line.silent_until_ns = now_ns + self.settings.silence_ms * NS_PER_MS
        venue.line.withhold(event.cursor)
        return []


class StreamDropWithoutClose(_AnyEvent):
    name = "stream_drop_without_close"
    does = "is gone for `silence_ms`, or for a handful of requests, and nobody closes: events and answers are lost alike"
    duty = "takes unanswered calls for no answer, connects anew after some of them, and takes in what it missed"
    incident = "Lean 6143, ccxt 22662: half-open connections"
    shipped_rate = 0.01

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        venue.line.dead_until_ns = now_ns + self.settings.silence_ms * NS_PER_MS
        venue.line.dead_requests = self.settings.storm
        venue.line.withhold(event.cursor)
        return []


class ReconnectWithoutBackfill(_AnyEvent):
    name = "reconnect_without_backfill"
    does = "ends the connection with an event under way; the next subscription is answered and brings nothing of what was missed"
    duty = "sees by the numbers that something is missing, and asks again until it has come"
    incident = "ccxt 26945, 22719: no backfill after a reconnect"
    shipped_rate = 0.02

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        venue.line.withhold(event.cursor)
        venue.line.skips_backfill = True
        return [Answer("", RESET)]


class ReconnectStorm(_AnyEvent):
    name = "reconnect_storm"
    does = "ends the connection, and `storm` times again as soon as somebody subscribes"
    duty = "connects anew with back-off, and asks about everything in doubt when one stands"
    incident = "alpaca-py 740, 248: a loop of 10 ms reconnects, 406"
    shipped_rate = 0.01

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        venue.line.withhold(event.cursor)
        venue.line.storm = self.settings.storm
        return [Answer("", RESET)]


class UnknownStatus(Fault):
    name = "unknown_status"
    does = "tells an order's new state in a word that is in no documentation"
    duty = "never takes it for an end: alerts, and asks for the order"
    incident = "ccxt 30454: a status map that lagged the venue; alpaca-py 624: an enum killed the stream"

    def hits_event(self, event: VenueEvent) -> bool:
        # That an order goes by another id now is said in this event alone, so a word nobody knows stands in others.
        return isinstance(event, OrderUpdated) and not event.orig_client_order_id

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        assert isinstance(event, OrderUpdated), "only states of orders are struck"
        view = event.order
        said = StatusUnclear(
            cursor=event.cursor,
            client_order_id=view.client_order_id,
            venue_order_id=view.venue_order_id,
            symbol=view.symbol,
            venue_status="pending_review_2",
            updated_ns=view.updated_ns,
        )
        return [Push(said)]


class ClockSkew(_AnyEvent):
    name = "clock_skew"
    does = "dates what it says up to `skew_ms` too early or too late"
    duty = "orders nothing by the venue's clock: numbers order events, our own clock measures ages"
    incident = "ccxt 2281, freqtrade 9404, bybit-api 119: clock drift"
    shipped_rate = 0.2

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Place | Replace | Cancel | Lookup)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        by_ns = self._skew_ns(venue)
        return [
            Answer(effect.command_id, _reply_dated(effect.reply, by_ns)) if isinstance(effect, Answer) and isinstance(effect.reply, VenueReply) else effect
            for effect in venue.honest(asked)
        ]

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        return [Push(_event_dated(event, self._skew_ns(venue)))]

    def _skew_ns(self, venue: LyingVenue) -> int:
        return round((2 * venue.dice.number(self, "by") - 1) * self.settings.skew_ms * NS_PER_MS)


def _reply_dated(reply: VenueReply, by_ns: int) -> VenueReply:
    match reply:
        case Accepted(ack=ack):
            return Accepted(ack=msgspec.structs.replace(ack, accepted_ns=ack.accepted_ns + by_ns))
        case OrderFound(order=view):
            return OrderFound(order=msgspec.structs.replace(view, updated_ns=view.updated_ns + by_ns))
        case _:
            return reply


def _event_dated(event: VenueEvent, by_ns: int) -> VenueEvent:
    match event:
        case OrderUpdated(order=view):
            return msgspec.structs.replace(event, order=msgspec.structs.replace(view, updated_ns=view.updated_ns + by_ns))
        case OrderFilled(fill=fill):
            return msgspec.structs.replace(event, fill=msgspec.structs.replace(fill, occurred_ns=fill.occurred_ns + by_ns))
        case _:
            return event


STREAM_FAULTS: tuple[type[Fault], ...] = (
    DuplicateFill,
    StreamSilent,
    StreamDropWithoutClose,
    ReconnectWithoutBackfill,
    ReconnectStorm,
    UnknownStatus,
    ClockSkew,
)
