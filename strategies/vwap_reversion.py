"""VWAP mean reversion on one-minute bars: buy a stretch below the session's VWAP in the morning, sell the way back, be flat by night.

The VWAP is the volume-weighted average of typical prices since the first bar of the exchange day. An entry is taken inside the
entry window when the close lies more than `entry_deviation` below the VWAP; the quantity risks `risk_dollars` at the stop, capped
by `notional_max`, rounded down to the instrument's lot (0.001 share where that is the lot). What has filled is covered by a
STOP order resting at the venue (GTC, so that it also guards a position that could not be closed before the bell). Exits, each
of them whatever the window, the day's losses or the switch say:

| Exit | When |
|---|---|
| (stop) | the resting stop fills |
| STOP | a close at or below the stop price all the same |
| REVERSION | a close at or above the VWAP |
| MAX_TIME | held for `time_in_trade_s_max`, when that is set |
| FLAT | from `flat_time`, at the latest five minutes before an early close, every minute until flat |
| OVERNIGHT | found holding a position of another day |
| UNEXPECTED_SHORT | found short, which this strategy never means to be |
| NOTHING_HELD | someone else closed the position: its stops must not sell it again |

An exit first cancels what works and sells only when that has ended, so the stop and the exit can never both sell the
position; whatever the stop sold meanwhile is not there to be sold again.

NO-TRADE reasons, the first that holds, one per bar without an entry:

| Reason | Why nothing is done |
|---|---|
| DISABLED | the strategy is switched off |
| DISABLED_TODAY | losing trades have cost `daily_loss_max` today; winners are not set off |
| VWAP_WARMUP | fewer than `warmup_bars` bars of this session |
| VWAP_INVALID | nothing has traded, or the sums are not usable |
| OUTSIDE_WINDOW | before or after the entry window, past the flat time, or the bar is handled more than its own length late |
| IN_POSITION | a position is held, or an order of this symbol works |
| MAX_TRADES_REACHED | `trades_per_day_max` entries of this symbol today |
| PRICE_ABOVE_THRESHOLD | the close is not far enough below the VWAP |
| SIZE_INVALID | the money buys no legal quantity, or the stop would not be a price |
| MARGINAL_DEVIATION, MARGINAL_VOLUME, MARGINAL_SLOPE | a filter named in `filters` is on and not met (all are off by default) |

Known to fail: a gap through the stop is paid in full; in a trending market the VWAP follows the price down; a thin session's
VWAP is one large print's; limits of the account can deny an entry, which then counts for nothing and may be tried again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

import msgspec
from pydantic import AfterValidator, Field, model_validator

from core.contracts import Bar, OrderStatus, OrderType, Side, TimeInForce
from core.exchange_time import NS_PER_SECOND, at_wall_clock_ns, clock_second, session_close_second, wall_clock
from core.money import ZERO
from strategies.indicators import SessionVwap
from strategies.sizing import legal_qty
from strategies.strategy import Context, Fill, OrderNews, Strategy, StrategyParams, WorkingOrder

__all__ = ["SymbolDay", "VwapReversion", "VwapReversionParams", "VwapReversionState"]

_ENTRY = "ENTRY"
_PROTECTION = "PROTECTION"
_TIMER = "watch:"

_FLAT_BEFORE_EARLY_CLOSE_S = 5 * 60
_RETRY_NS = 60 * NS_PER_SECOND

# The timer is for a market that has gone quiet: bars come first, so it rings a little after the minute they are due at.
_TIMER_DELAY_NS = 5 * NS_PER_SECOND


def _time_of_day(text: str) -> str:
    clock_second(text)
    return text


PositiveDecimal = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0.0, lt=0.5)]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]


class VwapReversionParams(StrategyParams):
    """Deviations and the stop are fractions of the price (0.002 = 0.2 %), money is in the instrument's currency, times of day
    are New York's. The numbers of the filters are what a setup that is not marginal looks like; `filters` switches them on."""

    entry_deviation: Fraction = 0.002
    stop: Fraction = 0.003
    window_start: TimeOfDay = "10:00"
    window_end: TimeOfDay = "11:30"
    flat_time: TimeOfDay = "15:55"
    trades_per_day_max: Annotated[int, Field(ge=1)] = 1
    warmup_bars: Annotated[int, Field(ge=20)] = 20
    risk_dollars: PositiveDecimal = Decimal(15)
    notional_max: PositiveDecimal = Decimal(5_000)
    daily_loss_max: PositiveDecimal = Decimal(50)
    time_in_trade_s_max: Annotated[int, Field(ge=1)] | None = None
    filters: tuple[Literal["deviation", "volume", "slope"], ...] = ()
    filter_deviation_ratio: Annotated[float, Field(ge=1.0)] = 1.5
    filter_volume_min: Annotated[float, Field(ge=0.0)] = 100_000.0
    filter_slope_bars: Annotated[int, Field(ge=1, le=390)] = 10

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not clock_second(self.window_start) < clock_second(self.window_end) <= clock_second(self.flat_time):
            raise ValueError(f"window_start {self.window_start}, window_end {self.window_end} and flat_time {self.flat_time} are not in this order")
        return self


