"""The machine that runs strategies: it tells each what happened, sends on what it asks for, and contains it when it raises.

Whatever it raises quarantines that strategy alone: what the callback had asked for is
dropped, it is called no more, its book goes on being kept, its resting entries are cancelled, and its `on_quarantine` policy
decides about the position. The state stays as the raise left it; a person who enables the strategy again takes it so.

Winding down is stubborn and patient: what a strategy that is off must not leave working is cancelled, and under `flatten` a
symbol is closed at market once nothing works in it any more, so that a stop that fills meanwhile cannot sell the position a
second time. What fails is tried again after a pause, for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pydantic

from core import topics
from core.contracts import (
    Alert,
    BalanceSnapshot,
    Bar,
    BookSnapshot,
    BookUpdate,
    CancelIntent,
    LedgerAdjusted,
    MarketData,
    OrderIntent,
    OrderStateChanged,
    ReplaceIntent,
    RiskDecision,
    SessionClock,
    SessionPhase,
    SetStrategyState,
    Severity,
    StrategyAction,
    Ticker,
    Trade,
    Verdict,
)
from core.errors import ConfigError
from core.exchange_time import session_close_second, wall_clock
from core.instrument import Instrument
from core.machine import (
    NO_NEEDS,
    Answer,
    Archive,
    Attached,
    Command,
    ConfigLoaded,
    Effect,
    Input,
    LinkStopped,
    Log,
    Message,
    Needs,
    Observed,
    Publish,
    Wake,
)
from core.settings import Settings, StrategySettings
from strategies.desk import DAEMON, Balances, Desk, Terms
from strategies.registry import load_strategy
from strategies.seat import AnyStrategy, Raised, Seat, StrategyRecord, attempt
from strategies.strategy import Context, OrderNews, StrategyError

__all__ = ["QUARANTINE", "HostState", "StrategyHost", "build_host"]

QUARANTINE = "QUARANTINE"
"""The reason of every intent by which the host winds a quarantined strategy down."""

_SWITCHED_OFF = "SWITCHED_OFF"

# Longer than the window in which risk takes an equal order for a repetition, short enough for a position nobody watches.
_RETRY_NS = 5_000_000_000

_INTENTS = (OrderIntent, CancelIntent, ReplaceIntent)
_BLINDING = (topics.ORDERS_EVENTS.name(), topics.RISK_DECISION.name())


class HostState(msgspec.Struct):
    """The whole state: strategies by id, the account's balances, and the last bar of each stream."""

    strategies: dict[str, StrategyRecord] = msgspec.field(default_factory=dict)
    balances: dict[str, Decimal] = msgspec.field(default_factory=dict)
    bars: dict[str, int] = msgspec.field(default_factory=dict)
    is_market_moving: bool = False


