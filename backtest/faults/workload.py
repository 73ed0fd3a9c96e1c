"""What goes on in the simulated world when nothing goes wrong: a market that moves, and strategies that wish for all sorts of things.

Both are machines and strategies like any other, so they die and recover like any other; all they do follows from their parameters
and what they have seen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from core import topics
from core.contracts import Bar, OrderType, SessionClock, SessionPhase, Side, TimeInForce
from core.machine import NO_NEEDS, Attached, Effect, Input, Needs, Publish, Wake
from strategies.seat import AnyStrategy
from strategies.strategy import Context, Fill, Strategy, StrategyParams, WorkingOrder

__all__ = ["SCRIPTED", "Market", "MarketState", "Scripted", "load_scripted"]

SCRIPTED = "scripted"
_STEPS_MAX = 4_096


class MarketState(msgspec.Struct, frozen=True):
    """How many bars have been said; the last one's end; whether the end of the session has been said."""

    bars: int = 0
    last_ns: int = 0
    has_ended: bool = False


class Market:
    """Machine. Reads the clock · Writes md.bars.*, control.clock · Decides nothing: a bar per symbol and interval, along a path drawn from
    the seed, and when it `ends` the end of the session after the last one, at which a venue stops lying.

    A moment that was missed is missed: the market did not wait for us.
    """

    def __init__(self, symbols: Sequence[str], timeframe: str, start_ns: int, interval_ns: int, bars: int, seed: int, *, ends: bool) -> None:
        self._topics = {symbol: topics.MD_BARS.name(timeframe=timeframe, symbol=symbol) for symbol in symbols}
        self._timeframe = timeframe
        self._start_ns = start_ns
        self._interval_ns = interval_ns
        self._bars = bars
        self._ends = ends
        self._paths = {symbol: _path(f"{seed}/{symbol}", bars + 1) for symbol in symbols}
        self._at = MarketState(0, start_ns)

    @property
    def is_over(self) -> bool:
        """Whether the last bar has been said."""
        return self._at.bars >= self._bars

    @property
    def next_wake_ns(self) -> int | None:
        """The end of the next bar."""
        if self.is_over and (self._at.has_ended or not self._ends):
            return None
        return self._start_ns + (self._at.bars + 1) * self._interval_ns

    def needs(self, event: Input) -> Needs:
        """Nothing."""
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Say the newest bar whose end has come."""
        if not isinstance(event, Wake):
            return ()
        if self.is_over:
            self._at = MarketState(self._at.bars, self._at.last_ns, True)
            return [Publish(topics.CONTROL_CLOCK.name(), SessionClock(now_ns=now_ns, step=0, phase=SessionPhase.ENDED))]
        bars = min(self._bars, (now_ns - self._start_ns) // self._interval_ns)
        if bars <= self._at.bars:
            return ()
        close_ns = self._start_ns + bars * self._interval_ns
        effects = [Publish(topic, self._bar(symbol, bars, close_ns)) for symbol, topic in self._topics.items()]
        self._at = MarketState(bars, close_ns)
        return effects

    def _bar(self, symbol: str, k: int, close_ns: int) -> Bar:
        opened, closed = self._paths[symbol][k - 1], self._paths[symbol][k]
        high, low = round(max(opened, closed) + 0.4, 2), round(min(opened, closed) - 0.4, 2)
        return Bar(
            symbol=symbol,
            timeframe=self._timeframe,
            open_ns=self._at.last_ns,
            close_ns=close_ns,
            open=opened,
            high=high,
            low=low,
            close=closed,
            volume=400.0,
        )

    def snapshot(self) -> MarketState:
        """The whole state."""
        return self._at

    def restore(self, snapshot: MarketState) -> None:
        """Become the market that gave this snapshot."""
        self._at = snapshot


def _path(seed: str, steps: int) -> list[float]:
    """A random walk in cents around 100."""
    draw, price, path = random.Random(f"market/{seed}"), 100.0, list[float]()
    for _ in range(min(steps, _STEPS_MAX)):
        path.append(price)
        price = round(min(130.0, max(70.0, price + draw.uniform(-1.2, 1.2))), 2)
    return path


class ScriptedParams(StrategyParams):
    """`seed` decides every wish; after `bars` bars, or from `quiet_ns` on, nothing is wished any more. `activity` is the chance of a wish per bar."""

    seed: int = 0
    bars: int = 20
    quiet_ns: int = 0
    activity: float = 0.7


class ScriptedState(msgspec.Struct):
    """Bars seen, and where the generator stands."""

    bars: int = 0
    draw: int = 0
    protects: int = 0


class Scripted(Strategy[ScriptedParams, ScriptedState]):
    """Wishes for entries and exits of every kind, protects, changes its mind: everything an order can go through."""

    Params = ScriptedParams
    State = ScriptedState

    def on_start(self, ctx: Context) -> None:
        self.state.draw = (self.params.seed * 2_862_933_555_777_941_757 + 3_037_000_493) % 2**64

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        self.state.bars += 1
        if self._is_quiet(ctx) or self._below(1_000) >= self.params.activity * 1_000:
            return
        for _ in range(1 + self._below(2)):
            self._wish(ctx, bar)

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        if not self._is_quiet(ctx) and fill.position.qty and self._below(4) == 0:
            self._protect(ctx, fill)

    def _is_quiet(self, ctx: Context) -> bool:
        return self.state.bars > self.params.bars or bool(self.params.quiet_ns and ctx.now_ns >= self.params.quiet_ns)

    def _wish(self, ctx: Context, bar: Bar) -> None:
        working = ctx.working(bar.symbol)
        choice = self._below(20)
        if choice < 3 and working:
            ctx.cancel(working[self._below(len(working))].intent_id)
        elif choice < 6 and (changeable := [order for order in working if order.order_type is not OrderType.MARKET and order.status is not None]):
            self._replace(ctx, changeable[self._below(len(changeable))])
        elif choice < 8:
            ctx.close(bar.symbol, "scripted")
        elif choice < 9 and (position := ctx.position(bar.symbol).qty):
            side = Side.SELL if position > 0 else Side.BUY
            ctx.submit(bar.symbol, side, OrderType.LIMIT, abs(position), limit_price=self._near(bar.close, side), reduce_only=True)
        else:
            self._enter(ctx, bar)

    def _enter(self, ctx: Context, bar: Bar) -> None:
        side = (Side.BUY, Side.BUY, Side.SELL)[self._below(3)]
        qty = Decimal(self._below(120) + 1) * (2 if self._below(4) == 0 else 1)
        order_type = tuple(OrderType)[self._below(4)]
        time_in_force = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC, TimeInForce.FOK)[
            self._below(5 if order_type in (OrderType.MARKET, OrderType.LIMIT) else 3)
        ]
        limit_price = self._near(bar.close, side) if order_type.has_limit else None
        stop_price = self._beyond(bar.close, side) if order_type.has_stop else None
        ttl_ms = (None, 80, 400, 2_000)[self._below(4)] if order_type.has_limit and time_in_force in (TimeInForce.DAY, TimeInForce.GTC) else None
        ctx.submit(bar.symbol, side, order_type, qty, time_in_force=time_in_force, limit_price=limit_price, stop_price=stop_price, ttl_ms=ttl_ms)

    def _replace(self, ctx: Context, order: WorkingOrder) -> None:
        limit_price = order.limit_price
        if limit_price is not None and self._below(2):
            ctx.replace(order.intent_id, limit_price=limit_price + Decimal("0.05") * (self._below(9) + 1))
            return
        qty = max(order.cum_qty + 1, order.order_qty + self._below(41) - 20)
        if qty != order.order_qty:
            ctx.replace(order.intent_id, order_qty=qty)

    def _protect(self, ctx: Context, fill: Fill) -> None:
        if any(order.protective for order in ctx.working(fill.symbol)):
            return
        held = fill.position.qty
        side = Side.SELL if held > 0 else Side.BUY
        stop = self._beyond(float(fill.last_price), side)
        self.state.protects += 1
        ctx.submit(fill.symbol, side, OrderType.STOP, abs(held), time_in_force=TimeInForce.GTC, stop_price=stop, protective=True)

    def _near(self, price: float, side: Side) -> Decimal:
        """A limit around the price, on either side of it."""
        return Decimal(f"{price + (self._below(200) - 120) / 100 * side.sign:.2f}")

    def _beyond(self, price: float, side: Side) -> Decimal:
        """A stop on the far side of the price."""
        return Decimal(f"{price + (self._below(120) + 5) / 100 * side.sign:.2f}")

    def _below(self, end: int) -> int:
        """A draw from 0 to `end` - 1, of the state alone."""
        self.state.draw = (self.state.draw * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        return (self.state.draw >> 33) % end


def load_scripted(kind: str) -> type[AnyStrategy]:
    """The one kind of strategy there is here."""
    assert kind == SCRIPTED, f"strategy kind {kind!r}: only {SCRIPTED} is simulated"
    return Scripted
