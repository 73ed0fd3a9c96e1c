"""Faults of trading: races between cancels, replaces and executions, executions too late or too many, and what is undone or done by hand."""

from __future__ import annotations

from decimal import Decimal

from core.contracts import Bar, OrderStatus, Side
from core.machine import Answer, Attached, Effect, Push
from core.order import RequestKind
from core.venue import Accepted, BrokerFill, Cancel, OrderFilled, OrderUpdated, Refused, Replace, VenueEvent, VenueRequest
from execution.venues.faults.fault import NS_PER_MS, Asked, Fault, Job
from execution.venues.faults.lying_venue import LyingVenue, day_of
from execution.venues.orders import TOO_LATE, VenueOrder

__all__ = ["TRADING_FAULTS"]


class _Race(Fault):
    """Strikes a cancel of an order that could trade at this moment."""

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Cancel)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        request = asked.request
        assert isinstance(request, Cancel), "only cancels are struck"
        order = venue.order_named(request.client_order_id)
        return venue.honest(asked) if order is None or not venue.can_execute(order) else self._race(asked, order, venue)

    def _race(self, asked: Asked, order: VenueOrder, venue: LyingVenue) -> list[Effect]:
        raise NotImplementedError(self.name)


class PartialThenCancelRace(_Race):
    name = "partial_then_cancel_race"
    does = "executes part of an order while its cancel comes in, and then cancels the rest"
    duty = "books the part; whatever follows is sized by what was executed"
    incident = "freqtrade 11461: partial fill and cancel misread, position doubled"
    shipped_rate = 0.2

    def _race(self, asked: Asked, order: VenueOrder, venue: LyingVenue) -> list[Effect]:
        return [*venue.execute(order, venue.part_of(order.leaves_qty, order.terms.symbol), asked.now_ns), *venue.honest(asked)]


class CancelRejectedThenFill(_Race):
    name = "cancel_rejected_then_fill"
    does = "refuses a cancel, at once or after having taken it, and fills the order"
    duty = "leaves the order as it is on a refusal, books the execution, and asks no more once it has ended"
    incident = "binance -2011, freqtrade 3647: filled while it was being cancelled"
    shipped_rate = 0.2

    def _race(self, asked: Asked, order: VenueOrder, venue: LyingVenue) -> list[Effect]:
        answer_id = asked.command.command_id
        if venue.dice.number(self, "when") < 0.5:
            said: list[Effect] = [Answer(answer_id, Refused(code=TOO_LATE, text="order is being filled"))]
        else:
            said = [Answer(answer_id, Accepted(ack=order.acknowledgement())), venue.reject(order.client_order_id, RequestKind.CANCEL, TOO_LATE)]
        return [*said, *venue.execute(order, order.leaves_qty, asked.now_ns)]


class ReplaceRace(Fault):
    name = "replace_race"
    does = "executes an order, wholly or in part, while its replacement comes in; a whole one makes the replacement too late"
    duty = "books the execution to the order as it was; a refused replacement changes nothing"
    incident = "alpaca PATCH: a 200 does not mean replaced, fills land on the old id"
    shipped_rate = 0.3

    def hits_request(self, request: VenueRequest) -> bool:
        return isinstance(request, Replace)

    def on_request(self, asked: Asked, venue: LyingVenue) -> list[Effect]:
        assert isinstance(asked.request, Replace), "only replacements are struck"
        order = venue.order_named(asked.request.orig_client_order_id)
        if order is None or not venue.can_execute(order):
            return venue.honest(asked)
        part = venue.part_of(order.leaves_qty, order.terms.symbol)
        if venue.dice.number(self, "how much") < 0.5:
            return [*venue.execute(order, part, asked.now_ns), *venue.honest(asked)]
        whole = venue.execute(order, order.leaves_qty, asked.now_ns)
        return [Answer(asked.command.command_id, Accepted(ack=order.acknowledgement())), *whole, venue.reject(order.client_order_id, RequestKind.REPLACE, TOO_LATE)]


