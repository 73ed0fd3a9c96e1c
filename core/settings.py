"""The schema of config/: what may be configured, within which bounds, and which values contradict each other.

Every number that can stop or allow trading has its one declaration here. Unknown keys are refused, and all problems of a
file are reported at once. Reading files is the loader's business (apps/runtime/settings_loader.py).
"""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails

from core.instrument import Instrument
from core.topics import Daemon

__all__ = [
    "AccountSettings",
    "FeedSettings",
    "InstrumentSettings",
    "JournalSettings",
    "LimitSettings",
    "RuntimeSettings",
    "Settings",
    "StrategySettings",
    "VenueSettings",
]

PositiveDecimal = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
NonNegativeDecimal = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSettings(_Section):
    """The trading account: its name, its venue, and the cash the simulated venue opens it with."""

    name: str = "paper"
    venue: str = "sim"
    opening_balances: dict[str, NonNegativeDecimal] = Field(default={"USD": Decimal(100_000)})


class InstrumentSettings(_Section):
    """One symbol's grid; `default` in config/instruments.yaml serves symbols that have no row of their own."""

    tick: PositiveDecimal = Decimal("0.01")
    lot: PositiveDecimal = Decimal(1)
    currency: str = "USD"
    base_asset: str = ""
    multiplier: PositiveDecimal = Decimal(1)
    order_qty_min: NonNegativeDecimal = Decimal(0)
    order_qty_max: PositiveDecimal | None = None
    order_notional_min: NonNegativeDecimal = Decimal(0)
    session: str = "XNYS"


class FeedSettings(_Section):
    """Where md_ingest gets bars: a recorded file (Parquet or CSV) or the seeded synthetic market.

    `speed` is feed seconds per wall second; None replays as fast as the suite settles. `rows_max` cuts a recording short.
    """

    kind: Literal["recorded", "synthetic"] = "recorded"
    path: str = ""
    timeframe: str = "1d"
    symbols: tuple[str, ...] = ()
    speed: Annotated[float, Field(gt=0)] | None = None
    rows_max: Annotated[int, Field(gt=0)] | None = None
    seed: int = 1
    synthetic_steps: Annotated[int, Field(gt=0)] = 500


class StrategySettings(_Section):
    """One running strategy: the registered `kind`, its symbols and parameters. It owns its symbols alone."""

    kind: str
    symbols: tuple[str, ...]
    enabled: bool = True
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_symbols(self) -> Self:
        if not self.symbols:
            raise ValueError("symbols: empty, at least one is required")
        return self


class LimitSettings(_Section):
    """Risk limits. Quantities in instrument units, notionals in account currency, times in milliseconds.

    Each limit here is enforced by the control of the same name in risk/limits; an architecture test breaches every one.
    """

    order_qty_max: PositiveDecimal = Decimal(10_000)
    order_notional_max: PositiveDecimal = Decimal(25_000)
    position_qty_max: PositiveDecimal = Decimal(10_000)
    position_notional_max: PositiveDecimal = Decimal(50_000)
    open_positions_max: Annotated[int, Field(ge=1)] = 20
    mark_age_ms_max: Annotated[int, Field(ge=1)] = 5_000
    duplicate_window_ms: Annotated[int, Field(ge=1)] = 1_000
    intent_age_ms_max: Annotated[int, Field(ge=1)] = 10_000
    approval_ttl_ms: Annotated[int, Field(ge=1)] = 5_000

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.order_qty_max > self.position_qty_max:
            problems.append(f"order_qty_max: {self.order_qty_max} contradicts position_qty_max {self.position_qty_max}, it may be at most equal")
        if self.order_notional_max > self.position_notional_max:
            problems.append(f"order_notional_max: {self.order_notional_max} contradicts position_notional_max {self.position_notional_max}, it may be at most equal")
        if self.intent_age_ms_max < self.duplicate_window_ms:
            problems.append(f"intent_age_ms_max: {self.intent_age_ms_max} contradicts duplicate_window_ms {self.duplicate_window_ms}, it must be at least equal")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class VenueSettings(_Section):
    """The simulated venue. Rates are fractions (0.0005 = 5 bps); a partial fill takes `partial_fill_fraction` of an order per bar.

    `participation_max` bounds an order's fill per bar to that share of the bar's volume (None: unbounded).
    """

    seed: int = 1
    fee_rate: Annotated[float, Field(ge=0.0, lt=0.1)] = 0.0005
    slippage_rate: Annotated[float, Field(ge=0.0, lt=0.1)] = 0.0
    partial_fill_probability: Fraction = 0.0
    partial_fill_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    participation_max: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    late_arrival_ms: Annotated[int, Field(ge=0)] = 2_000
    call_timeout_ms: Annotated[int, Field(ge=1)] = 5_000


class JournalSettings(_Section):
    """Durability. `batch_max` inputs share one commit; a snapshot follows after `snapshot_every` inputs (more when the state is large)."""

    batch_max: Annotated[int, Field(ge=1)] = 256
    snapshot_every: Annotated[int, Field(ge=1)] = 5_000
    rotate_inputs_max: Annotated[int, Field(ge=1_000)] = 2_000_000
    disk_free_mb_min: Annotated[int, Field(ge=0)] = 64


