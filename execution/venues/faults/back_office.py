"""What a venue can do to an account beside matching its orders: print more than it may, bust, correct, split, trade by hand.

Everything here is booked in the venue's own ledger and told as an event like any other, so the account that follows the events
ends with the venue's books, however odd the way there was.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from core.contracts import OrderStatus, OrderType, Side, TimeInForce
from core.instrument import Instrument
from core.machine import Archive, Attached, Effect, Push
from core.money import ZERO, floor_to
from core.venue import (
    BrokerFill,
    BrokerOrderReq,
    BrokerOrderUpdate,
    OrderFilled,
    OrderUpdated,
    RequestRejected,
    SymbolSplit,
    TradeBusted,
    TradeCorrected,
)
from execution.venues.orders import VenueOrder
from execution.venues.simulated import FILL_KIND, ORDER_KIND, SimulatedVenue, fill_key

__all__ = ["AMENDMENT_KIND", "FOREIGN_PREFIX", "BackOffice"]

AMENDMENT_KIND = "amendment"
"""Archive kind of busts and corrections: the event under `fill_key(cursor)`."""

FOREIGN_PREFIX = "web-"
"""How orders are named that somebody placed at the venue by hand."""

_CENT = Decimal("0.01")
_RENAMED_LENGTH = 20
_encode = msgspec.json.Encoder().encode
_orders = msgspec.json.Decoder(BrokerOrderUpdate)


class BackOffice(SimulatedVenue):
    """A simulated venue whose staff can act on the account.

    Invariants: those of the simulated venue, but that an order may be executed beyond its quantity or after its end, and that
    an execution may be amended; cash and positions are still the sum of all executions, amendments and splits.
    """

    def price_of(self, symbol: str, limit_price: Decimal | None, side: Side) -> Decimal | None:
        """What an order would trade at now: the last price, not beyond its limit; None without a last price or when the limit is not reached."""
        mark = self._account.marks.get(symbol)
        if mark is None or (limit_price is not None and (limit_price - mark) * side.sign < 0):
            return None
        return mark

    def order_named(self, *client_order_ids: str) -> VenueOrder | None:
        """The live order that goes by the first known of these ids."""
        return next((order for name in client_order_ids if name and (order := self._book.find(name)) is not None), None)

    def ended_view(self, client_order_id: str, attached: Attached) -> BrokerOrderUpdate | None:
        """The last word about an order that has ended, from memory or from the archive's row, which has to be attached."""
        ended = self._book.find_ended(client_order_id)
        row = attached.archived.get(f"{ORDER_KIND}/{client_order_id}")
        return ended if ended is not None or row is None else _orders.decode(row)

    def has_price(self, symbol: str) -> bool:
        """Whether a listed symbol has a last price."""
        return symbol in self._account.marks

    def can_execute(self, order: VenueOrder) -> bool:
        """Whether the order could trade at the last price."""
        terms = order.terms
        return terms.order_type in (OrderType.MARKET, OrderType.LIMIT) and self.price_of(terms.symbol, terms.limit_price, terms.side) is not None

    def execute(self, order: VenueOrder, qty: Decimal, now_ns: int) -> list[Effect]:
        """Execute part of a live order at the last price, out of turn; nothing where it has no price."""
        terms = order.terms
        price = self.price_of(terms.symbol, terms.limit_price, terms.side)
        if price is None or qty <= 0 or not self.can_execute(order):
            return []
        return super()._fill(self._listings[terms.symbol].instrument, order, min(qty, order.leaves_qty), price, now_ns)[1]

    def execute_ended(self, view: BrokerOrderUpdate, qty: Decimal, now_ns: int) -> list[Effect]:
        """Execute an order that has ended: what was still in the matching engine when it was cancelled, or more than was asked for."""
        mark = self._account.marks.get(view.symbol)
        if mark is None:
            return []
        instrument, cum_qty = self._listings[view.symbol].instrument, view.cum_qty + qty
        fee = self._fee(instrument, qty, mark)
        self._account.fill(instrument, view.side, qty, mark, fee)
        self._account.work(view.symbol, view.side, qty)
        status = OrderStatus.FILLED if cum_qty >= view.order_qty else view.status
        cursor = self._last_cursor + 1
        fill = BrokerFill(
            cursor=cursor,
            exec_id=f"{view.venue_order_id}-late{cursor}",
            venue_order_id=view.venue_order_id,
            client_order_id=view.client_order_id,
            symbol=view.symbol,
            side=view.side,
            last_qty=qty,
            last_price=mark,
            cum_qty=cum_qty,
            order_qty=view.order_qty,
            occurred_ns=now_ns,
            fee=fee,
            fee_asset=instrument.currency,
        )
        said: list[Effect] = [self._push(OrderFilled(cursor=cursor, fill=fill, status=status)), Archive(FILL_KIND, fill_key(cursor), _encode(fill))]
        return [*said, *self._reword(msgspec.structs.replace(view, cum_qty=cum_qty, status=status, updated_ns=now_ns))]

    def bust(self, fill: BrokerFill, attached: Attached, now_ns: int) -> list[Effect]:
        """An execution does not stand any more: the trade was erroneous."""
        instrument = self._listings[fill.symbol].instrument
        self._account.fill(instrument, fill.side.opposite, fill.last_qty, fill.last_price, -fill.fee)
        self._account.work(fill.symbol, fill.side.opposite, fill.last_qty)
        return self._amend(fill, fill, ZERO, attached, now_ns)

    def correct(self, fill: BrokerFill, price: Decimal, attached: Attached, now_ns: int) -> list[Effect]:
        """An execution was at another price than was said."""
        instrument = self._listings[fill.symbol].instrument
        fee = self._fee(instrument, fill.last_qty, price)
        self._account.fill(instrument, fill.side.opposite, fill.last_qty, fill.last_price, -fill.fee)
        self._account.fill(instrument, fill.side, fill.last_qty, price, fee)
        self._account.work(fill.symbol, fill.side.opposite, fill.last_qty)
        self._account.work(fill.symbol, fill.side, fill.last_qty)
        return self._amend(fill, msgspec.structs.replace(fill, last_price=price, fee=fee), fill.last_qty, attached, now_ns)

    def repeat(self, event: OrderFilled) -> Push:
        """Tell an execution again, as if it were news."""
        cursor = self._last_cursor + 1
        return self._push(OrderFilled(cursor=cursor, fill=msgspec.structs.replace(event.fill, cursor=cursor), status=event.status))

    def trade_by_hand(self, symbol: str, side: Side, number: int, now_ns: int) -> list[Effect]:
        """Somebody places an order for the account on the venue's own screen, and it trades at once."""
        instrument, mark = self._listings[symbol].instrument, self._account.marks[symbol]
        terms = BrokerOrderReq(
            client_order_id=f"{FOREIGN_PREFIX}{number}",
            symbol=symbol,
            side=side,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            order_qty=max(instrument.lot, instrument.order_qty_min),
        )
        order = VenueOrder(terms=terms, priority=self._next_priority(), accepted_ns=now_ns, updated_ns=now_ns)
        self._book.add(order)
        self._account.work(symbol, side, terms.order_qty)
        taken = self._push(OrderUpdated(cursor=self._last_cursor + 1, order=order.view()))
        return [taken, *super()._fill(instrument, order, terms.order_qty, mark, now_ns)[1]]

    def reject(self, client_order_id: str, request: str, reason: str) -> Push:
        """Refuse a cancel or replace of this order after it has been taken."""
        return self._push(RequestRejected(cursor=self._last_cursor + 1, client_order_id=client_order_id, request=request, reason=reason))

    def part_of(self, qty: Decimal, symbol: str) -> Decimal:
        """About half of a quantity, in whole lots and at least one."""
        lot = self.lot_of(symbol)
        return min(qty, max(lot, floor_to(qty / 2, lot)))

    def tick_of(self, symbol: str) -> Decimal:
        """The smallest step of a symbol's price."""
        return self._listings[symbol].instrument.tick

    def is_working(self, symbol: str) -> bool:
        """Whether an order of this symbol is live."""
        return self._book.has_queue(symbol)

    def oldest_order(self, symbol: str) -> VenueOrder:
        """The oldest live order of a symbol that has one."""
        return self._book.queue(symbol)[0]

    def lot_of(self, symbol: str) -> Decimal:
        """The smallest quantity of a symbol."""
        return self._listings[symbol].instrument.lot

    def holds(self, symbol: str) -> bool:
        """Whether the account has a position in a symbol."""
        return bool(self._account.positions.get(symbol))

    def cancel_unasked(self, order: VenueOrder, reason: str, now_ns: int) -> list[Effect]:
        """End an order that nobody asked to end."""
        return self._end(order, OrderStatus.CANCELLED, now_ns, reason)

    def rename_unasked(self, order: VenueOrder, now_ns: int) -> list[Effect]:
        """Give an order another client order id and change nothing else of it."""
        cursor = self._last_cursor + 1
        terms = msgspec.structs.replace(order.terms, client_order_id=f"{order.client_order_id[:_RENAMED_LENGTH]}-r{cursor}")
        renamed = msgspec.structs.replace(order, terms=terms, updated_ns=now_ns, lineage=(*order.lineage, order.client_order_id))
        self._book.remove(order)
        self._book.add(renamed)
        return [self._push(OrderUpdated(cursor=cursor, order=renamed.view(), orig_client_order_id=order.client_order_id))]

    def split(self, symbol: str, numerator: int, denominator: int, now_ns: int) -> list[Effect]:
        """Each share becomes `numerator / denominator`. Resting orders do not survive that."""
        effects = [effect for order in self._book.queue(symbol) for effect in self.cancel_unasked(order, "SPLIT", now_ns)]
        qty = self._account.split(symbol, numerator, denominator)
        event = SymbolSplit(cursor=self._last_cursor + 1, symbol=symbol, numerator=numerator, denominator=denominator, position_qty=qty, occurred_ns=now_ns)
        return [*effects, self._push(event)]

    def print_in_reverse(self, order: VenueOrder, qtys: tuple[Decimal, Decimal], price: Decimal, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        """Execute an order in two prints and report the second one first: the same two event numbers, the other way round."""
        instrument = self._listings[order.terms.symbol].instrument
        order, effects = super()._fill(instrument, order, qtys[0], price, now_ns)
        order, more = super()._fill(instrument, order, qtys[1], price, now_ns)
        second, first = self._events.pop(), self._events.pop()
        assert isinstance(first, OrderFilled) and isinstance(second, OrderFilled), "an execution is told by an event"
        swapped = [_told_as(second, first.cursor), _told_as(first, second.cursor)]
        self._events += swapped
        rest = [effect for effect in (*effects, *more) if isinstance(effect, Archive) and effect.kind != FILL_KIND]
        told: list[Effect] = []
        for event in swapped:
            told += [Push(event), Archive(FILL_KIND, fill_key(event.cursor), _encode(event.fill))]
        return order, told + rest

    def _amend(self, old: BrokerFill, new: BrokerFill, standing: Decimal, attached: Attached, now_ns: int) -> list[Effect]:
        """Tell that `standing` of an execution stands, as `new`; the order, live or ended, is that much less executed."""
        less, cursor = old.last_qty - standing, self._last_cursor + 1
        live = self._book.find(old.client_order_id)
        view = None
        if live is not None:
            live = msgspec.structs.replace(live, cum_qty=live.cum_qty - less, updated_ns=now_ns)
            self._book.update(live)
            self._account.work(old.symbol, old.side, less)
            status, cum_qty = live.status, live.cum_qty
        else:
            view = self.ended_view(old.client_order_id, attached)
            assert view is not None, f"order {old.client_order_id} of execution {old.exec_id} is neither live nor in the archive"
            # An order that has ended stays ended: nobody gets the shares back to trade them again.
            view = msgspec.structs.replace(view, cum_qty=view.cum_qty - less, updated_ns=now_ns)
            status, cum_qty = view.status, view.cum_qty
        fill = msgspec.structs.replace(new, cursor=cursor, exec_id=f"{old.exec_id}-a{cursor}", cum_qty=cum_qty, occurred_ns=now_ns)
        kind = TradeCorrected if standing else TradeBusted
        event = kind(cursor=cursor, fill=fill, exec_ref_id=old.exec_id, status=status)
        said: list[Effect] = [self._push(event), Archive(AMENDMENT_KIND, fill_key(cursor), _encode(event))]
        return said if view is None else [*said, *self._reword(view)]

    def _reword(self, view: BrokerOrderUpdate) -> list[Effect]:
        """The last word about an ended order is another one since the event pushed last."""
        data = _encode(view)
        return [Archive(ORDER_KIND, name, data) for name in self._book.reword(view, self._last_cursor)]

    def _fee(self, instrument: Instrument, qty: Decimal, price: Decimal) -> Decimal:
        return (instrument.notional(qty, price) * self._fee_rate).quantize(_CENT, ROUND_HALF_EVEN)


def _told_as(event: OrderFilled, cursor: int) -> OrderFilled:
    return msgspec.structs.replace(event, cursor=cursor, fill=msgspec.structs.replace(event.fill, cursor=cursor))
