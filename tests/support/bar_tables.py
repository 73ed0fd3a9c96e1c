"""Tables of bars for backtests: seeded, on the cent grid, the same on every machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from core.contracts import Bar
from strategies.sma_cross import SmaCross
from strategies.strategy import Context, NoState, Strategy, StrategyParams

__all__ = ["BarCounter", "QuickCross", "Restless", "a_table", "decisions_before"]

_BEGIN = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
_DAY_MINUTES = 390


def a_table(minutes: int = 400, symbols: tuple[str, ...] = ("ALFA",), seed: int = 1) -> pl.DataFrame:
    """One-minute bars of regular sessions, one day after the other: a wave with noise from Lehmer's generator."""
    columns: dict[str, list[Any]] = {name: [] for name in ("symbol", "ts", "open", "high", "low", "close", "volume")}
    value = 1_000 * seed + 7
    was = dict.fromkeys(symbols, 10_000)
    for k in range(minutes):
        day, minute = divmod(k, _DAY_MINUTES)
        ts = _BEGIN + timedelta(days=day + 2 * (day // 5), minutes=minute)
        for n, symbol in enumerate(symbols):
            value = value * 48_271 % 2_147_483_647
            cents = 10_000 + abs((k + 13 * n) % 60 - 30) * 4 + value % 31
            prices = (was[symbol], max(was[symbol], cents) + 2, min(was[symbol], cents) - 2, cents)
            for name, cell in zip(columns, (symbol, ts, *(price / 100 for price in prices), 5_000), strict=True):
                columns[name].append(cell)
            was[symbol] = cents
    return pl.DataFrame(columns)


class QuickCross(SmaCross):
    """The shipped cross, under another name: a class of the caller's own."""


class _Counted(StrategyParams):
    pass


class BarCounter(Strategy[_Counted, NoState]):
    """Counts its calls and asks for nothing."""

    Params = _Counted
    seen = 0

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """One more."""
        type(self).seen += 1


class Restless(Strategy[_Counted, NoState]):
    """Uses everything that makes an instant more than a bar: limits, stops, cancels, replaces, timers, and shorts."""

    Params = _Counted

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Quote around the close every seventh bar; what has rested for a while is moved, then cancelled."""
        from decimal import Decimal

        from core.contracts import OrderType, Side, TimeInForce

        instrument = ctx.instrument(bar.symbol)
        price = instrument.price_at_or_below(Decimal(str(bar.close)))
        minute = bar.close_ns // 60_000_000_000
        for order in ctx.working(bar.symbol):
            if order.status is not None and minute % 11 == 0:
                ctx.cancel(order.intent_id)
            elif order.limit_price is not None and order.status is not None and minute % 5 == 0:
                ctx.replace(order.intent_id, limit_price=order.limit_price + instrument.tick * order.side.sign)
        if minute % 7 == 0:
            side = Side.BUY if minute % 2 else Side.SELL
            ctx.submit(bar.symbol, side, OrderType.LIMIT, Decimal(3), limit_price=price - side.sign * instrument.tick * 5, time_in_force=TimeInForce.GTC)
        if minute % 13 == 0:
            ctx.submit(bar.symbol, Side.BUY, OrderType.STOP, Decimal(2), stop_price=price + instrument.tick * 20)
        if minute % 17 == 0:
            ctx.close(bar.symbol, "ENOUGH")
        if minute % 19 == 0:
            ctx.set_timer(f"t{bar.symbol}", bar.close_ns + 90_000_000_000)

    def on_timer(self, ctx: Context, name: str) -> None:
        """Between two bars."""
        from decimal import Decimal

        ctx.buy(name[1:], Decimal(1), reason="TIMER")


def decisions_before(said: list[Any], end_ns: int) -> list[Any]:
    """What was said before a moment."""
    return [each for each in said if getattr(each, "decided_ns", None) is not None and each.decided_ns < end_ns]
