"""Whether a strategy knows what it cannot know yet, and how many bars it needs before it knows what it should.

The loop shows no bar before its time, so what is left is what a strategy was made with: signals worked out on the whole table above
all. Therefore it may be given as a function of the table. It is run on the whole and on tables that end sooner; whatever
was decided before such an end must be the same. Begun later, it must come to the same decisions once it is warm.

Too few decisions prove nothing either way, and that is a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec
import polars as pl

from backtest.config import BacktestConfig
from backtest.data import DataLike, read_table
from backtest.engine import run
from backtest.result import BacktestResult
from backtest.subject import StrategyLike
from core.contracts import OrderIntent, RiskDecision
from strategies.strategy import Strategy

__all__ = ["DECISIONS_MIN", "LookaheadReport", "Verdict", "find_lookahead"]

DECISIONS_MIN = 10
"""So many decisions have to lie before the ends that are tried; fewer are not enough evidence."""

_ENDS = (0.35, 0.5, 0.65, 0.8, 0.95)
_WARM_FROM = 0.25

Make = Callable[[pl.DataFrame], StrategyLike]


class Verdict(StrEnum):
    """The answer."""

    CLEAN = "CLEAN"
    LOOKAHEAD = "LOOKAHEAD"
    NOT_ENOUGH_EVIDENCE = "NOT_ENOUGH_EVIDENCE"


class LookaheadReport(msgspec.Struct, frozen=True, kw_only=True):
    """`compared` decisions were held against each other. `first_difference` names the first that differs, `end_ns` where the data
    ended for it. `warm_up_bars` is how many bars a later start needed until its wishes were the same to the end; None when it never came to that,
    or when the two have too few wishes to tell."""

    verdict: Verdict
    compared: int
    first_difference: str = ""
    end_ns: int | None = None
    warm_up_bars: int | None = None


def find_lookahead(strategy: StrategyLike | Make, data: DataLike, config: BacktestConfig | None = None) -> LookaheadReport:
    """Run a strategy (or what a function makes of the table it may know) on the whole table and on shorter ones. ConfigError as of `run`."""
    config = msgspec.structs.replace(config or BacktestConfig(), results=None)
    _, table = read_table(data, config.symbols)
    table = table.sort("ts", maintain_order=True)
    whole = _run(strategy, table, config)
    compared = 0
    for share in _ENDS:
        cut = _run(strategy, table.head(max(1, int(len(table) * share))), config)
        # In the last instant a table may have been cut between two symbols.
        end_ns = cut.summary.last_ns
        known, knew = _before(whole, end_ns), _before(cut, end_ns)
        compared += len(known)
        if known != knew:
            return LookaheadReport(verdict=Verdict.LOOKAHEAD, compared=compared, first_difference=_difference(known, knew), end_ns=end_ns)
    verdict = Verdict.CLEAN if compared >= DECISIONS_MIN else Verdict.NOT_ENOUGH_EVIDENCE
    return LookaheadReport(verdict=verdict, compared=compared, warm_up_bars=_warm_up(strategy, table, config, whole))


def _run(strategy: StrategyLike | Make, table: pl.DataFrame, config: BacktestConfig) -> BacktestResult:
    made = strategy if isinstance(strategy, str | type | Strategy) else strategy(table)
    return run(made, table, config)


def _before(result: BacktestResult, end_ns: int) -> list[RiskDecision]:
    return [decision for decision in result.decisions if decision.decided_ns < end_ns]


def _difference(known: list[RiskDecision], knew: list[RiskDecision]) -> str:
    """The first decision that is in one of the two alone, or differs."""
    for with_all, with_less in zip(known, knew, strict=False):
        if with_all != with_less:
            return with_all.intent.intent_id
    longer = known if len(known) > len(knew) else knew
    return longer[min(len(known), len(knew))].intent.intent_id


def _warm_up(strategy: StrategyLike | Make, table: pl.DataFrame, config: BacktestConfig, whole: BacktestResult) -> int | None:
    """How many bars after a later start its wishes begin to be those of the whole run, and stay so."""
    skipped = int(len(table) * _WARM_FROM)
    if not skipped:
        return None
    late = _run(strategy, table.slice(skipped), config)
    begin_ns = late.summary.first_ns
    wishes, late_wishes = _wishes(whole, begin_ns), _wishes(late, begin_ns)
    if min(len(wishes), len(late_wishes)) < DECISIONS_MIN:
        return None
    same = 0
    for ours, theirs in zip(reversed(wishes), reversed(late_wishes), strict=False):
        if ours != theirs:
            break
        same += 1
    if same < DECISIONS_MIN:
        return None
    # Everything up to the last wish that only one of the two had was warming up.
    odd_ns = max((side[-same - 1][0] for side in (wishes, late_wishes) if len(side) > same), default=0)
    times = late.equity.ts_ns
    return int((times <= odd_ns).sum())


def _wishes(result: BacktestResult, begin_ns: int) -> list[tuple[int, str, str, str]]:
    intents = [decision.intent for decision in result.decisions if isinstance(decision.intent, OrderIntent)]
    return [(i.created_ns, i.symbol, i.side.value, str(i.order_qty)) for i in intents if i.created_ns >= begin_ns]
