"""Look-ahead is found where it is, is not found where it is not, and is not ruled out on too little."""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from backtest.config import BacktestConfig
from backtest.lookahead import Verdict, find_lookahead
from core.contracts import Bar
from strategies.strategy import Context, NoState, Strategy, StrategyParams
from tests.support.bar_tables import BarCounter, a_table

_FAST = BacktestConfig(params={"fast": 3, "slow": 8, "order_qty": 10})


class _Signals(Strategy[StrategyParams, NoState]):
    """Holds ten while its signal says so."""

    Params = StrategyParams
    wanted: frozenset[int] = frozenset()

    def on_bar(self, ctx: Context, bar: Bar) -> None:
        """Bring the position to the signal."""
        held, wants = ctx.position(bar.symbol).qty, bar.open_ns in self.wanted
        if not ctx.working(bar.symbol) and bool(held) is not wants:
            (ctx.buy if wants else ctx.sell)(bar.symbol, Decimal(10))


def _made(signal: pl.Expr, table: pl.DataFrame) -> type[_Signals]:
    """A strategy whose signals were worked out on all of the table it was given."""
    rows = table.filter(signal)["ts"].dt.timestamp("us").to_list()
    return type("Made", (_Signals,), {"wanted": frozenset(us * 1_000 for us in rows), "__module__": __name__})


def test_lookahead_is_found_when_signals_use_the_whole_table() -> None:
    """The mean of everything is not known half-way: the decision that shows it is named."""
    report = find_lookahead(lambda table: _made(pl.col("close") < pl.col("close").mean() + pl.col("close").last() - 100, table), a_table(300))
    assert report.verdict is Verdict.LOOKAHEAD
    assert report.first_difference.startswith("Made:") and report.end_ns is not None


def test_nothing_is_found_when_signals_use_the_past() -> None:
    """The same strategy on a trailing mean."""
    report = find_lookahead(lambda table: _made(pl.col("close") < pl.col("close").rolling_mean(5), table), a_table(300))
    assert (report.verdict, report.first_difference) == (Verdict.CLEAN, "")
    assert report.compared > 10


def test_shipped_strategy_is_clean_and_warm_after_its_slow_average() -> None:
    """It needs about as many bars as its slow average is long, and no more than that and one trade's length."""
    report = find_lookahead("sma_cross", a_table(390), _FAST)
    assert report.verdict is Verdict.CLEAN
    assert report.warm_up_bars is not None and report.warm_up_bars <= 60


def test_too_little_is_no_evidence_when_nothing_was_decided() -> None:
    """A strategy that does nothing is not thereby clean."""
    report = find_lookahead(BarCounter, a_table(60))
    assert (report.verdict, report.compared, report.warm_up_bars) == (Verdict.NOT_ENOUGH_EVIDENCE, 0, None)