class StrategyHost:
    """Machine. Reads md.*, orders.events, risk.decision, control.clock, operators · Writes strat.intent, telemetry.no_trade,
    alerts.fired · Decides who is told what, and who may still act.

    Invariants: a strategy that raises changes nothing but itself; an input in which a strategy asked for something also
    checkpoints it; intent ids never repeat; a strategy that is off leaves no entry working for longer than it takes to cancel.
    """

    def __init__(self, seats: Mapping[str, Seat], balances: Balances, open_seat: Callable[[str], Seat]) -> None:
        self._seats = dict(seats)
        self._owners = {symbol: seat for seat in seats.values() for symbol in seat.symbols}
        self._balances = balances
        self._open_seat = open_seat
        self._bars: dict[str, int] = {}
        self._input = 0
        self._is_market_moving = False
        self._wake_ns: int | None = None

    @property
    def next_wake_ns(self) -> int | None:
        """The earliest timer or retry. None while a replayed market is between two instants: what was asked for then would
        meet, or miss, the data of the coming one by chance."""
        return None if self._is_market_moving else self._wake_ns

    def needs(self, event: Input) -> Needs:
        """Nothing: all a strategy knows came to it as inputs."""
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Tell the strategies concerned, and checkpoint those that asked for something."""
        self._input += 1
        effects = self._dispatch(event, now_ns)
        if effects:
            effects += self._checkpoints(effects, now_ns)
        self._wake_ns = self._earliest_wake()
        return effects

    def snapshot(self) -> HostState:
        """The whole state."""
        records = {name: seat.record() for name, seat in self._seats.items()}
        return HostState(records, dict(self._balances.totals), dict(self._bars), self._is_market_moving)

    def restore(self, snapshot: HostState) -> None:
        """Become the host that gave this snapshot. A strategy the configuration no longer names keeps its record and its book."""
        for name, record in snapshot.strategies.items():
            seat = self._seats.get(name)
            if seat is None:
                seat = self._seats[name] = self._open_seat(name)
            seat.restore(record)
        self._balances.totals = dict(snapshot.balances)
        self._bars = dict(snapshot.bars)
        self._is_market_moving = snapshot.is_market_moving
        self._wake_ns = self._earliest_wake()

    def _dispatch(self, event: Input, now_ns: int) -> list[Effect]:
        match event:
            case Message():
                return self._on_message(event, now_ns)
            case Wake():
                return self._on_wake(now_ns)
            case Command():
                return self._on_command(event, now_ns)
            case ConfigLoaded():
                return [effect for seat in self._seats.values() for effect in self._on_loaded(seat, now_ns)]
            case Observed(fact=LinkStopped(topic=topic, reason=reason)) if topic in _BLINDING:
                return self._on_blind(f"link {topic} stands still: {reason}", now_ns)
            case _:
                return []

    def _on_message(self, message: Message, now_ns: int) -> list[Effect]:
        body = message.body
        match body:
            case Bar() | Trade() | Ticker() | BookSnapshot() | BookUpdate():
                return self._on_market(message, body, now_ns)
            case OrderStateChanged():
                return self._on_order(body, message.seq, now_ns)
            case LedgerAdjusted():
                return self._on_adjusted(body, now_ns)
            case RiskDecision(verdict=Verdict.DENIED):
                return self._on_denied(body, now_ns)
            case SessionClock():
                return self._on_clock(body, now_ns)
            case _:
                return []

    # What the market did.

    def _on_market(self, message: Message, datum: MarketData, now_ns: int) -> list[Effect]:
        seat = self._owners.get(datum.symbol)
        if seat is None:
            return []
        if isinstance(datum, Bar):
            return self._on_bar(seat, message.topic, datum, now_ns)
        return self._tell(seat, f"{type(datum).__name__.lower()}:{datum.symbol}:{datum.exchange_ns}:{message.seq}", now_ns, lambda s, ctx: _pass_on(s, ctx, datum))

    def _on_bar(self, seat: Seat, topic: str, bar: Bar, now_ns: int) -> list[Effect]:
        """A bar that is not newer than its stream's last would count twice in every indicator, and name its intents alike."""
        if bar.close_ns <= self._bars.get(topic, 0):
            return [Log("warning", "BAR_NOT_NEWER", (("topic", topic), ("close_ns", bar.close_ns), ("last_ns", self._bars[topic])))]
        self._bars[topic] = bar.close_ns
        effects = self._look_for_position(seat, now_ns)
        return effects + self._tell(seat, f"bar:{bar.symbol}:{bar.timeframe}:{bar.close_ns}", now_ns, lambda s, ctx: s.on_bar(ctx, bar))

    def _look_for_position(self, seat: Seat, now_ns: int) -> list[Effect]:
        """Alert, once each, when a strategy that is never to hold overnight still holds at the close, or on another day."""
        if seat.strategy is None or seat.strategy.overnight != "never":
            return []
        clock = wall_clock(now_ns)
        is_closed = clock.second >= session_close_second(clock.day)
        watch = 2 * clock.day + is_closed
        if watch == seat.watch:
            return []
        seat.watch = watch
        if not (held := seat.held):
            return []
        what = ", ".join(f"{symbol} {qty}" for symbol, qty in held.items())
        if is_closed:
            return self._alert(seat, "POSITION_AT_CLOSE", f"position held at the close: {what}", now_ns)
        return self._alert(seat, "POSITION_OVERNIGHT", f"position found overnight: {what}", now_ns)

    # What became of wishes.

    def _on_order(self, event: OrderStateChanged, seq: int, now_ns: int) -> list[Effect]:
        self._book_balances(event.balances)
        seat = self._seats.get(event.strategy_id)
        if seat is None:
            return []
        trigger = seat.desk.name_news(event, seq)
        fill, news = seat.desk.on_order_changed(event)
        effects = self._tell(seat, trigger, now_ns, lambda s, ctx: s.on_fill(ctx, fill)) if fill is not None else []
        effects += self._tell(seat, trigger, now_ns, lambda s, ctx: s.on_order(ctx, news))
        return effects + self._on_news_while_off(seat, news, now_ns)

    def _on_denied(self, decision: RiskDecision, now_ns: int) -> list[Effect]:
        intent = decision.intent
        seat = self._seats.get(intent.strategy_id)
        if seat is None:
            return []
        news = seat.desk.on_denied(intent, tuple(str(denial) for denial in decision.denials))
        effects = self._tell(seat, f"denied:{intent.intent_id}", now_ns, lambda s, ctx: s.on_order(ctx, news))
        return effects + self._on_news_while_off(seat, news, now_ns)

    def _on_adjusted(self, event: LedgerAdjusted, now_ns: int) -> list[Effect]:
        self._book_balances(event.balances)
        seat = self._seats.get(event.position.strategy_id) if event.position is not None else None
        if seat is None or event.position is None:
            return []
        seat.desk.on_position(event.position)
        return self._wind_down(seat, now_ns) if seat.is_off and not seat.retry_ns else []

    def _book_balances(self, balances: Sequence[BalanceSnapshot]) -> None:
        for balance in balances:
            self._balances.totals[balance.asset] = balance.total

    # Time.

    def _on_clock(self, clock: SessionClock, now_ns: int) -> list[Effect]:
        self._is_market_moving = clock.phase is SessionPhase.MARKET
        return [effect for seat in self._seats.values() for effect in self._on_end(seat, now_ns)] if clock.phase is SessionPhase.ENDED else []

    def _on_end(self, seat: Seat, now_ns: int) -> list[Effect]:
        if seat.is_stopped:
            return []
        seat.is_stopped = True
        return self._tell(seat, "stop", now_ns, lambda s, ctx: s.on_stop(ctx))

    def _on_wake(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for seat in self._seats.values():
            if seat.retry_ns and seat.retry_ns <= now_ns:
                effects += self._wind_down(seat, now_ns)
            while seat.runner is not None and (due := seat.desk.take_due_timer(now_ns)) is not None:
                effects += self._on_timer(seat, *due, now_ns)
        return effects

    def _on_timer(self, seat: Seat, at_ns: int, name: str, now_ns: int) -> list[Effect]:
        return self._tell(seat, f"timer:{name}:{at_ns}", now_ns, lambda s, ctx: s.on_timer(ctx, name))

    def _earliest_wake(self) -> int | None:
        moments = [at_ns for seat in self._seats.values() if seat.runner is not None for at_ns in seat.desk.book.timers.values()]
        moments += [seat.retry_ns for seat in self._seats.values() if seat.retry_ns]
        return min(moments) if moments else None

    # Starting, and what operators ask.

    def _on_loaded(self, seat: Seat, now_ns: int) -> list[Effect]:
        """A process started: what needs a person is said again, and a strategy that has not begun begins."""
        effects: list[Effect] = []
        if seat.quarantine:
            effects += self._alert(seat, "STRATEGY_QUARANTINED", f"is still quarantined: {seat.quarantine}", now_ns)
        elif seat.strategy is None and (seat.held or seat.desk.book.working):
            effects += self._alert(seat, "STRATEGY_MISSING", "holds or works something, but the configuration does not run it", now_ns)
        effects += self._look_for_position(seat, now_ns)
        effects += self._start(seat, now_ns)
        return effects + (self._wind_down(seat, now_ns) if seat.is_off and not seat.retry_ns else [])

    def _start(self, seat: Seat, now_ns: int) -> list[Effect]:
        if seat.is_started or seat.runner is None:
            return []
        effects = self._tell(seat, "start", now_ns, lambda s, ctx: s.on_start(ctx))
        seat.is_started = not seat.quarantine
        return effects

    def _on_command(self, command: Command, now_ns: int) -> list[Effect]:
        body = command.body
        if not isinstance(body, SetStrategyState):
            return [Answer(command.command_id, f"{type(body).__name__} is not for the {DAEMON}")]
        seat = self._seats.get(body.strategy_id)
        if seat is None:
            return [Answer(command.command_id, f"strategy {body.strategy_id!r} is not known, there are: {', '.join(self._seats)}")]
        if body.action is StrategyAction.ENABLE and seat.strategy is None:
            return [Answer(command.command_id, f"strategy {body.strategy_id!r} cannot run: {seat.quarantine or 'the configuration does not run it'}")]
        log = Log("warning", f"STRATEGY_{body.action.value}", (("strategy_id", body.strategy_id), ("actor", command.actor), ("reason", body.reason)))
        effects = self._enable(seat, now_ns) if body.action is StrategyAction.ENABLE else self._disable(seat, now_ns)
        return [log, *effects, Answer(command.command_id, f"strategy {body.strategy_id!r}: {body.action.value}")]

    def _enable(self, seat: Seat, now_ns: int) -> list[Effect]:
        seat.desk.entries_enabled = True
        seat.quarantine, seat.retry_ns = "", 0
        return self._start(seat, now_ns)

    def _disable(self, seat: Seat, now_ns: int) -> list[Effect]:
        seat.desk.entries_enabled = False
        return [] if seat.quarantine else self._wind_down(seat, now_ns)

    def _on_blind(self, reason: str, now_ns: int) -> list[Effect]:
        """Nobody knows any more what is held or working, so nothing new is opened until a person has looked and enables it."""
        effects: list[Effect] = []
        for seat in self._seats.values():
            if seat.desk.entries_enabled:
                effects += self._alert(seat, "STRATEGY_BLIND", f"entries are switched off, {reason}", now_ns)
                effects += self._disable(seat, now_ns)
        return effects

    # Calling a strategy, and what follows when it raises.

    def _tell(self, seat: Seat, trigger: str, now_ns: int, callback: Callable[[AnyStrategy, Context], None]) -> list[Effect]:
        """One callback: what it asked for when it ended well, the quarantine when it raised, nothing when it may not be called."""
        strategy, desk = seat.runner, seat.desk
        if strategy is None:
            return []
        desk.begin(self._input, trigger, now_ns)
        outcome = attempt(lambda: callback(strategy, desk))
        return self._quarantine(seat, f"{trigger}: {outcome.text}", now_ns) if isinstance(outcome, Raised) else desk.commit()

    def _quarantine(self, seat: Seat, reason: str, now_ns: int) -> list[Effect]:
        seat.desk.abandon()
        seat.quarantine = reason
        policy = "flatten" if seat.flattens else "keep_protective_stops"
        return [*self._alert(seat, "STRATEGY_QUARANTINED", f"quarantined ({policy}): {reason}", now_ns), *self._wind_down(seat, now_ns)]

    def _alert(self, seat: Seat, name: str, text: str, now_ns: int) -> list[Effect]:
        alert = Alert(name=name, severity=Severity.CRITICAL, text=f"{seat.desk.strategy_id}: {text}", daemon=DAEMON, occurred_ns=now_ns)
        return [Publish(topics.ALERTS_FIRED.name(), alert)]

    def _on_news_while_off(self, seat: Seat, news: OrderNews, now_ns: int) -> list[Effect]:
        """Go on winding down when an order has ended. A closing order that failed waits for its retry instead: answered at
        once, it could fail and be sent again for ever."""
        if not seat.is_off:
            return []
        has_ended = news.intent_id not in seat.desk.book.working
        is_progress = has_ended and not (news.order is not None and seat.closes(news.order))
        return self._wind_down(seat, now_ns) if is_progress or not seat.retry_ns else []

    def _wind_down(self, seat: Seat, now_ns: int) -> list[Effect]:
        """Cancel what must not work, close what must not be held, and come back later for whatever is still there."""
        orders, symbols = seat.unwanted(), seat.to_close()
        if not orders and not symbols:
            seat.retry_ns = 0
            return []
        seat.retry_ns = now_ns + _RETRY_NS
        seat.steps += 1
        desk, reason = seat.desk, QUARANTINE if seat.quarantine else _SWITCHED_OFF
        desk.begin(self._input, f"wind_down:{seat.steps}", now_ns)
        for order in orders:
            desk.cancel(order.intent_id, reason)
        for symbol in symbols:
            if not desk.working(symbol):
                desk.close(symbol, reason)
        return desk.commit()

    def _checkpoints(self, effects: Sequence[Effect], now_ns: int) -> list[Effect]:
        """The checkpoint of every strategy with an intent among these effects, in the same transaction."""
        asked = dict.fromkeys(e.body.strategy_id for e in effects if isinstance(e, Publish) and isinstance(e.body, _INTENTS))
        checkpoints: list[Effect] = []
        for seat in (self._seats[name] for name in asked):
            record = seat.record()
            if record.quarantine != seat.quarantine:
                checkpoints += self._quarantine(seat, record.quarantine, now_ns)
                record = seat.record()
            checkpoints.append(Archive("checkpoint", seat.desk.strategy_id, msgspec.json.encode(record)))
        return checkpoints


def _pass_on(strategy: AnyStrategy, ctx: Context, datum: Trade | Ticker | BookSnapshot | BookUpdate) -> None:
    match datum:
        case Trade():
            strategy.on_trade(ctx, datum)
        case Ticker():
            strategy.on_quote(ctx, datum)
        case _:
            strategy.on_book(ctx, datum)


def build_host(settings: Settings, *, epoch: str) -> StrategyHost:
    """The host of every enabled strategy; `epoch` goes into intent ids. ConfigError lists everything that keeps one from running."""
    terms = Terms(settings.account.name, settings.account.venue, epoch, settings.limits.intent_age_ms_max)
    balances = Balances()
    seats: dict[str, Seat] = {}
    problems: list[str] = []
    for name, section in settings.strategies.items():
        if section.enabled:
            instruments = {symbol: found for symbol in section.symbols if (found := settings.instrument(symbol)) is not None}
            problems += [f"strategies.{name}.symbols: {s} has no instrument, a row in config/instruments.yaml is required" for s in section.symbols if s not in instruments]
            try:
                strategy = _build_strategy(name, section)
            except ConfigError as error:
                problems += error.problems
            else:
                seats[name] = Seat(Desk(name, section.symbols, terms, instruments, balances), section.symbols, strategy)
    if problems:
        raise ConfigError(*problems)
    no_instruments: dict[str, Instrument] = {}
    return StrategyHost(seats, balances, lambda name: Seat(Desk(name, (), terms, no_instruments, balances), (), None))


def _build_strategy(name: str, section: StrategySettings) -> AnyStrategy:
    """The strategy of one section of the settings, or a ConfigError with all that is wrong with it."""
    try:
        kind = load_strategy(section.kind)
    except StrategyError as error:
        raise ConfigError(f"strategies.{name}.kind: {error}") from error
    try:
        params = kind.Params.model_validate(section.params)
    except pydantic.ValidationError as error:
        raise ConfigError(*(_param_problem(name, item) for item in error.errors())) from error
    made = attempt(lambda: kind(params, section.symbols, kind.State()))
    if isinstance(made, Raised):
        raise ConfigError(f"strategies.{name}.kind: {section.kind} cannot be made: {made.text}")
    return made


def _param_problem(name: str, item: Any) -> str:
    where = ".".join((f"strategies.{name}.params", *(str(part) for part in item["loc"])))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return f"{where}: is not a known parameter"
    return f"{where}: {message}" if item["type"] in ("value_error", "missing") else f"{where}: {item['input']!r} is not allowed: {message}"
