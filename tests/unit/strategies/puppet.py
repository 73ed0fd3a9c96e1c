"""A strategy that does what the volume of a bar tells it, for tests of the host around it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec
import pytest

from core.contracts import Bar, BookSnapshot, BookUpdate, OrderType, Severity, Side, Ticker, TimeInForce, Trade
from strategies.strategy import Context, Fill, OrderNews, Strategy, StrategyError, StrategyParams
from tests.support.builders import SYMBOL, settings_with
from tests.support.strategy_floor import Floor

__all__ = [
    "BAD_ORDER",
    "BUY",
    "CANCEL_ALL",
    "IDLE",
    "LIMIT_BUY",
    "OTHER",
    "PROTECT",
    "QUIET",
    "RAISE",
    "RAISE_AFTER_BUY",
    "SELL",
    "TIMER",
    "UNKEEPABLE",
    "BrokenExport",
    "Nightless",
    "Puppet",
    "PuppetParams",
    "PuppetState",
    "a_floor",
    "puppets",
]

OTHER = "AAPL"
QUIET, BUY, SELL, LIMIT_BUY, PROTECT, CANCEL_ALL, RAISE, RAISE_AFTER_BUY, TIMER, IDLE, BAD_ORDER, UNKEEPABLE = range(12)


class PuppetParams(StrategyParams):
    """`fails_in` names the callback that raises; `lots` is checked like any parameter."""

    fails_in: str = ""
    lots: int = 10


class PuppetState(msgspec.Struct):
    """What it was told, in order."""

    told: list[str] = msgspec.field(default_factory=list)


class Puppet(Strategy[PuppetParams, PuppetState]):
    """Obeys `bar.volume`."""

    Params = PuppetParams
    State = PuppetState

    def on_start(self, ctx: Context) -> None:
        self._told("start")

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        self._told(f"bar {bar.close}")
        _ACTS.get(int(bar.volume), _quiet)(self, ctx, bar)

    def on_trade(self, ctx: Context, trade: Trade) -> None:
        self._told(f"trade {ctx.trigger}")

    def on_quote(self, ctx: Context, quote: Ticker) -> None:
        self._told(f"quote {ctx.trigger}")

    def on_book(self, ctx: Context, book: BookSnapshot | BookUpdate) -> None:
        self._told(f"book {ctx.trigger}")

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        self._told(f"fill {fill.last_qty}")

    def on_order(self, ctx: Context, news: OrderNews) -> None:
        self._told(f"order {news.status or 'DENIED'}")

    def on_timer(self, ctx: Context, name: str) -> None:
        self._told(f"timer {name}")
        ctx.buy(SYMBOL, Decimal(1))

    def on_stop(self, ctx: Context) -> None:
        self._told("stop")

    def _told(self, what: str) -> None:
        self.state.told.append(what)
        if self.params.fails_in and what.startswith(self.params.fails_in):
            raise ZeroDivisionError(what)


class BrokenExport(Puppet):
    """Cannot say what its state is."""

    def export_state(self) -> PuppetState:
        raise KeyError("state")


class Nightless(Puppet):
    """Never holds overnight, or says so."""

    overnight: ClassVar[Literal["allowed", "never"]] = "never"


class NextPuppet(Puppet):
    """A later release whose state means something else."""

    state_version: ClassVar[int] = 2

    @classmethod
    def upgrade_state(cls, version: int, data: str) -> PuppetState:
        if version != 1:
            raise StrategyError(f"version {version}")
        return PuppetState(["upgraded", *msgspec.json.decode(data, type=PuppetState).told])


class ForgetfulPuppet(Puppet):
    """A later release that cannot read what came before."""

    state_version: ClassVar[int] = 3


class Unmakeable(Puppet):
    """Cannot be constructed."""

    def __init__(self, params: PuppetParams, symbols: tuple[str, ...], state: PuppetState) -> None:
        raise OSError("no licence")


def _quiet(self: Puppet, ctx: Context, bar: Bar) -> None:
    pass


def _limit_buy(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.submit(bar.symbol, Side.BUY, OrderType.LIMIT, Decimal(10), limit_price=Decimal(95))


def _buy(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.buy(bar.symbol, Decimal(10))


def _sell(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.sell(bar.symbol, Decimal(10))


def _protect(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.submit(bar.symbol, Side.SELL, OrderType.STOP, Decimal(10), time_in_force=TimeInForce.GTC, stop_price=Decimal(90), protective=True)


def _cancel_all(self: Puppet, ctx: Context, bar: Bar) -> None:
    for order in ctx.working(bar.symbol):
        ctx.cancel(order.intent_id)


def _raise(self: Puppet, ctx: Context, bar: Bar) -> None:
    raise IndexError("list index out of range")


def _raise_after_buy(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.buy(bar.symbol, Decimal(10))
    ctx.alert("HALF_WAY", Severity.INFO, "never said")
    raise IndexError("list index out of range")


def _timer(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.set_timer("tea", ctx.now_ns + 10**9)


def _idle(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.no_trade(bar.symbol, "BORED")


def _bad_order(self: Puppet, ctx: Context, bar: Bar) -> None:
    ctx.buy(bar.symbol, Decimal("0.5"))


def _unkeepable(self: Puppet, ctx: Context, bar: Bar) -> None:
    self.state.told.append(object())  # type: ignore[arg-type]
    ctx.buy(bar.symbol, Decimal(10))


_ACTS: dict[int, Callable[[Puppet, Context, Bar], None]] = {
    QUIET: _quiet,
    BUY: _buy,
    SELL: _sell,
    LIMIT_BUY: _limit_buy,
    PROTECT: _protect,
    CANCEL_ALL: _cancel_all,
    RAISE: _raise,
    RAISE_AFTER_BUY: _raise_after_buy,
    TIMER: _timer,
    IDLE: _idle,
    BAD_ORDER: _bad_order,
    UNKEEPABLE: _unkeepable,
}

_KINDS: dict[str, type[Puppet]] = {
    "puppet": Puppet,
    "broken_export": BrokenExport,
    "nightless": Nightless,
    "next": NextPuppet,
    "forgetful": ForgetfulPuppet,
    "unmakeable": Unmakeable,
}


def puppets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the kinds of this module the ones that exist."""
    monkeypatch.setattr("strategies.registry._loaders", lambda: {kind: (lambda found=found: found) for kind, found in _KINDS.items()})


def a_floor(kind: str = "puppet", *, other: str = "puppet", **params: Any) -> Floor:
    """A started floor with the strategy `trend` on IBM (with these parameters) and another, `calm`, on AAPL."""
    strategies = {"trend": {"kind": kind, "symbols": [SYMBOL], "params": params}, "calm": {"kind": other, "symbols": [OTHER]}}
    floor = Floor(settings_with(feed={"symbols": [SYMBOL, OTHER]}, strategies=strategies))
    floor.start()
    return floor
