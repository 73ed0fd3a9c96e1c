"""What a book would lose if a day or a season of the past came again.

A holding moves by its beta times the shock of its asset class. Where a class did not exist, or was not observed, in a scenario,
the worst it was seen to do in any scenario is taken, and the table says so: missing is never fine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

__all__ = ["SCENARIOS", "AssetClass", "Holding", "Scenario", "StressLoss", "stress_losses", "stress_table"]

AssetClass = Literal["equity", "crypto", "bond"]


class Scenario(NamedTuple):
    """Moves as fractions by asset class, and where they were read."""

    name: str
    shocks: Mapping[AssetClass, Decimal]
    source: str


class Holding(NamedTuple):
    """A signed value in account currency, its asset class, and how much it moves for one per cent of the class."""

    symbol: str
    value: Decimal
    asset_class: AssetClass
    beta: Decimal = Decimal(1)


class StressLoss(NamedTuple):
    """The profit or loss of the book in one scenario, in account currency; `assumed` names classes whose shock was taken from another scenario."""

    scenario: str
    pnl: Decimal
    assumed: tuple[AssetClass, ...]


def _shocks(**percents: str) -> dict[AssetClass, Decimal]:
    return {name: Decimal(percent) / 100 for name, percent in percents.items()}  # type: ignore[misc]


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("Black Monday 1987", _shocks(equity="-20.5"), "S&P 500, close of 1987-10-16 to close of 1987-10-19"),
    Scenario("Global financial crisis 2007-2009", _shocks(equity="-56.8"), "S&P 500, close of 2007-10-09 to close of 2009-03-09"),
    Scenario("Flash crash 2010", _shocks(equity="-8.6"), "S&P 500, close of 2010-05-05 to the low of 2010-05-06 (SEC and CFTC report of 2010-09-30)"),
    Scenario("Covid crash 2020", _shocks(equity="-33.9", crypto="-37.2"), "S&P 500, closes of 2020-02-19 and 2020-03-23; bitcoin, day of 2020-03-12"),
    Scenario(
        "Rate shock 2022", _shocks(equity="-25.4", crypto="-64.3", bond="-13.0"), "S&P 500, closes of 2022-01-03 and 2022-10-12; bitcoin and the US aggregate bond index, year 2022"
    ),
)


def stress_losses(holdings: Sequence[Holding], scenarios: Sequence[Scenario] = SCENARIOS) -> list[StressLoss]:
    """The book's profit or loss in each scenario, in their order. ValueError when no scenario knows an asset class that is held."""
    held = sorted({holding.asset_class for holding in holdings})
    worst = {asset_class: _worst(asset_class, scenarios) for asset_class in held}
    losses = []
    for scenario in scenarios:
        shocks = {asset_class: scenario.shocks.get(asset_class, worst[asset_class]) for asset_class in held}
        pnl = sum((holding.value * holding.beta * shocks[holding.asset_class] for holding in holdings), Decimal(0))
        losses.append(StressLoss(scenario.name, pnl, tuple(c for c in held if c not in scenario.shocks)))
    return losses


def stress_table(holdings: Sequence[Holding], scenarios: Sequence[Scenario] = SCENARIOS) -> str:
    """The same as Markdown, the worst scenario first."""
    lines = ["| Scenario | P&L | Taken from the worst of other scenarios |", "|---|---:|---|"]
    lines += [f"| {loss.scenario} | {loss.pnl:,.2f} | {', '.join(loss.assumed) or '-'} |" for loss in sorted(stress_losses(holdings, scenarios), key=lambda loss: loss.pnl)]
    return "\n".join(lines)


def _worst(asset_class: AssetClass, scenarios: Sequence[Scenario]) -> Decimal:
    shocks = [scenario.shocks[asset_class] for scenario in scenarios if asset_class in scenario.shocks]
    if not shocks:
        raise ValueError(f"asset_class: {asset_class} has no shock in any scenario, at least one is required")
    return min(shocks)
