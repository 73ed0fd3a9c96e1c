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
    "BreakerSettings",
    "FaultSettings",
    "FeedSettings",
    "InstrumentSettings",
    "JournalSettings",
    "LimitSettings",
    "ReconciliationSettings",
    "RuntimeSettings",
    "Settings",
    "StrategySettings",
    "ThrottleSettings",
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
    """One running strategy: the registered `kind`, its symbols and parameters. It owns its symbols alone.

    With `overnight: never`, a position of it that is still there at a start after its session is an error.
    """

    kind: str
    symbols: tuple[str, ...]
    enabled: bool = True
    params: dict[str, Any] = Field(default_factory=dict)
    overnight: Literal["allowed", "never"] = "allowed"

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

    `client_order_ids` says whether an id is taken for ever or only while its order is open, `late_arrival_ms` how long after it was sent
    an order may still appear. After `silence_ms_max` without a word, with orders open, the broker asks whether it missed anything.

    `participation_max` bounds an order's fill per bar to that share of the bar's volume (None: unbounded). `arming` says whether
    risk-increasing orders may leave without anybody's word (self: nothing real can be lost) or need risk's lease, given after a
    person armed the account.
    """

    seed: int = 1
    fee_rate: Annotated[float, Field(ge=0.0, lt=0.1)] = 0.0005
    slippage_rate: Annotated[float, Field(ge=0.0, lt=0.1)] = 0.0
    partial_fill_probability: Fraction = 0.0
    partial_fill_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    participation_max: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    client_order_ids: Literal["unique_for_ever", "unique_while_open"] = "unique_for_ever"
    late_arrival_ms: Annotated[int, Field(ge=0)] = 2_000
    silence_ms_max: Annotated[int, Field(ge=100)] = 30_000
    arming: Literal["self", "lease"] = "self"
    call_timeout_ms: Annotated[int, Field(ge=1)] = 5_000


class FaultSettings(_Section):
    """How the simulated venue and its wire misbehave: `rates` names faults (docs/VENUE_FAULTS.md) and how often each strikes where it can.

    Which of its chances a fault takes hangs on `seed` and the number of the chance alone; `strikes_max` ends each after so many. The
    spans: how long an order is not found (`query_lag_ms`), is under way (`arrival_lag_ms`), what is late comes late (`late_ms`), the
    stream is silent or the line dead (`silence_ms`), an order does not trade on (`stall_ms`), requests are limited (`limit_ms`) or
    banned (`ban_ms`), and by how much the venue's clock is off (`skew_ms`). `storm` is how often a storm ends the connection.
    """

    rates: dict[str, Fraction] = Field(default_factory=dict)
    seed: int = 1
    strikes_max: Annotated[int, Field(ge=1)] | None = None
    query_lag_ms: Annotated[int, Field(ge=0)] = 500
    arrival_lag_ms: Annotated[int, Field(ge=0)] = 200
    late_ms: Annotated[int, Field(ge=0)] = 1_000
    silence_ms: Annotated[int, Field(ge=1)] = 60_000
    stall_ms: Annotated[int, Field(ge=1)] = 60_000
    limit_ms: Annotated[int, Field(ge=1)] = 500
    ban_ms: Annotated[int, Field(ge=1)] = 120_000
    skew_ms: int = 1_500
    storm: Annotated[int, Field(ge=1)] = 4


class ThrottleSettings(_Section):
    """How many orders and replacements may leave in a second, a minute and a day. Keep each at most half of what the venue allows: a
    full bucket and what flows into it meanwhile may leave within one period. Cancels take nothing from it.

    An entry waits up to `delay_ms_max` for its turn and is refused otherwise; one that is older than `queue_age_ms_max` when it comes
    to its turn shows that orders pile up, and pauses all entries for as long.
    """

    orders_per_second_max: Annotated[int, Field(ge=1, le=1_000_000_000)] = 10_000
    orders_per_minute_max: Annotated[int, Field(ge=1, le=1_000_000_000)] = 300_000
    orders_per_day_max: Annotated[int, Field(ge=1, le=1_000_000_000)] = 50_000_000
    delay_ms_max: Annotated[int, Field(ge=0)] = 1_000
    queue_age_ms_max: Annotated[int, Field(ge=1)] = 2_000


class BreakerSettings(_Section):
    """When the venue counts as ill: more than `error_rate_max` of the last `calls` calls without an answer, or one that took longer
    than `latency_ms_max` by the system clock (that of a replay measures no call). Entries then stop for `open_ms`, doubling up to `open_ms_max` while the venue does not get well.
    """

    calls: Annotated[int, Field(ge=1, le=1_000)] = 20
    error_rate_max: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    latency_ms_max: Annotated[int, Field(ge=1)] = 5_000
    open_ms: Annotated[int, Field(ge=1)] = 60_000
    open_ms_max: Annotated[int, Field(ge=1)] = 960_000

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.open_ms > self.open_ms_max:
            raise ValueError(f"open_ms: {self.open_ms} contradicts open_ms_max {self.open_ms_max}, it may be at most equal")
        return self


class ReconciliationSettings(_Section):
    """Comparing the account with its venue. Orders and executions are compared every `orders_ms`, positions and cash every `holdings_ms` (of
    feed time in a replay; null: only at start, after each reconnect and on request), looking `overlap_events` back at a start.

    A start-up halts for a person with more than `missing_positions_max` positions on one side only, or one that is more than
    `quantity_drift_pct_max` percent apart; without an answer for `start_timeout_ms` a person is called. A difference found `symbol_cycles`
    times in a row disarms its symbol, `account_cycles` times the account; cash differs by more than `cash_tolerance`. Executions that
    belong to nobody, worth more than `suspense_notional_max` at what they cost, trip the kill switch to REDUCING.
    """

    orders_ms: Annotated[int, Field(ge=100)] | None = 30_000
    holdings_ms: Annotated[int, Field(ge=100)] | None = 60_000
    overlap_events: Annotated[int, Field(ge=0, le=1_000)] = 100
    start_timeout_ms: Annotated[int, Field(ge=100)] = 30_000
    missing_positions_max: Annotated[int, Field(ge=0)] = 3
    quantity_drift_pct_max: NonNegativeDecimal = Decimal(5)
    symbol_cycles: Annotated[int, Field(ge=1)] = 2
    account_cycles: Annotated[int, Field(ge=1)] = 4
    cash_tolerance: NonNegativeDecimal = Decimal(0)
    suspense_notional_max: NonNegativeDecimal = Decimal(10_000)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.account_cycles < self.symbol_cycles:
            raise ValueError(f"account_cycles: {self.account_cycles} contradicts symbol_cycles {self.symbol_cycles}, it must be at least equal")
        return self


class JournalSettings(_Section):
    """Durability. `batch_max` inputs share one commit; a snapshot follows after `snapshot_every` inputs (more when the state is large)."""

    batch_max: Annotated[int, Field(ge=1)] = 256
    snapshot_every: Annotated[int, Field(ge=1)] = 5_000
    rotate_inputs_max: Annotated[int, Field(ge=1_000)] = 2_000_000
    disk_free_mb_min: Annotated[int, Field(ge=0)] = 64


class RuntimeSettings(_Section):
    """The process: the bus address ('' finds the home's own server), clock, cadences, logging, and the enabled daemons.

    A topic's durable consumers are its roster row in core/topics.py among `daemons`; trimming waits for each of them. `lease_ttl_ms` is
    how long risk's word that the account is armed holds without being renewed. `drain` says what a stopping broker does with open
    orders: leave them at the venue, or cancel them and wait, up to `drain_timeout_ms`, until the venue says that they have ended.
    """

    redis_url: str = ""
    clock: Literal["system", "session"] = "session"
    backlog_max: Annotated[int, Field(ge=1)] = 100_000
    tail_check_ms: Annotated[int, Field(ge=10, le=1_000)] = 500
    heartbeat_ms: Annotated[int, Field(ge=100)] = 1_000
    kill_file_poll_ms: Annotated[int, Field(ge=10)] = 100
    drain_timeout_ms: Annotated[int, Field(ge=100)] = 5_000
    drain: Literal["keep", "cancel"] = "keep"
    lease_ttl_ms: Annotated[int, Field(ge=2_000, le=5_000)] = 3_000
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
    faults: FaultSettings = FaultSettings()
    throttle: ThrottleSettings = ThrottleSettings()
    breaker: BreakerSettings = BreakerSettings()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
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
    if settings.environment == "live" and settings.venue.arming == "self":
        problems.append("venue.arming: self contradicts environment live, lease is required")
    if settings.environment == "live" and settings.faults.rates:
        problems.append("faults.rates: contradicts environment live, only a simulated venue can be told to misbehave")
    if settings.environment == "live" and None in (settings.reconciliation.orders_ms, settings.reconciliation.holdings_ms):
        problems.append("reconciliation: orders_ms and holdings_ms are required in environment live, nothing else notices what a stream has lost")
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
