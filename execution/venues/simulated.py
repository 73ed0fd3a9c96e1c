"""The simulated venue: one account, resting orders matched on bars, and books of its own.

Theory of operation. A bar meets the orders that rest when it arrives, and the venue gets it before anyone else may see it, so
no order was decided with knowledge of the bar it trades on. What the account is told without asking (fills, ends) are events
with contiguous numbers; each is kept until the account acknowledges it, so a lost connection loses nothing. Fills and ended
orders go to the archive the moment they happen: the venue's ledger is complete for ever, its memory holds what is alive.

A day order ends with its session. While the market half of a replayed instant is under way the clock ends nothing, because
that instant's bars may reach back to before the end: a bar meets exactly those orders whose day was not over when it opened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import assert_never

import msgspec

from core.contracts import Bar, OrderStatus, SessionClock, SessionPhase, TimeInForce
from core.instrument import Instrument
from core.machine import (
    NO_NEEDS,
    Answer,
    Archive,
    Attached,
    CallInterrupted,
    CallReplied,
    Command,
    ConfigLoaded,
    Effect,
    Input,
    Message,
    Needs,
    Observed,
    Push,
    VenuePushed,
    Wake,
)
from core.settings import Settings, VenueSettings
from core.topics import Daemon
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    Accepted,
    AcknowledgeEvents,
    BrokerFill,
    BrokerOrderReq,
    BrokerOrderUpdate,
    Cancel,
    FetchFills,
    FetchOpenOrders,
    FillsFetched,
    Lookup,
    NotFound,
    OrderFilled,
    OrderFound,
    OrdersFetched,
    OrderUpdated,
    Place,
    Refused,
    Replace,
    Subscribe,
    Subscribed,
    VenueEvent,
    VenueReply,
)
from execution.venues.account import AccountState, VenueAccount
from execution.venues.book import Book, Ended
from execution.venues.matching import nearest_tick
from execution.venues.orders import (
    ALREADY_DONE,
    INSUFFICIENT_FUNDS,
    INVALID_TERMS,
    UNKNOWN_ORDER,
    VenueOrder,
    client_id_of,
    refusal_of_change,
    refusal_of_terms,
)
from execution.venues.sessions import day_end_ns
from execution.venues.sharing import Listing, Outcome, share_bar

__all__ = ["FILLS_PAGE_MAX", "FILL_KIND", "ORDER_KIND", "SimulatedVenue", "VenueState", "build_venue", "fill_key"]

FILL_KIND = "fill"
"""Archive kind of executions: a BrokerFill under `fill_key(cursor)`."""

ORDER_KIND = "order"
"""Archive kind of ended orders: the last BrokerOrderUpdate, once under each client order id the order went by."""

FILLS_PAGE_MAX = 1_000
_CENT = Decimal("0.01")
_KEY_DIGITS = 12

_encode = msgspec.json.Encoder().encode
_fills = msgspec.json.Decoder(BrokerFill)
_orders = msgspec.json.Decoder(BrokerOrderUpdate)


class VenueState(msgspec.Struct, frozen=True):
    """The whole venue: books, live orders, and what the account has not acknowledged yet."""

    account: AccountState
    orders: tuple[VenueOrder, ...] = ()
    ended: tuple[Ended, ...] = ()
    events: tuple[VenueEvent, ...] = ()
    last_cursor: int = 0
    last_priority: int = 0
    is_market_moving: bool = False


def fill_key(cursor: int) -> str:
    """The archive key of the fill with this event number; keys sort like numbers."""
    return f"{cursor:0{_KEY_DIGITS}d}"


def build_venue(settings: Settings) -> SimulatedVenue:
    """The venue these settings describe: it lists every symbol of the suite that has an instrument."""
    instruments = {symbol: instrument for symbol in settings.symbols if (instrument := settings.instrument(symbol)) is not None}
    return SimulatedVenue(instruments, settings.account.opening_balances, settings.venue)


class SimulatedVenue:
    """Machine. Reads md.bars, control.clock, venue requests · Writes answers and events · Decides what trades, at what price.

    Invariants: event numbers are 1, 2, 3, ... and the kept events are the last of them; a client order id is taken once for
    ever; an order never trades on a bar that was visible when it was accepted, nor beyond its limit or quantity; every change of
    position or cash is an archived fill.
    """

    def __init__(self, instruments: Mapping[str, Instrument], opening_balances: Mapping[str, Decimal], rules: VenueSettings) -> None:
        self._listings = {symbol: Listing(i, float(i.tick), float(i.lot)) for symbol, i in instruments.items()}
        self._rules = rules
        self._fee_rate = Decimal(str(rules.fee_rate))
        self._account = VenueAccount(instruments, opening_balances)
        self._book = Book()
        self._events: deque[VenueEvent] = deque()
        self._last_cursor = 0
        self._last_priority = 0
        self._is_market_moving = False

    @property
    def next_wake_ns(self) -> int | None:
        """When the first day order's session ends; nothing while bars of the instant are still coming."""
        return None if self._is_market_moving else self._book.next_day_end_ns

    @property
    def balances(self) -> Mapping[str, Decimal]:
        """Cash per currency, by the venue's books."""
        return self._account.balances

    @property
    def positions(self) -> Mapping[str, Decimal]:
        """Signed positions that are not flat, by the venue's books."""
        return self._account.positions

    @property
    def last_cursor(self) -> int:
        """The number of the newest event, 0 before the first."""
        return self._last_cursor

    @property
    def open_orders(self) -> tuple[BrokerOrderUpdate, ...]:
        """Every live order, oldest first."""
        return tuple(order.view() for order in self._book.live)

    def needs(self, event: Input) -> Needs:
        """The archived order of an id that is not in memory, or the archived fills of a page."""
        if not isinstance(event, Command):
            return NO_NEEDS
        match event.body:
            case Place(order=order) | Replace(order=order):
                return self._order_needs(order.client_order_id)
            case Cancel() as request:
                return self._order_needs(*_targets(request))
            case Lookup(client_order_id=name):
                return self._order_needs(name)
            case FetchFills() as request if _is_page(request):
                cursors = range(request.cursor + 1, min(request.cursor + request.limit + 1, self._first_kept))
                return Needs(archived=tuple((FILL_KIND, fill_key(cursor)) for cursor in cursors)) if cursors else NO_NEEDS
            case _:
                return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input; the clock comes first, so nothing is done to an order whose day is over."""
        match event:
            case Message(body=Bar() as bar):
                return self._on_bar(bar, now_ns)
            case Message(body=SessionClock() as clock):
                return self._on_clock(clock, now_ns)
            case Wake():
                return self._expire(now_ns)
            case Command():
                return [*self._expire(now_ns), *self._on_command(event, attached, now_ns)]
            case Message() | Observed() | ConfigLoaded() | CallReplied() | CallInterrupted() | VenuePushed():
                return ()
            case _:
                assert_never(event)

    def snapshot(self) -> VenueState:
        """The whole state."""
        return VenueState(
            self._account.snapshot(),
            tuple(self._book.live),
            self._book.ended,
            tuple(self._events),
            self._last_cursor,
            self._last_priority,
            self._is_market_moving,
        )

    def restore(self, snapshot: VenueState) -> None:
        """Become the venue that gave this snapshot."""
        self._account.restore(snapshot.account)
        self._book = Book.of(snapshot.orders, snapshot.ended)
        self._events = deque(snapshot.events)
        self._last_cursor = snapshot.last_cursor
        self._last_priority = snapshot.last_priority
        self._is_market_moving = snapshot.is_market_moving

    # The market.

    def _on_bar(self, bar: Bar, now_ns: int) -> Sequence[Effect]:
        listing = self._listings.get(bar.symbol)
        if listing is None:
            return ()
        effects: list[Effect] = []
        if self._book.has_queue(bar.symbol):
            # A bar may arrive before the clock that announces it: it is dated the same either way.
            effects = self._match(listing, bar, max(now_ns, bar.visible_ns - 1))
        self._account.mark(bar.symbol, nearest_tick(bar.close, listing.tick) * listing.instrument.tick)
        return effects

    def _match(self, listing: Listing, bar: Bar, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        meeting = []
        for order in self._book.queue(bar.symbol):
            if order.day_end_ns is not None and order.day_end_ns <= bar.open_ns:
                effects += self._end_of_day(order, now_ns)
            elif order.accepted_ns < bar.visible_ns:
                meeting.append(order)
        for outcome in share_bar(listing, bar, meeting, self._rules):
            effects += self._apply(listing.instrument, outcome, now_ns)
        return effects

    def _apply(self, instrument: Instrument, outcome: Outcome, now_ns: int) -> list[Effect]:
        order, terms = outcome.order, outcome.order.terms
        if outcome.is_triggered is not order.is_triggered:
            order = msgspec.structs.replace(order, is_triggered=outcome.is_triggered)
            self._book.update(order)
        effects: list[Effect] = []
        if outcome.qty:
            order, effects = self._fill(instrument, order, outcome.qty, outcome.price, now_ns)
        if outcome.is_over:
            effects += self._end(order, OrderStatus.CANCELLED, now_ns, terms.time_in_force.value)
        return effects

    def _fill(self, instrument: Instrument, order: VenueOrder, qty: Decimal, price: Decimal, now_ns: int) -> tuple[VenueOrder, list[Effect]]:
        terms = order.terms
        fee = (instrument.notional(qty, price) * self._fee_rate).quantize(_CENT, ROUND_HALF_EVEN)
        self._account.fill(instrument, terms.side, qty, price, fee)
        order = msgspec.structs.replace(order, cum_qty=order.cum_qty + qty, executions=order.executions + 1, updated_ns=now_ns)
        fill = BrokerFill(
            cursor=self._last_cursor + 1,
            exec_id=f"{order.venue_order_id}-{order.executions}",
            venue_order_id=order.venue_order_id,
            client_order_id=terms.client_order_id,
            symbol=terms.symbol,
            side=terms.side,
            last_qty=qty,
            last_price=price,
            cum_qty=order.cum_qty,
            order_qty=terms.order_qty,
            occurred_ns=now_ns,
            fee=fee,
            fee_asset=instrument.currency,
        )
        effects: list[Effect] = [self._push(OrderFilled(cursor=fill.cursor, fill=fill, status=order.status)), Archive(FILL_KIND, fill_key(fill.cursor), _encode(fill))]
        if order.leaves_qty:
            self._book.update(order)
        else:
            effects += self._archive(order, order.view())
        return order, effects

    # Time.

    def _on_clock(self, clock: SessionClock, now_ns: int) -> Sequence[Effect]:
        self._is_market_moving = clock.phase is SessionPhase.MARKET
        if clock.phase is not SessionPhase.ENDED:
            return self._expire(now_ns)
        over = [order for order in self._book.live if order.terms.time_in_force is not TimeInForce.GTC]
        return [effect for order in over for effect in self._end_of_day(order, now_ns)]

    def _expire(self, now_ns: int) -> list[Effect]:
        due = self.next_wake_ns
        if due is None or due > now_ns:
            return []
        return [effect for order in self._book.due(now_ns) for effect in self._end_of_day(order, now_ns)]

    def _end_of_day(self, order: VenueOrder, now_ns: int) -> list[Effect]:
        """A day order expires; one that wanted to trade at once and met no bar is cancelled."""
        if order.is_immediate:
            return self._end(order, OrderStatus.CANCELLED, now_ns, order.terms.time_in_force.value)
        return self._end(order, OrderStatus.EXPIRED, now_ns)

    # Requests.

    def _on_command(self, command: Command, attached: Attached, now_ns: int) -> Sequence[Effect]:
        match command.body:
            case Place(order=terms):
                return self._on_place(command.command_id, terms, attached, now_ns)
            case Replace() as request:
                return self._on_replace(command.command_id, request, attached, now_ns)
            case Cancel() as request:
                return self._on_cancel(command.command_id, request, attached, now_ns)
            case Lookup(client_order_id=name):
                return (Answer(command.command_id, self._looked_up(name, attached)),)
            case FetchOpenOrders(symbol=symbol):
                orders = self._book.live if symbol is None else self._book.queue(symbol)
                return (Answer(command.command_id, OrdersFetched(orders=tuple(order.view() for order in orders))),)
            case FetchFills() as request:
                return (Answer(command.command_id, self._fetched(request, attached)),)
            case Subscribe(cursor=cursor):
                kept = [Push(event) for event in self._events if event.cursor > cursor]
                return (Answer(command.command_id, Subscribed(last_cursor=self._last_cursor)), *kept)
            case AcknowledgeEvents(cursor=cursor):
                return self._on_acknowledged(cursor)
            case _:
                return (Answer(command.command_id, f"{Daemon.PAPER_VENUE} takes no {type(command.body).__name__}, only requests of a broker"),)

    def _on_place(self, command_id: str, terms: BrokerOrderReq, attached: Attached, now_ns: int) -> Sequence[Effect]:
        refused = self._refusal(terms, attached) or self._refusal_of_funds(terms, terms.order_qty)
        if refused is not None:
            return (Answer(command_id, refused),)
        session = self._listings[terms.symbol].instrument.session
        order = VenueOrder(
            terms=terms,
            priority=self._next_priority(),
            accepted_ns=now_ns,
            updated_ns=now_ns,
            day_end_ns=None if terms.time_in_force is TimeInForce.GTC else day_end_ns(session, now_ns),
        )
        self._book.add(order)
        self._account.work(terms.symbol, terms.side, terms.order_qty, terms.limit_price or terms.stop_price)
        return (Answer(command_id, Accepted(ack=order.acknowledgement())),)

    def _on_replace(self, command_id: str, request: Replace, attached: Attached, now_ns: int) -> Sequence[Effect]:
        wanted, old = request.order, self._replaceable(request, attached)
        if isinstance(old, Refused):
            return (Answer(command_id, old),)
        order = msgspec.structs.replace(
            old,
            terms=wanted,
            priority=old.priority if _keeps_its_place(old.terms, wanted) else self._next_priority(),
            accepted_ns=now_ns,
            updated_ns=now_ns,
            lineage=(*old.lineage, old.client_order_id),
        )
        self._book.remove(old)
        self._book.add(order)
        self._account.work(wanted.symbol, wanted.side, wanted.order_qty - old.terms.order_qty, wanted.limit_price or wanted.stop_price)
        updated = OrderUpdated(cursor=self._last_cursor + 1, order=order.view(), orig_client_order_id=old.client_order_id)
        return (Answer(command_id, Accepted(ack=order.acknowledgement())), self._push(updated))

    def _on_cancel(self, command_id: str, request: Cancel, attached: Attached, now_ns: int) -> Sequence[Effect]:
        names = _targets(request)
        order = next((order for name in names if (order := self._book.find(name)) is not None), None)
        if order is None:
            is_known = any(self._is_taken(name, attached) for name in names)
            return (Answer(command_id, Refused(code=ALREADY_DONE if is_known else UNKNOWN_ORDER, text=f"order={' '.join(names)}")),)
        return (Answer(command_id, Accepted(ack=order.acknowledgement())), *self._end(order, OrderStatus.CANCELLED, now_ns))

    def _on_acknowledged(self, cursor: int) -> Sequence[Effect]:
        while self._events and self._events[0].cursor <= cursor:
            self._events.popleft()
        self._book.forget(cursor)
        return ()

    def _looked_up(self, name: str, attached: Attached) -> VenueReply:
        order = self._book.find(name)
        if order is not None:
            return OrderFound(order=order.view())
        ended = self._book.find_ended(name)
        if ended is not None:
            return OrderFound(order=ended)
        archived = attached.archived.get(f"{ORDER_KIND}/{name}")
        return NotFound() if archived is None else OrderFound(order=_orders.decode(archived))

    def _fetched(self, request: FetchFills, attached: Attached) -> VenueReply:
        """One page: it covers `limit` event numbers, not `limit` fills, so the next page begins at cursor + limit."""
        if not _is_page(request):
            return Refused(code=INVALID_TERMS, text=f"cursor={request.cursor}, limit={request.limit}: at least 0, and 1 to {FILLS_PAGE_MAX}, are required")
        end = request.cursor + request.limit
        archived = [_fills.decode(data) for key, data in attached.archived.items() if key.startswith(f"{FILL_KIND}/")]
        kept = [event.fill for event in self._events if isinstance(event, OrderFilled) and request.cursor < event.cursor <= end]
        fills = sorted([*archived, *kept], key=lambda fill: fill.cursor)
        return FillsFetched(fills=tuple(fills), is_last=end >= self._last_cursor)

    # Judging and booking.

    def _refusal(self, terms: BrokerOrderReq, attached: Attached) -> Refused | None:
        if self._is_taken(terms.client_order_id, attached):
            return Refused(code=DUPLICATE_CLIENT_ORDER_ID, text=f"client_order_id={terms.client_order_id}")
        listing = self._listings.get(terms.symbol)
        return refusal_of_terms(terms, None if listing is None else listing.instrument, self._account.marks.get(terms.symbol))

    def _replaceable(self, request: Replace, attached: Attached) -> VenueOrder | Refused:
        """The order to replace, or why it is not replaced. The id must be its present one: terms are never changed on an old belief."""
        name, wanted = request.orig_client_order_id, request.order
        refused = self._refusal(wanted, attached)
        if refused is not None:
            return refused
        old = self._book.find(name)
        if old is None or old.client_order_id != name:
            return Refused(code=UNKNOWN_ORDER, text=f"orig_client_order_id={name} is not the present id of a live order")
        more = wanted.order_qty - old.terms.order_qty
        return refusal_of_change(old, wanted) or (self._refusal_of_funds(wanted, more) if more > 0 else None) or old

    def _is_taken(self, name: str, attached: Attached) -> bool:
        """Whether an order, whenever, went by this id."""
        return self._book.knows(name) or f"{ORDER_KIND}/{name}" in attached.archived

    def _refusal_of_funds(self, terms: BrokerOrderReq, qty: Decimal) -> Refused | None:
        instrument = self._listings[terms.symbol].instrument
        lacking = self._account.lacks_funds(instrument, terms.side, qty, terms.limit_price or terms.stop_price)
        return Refused(code=INSUFFICIENT_FUNDS, text=lacking) if lacking else None

    def _end(self, order: VenueOrder, status: OrderStatus, now_ns: int, reason: str = "") -> list[Effect]:
        """The order ends with something left: its event, its row in the archive, and nothing of it works any more."""
        terms = order.terms
        self._account.work(terms.symbol, terms.side, -order.leaves_qty)
        order = msgspec.structs.replace(order, updated_ns=now_ns)
        last_word = order.view(status, reason)
        return [self._push(OrderUpdated(cursor=self._last_cursor + 1, order=last_word)), *self._archive(order, last_word)]

    def _archive(self, order: VenueOrder, last_word: BrokerOrderUpdate) -> list[Effect]:
        """The order has ended, by the event pushed last."""
        ended = self._book.end(order, last_word, self._last_cursor)
        data = _encode(last_word)
        return [Archive(ORDER_KIND, name, data) for name in ended.client_order_ids]

    def _push(self, event: VenueEvent) -> Push:
        self._last_cursor = event.cursor
        self._events.append(event)
        return Push(event)

    def _next_priority(self) -> int:
        self._last_priority += 1
        return self._last_priority

    @property
    def _first_kept(self) -> int:
        """The number of the oldest event in memory; everything before it is acknowledged and archived."""
        return self._last_cursor - len(self._events) + 1

    def _order_needs(self, *names: str) -> Needs:
        keys = tuple((ORDER_KIND, name) for name in names if not self._book.knows(name))
        return Needs(archived=keys) if keys else NO_NEEDS


def _targets(request: Cancel) -> list[str]:
    """The client order ids a cancel may be about: the one it says, else the one its venue order id was made from."""
    return [name for name in dict.fromkeys((request.client_order_id, client_id_of(request.venue_order_id))) if name]


def _is_page(request: FetchFills) -> bool:
    return request.cursor >= 0 and 1 <= request.limit <= FILLS_PAGE_MAX


def _keeps_its_place(old: BrokerOrderReq, wanted: BrokerOrderReq) -> bool:
    """Asking for less at the same price costs no priority, everything else does."""
    return wanted.order_qty <= old.order_qty and (wanted.limit_price, wanted.stop_price) == (old.limit_price, old.stop_price)
