"""What a backtest is told beside its strategy and its data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from core.settings import AccountSettings, InstrumentSettings, ReconciliationSettings, Settings, VenueSettings

__all__ = ["BacktestConfig", "Moment", "Progress", "default_settings"]

Moment = str | date | datetime | int
"""A day, an ISO 8601 time (UTC without a zone) or nanoseconds since 1970 UTC."""

Progress = Callable[[int, int], None]
"""Told now and then how many instants are done, of how many."""


class BacktestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a run but the strategy and the data.

    `settings` are those of the account, limits and venue (None: the shipped ones). `params` go to the strategy, unless it brings
    its own. `symbols` restricts the data (empty: the strategy's, else all). Bars count that close
    after `start` and no later than `end`; a day as `end` is included. `rows` keeps the first so many bars. `profile` names an execution profile that replaces
    the venue's frictions. `seed` is the venue's (None: as configured). Runs are kept under `results` (None: nowhere) and a run that is
    kept there already is read instead of run again when `cache` is set.
    """

    settings: Settings | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    start: Moment | None = None
    end: Moment | None = None
    rows: int | None = None
    profile: str = ""
    seed: int | None = None
    results: Path | None = Path("results/runs")
    cache: bool = True
    on_progress: Progress | None = None


def default_settings() -> Settings:
    """The settings the shipped configuration gives a backtest (config/backtest.yaml and what it lies over)."""
    return Settings(
        environment="backtest",
        account=AccountSettings(opening_balances={"USD": Decimal(100_000)}),
        instruments={"default": InstrumentSettings(order_qty_min=Decimal(1))},
        venue=VenueSettings(late_arrival_ms=0, silence_ms_max=10**12),
        reconciliation=ReconciliationSettings(orders_ms=None, holdings_ms=None),
    )
