"""Faults of requests: what is asked gets lost, comes late, comes twice, is refused, or is done and answered with something else."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from core.contracts import Side, TimeInForce
from core.machine import Answer, Attached, Command, Effect
from core.venue import BANNED, RATE_LIMITED, Accepted, AcknowledgeEvents, OutcomeUnknown, Place, Refused, Replace, Subscribe, VenueReply, VenueRequest
from execution.venues.faults.fault import BAD_REPLY, NS_PER_MS, RESET, TIMEOUT, Asked, Fault, Job, told
from execution.venues.faults.lying_venue import LyingVenue

__all__ = ["REQUEST_FAULTS"]


class _Submit(Fault):
    """Strikes what makes or changes an order."""

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Place | Replace)


class _Misreported(_Submit):
    """The venue does as it is asked, and the account hears something else."""

    reply: ClassVar[VenueReply]

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        return told(venue.honest(asked), self.reply)


class _Refuses(Fault):
    """The venue does nothing and says no."""

    code: ClassVar[str]
    text: ClassVar[str]

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Place)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        return [Answer(asked.command.command_id, Refused(code=self.code, text=self.text))]


class TimeoutThenPlaced(_Submit):
    name = "timeout_then_placed"
    does = "answers nothing in time; the request is still under way and is done `arrival_lag_ms` later"
    duty = "holds the order in doubt, asks by client order id until it is found or `late_arrival_ms` has passed, and never sends another"
    incident = "ccxt 2599, 2698, 527: order exists, client got a timeout"

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        if not self.settings.arrival_lag_ms:
            return told(venue.honest(asked), TIMEOUT)
        venue.later(Job(due_ns=asked.now_ns + self.settings.arrival_lag_ms * NS_PER_MS, fault=self.name, command_id=asked.command.command_id, request=asked.request))
        return [Answer(asked.command.command_id, TIMEOUT)]

    def on_due(self, job: Job, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        assert job.request is not None, "what is under way is a request"
        effects = venue.honest(Asked(Command(job.command_id, "", job.request), job.request, attached, now_ns))
        return [effect for effect in effects if not isinstance(effect, Answer)]


class TimeoutNotPlaced(_Submit):
    name = "timeout_not_placed"
    does = "never gets the request; the account hears nothing"
    duty = "asks until the late-arrival bound has passed and once more, then sends the same id and terms again while the approval is fresh, or ends it NEVER_REACHED"
    incident = "hummingbot 8457: a DNS outage read as a failure"

    def hits_request(self, request: VenueRequest) -> bool:
        return not isinstance(request, Subscribe | AcknowledgeEvents)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        return [Answer(asked.command.command_id, TIMEOUT)]


class GatewayTimeoutThenFilled(_Misreported):
    name = "504_then_filled"
    does = "takes the order, answers 504, and fills it"
    duty = "takes a 5xx for no answer, whatever its text; adopts the order by lookup or by its own events"
    incident = "binance-java-api 55, hummingbot 6033: 5xx, yet the order was filled"
    reply = OutcomeUnknown(cause="HTTP_504", text="Gateway Timeout")


class ResetAfterWrite(_Misreported):
    name = "reset_after_write"
    does = "takes the order and ends the connection before the answer"
    duty = "subscribes anew from its cursor, asks about everything in doubt, sends nothing twice"
    incident = "freqtrade 7184: crash between the exchange's accept and the write"
    reply = RESET


class HtmlBody(_Misreported):
    name = "200_html_body"
    does = "takes the order and answers 200 with a page of HTML"
    duty = "takes what it cannot read for no answer"
    incident = "alpaca-py APIError: the body of a proxy's page is no JSON"
    reply = BAD_REPLY


class SuccessWithoutId(_Submit):
    name = "200_without_id"
    does = "takes the order and answers success without an order id"
    duty = "takes a success without an id for no answer"
    incident = "ccxt 8134, 8179: create returned without an id"

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        return [_without_id(effect) for effect in venue.honest(asked)]


def _without_id(effect: Effect) -> Effect:
    if not isinstance(effect, Answer) or not isinstance(effect.reply, Accepted):
        return effect
    return Answer(effect.command_id, Accepted(ack=msgspec.structs.replace(effect.reply.ack, venue_order_id="")))


class DuplicateClientId(Fault):
    name = "duplicate_client_id"
    does = "gets the order twice, because something on the way repeats requests, and answers for the second: the id is taken"
    duty = "takes this refusal for a sign of life, looks the order up and adopts it"
    incident = "alpaca-py: a 504 led to four POSTs; catalyst 315, 317: a retry made a second order"

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Place)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        first, second = venue.honest(asked), venue.honest(asked)
        return [*(effect for effect in first if not isinstance(effect, Answer)), *second]


class NotFoundForNMs(_Submit):
    name = "not_found_for_n_ms"
    does = "takes the order, answers nothing, and does not find it for `query_lag_ms`"
    duty = "takes 'not found' for 'not now' until the late-arrival bound has passed"
    incident = "freqtrade 4403, ccxt 1786: order does not exist straight after create"

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        assert isinstance(asked.request, Place | Replace), "only these make an id"
        venue.hide(asked.request.order.client_order_id, asked.now_ns + self.settings.query_lag_ms * NS_PER_MS)
        return told(venue.honest(asked), TIMEOUT)


class FillBeforeAck(Fault):
    name = "fill_before_ack"
    does = "fills part of the order at once and tells the execution before it answers"
    duty = "books the execution; the later acknowledgement changes nothing"
    incident = "freqtrade 6615 and every venue with two channels: the stream is faster than the reply"

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Place) and request.order.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        assert isinstance(asked.request, Place), "only a new order is acknowledged"
        answers = venue.honest(asked)
        order = venue.order_named(asked.request.order.client_order_id)
        return answers if order is None else [*venue.execute(order, venue.part_of(order.leaves_qty, order.terms.symbol), asked.now_ns), *answers]


class RateLimited(Fault):
    name = "429_with_reset"
    does = "refuses for `limit_ms`' worth of too many requests; nothing was done"
    duty = "waits as long as it is told and sends the same again; entries wait, exits and cancels go first"
    incident = "ccxt 14639, freqtrade 7187: shared limits"

    def hits_request(self, request: VenueRequest) -> bool:
        return not isinstance(request, Subscribe | AcknowledgeEvents)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        return [Answer(asked.command.command_id, Refused(code=RATE_LIMITED, text="Too Many Requests", retry_after_ms=self.settings.limit_ms))]


class Banned(RateLimited):
    name = "418_ban"
    does = "bans the account for `ban_ms`, and again from the start with every request during the ban"
    duty = "sends nothing before the ban is over, and tells risk"
    incident = "binance-spot-api-docs: 418 from two minutes to three days; ccxt 13165"
    shipped_rate = 0.005

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        venue.line.banned_until_ns = asked.now_ns + self.settings.ban_ms * NS_PER_MS
        return [Answer(asked.command.command_id, Refused(code=BANNED, text="I'm a teapot", retry_after_ms=self.settings.ban_ms))]


class LotReject(_Refuses):
    name = "lot_reject"
    does = "refuses the quantity by a lot size it never published"
    duty = "ends the order REJECTED with the venue's reason, frees what was reserved, sends nothing again by itself"
    incident = "ccxt 13214, 1975: lot and step size rejections"
    code, text = "LOT_SIZE", "Filter failure: LOT_SIZE"


class MinNotional(_Refuses):
    name = "min_notional"
    does = "refuses the order as worth too little"
    duty = "as for lot_reject"
    incident = "ccxt 30101: crypto orders under ten dollars; freqtrade 2877: dust"
    code, text = "MIN_NOTIONAL", "Filter failure: MIN_NOTIONAL"


class HeldForOrders(_Refuses):
    name = "held_for_orders"
    does = "refuses to sell what another order, already being cancelled, still holds"
    duty = "as for lot_reject: the position stays as it is, and what wants to leave it asks again"
    incident = "alpaca-py 400: insufficient qty available, held by a pending cancel"
    code, text = "HELD_FOR_ORDERS", "insufficient qty available for order, held_for_orders"

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Place) and request.order.side is Side.SELL


REQUEST_FAULTS: tuple[type[Fault], ...] = (
    TimeoutThenPlaced,
    TimeoutNotPlaced,
    GatewayTimeoutThenFilled,
    ResetAfterWrite,
    HtmlBody,
    SuccessWithoutId,
    DuplicateClientId,
    NotFoundForNMs,
    FillBeforeAck,
    RateLimited,
    Banned,
    LotReject,
    MinNotional,
    HeldForOrders,
)
