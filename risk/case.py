"""One intent before its judges: everything a control may look at, worked out once.

Controls are pure functions of a case. A fact that is missing is None here, never a stand-in value, so that a control which
needs it can see that it cannot judge.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.contracts import (
    OrderIntent,
    ReplaceIntent,
    Side,
    TradingState,
)
from core.instrument import Instrument
from core.machine import Mark
from core.money import ZERO
from core.settings import LimitSettings
from core.venue import BrokerOrderReq
from risk.exposure import Reservation, SymbolExposure
from risk.memory import DecidedIntent

__all__ = ["NS_PER_MS", "Case", "Closing", "OrderCase", "Quote", "Rules", "Situation", "Wish", "is_amount", "order_case", "read_mark", "wish_of_order", "wish_of_replace"]

NS_PER_MS = 1_000_000
_EXPONENT_MAX = 14
_PLACES_MAX = 12
_PRICE_MIN, _PRICE_END = 1e-12, 1e15


class Rules(msgspec.Struct, frozen=True):
    """What the configuration says and a run never changes."""

    limits: LimitSettings
    limits_version: str
    account: str
    venue: str
    strategies: frozenset[str]
    id_prefix: str


class Wish(msgspec.Struct, frozen=True, gc=False):
    """An order as an intent asks for it: where, and exactly what would be sent.

    `open_qty` is the most the order could still execute (for a replace, under the old or the new terms), of which
    `reserved_qty` is counted already. `reduce_only` promises that it closes what its owner holds and no more.
    """

    account: str
    venue: str
    order: BrokerOrderReq
    open_qty: Decimal
    reserved_qty: Decimal = ZERO
    reduce_only: bool = False


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A mark as risk reads it: `price` is None unless it is a finite number above zero, `age_ns` is below zero for one dated after now."""

    price: Decimal | None = None
    age_ns: int | None = None


_NO_QUOTE = Quote()


class Closing(msgspec.Struct, frozen=True, gc=False):
    """What a reduce-only order takes off its owner's position: `held_qty` there is to close, its entries under way included;
    `working_qty` other orders of the owner's are closing already, `order_qty` this one adds."""

    held_qty: Decimal
    working_qty: Decimal
    order_qty: Decimal


class Situation(msgspec.Struct, frozen=True, gc=False):
    """How the account stands beside its positions: the doors, and what is wrong with risk's own inputs and outputs."""

    trading_state: TradingState
    trading_reason: str
    kill_state: TradingState
    kill_reason: str
    is_kill_readable: bool
    effective_state: TradingState
    stopped_links: tuple[str, ...] = ()
    backlogs: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An intent with all that can be said of it before its order is looked at.

    `decided` is the answer its id got before; `target` and `target_decided` are what a replace aims at. `reduces` is true only
    for an order that can do nothing but bring the position, with everything on its side filled, towards zero.
    """

    intent: OrderIntent | ReplaceIntent
    now_ns: int
    rules: Rules
    limits: LimitSettings
    situation: Situation
    content_hash: str
    decided: DecidedIntent | None = None
    target: Reservation | None = None
    target_decided: DecidedIntent | None = None
    reduces: bool = False


class OrderCase(Case, frozen=True, kw_only=True, gc=False):
    """An intent with its order and all facts about it. Quantities are the account's in the order's symbol, all owners together.

    `price` is the mark when it may be used. `worst_qty` is the signed position with everything on the order's side and the order
    filled, `opposite_qty` the size it could reach on the other side; both are None when they are beyond belief.
    `order_notional` and `worst_notional` are valued at a buy's own price where that is dearer than the mark, None without a value.
    `last_allowed_ns` is when the same order was allowed last, `closing` what a reduce-only order is held against.
    """

    account: str
    venue: str
    order: BrokerOrderReq
    quote: Quote
    exposure: SymbolExposure
    open_positions: int
    instrument: Instrument | None = None
    price: Decimal | None = None
    worst_qty: Decimal | None = None
    opposite_qty: Decimal | None = None
    order_notional: Decimal | None = None
    worst_notional: Decimal | None = None
    last_allowed_ns: int | None = None
    closing: Closing | None = None


def wish_of_order(intent: OrderIntent, client_order_id: str) -> Wish:
    """What a new order asks for."""
    order = BrokerOrderReq(
        client_order_id=client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        order_qty=intent.order_qty,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
    )
    return Wish(intent.account, intent.venue, order, intent.order_qty, ZERO, intent.only_closes)


def wish_of_replace(intent: ReplaceIntent, target: Reservation, client_order_id: str, rules: Rules) -> Wish | None:
    """What a replace asks for: the target's confirmed terms where the intent leaves them as they are. None for an order that risk never approved."""
    if target.order_type is None or target.time_in_force is None:
        return None
    order = BrokerOrderReq(
        client_order_id=client_order_id,
        symbol=target.symbol,
        side=target.side,
        order_type=target.order_type,
        time_in_force=target.time_in_force,
        order_qty=target.order_qty if intent.order_qty is None else intent.order_qty,
        limit_price=target.limit_price if intent.limit_price is None else intent.limit_price,
        stop_price=target.stop_price if intent.stop_price is None else intent.stop_price,
    )
    return Wish(rules.account, rules.venue, order, max(order.order_qty - target.cum_qty, target.working_qty), target.working_qty, target.reduce_only)


