"""One strategy's desk: what it holds, what it has working, and the wishes of the callback under way.

The desk is the `Context` a strategy gets. Its book is fed from durable topics alone (orders, fills, positions, denials); what a
callback asks for is drafted and leaves only when the callback ends well, so that a strategy that raises half-way leaves
nothing half-done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

import msgspec

from core import ids, topics
from core.contracts import (
    Alert,
    CancelIntent,
    ExecType,
    Intent,
    NoTrade,
    OrderIntent,
    OrderStateChanged,
    OrderType,
    PositionSnapshot,
    ReplaceIntent,
    Severity,
    Side,
    TimeInForce,
)
from core.instrument import Instrument
from core.machine import Effect, Log, Publish
from core.money import ZERO
from strategies.strategy import FLAT, AccountView, Fill, OrderNews, Position, StrategyError, WorkingOrder

__all__ = ["DAEMON", "DISABLED", "Balances", "Book", "Desk", "Terms"]

DAEMON = topics.Daemon.STRATEGY_RUNNER.value
DISABLED = "DISABLED"
_NS_PER_MS = 1_000_000

# A timer lies ahead, so that one which is set again and again can neither spin the daemon nor come twice under one name.
_TIMER_STEP_NS = _NS_PER_MS

# What takes an execution back or mends it is news of the order, not another fill.
_REVISIONS = (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)

_I = TypeVar("_I", OrderIntent, CancelIntent, ReplaceIntent)


class Book(msgspec.Struct):
    """The part of a desk that a checkpoint holds.

    `replaces` leads from a replace intent to the intent it changes; `news` counts what was heard of each live order.
    """

    positions: dict[str, Position] = msgspec.field(default_factory=dict)
    working: dict[str, WorkingOrder] = msgspec.field(default_factory=dict)
    replaces: dict[str, str] = msgspec.field(default_factory=dict)
    news: dict[str, int] = msgspec.field(default_factory=dict)
    timers: dict[str, int] = msgspec.field(default_factory=dict)
    idle_reasons: dict[str, int] = msgspec.field(default_factory=dict)
    last_reason: dict[str, str] = msgspec.field(default_factory=dict)
    last_denial: str = ""

    def copy(self) -> Book:
        """An independent book; the values are immutable."""
        return Book(
            positions=dict(self.positions),
            working=dict(self.working),
            replaces=dict(self.replaces),
            news=dict(self.news),
            timers=dict(self.timers),
            idle_reasons=dict(self.idle_reasons),
            last_reason=dict(self.last_reason),
            last_denial=self.last_denial,
        )


class Balances:
    """The account view: the last balance of each asset that the ledger reported."""

    def __init__(self) -> None:
        self.totals: dict[str, Decimal] = {}

    def balance(self, asset: str) -> Decimal | None:
        """The balance of an asset, None when the ledger has not mentioned it."""
        return self.totals.get(asset)


class Terms(msgspec.Struct, frozen=True):
    """What every intent of a suite has in common: account, venue, journal epoch, and how long a wish stays fresh."""

    account: str
    venue: str
    epoch: str
    intent_age_ms_max: int


class Desk:
    """The context and the book of one strategy.

    Invariants: an intent leaves only by `commit`; `book.working` holds exactly the intents that left and have not ended;
    intent ids are (strategy, epoch, trigger, ordinal) with ordinals from 0 per input.
    """

    def __init__(self, strategy_id: str, symbols: tuple[str, ...], terms: Terms, instruments: Mapping[str, Instrument], balances: Balances) -> None:
        self.strategy_id = strategy_id
        self.book = Book()
        self.entries_enabled = True
        self._symbols = frozenset(symbols)
        self._terms = terms
        self._instruments = instruments
        self._balances = balances
        self._now_ns = 0
        self._trigger = ""
        self._ordinal = 0
        self._input = -1
        self._effects: list[Effect] = []
        self._draft: dict[str, WorkingOrder] = {}

    @property
    def now_ns(self) -> int:
        """The time of the input being handled."""
        return self._now_ns

    @property
    def trigger(self) -> str:
        """The name of the input being handled."""
        return self._trigger

    @property
    def is_enabled(self) -> bool:
        """Whether entries are switched on."""
        return self.entries_enabled

    @property
    def account(self) -> AccountView:
        """The account as the ledger last reported it."""
        return self._balances

    def instrument(self, symbol: str) -> Instrument:
        """The grid of one of this strategy's symbols."""
        if symbol not in self._symbols:
            raise StrategyError(f"{self.strategy_id}: symbol {symbol!r} is not allowed, it trades {', '.join(sorted(self._symbols))}")
        if symbol not in self._instruments:
            raise StrategyError(f"{self.strategy_id}: symbol {symbol!r} has no instrument, a row in config/instruments.yaml is required")
        return self._instruments[symbol]

    def position(self, symbol: str) -> Position:
        """What this strategy holds of a symbol."""
        return self.book.positions.get(symbol, FLAT)

    def working(self, symbol: str) -> tuple[WorkingOrder, ...]:
        """This strategy's orders of a symbol that have not ended."""
        if not self.book.working and not self._draft:
            return ()
        return tuple(order for order in (self.book.working | self._draft).values() if order.symbol == symbol)

    def buy(self, symbol: str, order_qty: Decimal, *, stop_loss: Decimal | None = None, reason: str = "") -> OrderIntent | None:
        """Ask for a market buy."""
        return self.submit(symbol, Side.BUY, OrderType.MARKET, order_qty, stop_loss=stop_loss, reason=reason)

    def sell(self, symbol: str, order_qty: Decimal, *, stop_loss: Decimal | None = None, reason: str = "") -> OrderIntent | None:
        """Ask for a market sell."""
        return self.submit(symbol, Side.SELL, OrderType.MARKET, order_qty, stop_loss=stop_loss, reason=reason)

    def submit(
        self,
        symbol: str,
        side: Side,
        order_type: OrderType,
        order_qty: Decimal,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        stop_loss: Decimal | None = None,
        take_profit: Decimal | None = None,
        ttl_ms: int | None = None,
        protective: bool = False,
        reduce_only: bool = False,
        reason: str = "",
    ) -> OrderIntent | None:
        """Draft an order intent; None when it would open risk while entries are switched off."""
        self._require_terms(symbol, side, order_type, time_in_force, order_qty, limit_price, stop_price, stop_loss, take_profit)
        if not self.entries_enabled and not self.reduces(symbol, side, order_qty):
            self.no_trade(symbol, DISABLED)
            return None
        intent = self._build(
            lambda intent_id: OrderIntent(
                intent_id=intent_id,
                strategy_id=self.strategy_id,
                account=self._terms.account,
                venue=self._terms.venue,
                symbol=symbol,
                side=side,
                order_type=order_type,
                time_in_force=time_in_force,
                order_qty=order_qty,
                created_ns=self._now_ns,
                expires_ns=self._expires_ns,
                limit_price=limit_price,
                stop_price=stop_price,
                stop_loss=stop_loss,
                take_profit=take_profit,
                ttl_ms=ttl_ms,
                protective=protective,
                reduce_only=reduce_only,
                trigger=self._trigger,
                reason=reason,
            )
        )
        self._draft[intent.intent_id] = _asked(intent)
        return intent

    def cancel(self, intent_id: str, reason: str = "") -> CancelIntent | None:
        """Draft a cancel; None when the order is not working or a cancel is under way."""
        order = self._find(intent_id)
        if order is None or order.is_cancel_requested:
            return None
        self._draft[intent_id] = msgspec.structs.replace(order, is_cancel_requested=True)
        return self._build(lambda own_id: CancelIntent(intent_id=own_id, strategy_id=self.strategy_id, target_intent_id=intent_id, created_ns=self._now_ns, reason=reason))

    def replace(
        self,
        intent_id: str,
        *,
        order_qty: Decimal | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
        reason: str = "",
    ) -> ReplaceIntent | None:
        """Draft other terms for a working order; None when they would open risk while entries are switched off."""
        order = self._find(intent_id)
        if order is None:
            raise StrategyError(f"{self.strategy_id}: {intent_id} is not a working order, only a working one can be replaced")
        if order_qty is None and limit_price is None and stop_price is None:
            raise StrategyError(f"{self.strategy_id}: replace of {intent_id} changes nothing, at least one term is required")
        wanted_qty = order.order_qty if order_qty is None else order_qty
        wanted_limit = order.limit_price if limit_price is None else limit_price
        wanted_stop = order.stop_price if stop_price is None else stop_price
        self._require_terms(order.symbol, order.side, order.order_type, TimeInForce.DAY, wanted_qty, wanted_limit, wanted_stop, None, None)
        if not self.entries_enabled and not self.reduces(order.symbol, order.side, wanted_qty - order.cum_qty):
            self.no_trade(order.symbol, DISABLED)
            return None
        return self._build(
            lambda own_id: ReplaceIntent(
                intent_id=own_id,
                strategy_id=self.strategy_id,
                target_intent_id=intent_id,
                created_ns=self._now_ns,
                expires_ns=self._expires_ns,
                order_qty=order_qty,
                limit_price=limit_price,
                stop_price=stop_price,
                reason=reason,
            )
        )

    def no_trade(self, symbol: str, reason: str) -> None:
        """Count a reason; it is published when it differs from the symbol's last one."""
        book = self.book
        book.idle_reasons[reason] = book.idle_reasons.get(reason, 0) + 1
        self._effects.append(Log("debug", "NO_TRADE", (("strategy_id", self.strategy_id), ("symbol", symbol), ("reason", reason), ("trigger", self._trigger))))
        if book.last_reason.get(symbol) != reason:
            book.last_reason[symbol] = reason
            told = NoTrade(strategy_id=self.strategy_id, symbol=symbol, reason=reason, trigger=self._trigger, occurred_ns=self._now_ns)
            self._effects.append(Publish(topics.TELEMETRY_NO_TRADE.name(), told))

    def set_timer(self, name: str, at_ns: int) -> None:
        """Set or move a timer; a time that is not ahead becomes the next millisecond."""
        self.book.timers[name] = max(at_ns, self._now_ns + _TIMER_STEP_NS)

    def cancel_timer(self, name: str) -> None:
        """Forget a timer."""
        self.book.timers.pop(name, None)

    def alert(self, name: str, severity: Severity, text: str) -> None:
        """Tell a person."""
        alert = Alert(name=name, severity=severity, text=f"{self.strategy_id}: {text}", daemon=DAEMON, occurred_ns=self._now_ns)
        self._effects.append(Publish(topics.ALERTS_FIRED.name(), alert))

    def begin(self, input_number: int, trigger: str, now_ns: int) -> None:
        """A callback begins; ordinals go on while input and trigger are the same."""
        if (input_number, trigger) != (self._input, self._trigger):
            self._input, self._trigger, self._ordinal = input_number, trigger, 0
        self._now_ns = now_ns

    def commit(self) -> list[Effect]:
        """The callback ended well: what it asked for."""
        effects, self._effects = self._effects, []
        if self._draft:
            self.book.working.update(self._draft)
            self._draft.clear()
        for effect in effects:
            if isinstance(effect, Publish) and isinstance(effect.body, ReplaceIntent):
                self.book.replaces[effect.body.intent_id] = effect.body.target_intent_id
        return effects

    def abandon(self) -> None:
        """The callback raised: nothing it asked for happens."""
        self._effects.clear()
        self._draft.clear()

    def reduces(self, symbol: str, side: Side, order_qty: Decimal) -> bool:
        """Whether an order would only take the present position towards zero."""
        held = self.position(symbol).qty
        return held * side.sign < 0 and order_qty <= abs(held)

    def closing_qty(self, symbol: str) -> Decimal:
        """How much one order can take off the present position: whole lots, at most the instrument's largest order."""
        instrument = self.instrument(symbol)
        qty = instrument.qty_at_or_below(abs(self.position(symbol).qty))
        return qty if instrument.order_qty_max is None else min(qty, instrument.qty_at_or_below(instrument.order_qty_max))

    def close(self, symbol: str, reason: str) -> OrderIntent | None:
        """Draft a market order that takes the position towards zero; None when less than a lot is held."""
        qty = self.closing_qty(symbol)
        side = Side.SELL if self.position(symbol).qty > ZERO else Side.BUY
        return self.submit(symbol, side, OrderType.MARKET, qty, reduce_only=True, reason=reason) if qty else None

    def is_exit(self, order: WorkingOrder) -> bool:
        """Whether a working order protects or closes what is held, rather than opening more."""
        return order.protective or self.reduces(order.symbol, order.side, order.leaves_qty)

    def name_news(self, event: OrderStateChanged, seq: int) -> str:
        """A trigger for this event that no other event ever has, the same whatever happened to other orders in between.

        Events of a live order are counted. One that comes after the end takes its message's number, which is larger than any
        count can be, and so keeps the names apart when a confirmed replace opens the order again.
        """
        intent_id = self.book.replaces.get(event.intent_id, event.intent_id)
        n = seq if event.old_status.is_terminal else self.book.news.get(intent_id, 0) + 1
        if event.new_status.is_terminal:
            self.book.news.pop(intent_id, None)
        else:
            self.book.news[intent_id] = n
        return f"order:{event.client_order_id}:{n}"

    def on_order_changed(self, event: OrderStateChanged) -> tuple[Fill | None, OrderNews]:
        """Book one event of an order of this strategy; what to tell the strategy."""
        position = self.on_position(event.position)
        intent_id = self.book.replaces.get(event.intent_id, event.intent_id)
        order = self._book_order(intent_id, event)
        fill = None
        if event.last_qty > ZERO and event.last_price is not None and event.exec_type not in _REVISIONS:
            fill = Fill(
                intent_id=intent_id,
                symbol=event.symbol,
                side=event.side,
                last_qty=event.last_qty,
                last_price=event.last_price,
                occurred_ns=event.occurred_ns,
                position=position,
            )
        news = OrderNews(
            intent_id=intent_id,
            symbol=event.symbol,
            status=event.new_status,
            exec_type=event.exec_type,
            cause=event.cause,
            order=order,
            is_final=event.new_status.is_terminal,
        )
        return fill, news

    def on_position(self, snapshot: PositionSnapshot) -> Position:
        """Book a position the ledger reported."""
        position = Position(snapshot.position_qty, snapshot.avg_price, snapshot.realized_pnl)
        self.book.positions[snapshot.symbol] = position
        return position

    def on_denied(self, intent: Intent, denials: tuple[str, ...]) -> OrderNews:
        """Book risk's refusal of one of this strategy's intents."""
        self.book.last_denial = "; ".join(denials)
        target = intent.intent_id if isinstance(intent, OrderIntent) else intent.target_intent_id
        if isinstance(intent, OrderIntent):
            order = self.book.working.pop(target, None)
        else:
            self.book.replaces.pop(intent.intent_id, None)
            order = self._forget_cancel_request(target) if isinstance(intent, CancelIntent) else self.book.working.get(target)
        symbol = intent.symbol if isinstance(intent, OrderIntent) else order.symbol if order else ""
        status = order.status if order else None
        return OrderNews(intent_id=target, symbol=symbol, status=status, denials=denials, order=order, is_final=isinstance(intent, OrderIntent))

    def take_due_timer(self, now_ns: int) -> tuple[int, str] | None:
        """Remove and return the earliest timer that has come. One at a time, because its callback may move the others."""
        due = min(((at_ns, name) for name, at_ns in self.book.timers.items() if at_ns <= now_ns), default=None)
        if due is not None:
            del self.book.timers[due[1]]
        return due

    def _book_order(self, intent_id: str, event: OrderStateChanged) -> WorkingOrder | None:
        """The working order after this event (before it, when the event ended it)."""
        known = self.book.working.get(intent_id)
        if event.new_status.is_terminal:
            self.book.working.pop(intent_id, None)
            self.book.replaces = {own: target for own, target in self.book.replaces.items() if target != intent_id} if self.book.replaces else {}
            return known
        order = msgspec.structs.replace(
            known or _found(intent_id, event),
            status=event.new_status,
            order_qty=event.order_qty,
            cum_qty=event.cum_qty,
            limit_price=event.limit_price,
            stop_price=event.stop_price,
        )
        if event.exec_type is ExecType.CANCEL_REJECTED:
            order = msgspec.structs.replace(order, is_cancel_requested=False)
        self.book.working[intent_id] = order
        return order

    def _forget_cancel_request(self, intent_id: str) -> WorkingOrder | None:
        if (order := self.book.working.get(intent_id)) is not None:
            order = self.book.working[intent_id] = msgspec.structs.replace(order, is_cancel_requested=False)
        return order

    def _find(self, intent_id: str) -> WorkingOrder | None:
        return self._draft.get(intent_id) or self.book.working.get(intent_id)

    @property
    def _expires_ns(self) -> int:
        return self._now_ns + self._terms.intent_age_ms_max * _NS_PER_MS

    def _build(self, build: Callable[[str], _I]) -> _I:
        """Draft the next intent of this trigger; a malformed one becomes a StrategyError."""
        intent_id = ids.intent_id(self.strategy_id, self._terms.epoch, self._trigger, self._ordinal)
        try:
            intent = build(intent_id)
        except (ValueError, TypeError) as error:
            raise StrategyError(f"{self.strategy_id}: {error}") from error
        self._ordinal += 1
        self._effects.append(Publish(topics.STRAT_INTENT.name(), intent, intent_id))
        return intent

    def _require_terms(
        self,
        symbol: str,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        order_qty: Decimal,
        limit_price: Decimal | None,
        stop_price: Decimal | None,
        stop_loss: Decimal | None,
        take_profit: Decimal | None,
    ) -> None:
        """StrategyError unless the terms are what they claim to be and lie on the instrument's grid."""
        instrument = self.instrument(symbol)
        for name, value, kind in (("side", side, Side), ("order_type", order_type, OrderType), ("time_in_force", time_in_force, TimeInForce)):
            if not isinstance(value, kind):
                raise StrategyError(f"{self.strategy_id}: {name}: {value!r} is not allowed, one of {', '.join(k.value for k in kind)} is required")
        self._require_amount("order_qty", order_qty)
        prices = {"limit_price": limit_price, "stop_price": stop_price, "stop_loss": stop_loss, "take_profit": take_profit}
        given = {name: price for name, price in prices.items() if price is not None}
        for name, price in given.items():
            self._require_amount(name, price)
        if limit_price is not None:
            self._require_sides(side, limit_price, stop_loss, take_profit)
        # What is left of a position may be smaller than the smallest entry, and must still find its way out.
        minimum = [] if self.reduces(symbol, side, order_qty) else instrument.minimum_problems(order_qty)
        if problems := instrument.grid_problems(order_qty, *given.values()) + minimum:
            raise StrategyError(f"{self.strategy_id}: {symbol}: {'; '.join(problems)}")

    def _require_amount(self, name: str, value: object) -> None:
        if not isinstance(value, Decimal):
            raise StrategyError(f"{self.strategy_id}: {name}: {value!r} ({type(value).__name__}) is not allowed, a Decimal is required")
        if not (value.is_finite() and value > 0):
            raise StrategyError(f"{self.strategy_id}: {name}: {value} is not allowed, a finite Decimal greater than 0 is required")

    def _require_sides(self, side: Side, price: Decimal, stop_loss: Decimal | None, take_profit: Decimal | None) -> None:
        """The plan must make sense: a stop is worse than the entry, a target better."""
        for name, plan, sign in (("stop_loss", stop_loss, -1), ("take_profit", take_profit, 1)):
            if plan is not None and (plan - price) * side.sign * sign <= 0:
                where = "above" if side.sign * sign > 0 else "below"
                raise StrategyError(f"{self.strategy_id}: {name}: {plan} is not allowed for a {side.value} at {price}, it must lie {where}")


def _asked(intent: OrderIntent) -> WorkingOrder:
    return WorkingOrder(
        intent_id=intent.intent_id,
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        order_qty=intent.order_qty,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        protective=intent.protective,
        reason=intent.reason,
    )


def _found(intent_id: str, event: OrderStateChanged) -> WorkingOrder:
    """An order of this strategy that it did not ask for itself: risk's flatten, or an operator's."""
    kind = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP, (True, True): OrderType.STOP_LIMIT}
    return WorkingOrder(
        intent_id=intent_id,
        symbol=event.symbol,
        side=event.side,
        order_type=kind[event.limit_price is not None, event.stop_price is not None],
        order_qty=event.order_qty,
    )
