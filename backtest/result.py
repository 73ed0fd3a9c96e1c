"""What a backtest gives back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from backtest.data_quality import DataQuality
from backtest.equity import EquityCurve
from backtest.loop import Said
from core.contracts import Alert, FillEvent, OrderIntent, OrderStateChanged, OrderStatus, RiskDecision, Verdict
from core.money import ZERO

__all__ = ["BacktestResult", "Summary", "is_trouble", "summary_of"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers. Times are ns UTC, money is in `currency`; `denials` counts each control's refusals.

    `fees` are what was paid on executions; `total_return` and `max_drawdown` are fractions. Nothing here hangs on how long the run took.
    """

    run_id: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: str
    profile: str
    first_ns: int
    last_ns: int
    bars: int
    intents: int
    denied: int
    denials: dict[str, int]
    orders: int
    fills: int
    currency: str
    opening_equity: float
    final_equity: float
    final_cash: Decimal
    fees: Decimal
    realized_pnl: Decimal
    total_return: float
    max_drawdown: float
    positions: dict[str, Decimal]
    quarantined: dict[str, str]
    alerts: int


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run: its summary, all that was said in order, its equity, what its data are like, where it is kept, and how long it took.

    `said` holds decisions, order events, executions and alerts; `seconds` is the time of the run itself (0 when it was read from the cache).
    """

    summary: Summary
    said: list[Said]
    equity: EquityCurve
    quality: DataQuality
    folder: Path | None = None
    seconds: float = 0.0
    is_cached: bool = False

    @property
    def run_id(self) -> str:
        """The run's name, the same for the same code, configuration and data."""
        return self.summary.run_id

    @property
    def bars_per_second(self) -> float:
        """Bars over seconds; 0 for a run that was read from the cache."""
        return self.summary.bars / self.seconds if self.seconds else 0.0

    @property
    def decisions(self) -> list[RiskDecision]:
        """Risk's answers in order."""
        return [each for each in self.said if isinstance(each, RiskDecision)]

    @property
    def events(self) -> list[OrderStateChanged]:
        """Every change of every order."""
        return [each for each in self.said if isinstance(each, OrderStateChanged)]

    @property
    def fills(self) -> list[FillEvent]:
        """Every execution."""
        return [each for each in self.said if isinstance(each, FillEvent)]

    @property
    def orders(self) -> list[OrderStateChanged]:
        """The last word on every order, in the order they came to be."""
        return list({event.client_order_id: event for event in self.events}.values())


def summary_of(
    said: Sequence[Said],
    equity: EquityCurve,
    *,
    run_id: str,
    strategies: tuple[str, ...],
    symbols: tuple[str, ...],
    timeframe: str,
    profile: str,
    bars: int,
    currency: str,
    balances: dict[str, Decimal],
    opening: Decimal,
    quarantined: dict[str, str],
) -> Summary:
    """A run in numbers."""
    decisions = [each for each in said if isinstance(each, RiskDecision)]
    fills = [each for each in said if isinstance(each, FillEvent)]
    last = {(each.symbol, each.strategy_id): each.position for each in said if isinstance(each, OrderStateChanged)}
    positions: dict[str, Decimal] = {}
    for (symbol, _), position in last.items():
        positions[symbol] = positions.get(symbol, ZERO) + position.position_qty
    final = float(equity.equity[-1])
    return Summary(
        run_id=run_id,
        strategies=strategies,
        symbols=symbols,
        timeframe=timeframe,
        profile=profile,
        first_ns=int(equity.ts_ns[0]),
        last_ns=int(equity.ts_ns[-1]),
        bars=bars,
        intents=len(decisions),
        denied=sum(decision.verdict is Verdict.DENIED for decision in decisions),
        denials=dict(sorted(Counter(denial.code for decision in decisions for denial in decision.denials).items())),
        orders=sum(isinstance(decision.intent, OrderIntent) and decision.verdict is Verdict.ALLOWED for decision in decisions),
        fills=len(fills),
        currency=currency,
        opening_equity=float(opening),
        final_equity=final,
        final_cash=balances.get(currency, ZERO),
        fees=sum((fill.fee for fill in fills if fill.fee_asset == currency), ZERO),
        realized_pnl=sum((position.realized_pnl for position in last.values()), ZERO),
        total_return=final / float(opening) - 1.0 if opening else 0.0,
        max_drawdown=equity.max_drawdown,
        positions={symbol: qty for symbol, qty in sorted(positions.items()) if qty},
        quarantined=quarantined,
        alerts=sum(isinstance(each, Alert) for each in said),
    )


def is_trouble(each: Said) -> bool:
    """Whether something went otherwise than was wished: a denial, an order the venue refused or that was never sent, an alert."""
    match each:
        case RiskDecision(verdict=verdict):
            return verdict is Verdict.DENIED
        case OrderStateChanged(new_status=status, cause=cause):
            return status is OrderStatus.REJECTED or cause == "NOT_SENT"
        case Alert(severity=severity):
            return severity.value != "INFO"
        case _:
            return False