def read_mark(mark: Mark | None, now_ns: int) -> Quote:
    """A mark as a Decimal price with its age. What is not a price (NaN, zero, beyond belief) reads as missing.

    A float carries noise behind the twelve places a price may have (0.1 + 0.2); that is no reason to do without the price.
    """
    if mark is None:
        return _NO_QUOTE
    is_price = _PRICE_MIN <= mark.price < _PRICE_END
    return Quote(Decimal(str(round(mark.price, _PLACES_MAX))) if is_price else None, now_ns - mark.as_of_ns)


def order_case(
    intent: OrderIntent | ReplaceIntent,
    wish: Wish,
    *,
    now_ns: int,
    rules: Rules,
    situation: Situation,
    content_hash: str,
    decided: DecidedIntent | None,
    target: Reservation | None,
    instrument: Instrument | None,
    quote: Quote,
    exposure: SymbolExposure,
    open_positions: int,
    last_allowed_ns: int | None,
) -> OrderCase:
    """The case of an intent that names an order."""
    order, age_ns, limits = wish.order, quote.age_ns, rules.limits
    price = quote.price if age_ns is not None and 0 <= age_ns <= limits.mark_age_ms_max * NS_PER_MS else None
    reduces, worst_qty, opposite_qty = _outlook(wish, exposure)
    order_notional = worst_notional = None
    if price is not None and instrument is not None:
        dearest = _dearest(price, order)
        order_notional = _believable(instrument.notional(order.order_qty, dearest))
        worst_notional = None if worst_qty is None else _believable(instrument.notional(abs(worst_qty), dearest))
    return OrderCase(
        intent=intent,
        now_ns=now_ns,
        rules=rules,
        limits=limits,
        situation=situation,
        content_hash=content_hash,
        decided=decided,
        target=target,
        reduces=reduces,
        account=wish.account,
        venue=wish.venue,
        order=order,
        quote=quote,
        exposure=exposure,
        open_positions=open_positions,
        instrument=instrument,
        price=price,
        worst_qty=worst_qty,
        opposite_qty=opposite_qty,
        order_notional=order_notional,
        worst_notional=worst_notional,
        last_allowed_ns=last_allowed_ns,
        closing=_closing(wish, intent.strategy_id, exposure) if wish.reduce_only else None,
    )


def _closing(wish: Wish, owner: str, exposure: SymbolExposure) -> Closing:
    held = exposure.owners.get(owner, ZERO) * -wish.order.side.sign
    entering, closing = (exposure.selling, exposure.buying) if wish.order.side is Side.BUY else (exposure.buying, exposure.selling)
    return Closing(held + entering.get(owner, ZERO), closing.get(owner, ZERO), wish.open_qty - wish.reserved_qty)


def _outlook(wish: Wish, exposure: SymbolExposure) -> tuple[bool, Decimal | None, Decimal | None]:
    """Whether the order can only reduce, the worst position on its side with it, and the worst size on the other side."""
    held, added = exposure.position_qty, wish.open_qty - wish.reserved_qty
    if wish.order.side is Side.BUY:
        worst_qty = held + exposure.working_buy_qty + added
        reduces, opposite_qty = held < 0 and worst_qty <= 0, exposure.working_sell_qty - held
    else:
        worst_qty = held - exposure.working_sell_qty - added
        reduces, opposite_qty = held > 0 and worst_qty >= 0, held + exposure.working_buy_qty
    return (reduces, worst_qty, opposite_qty) if is_amount(worst_qty) and is_amount(opposite_qty) else (False, None, None)


def is_amount(value: Decimal) -> bool:
    """Whether this is a size that a message may tell (core/money.py); a sum of legal amounts can be beyond it."""
    return value.adjusted() <= _EXPONENT_MAX


def _believable(value: Decimal) -> Decimal | None:
    return value if is_amount(value) else None


def _dearest(price: Decimal, order: BrokerOrderReq) -> Decimal:
    """What a unit could cost: the mark, or for a buy its own price where that is higher. A sell's own price only makes it smaller."""
    if order.side is Side.BUY:
        if order.limit_price is not None and order.limit_price > price:
            price = order.limit_price
        if order.stop_price is not None and order.stop_price > price:
            price = order.stop_price
    return price
