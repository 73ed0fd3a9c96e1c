"""A trading floor for one host: it shows bars, answers intents as risk, venue and ledger would, and keeps what was said."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from core.contracts import (
    Alert,
    BalanceSnapshot,
    Bar,
    CancelIntent,
    Contract,
    Denial,
    ExecType,
    Intent,
    LedgerAdjusted,
    NoTrade,
    OrderIntent,
    OrderStatus,
    PositionSnapshot,
    ReplaceIntent,
    RiskDecision,
    SessionPhase,
    SetStrategyState,
    StrategyAction,
    TradingState,
    Verdict,
)
from core.contracts import Evidence as RiskEvidence
from core.exchange_time import at_wall_clock_ns, clock_second
from core.machine import NOTHING_ATTACHED, Answer, Archive, Command, ConfigLoaded, Effect, Input, Log, Publish, Wake
from core.money import ZERO
from core.settings import Settings
from strategies.host import HostState, StrategyHost, build_host
from tests.support.builders import ACCOUNT, NOW, STRATEGY, SYMBOL, a_bar, a_clock, a_message, an_order_event

__all__ = ["EPOCH", "Floor", "answers", "checkpoints", "new_york", "published"]

EPOCH = "e"
_INTENTS = (OrderIntent, CancelIntent, ReplaceIntent)
_C = TypeVar("_C", bound=Contract)


def new_york(day: date, clock: str, second: int = 0) -> int:
    """The UTC nanosecond of a time of day in New York."""
    return at_wall_clock_ns(day.toordinal(), clock_second(clock) + second)


class Floor:
    """Drives one host. `said` holds all effects in order; `orders` what has been asked for and has not ended, with its cum_qty."""

    def __init__(self, settings: Settings, *, now_ns: int = NOW) -> None:
        self.settings = settings
        self.host: StrategyHost = build_host(settings, epoch=EPOCH)
        self.now_ns = now_ns
        self.said: list[Effect] = []
        self.orders: dict[str, tuple[OrderIntent, Decimal]] = {}
        self.positions: dict[tuple[str, str], PositionSnapshot] = {}
        self._seq = 0
        self._cursor = 0

    # What happened.

    def give(self, event: Input) -> list[Effect]:
        """One input; the effects it had."""
        effects = list(self.host.handle(event, NOTHING_ATTACHED, self.now_ns))
        self.said += effects
        for effect in effects:
            if isinstance(effect, Publish) and isinstance(effect.body, OrderIntent):
                self.orders[effect.body.intent_id] = (effect.body, ZERO)
        return effects

    def tell(self, topic: str, body: Contract) -> list[Effect]:
        """One message, in sequence."""
        self._seq += 1
        return self.give(a_message(topic, body, seq=self._seq, ts_ns=self.now_ns))

    def start(self) -> list[Effect]:
        """The process starts."""
        return self.give(ConfigLoaded("", ""))

    def bar(self, close: float, *, at_ns: int | None = None, symbol: str = SYMBOL, **changes: Any) -> list[Effect]:
        """A minute has passed (or it is `at_ns`), and a bar closed."""
        self.now_ns = self.now_ns + 60 * 10**9 if at_ns is None else at_ns
        return self.show(a_bar(close, symbol=symbol, close_ns=self.now_ns, **changes))

    def show(self, bar: Bar) -> list[Effect]:
        """A bar, now."""
        return self.tell(f"md.bars.{bar.timeframe}.{bar.symbol}", bar)

    def wake(self, at_ns: int) -> list[Effect]:
        """Time has passed without data; the host is woken when it wanted to be."""
        self.now_ns = max(self.now_ns, at_ns)
        due = self.host.next_wake_ns
        return self.give(Wake(due)) if due is not None and due <= self.now_ns else []

    def clock(self, phase: SessionPhase, step: int = 0) -> list[Effect]:
        """A tick of the session clock."""
        return self.tell("control.clock", a_clock(self.now_ns, step, phase))

    def switch(self, action: StrategyAction, strategy_id: str = STRATEGY) -> list[Effect]:
        """An operator switches a strategy."""
        self._seq += 1
        return self.give(Command(f"op-{self._seq}", "olga", SetStrategyState(strategy_id=strategy_id, action=action, reason="test")))

    # What risk, venue and ledger answer.

    def deny(self, intent: Intent, code: str = "STALE_MARK", evidence: str = "age_ms=9000") -> list[Effect]:
        """Risk refuses."""
        if isinstance(intent, OrderIntent):
            self.orders.pop(intent.intent_id)
        return self.tell("risk.decision", self._decision(intent, Verdict.DENIED, (Denial(code=code, evidence=evidence),)))

    def allow(self, intent: Intent) -> list[Effect]:
        """Risk allows."""
        return self.tell("risk.decision", self._decision(intent, Verdict.ALLOWED, ()))

    def accept(self, intent: OrderIntent) -> list[Effect]:
        """The order rests at the venue."""
        return self.news(intent, OrderStatus.ACCEPTED)

    def fill(self, intent: OrderIntent, price: float | str, qty: int | str | Decimal | None = None) -> list[Effect]:
        """The venue executes an order, all that is left of it or `qty`."""
        _, cum = self.orders[intent.intent_id]
        last_qty = intent.order_qty - cum if qty is None else Decimal(qty)
        position = self._moved(intent, last_qty, Decimal(str(price)))
        is_done = cum + last_qty == intent.order_qty
        self.orders[intent.intent_id] = (intent, cum + last_qty)
        status = OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED
        executed = {"last_qty": last_qty, "last_price": str(price), "exec_id": f"x{self._seq}", "exec_type": ExecType.TRADE, "cause": "TRADE"}
        return self.news(intent, status, position=position, **executed)

    def end(self, intent: OrderIntent | str, status: OrderStatus = OrderStatus.CANCELLED) -> list[Effect]:
        """The order ends without another execution."""
        order = self.orders[intent][0] if isinstance(intent, str) else intent
        return self.news(order, status, exec_type=ExecType(status.value), cause=status.value)

    def reject_cancel(self, intent: OrderIntent | str) -> list[Effect]:
        """The venue refuses to cancel."""
        order = self.orders[intent][0] if isinstance(intent, str) else intent
        return self.news(order, OrderStatus.ACCEPTED, exec_type=ExecType.CANCEL_REJECTED, cause="CANCEL_REJECTED")

    def news(self, intent: OrderIntent, status: OrderStatus, **changes: Any) -> list[Effect]:
        """The ledger's word about an order, with the position it knows."""
        cum = self.orders.get(intent.intent_id, (intent, ZERO))[1]
        if status.is_terminal:
            self.orders.pop(intent.intent_id, None)
        values = {"cum_qty": cum, "occurred_ns": self.now_ns, "position": self.position(intent.symbol, intent.strategy_id)} | changes
        return self.tell("orders.events", an_order_event(intent, status, **values))

    def adjust(self, qty: int | str, *, symbol: str = SYMBOL, strategy_id: str = STRATEGY, usd: int = 100_000) -> list[Effect]:
        """A position that no execution explains."""
        found = msgspec.structs.replace(self.position(symbol, strategy_id), position_qty=Decimal(qty), avg_price=Decimal(100))
        self.positions[strategy_id, symbol] = found
        balances = (BalanceSnapshot(account=ACCOUNT, asset="USD", total=Decimal(usd), as_of_ns=self.now_ns),)
        return self.tell("orders.events", LedgerAdjusted(account=ACCOUNT, reason="TEST", evidence="", occurred_ns=self.now_ns, position=found, balances=balances))

    def trade(self, price: float, symbol: str = SYMBOL) -> None:
        """A whole venue at one price: cancels end orders, market orders fill, stops fill when they are reached; until all is quiet."""
        while self._trade_once(price, symbol):
            pass

    def _trade_once(self, price: float, symbol: str) -> bool:
        said, self._cursor = self.said[self._cursor :], len(self.said)
        for effect in said:
            if isinstance(effect, Publish) and isinstance(effect.body, CancelIntent) and effect.body.target_intent_id in self.orders:
                self.end(effect.body.target_intent_id)
        for order in [order for order, _ in self.orders.values() if order.symbol == symbol]:
            if order.stop_price is None or (order.stop_price - Decimal(str(price))) * order.side.sign <= 0:
                self.fill(order, price)
        return self._cursor < len(self.said)

    # What was said.

    def position(self, symbol: str = SYMBOL, strategy_id: str = STRATEGY) -> PositionSnapshot:
        """What the ledger holds."""
        nothing = PositionSnapshot(account=ACCOUNT, symbol=symbol, strategy_id=strategy_id, position_qty=ZERO, avg_price=ZERO, realized_pnl=ZERO, as_of_ns=self.now_ns)
        return self.positions.get((strategy_id, symbol), nothing)

    @property
    def intents(self) -> list[Intent]:
        """Every wish, in order."""
        return [e.body for e in self.said if isinstance(e, Publish) and isinstance(e.body, _INTENTS)]

    @property
    def last(self) -> OrderIntent:
        """The last order asked for."""
        return [i for i in self.intents if isinstance(i, OrderIntent)][-1]

    @property
    def alerts(self) -> list[str]:
        """The names of alerts, in order."""
        return [e.body.name for e in self.said if isinstance(e, Publish) and isinstance(e.body, Alert)]

    @property
    def reasons(self) -> list[str]:
        """Every NO-TRADE reason, one per bar, in order."""
        return [dict(e.fields)["reason"] for e in self.said if isinstance(e, Log) and e.event == "NO_TRADE"]  # type: ignore[misc]

    @property
    def published_reasons(self) -> list[str]:
        """The reasons that were news."""
        return [e.body.reason for e in self.said if isinstance(e, Publish) and isinstance(e.body, NoTrade)]

    def kept(self) -> HostState:
        """The host's state after a trip through JSON."""
        return msgspec.json.decode(msgspec.json.encode(self.host.snapshot()), type=HostState)

    def restart(self, settings: Settings | None = None) -> None:
        """Another process goes on from the snapshot."""
        kept = self.kept()
        self.host = build_host(settings or self.settings, epoch=EPOCH)
        self.host.restore(kept)

    def _decision(self, intent: Intent, verdict: Verdict, denials: tuple[Denial, ...]) -> RiskDecision:
        return RiskDecision(
            decision_id=f"d-{intent.intent_id}",
            verdict=verdict,
            intent=intent,
            limits_version="limits-1",
            evidence=RiskEvidence(trading_state=TradingState.ACTIVE),
            decided_ns=self.now_ns,
            denials=denials,
        )

    def _moved(self, intent: OrderIntent, qty: Decimal, price: Decimal) -> PositionSnapshot:
        """The position after an execution: average entry price, realized P&L on what is taken off."""
        was = self.position(intent.symbol, intent.strategy_id)
        change = qty * intent.side.sign
        held = was.position_qty + change
        realized, average = was.realized_pnl, was.avg_price
        if was.position_qty * change < 0:
            taken = min(abs(change), abs(was.position_qty))
            realized += (price - average) * taken * (1 if was.position_qty > 0 else -1)
            average = price if held * was.position_qty < 0 else average if held else ZERO
        else:
            average = (average * abs(was.position_qty) + price * qty) / abs(held)
        now = msgspec.structs.replace(was, position_qty=held, avg_price=average, realized_pnl=realized, as_of_ns=self.now_ns)
        self.positions[intent.strategy_id, intent.symbol] = now
        return now


def answers(effects: list[Effect]) -> list[str]:
    """What operators were told."""
    return [str(e.reply) for e in effects if isinstance(e, Answer)]


def checkpoints(effects: list[Effect]) -> list[str]:
    """Whose checkpoints were written."""
    return [e.key for e in effects if isinstance(e, Archive) and e.kind == "checkpoint"]


def published(effects: list[Effect], kind: type[_C]) -> list[_C]:
    """The messages of a type among effects."""
    return [e.body for e in effects if isinstance(e, Publish) and isinstance(e.body, kind)]