class OutOfOrderFills(Fault):
    name = "out_of_order_fills"
    does = "executes an order in two prints and tells the second one first"
    duty = "books both by their ids; the larger total, heard first, is not taken for an execution of its own"
    incident = "ccxt 14589, 23879: late and reordered updates; LEAN 4014: cumulative taken for incremental"

    def hits_fill(self, order: VenueOrder, qty: Decimal) -> bool:
        return qty > 1

    def on_fill(self, order: VenueOrder, qty: Decimal, price: Decimal, venue: LyingVenue, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        part = venue.part_of(qty, order.terms.symbol)
        return venue.print_in_reverse(order, (part, qty - part), price, now_ns) if part < qty else venue.fill_honestly(order, qty, price, now_ns)


class PartialFillStall(Fault):
    name = "partial_fill_stall"
    does = "fills part of an order and does not trade it on for `stall_ms`"
    duty = "keeps the order working, and cancels it when its time to live is over"
    incident = "freqtrade 12984, 4189: triggered, partly filled, then nothing"
    shipped_rate = 0.1

    def hits_fill(self, order: VenueOrder, qty: Decimal) -> bool:
        return not order.is_immediate and qty > 1

    def on_fill(self, order: VenueOrder, qty: Decimal, price: Decimal, venue: LyingVenue, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        venue.stall(order.client_order_id, now_ns + self.settings.stall_ms * NS_PER_MS)
        return venue.fill_honestly(order, venue.part_of(qty, order.terms.symbol), price, now_ns)


class _AfterFill(Fault):
    """Strikes an execution, and does something about it `late_ms` after it was told."""

    def hits_event(self, event: VenueEvent) -> bool:
        return isinstance(event, OrderFilled)

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        venue.later(Job(due_ns=now_ns + self.settings.late_ms * NS_PER_MS, fault=self.name, event=event))
        return [Push(event)]

    def on_due(self, job: Job, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        assert isinstance(job.event, OrderFilled), "only executions are struck"
        return self._follow_up(job.event.fill, attached, venue, now_ns)

    def _follow_up(self, fill: BrokerFill, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        raise NotImplementedError(self.name)


class LateFillAfterCancel(Fault):
    name = "late_fill_after_cancel"
    does = "says that an order is cancelled, and `late_ms` later that some of it had been executed"
    duty = "books the late execution to the ended order, flags it and alerts"
    incident = "freqtrade 3647, hummingbot 8457: fills of orders that had ended"
    shipped_rate = 0.2

    def hits_event(self, event: VenueEvent) -> bool:
        return isinstance(event, OrderUpdated) and event.order.status is OrderStatus.CANCELLED and event.order.cum_qty < event.order.order_qty

    def on_event(self, event: VenueEvent, venue: LyingVenue, now_ns: int) -> list[Effect]:
        assert isinstance(event, OrderUpdated), "only ends are struck"
        venue.later(Job(due_ns=now_ns + self.settings.late_ms * NS_PER_MS, fault=self.name, event=event))
        return [Push(event)]

    def on_due(self, job: Job, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        assert isinstance(job.event, OrderUpdated), "only ends are struck"
        view = venue.ended_view(job.event.order.client_order_id, attached) or job.event.order
        return venue.execute_ended(view, venue.part_of(view.order_qty - view.cum_qty, view.symbol), now_ns)


class Overfill(_AfterFill):
    name = "overfill"
    does = "executes an order that is filled already once more, by one lot, `late_ms` later"
    duty = "books all of it, flags it and alerts: what the venue executed is held"
    incident = "nautilus 3493, 3770: overfills and fills counted twice"
    shipped_rate = 0.02

    def hits_event(self, event: VenueEvent) -> bool:
        return isinstance(event, OrderFilled) and event.status is OrderStatus.FILLED and event.fill.cum_qty <= event.fill.order_qty

    def _follow_up(self, fill: BrokerFill, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        view = venue.ended_view(fill.client_order_id, attached)
        return [] if view is None else venue.execute_ended(view, venue.lot_of(fill.symbol), now_ns)


class TradeBust(_AfterFill):
    name = "trade_bust"
    does = "takes an execution back, `late_ms` after it told it"
    duty = "reverses the booking; an order that was filled stays ended, so nothing is bought again by itself"
    incident = "alpaca broker events: trade_bust, which its own library does not know"
    shipped_rate = 0.02

    def _follow_up(self, fill: BrokerFill, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        return venue.bust(fill, attached, now_ns)


class TradeCorrect(_AfterFill):
    name = "trade_correct"
    does = "corrects the price of an execution by a tick, `late_ms` after it told it"
    duty = "reverses the old booking and books what stands instead"
    incident = "alpaca broker events: trade_correct, which its own library does not know"
    shipped_rate = 0.02

    def _follow_up(self, fill: BrokerFill, attached: Attached, venue: LyingVenue, now_ns: int) -> list[Effect]:
        return venue.correct(fill, fill.last_price + venue.tick_of(fill.symbol), attached, now_ns)


class SplitOvernight(Fault):
    name = "split_overnight"
    does = "splits a held symbol two for one between two days, and ends every resting order of it"
    duty = "multiplies positions and averages, moves no cash, and compares what it holds with what the venue says"
    incident = "alpaca-py 469, Lean 6933: splits with open orders"
    shipped_rate = 0.001

    def hits_bar(self, bar: Bar, venue: LyingVenue) -> bool:
        return venue.days.get(bar.symbol, day_of(bar)) != day_of(bar) and venue.holds(bar.symbol)

    def on_bar(self, bar: Bar, venue: LyingVenue, now_ns: int) -> list[Effect]:
        return venue.split(bar.symbol, 2, 1, now_ns)


class ForeignOrder(Fault):
    name = "foreign_order"
    does = "takes an order that somebody placed on its own screen, and fills it"
    duty = "shows the order as external and never manages it; what it executed is held apart from every strategy and counts as exposure"
    incident = "Lean IB 232: a library that chokes on other people's orders"
    shipped_rate = 0.002

    def hits_bar(self, bar: Bar, venue: LyingVenue) -> bool:
        return venue.has_price(bar.symbol)

    def on_bar(self, bar: Bar, venue: LyingVenue, now_ns: int) -> list[Effect]:
        side = Side.BUY if venue.dice.number(self, "side") < 0.5 else Side.SELL
        return venue.trade_by_hand(bar.symbol, side, venue.dice.counts[self.name][1], now_ns)


class CancelUnasked(Fault):
    name = "unsolicited_cancel"
    does = "ends an order nobody asked it to end"
    duty = "takes the end for the end, with the venue's reason; nothing is sent in its place by itself"
    incident = "alpaca: orders ended by the broker's own risk, nautilus 4479"
    shipped_rate = 0.005

    def hits_bar(self, bar: Bar, venue: LyingVenue) -> bool:
        return venue.is_working(bar.symbol)

    def on_bar(self, bar: Bar, venue: LyingVenue, now_ns: int) -> list[Effect]:
        return venue.cancel_unasked(venue.oldest_order(bar.symbol), "VENUE_RISK", now_ns)


class ReplaceUnasked(Fault):
    name = "unsolicited_replace"
    does = "gives an order another client order id, as venues do that make a new order of a changed one"
    duty = "follows the lineage: the order is the same, known by another id, and still ours to cancel"
    incident = "alpaca: replaced_by, replaces; FIX 150=5 unsolicited"
    shipped_rate = 0.005

    def hits_bar(self, bar: Bar, venue: LyingVenue) -> bool:
        return venue.is_working(bar.symbol)

    def on_bar(self, bar: Bar, venue: LyingVenue, now_ns: int) -> list[Effect]:
        return venue.rename_unasked(venue.oldest_order(bar.symbol), now_ns)


TRADING_FAULTS: tuple[type[Fault], ...] = (
    PartialThenCancelRace,
    CancelRejectedThenFill,
    ReplaceRace,
    OutOfOrderFills,
    PartialFillStall,
    LateFillAfterCancel,
    Overfill,
    TradeBust,
    TradeCorrect,
    SplitOvernight,
    ForeignOrder,
    CancelUnasked,
    ReplaceUnasked,
)