class RuntimeSettings(_Section):
    """The process: the bus address ('' finds the home's own server), clock, cadences, logging, and the enabled daemons.

    A topic's durable consumers are its roster row in core/topics.py among `daemons`; trimming waits for each of them.
    """

    redis_url: str = ""
    clock: Literal["system", "session"] = "session"
    backlog_max: Annotated[int, Field(ge=1)] = 100_000
    tail_check_ms: Annotated[int, Field(ge=10, le=1_000)] = 500
    heartbeat_ms: Annotated[int, Field(ge=100)] = 1_000
    kill_file_poll_ms: Annotated[int, Field(ge=10)] = 100
    drain_timeout_ms: Annotated[int, Field(ge=100)] = 5_000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    daemons: tuple[Daemon, ...] = tuple(Daemon)


class Settings(_Section):
    """Everything one suite is configured with."""

    environment: Literal["demo", "paper", "live", "backtest", "test"] = "paper"
    account: AccountSettings = AccountSettings()
    instruments: dict[str, InstrumentSettings] = Field(default_factory=dict)
    feed: FeedSettings = FeedSettings()
    strategies: dict[str, StrategySettings] = Field(default_factory=dict)
    limits: LimitSettings = LimitSettings()
    venue: VenueSettings = VenueSettings()
    journal: JournalSettings = JournalSettings()
    runtime: RuntimeSettings = RuntimeSettings()

    @model_validator(mode="wrap")
    @classmethod
    def _tell_everything(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Contradictions are looked for although something is wrong by itself, in what is left without it."""
        try:
            settings = validate(data)
        except ValidationError as error:
            details = [_detail(found) for found in error.errors()]
            with suppress(ValidationError):
                contradictions = _contradictions(validate(_without(data, [found["loc"] for found in details])))
                details += [_detail({"type": "value_error", "loc": (), "input": data, "ctx": {"error": text}}) for text in contradictions]
            raise ValidationError.from_exception_data(cls.__name__, details) from None
        if problems := _contradictions(settings):
            raise ValueError("; ".join(problems))
        return settings

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol of the suite: the feed's, or, when it names none, the strategies'."""
        return self.feed.symbols or tuple(sorted({s for strategy in self.strategies.values() for s in strategy.symbols}))

    def instrument(self, symbol: str) -> Instrument | None:
        """The instrument of a symbol: its own row, else the `default` row, else None (and nothing may trade)."""
        row = self.instruments.get(symbol) or self.instruments.get("default")
        return None if row is None else Instrument(symbol=symbol, **row.model_dump())


def _detail(found: Any) -> InitErrorDetails:
    return InitErrorDetails(type=found["type"], loc=found["loc"], input=found["input"], ctx=found.get("ctx", {}))


def _without(data: Any, places: list[tuple[int | str, ...]]) -> Any:
    """The data without what stands at these places, or without what surrounds it where nothing stands there."""
    if not isinstance(data, dict) or () in places:
        return {}
    left = {}
    for key, value in data.items():
        inner = [place[1:] for place in places if place[0] == key]
        if not inner:
            left[key] = value
        elif () not in inner and isinstance(value, dict) and all(place[0] in value for place in inner):
            left[key] = _without(value, inner)
    return left


def _contradictions(settings: Settings) -> list[str]:
    problems = _name_problems(settings)
    owner: dict[str, str] = {}
    for name, strategy in settings.strategies.items():
        for symbol in strategy.symbols if strategy.enabled else ():
            if symbol in owner:
                problems.append(f"strategies.{name}.symbols: {symbol} is already owned by {owner[symbol]}, one strategy owns a symbol at a time")
            owner[symbol] = name
            if settings.feed.symbols and symbol not in settings.feed.symbols:
                problems.append(f"strategies.{name}.symbols: {symbol} is not among feed.symbols {', '.join(settings.feed.symbols)}")
    return problems


def _name_problems(settings: Settings) -> list[str]:
    """Names become parts of topics, and must be found in them again."""
    symbols = settings.feed.symbols
    problems = [f"feed.symbols: {symbol} stands twice" for symbol in dict.fromkeys(symbols) if symbols.count(symbol) > 1]
    for key, name in (("account.venue", settings.account.venue), ("feed.timeframe", settings.feed.timeframe)):
        if not re.fullmatch(r"[^.|\s]+", name):
            problems.append(f"{key}: {name!r} cannot be part of a topic, a name without dot, bar or space is required")
    for key, name in [("feed.symbols", symbol) for symbol in symbols] + [(f"strategies.{n}.symbols", s) for n, strategy in settings.strategies.items() for s in strategy.symbols]:
        if not re.fullmatch(r"[^|\s]+", name):
            problems.append(f"{key}: {name!r} cannot be part of a topic, a name without bar or space is required")
    return problems