class SymbolDay(msgspec.Struct):
    """One symbol's exchange day (`day` as `date.toordinal`), and its trade: `stop_price` of the trade, the day it was entered,
    why it is being closed ('' when it is not), and the realized P&L before it."""

    vwap: SessionVwap = msgspec.field(default_factory=SessionVwap)
    vwaps: list[float] = msgspec.field(default_factory=list)
    day: int = 0
    trades: int = 0
    entry_ns: int = 0
    stop_price: Decimal = ZERO
    exiting: str = ""
    asked_ns: int = 0
    realized_before: Decimal = ZERO


class VwapReversionState(msgspec.Struct):
    """By symbol, and what losing trades of all symbols have cost on `day`."""

    symbols: dict[str, SymbolDay] = msgspec.field(default_factory=dict)
    day: int = 0
    losses: Decimal = ZERO


class VwapReversion(Strategy[VwapReversionParams, VwapReversionState]):
    """Buys below the session's VWAP in the morning, sells the way back.

    Invariants: never more is being sold than is held; a position is covered by stops or being closed; nothing that stops an
    entry stops an exit.
    """

    Params = VwapReversionParams
    State = VwapReversionState
    overnight: ClassVar[Literal["allowed", "never"]] = "never"

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Look after what is held first, then for an entry."""
        symbol = self._symbol(bar.symbol)
        self._take_bar(symbol, bar)
        self._look_after(ctx, bar.symbol, bar)
        reason = self._why_not(ctx, symbol, bar) or self._enter(ctx, symbol, bar)
        if reason:
            ctx.no_trade(bar.symbol, reason)

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        """Cover what was bought, and settle a trade that is over."""
        symbol = self._symbol(fill.symbol)
        if fill.side is Side.BUY and fill.position.qty > ZERO:
            symbol.stop_price = ctx.instrument(fill.symbol).price_at_or_below(fill.position.avg_price * (1 - Decimal(str(self.params.stop))))
        if not fill.position.qty:
            self._settle(ctx, symbol, fill.position.realized_pnl)
        self._look_after(ctx, fill.symbol, None)

    def on_order(self, ctx: Context, news: OrderNews) -> None:
        """Go on with an exit when what stood in its way has ended; an entry that came to nothing does not count.

        An exit that failed, or a stop that was refused, is not answered at once (it could fail again for ever) but on the next
        bar or timer.
        """
        if not news.is_final or news.order is None:
            return
        symbol = self._symbol(news.symbol)
        if news.order.reason == _ENTRY and news.status is not OrderStatus.FILLED and not news.order.cum_qty:
            symbol.trades = max(symbol.trades - 1, 0)
        if symbol.exiting and news.order.reason in (_ENTRY, _PROTECTION):
            self._exit(ctx, news.symbol, symbol)

    def on_timer(self, ctx: Context, name: str) -> None:
        """The market may have gone quiet: the exits that need no price."""
        self._look_after(ctx, name.removeprefix(_TIMER), None)

    def _symbol(self, name: str) -> SymbolDay:
        return self.state.symbols.setdefault(name, SymbolDay())

    # The day.

    def _take_bar(self, symbol: SymbolDay, bar: Bar) -> None:
        day = wall_clock(bar.close_ns).day
        if day != symbol.day:
            symbol.day, symbol.trades = day, 0
            symbol.vwaps.clear()
        if day > self.state.day:
            self.state.day, self.state.losses = day, ZERO
        value = symbol.vwap.update(day, bar)
        if value is not None:
            symbol.vwaps.append(value)
            del symbol.vwaps[: -(self.params.filter_slope_bars + 1)]

    def _flat_second(self, day: int) -> int:
        """When to be flat on `day`: `flat_time`, or five minutes before the close when that is earlier."""
        return min(clock_second(self.params.flat_time), session_close_second(day) - _FLAT_BEFORE_EARLY_CLOSE_S)

    # What is held.

    def _look_after(self, ctx: Context, name: str, bar: Bar | None) -> None:
        """Begin or go on with an exit, or see that what is held is covered."""
        symbol = self._symbol(name)
        if not ctx.position(name).qty and not ctx.working(name):
            symbol.exiting = ""
            ctx.cancel_timer(_TIMER + name)
            return
        symbol.exiting = symbol.exiting or self._why_exit(ctx, name, symbol, bar)
        if symbol.exiting:
            self._exit(ctx, name, symbol)
        else:
            self._protect(ctx, name, symbol)
            self._set_timer(ctx, name, symbol)

    def _why_exit(self, ctx: Context, name: str, symbol: SymbolDay, bar: Bar | None) -> str:
        now, held = wall_clock(ctx.now_ns), ctx.position(name).qty
        if now.second >= self._flat_second(now.day):
            return "FLAT"
        if not held:
            return "NOTHING_HELD" if self._stops(ctx, name) else ""
        if held < ZERO:
            return "UNEXPECTED_SHORT"
        if wall_clock(symbol.entry_ns).day != now.day:
            return "OVERNIGHT"
        if self.params.time_in_trade_s_max is not None and ctx.now_ns - symbol.entry_ns >= self.params.time_in_trade_s_max * NS_PER_SECOND:
            return "MAX_TIME"
        return "" if bar is None else self._why_exit_at(symbol, bar)

    def _why_exit_at(self, symbol: SymbolDay, bar: Bar) -> str:
        if Decimal(str(bar.close)) <= symbol.stop_price:
            return "STOP"
        vwap = symbol.vwap.value
        return "REVERSION" if vwap is not None and bar.close >= vwap else ""

    def _exit(self, ctx: Context, name: str, symbol: SymbolDay) -> None:
        """Cancel what works; close the position once nothing does. Tried again by every bar, and by the timer without one."""
        ctx.set_timer(_TIMER + name, ctx.now_ns + _RETRY_NS + _TIMER_DELAY_NS)
        working = ctx.working(name)
        for order in working:
            if order.reason in (_ENTRY, _PROTECTION):
                ctx.cancel(order.intent_id, symbol.exiting)
        # One attempt per moment: an exit refused in this one would be refused again.
        if not working and symbol.asked_ns != ctx.now_ns:
            symbol.asked_ns = ctx.now_ns
            ctx.close(name, symbol.exiting)

    def _protect(self, ctx: Context, name: str, symbol: SymbolDay) -> None:
        """Cover what no stop covers yet. A fill in parts gets a stop per part, so none has to be moved while another fills."""
        stops = self._stops(ctx, name)
        bare = ctx.position(name).qty - sum((order.leaves_qty for order in stops), ZERO)
        if bare < ZERO:  # Someone else sold a part: the stops go, and the next bar covers what is left.
            for order in stops:
                ctx.cancel(order.intent_id, "TOO_MUCH_COVER")
        elif bare and not ctx.instrument(name).grid_problems(bare):
            ctx.submit(
                name,
                Side.SELL,
                OrderType.STOP,
                bare,
                time_in_force=TimeInForce.GTC,
                stop_price=symbol.stop_price,
                protective=True,
                reason=_PROTECTION,
            )

    def _stops(self, ctx: Context, name: str) -> list[WorkingOrder]:
        return [order for order in ctx.working(name) if order.reason == _PROTECTION]

    def _set_timer(self, ctx: Context, name: str, symbol: SymbolDay) -> None:
        day = wall_clock(ctx.now_ns).day
        at_ns = at_wall_clock_ns(day, self._flat_second(day))
        if self.params.time_in_trade_s_max is not None:
            at_ns = min(at_ns, symbol.entry_ns + self.params.time_in_trade_s_max * NS_PER_SECOND)
        ctx.set_timer(_TIMER + name, at_ns + _TIMER_DELAY_NS)

    def _settle(self, ctx: Context, symbol: SymbolDay, realized: Decimal) -> None:
        """The position is flat: count what the trade lost on the day it ended."""
        gained, symbol.realized_before = realized - symbol.realized_before, realized
        day = wall_clock(ctx.now_ns).day
        if day > self.state.day:
            self.state.day, self.state.losses = day, ZERO
        self.state.losses -= min(gained, ZERO)

    # Ways in.

    def _why_not(self, ctx: Context, symbol: SymbolDay, bar: Bar) -> str:
        """The first reason not to enter on this bar."""
        params, vwap = self.params, symbol.vwap.value
        if not ctx.is_enabled:
            return "DISABLED"
        if self.state.losses >= params.daily_loss_max:
            return "DISABLED_TODAY"
        if symbol.vwap.bars < params.warmup_bars:
            return "VWAP_WARMUP"
        if vwap is None:
            return "VWAP_INVALID"
        if not self._is_in_window(ctx, bar):
            return "OUTSIDE_WINDOW"
        if ctx.position(bar.symbol).qty or ctx.working(bar.symbol):
            return "IN_POSITION"
        if symbol.trades >= params.trades_per_day_max:
            return "MAX_TRADES_REACHED"
        if not bar.close < vwap * (1.0 - params.entry_deviation):
            return "PRICE_ABOVE_THRESHOLD"
        return self._why_marginal(symbol, bar, vwap) if params.filters else ""

    def _why_marginal(self, symbol: SymbolDay, bar: Bar, vwap: float) -> str:
        params = self.params
        if "deviation" in params.filters and not bar.close < vwap * (1.0 - params.entry_deviation * params.filter_deviation_ratio):
            return "MARGINAL_DEVIATION"
        if "volume" in params.filters and not bar.volume > params.filter_volume_min:
            return "MARGINAL_VOLUME"
        if "slope" in params.filters and not (len(symbol.vwaps) > params.filter_slope_bars and vwap > symbol.vwaps[0]):
            return "MARGINAL_SLOPE"
        return ""

    def _is_in_window(self, ctx: Context, bar: Bar) -> bool:
        """Whether now is in the window, and the bar is of now: one that waited in a queue shows a price of the past."""
        now = wall_clock(ctx.now_ns)
        start, end = clock_second(self.params.window_start), min(clock_second(self.params.window_end), self._flat_second(now.day) - 1)
        return start <= now.second <= end and ctx.now_ns - bar.close_ns <= bar.close_ns - bar.open_ns

    def _enter(self, ctx: Context, symbol: SymbolDay, bar: Bar) -> str:
        params, instrument = self.params, ctx.instrument(bar.symbol)
        stop_price = instrument.price_at_or_below(Decimal(str(bar.close * (1.0 - params.stop))))
        qty = legal_qty(instrument, min(params.risk_dollars / Decimal(str(params.stop)), params.notional_max), bar.close)
        if not qty or stop_price <= ZERO:
            return "SIZE_INVALID"
        ctx.buy(bar.symbol, qty, stop_loss=stop_price, reason=_ENTRY)
        symbol.trades += 1
        symbol.entry_ns, symbol.stop_price, symbol.exiting = ctx.now_ns, stop_price, ""
        symbol.realized_before = ctx.position(bar.symbol).realized_pnl
        return ""
