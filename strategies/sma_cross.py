"""Moving average cross: long while the fast average is above the slow one, out (or short, where allowed) while it is below.

The way in is taken once per cross, on the bar that shows it; an entry that is denied waits for the next cross. The way out is
taken on every bar until it has worked. A reversal closes first and opens the other side when the close is known, so no order
ever passes through zero. While an order works nothing else is asked for.

NO-TRADE reasons, one per bar without an order:

| Reason | Why nothing is done |
|---|---|
| WARMUP | fewer bars than the slow average is long |
| WORKING | an order of this symbol has not ended |
| IN_POSITION | the position is the wanted one |
| NO_CROSS | flat, and the averages have not crossed on this bar |
| SIZE_INVALID | `order_notional` buys no legal quantity at this price, `order_qty` is none, or less than a lot is left to close |
| DISABLED | the strategy is switched off (counted by the desk) |

Known to fail: in sideways markets it trades on noise; a gap through the cross is paid in full, since there is no stop.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

import msgspec
from pydantic import Field, model_validator

from core.contracts import Bar, OrderType, Side
from core.money import ZERO
from strategies.indicators import Sma
from strategies.sizing import legal_qty
from strategies.strategy import Context, Strategy, StrategyParams

__all__ = ["SmaCross", "SmaCrossParams", "SmaCrossState", "SymbolAverages"]


class SmaCrossParams(StrategyParams):
    """`fast` and `slow` in bars; `order_notional` in the instrument's currency, unless `order_qty` fixes the quantity."""

    fast: Annotated[int, Field(ge=1)] = 10
    slow: Annotated[int, Field(ge=2)] = 30
    order_notional: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Decimal(5_000)
    order_qty: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] | None = None
    allow_short: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast: {self.fast} is not allowed, it must be less than slow {self.slow}")
        return self


class SymbolAverages(msgspec.Struct):
    """One symbol: its averages, which side the fast one is on (0: not known yet), and the entry still to be taken."""

    fast: Sma
    slow: Sma
    trend: int = 0
    entry: int = 0


class SmaCrossState(msgspec.Struct):
    """By symbol."""

    symbols: dict[str, SymbolAverages] = msgspec.field(default_factory=dict)


class SmaCross(Strategy[SmaCrossParams, SmaCrossState]):
    """Buys when the fast average crosses above the slow one, sells when it crosses below."""

    Params = SmaCrossParams
    State = SmaCrossState

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Update the averages, then bring the position to where they point."""
        seen = self._seen(bar.symbol)
        was, trend = seen.trend, self._update(seen, bar.close)
        if was and trend != was:
            seen.entry = trend if trend > 0 or self.params.allow_short else 0
        reason = self._act(ctx, bar, seen)
        if reason:
            ctx.no_trade(bar.symbol, reason)

    def _seen(self, symbol: str) -> SymbolAverages:
        """What is known of a symbol; averages of other lengths, from a checkpoint before the parameters changed, start anew."""
        seen, params = self.state.symbols.get(symbol), self.params
        if seen is None or seen.fast.length != params.fast or seen.slow.length != params.slow:
            seen = self.state.symbols[symbol] = SymbolAverages(Sma(params.fast), Sma(params.slow))
        return seen

    def _update(self, seen: SymbolAverages, close: float) -> int:
        """The side of the fast average; equal averages leave it where it was."""
        fast, slow = seen.fast.update(close), seen.slow.update(close)
        if fast is not None and slow is not None and fast != slow:
            seen.trend = 1 if fast > slow else -1
        return seen.trend

    def _act(self, ctx: Context, bar: Bar, seen: SymbolAverages) -> str:
        """Ask for at most one order; the reason when none is called for."""
        if not seen.trend:
            return "WARMUP"
        if ctx.working(bar.symbol):
            return "WORKING"
        held = ctx.position(bar.symbol).qty
        if held * seen.trend < ZERO:
            return "" if ctx.close(bar.symbol, "CROSS_AGAINST") else "SIZE_INVALID"
        if held:
            seen.entry = 0
            return "IN_POSITION"
        return self._open(ctx, bar, seen) if seen.entry else "NO_CROSS"

    def _open(self, ctx: Context, bar: Bar, seen: SymbolAverages) -> str:
        side, seen.entry = (Side.BUY if seen.entry > 0 else Side.SELL), 0
        qty = self._qty(ctx, bar)
        if not qty:
            return "SIZE_INVALID"
        ctx.submit(bar.symbol, side, OrderType.MARKET, qty, reason="CROSS")
        return ""

    def _qty(self, ctx: Context, bar: Bar) -> Decimal:
        instrument = ctx.instrument(bar.symbol)
        wanted = self.params.order_qty
        if wanted is None:
            return legal_qty(instrument, self.params.order_notional, bar.close)
        return ZERO if instrument.problems(wanted) else wanted
