"""A risk engine with the little world around it that its node would supply: marks, archive, sequence numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from core import topics
from core.contracts import (
    Alert,
    CancelIntent,
    Contract,
    Intent,
    KillSwitchState,
    KillSwitchStatus,
    LedgerAdjusted,
    OperatorCommand,
    OrderStateChanged,
    PositionSnapshot,
    ReplaceIntent,
    RiskDecision,
    RiskEvent,
    SetTradingState,
    TradingState,
    Verdict,
)
from core.machine import Answer, Archive, Attached, Command, ConfigLoaded, Effect, Fact, Input, Mark, Message, Observed, Publish
from core.settings import Settings
from risk.engine import RiskEngine, RiskState, build_risk_engine
from tests.support.builders import ACCOUNT, NOW, PREFIX, STRATEGY, SYMBOL, dec, settings_with

__all__ = ["RiskDesk", "a_cancel_intent", "a_replace_intent", "codes", "numbers"]

CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)


def a_replace_intent(target: str, intent_id: str = "trend:e:bar:r", **changes: Any) -> ReplaceIntent:
    """A wish for other terms of an order; None leaves a term as it is."""
    values: dict[str, Any] = {"strategy_id": STRATEGY, "created_ns": NOW, "expires_ns": NOW + 10 * 10**9} | changes
    for name in ("order_qty", "limit_price", "stop_price"):
        values[name] = dec(values.get(name))
    return ReplaceIntent(intent_id=intent_id, target_intent_id=target, **values)


def a_cancel_intent(target: str, intent_id: str = "trend:e:bar:c", **changes: Any) -> CancelIntent:
    """A wish to end an order."""
    values: dict[str, Any] = {"strategy_id": STRATEGY, "created_ns": NOW} | changes
    return CancelIntent(intent_id=intent_id, target_intent_id=target, **values)


def numbers(*values: Decimal | int | None) -> tuple[float | None, ...]:
    """Amounts as plain numbers, to compare with plain numbers."""
    return tuple(None if value is None else float(value) for value in values)


def codes(decision: RiskDecision) -> list[str]:
    """The codes of a decision's denials, in order."""
    return [denial.code for denial in decision.denials]


class RiskDesk:
    """Asks a risk engine and keeps what it says. Starts ready to trade: configuration loaded, kill file clear, one fresh mark."""

    def __init__(self, settings: Settings | None = None, *, engine: RiskEngine | None = None, price: float = 100.0) -> None:
        self.settings = settings or settings_with()
        self.engine = engine or build_risk_engine(self.settings, id_prefix=PREFIX)
        self.now_ns = NOW
        self.marks = {symbol: Mark(symbol, price, NOW) for symbol in self.settings.symbols}
        self.archive: dict[tuple[str, str], bytes] = {}
        self.said: list[Effect] = []
        self._seqs: dict[str, int] = {}
        self.start()

    def start(self) -> None:
        """A run begins with its configuration and a look at the kill file."""
        self.give(ConfigLoaded("hash", "{}"))
        self.observe(CLEAR)

    def give(self, event: Input) -> list[Effect]:
        """One input, with what it needs; what it archives is committed at once."""
        needs = self.engine.needs(event)
        marks = tuple(self.marks[s] for s in needs.symbols if s in self.marks)
        archived = {f"{kind}/{key}": self.archive[kind, key] for kind, key in needs.archived if (kind, key) in self.archive}
        effects = list(self.engine.handle(event, Attached(marks, archived), self.now_ns))
        for effect in effects:
            if isinstance(effect, Archive):
                assert (effect.kind, effect.key) not in self.archive, f"{effect.key} is archived twice"
                self.archive[effect.kind, effect.key] = effect.data
        self.said += effects
        return effects

    def message(self, topic: str, body: Contract) -> list[Effect]:
        """The next message of a topic."""
        seq = self._seqs[topic] = self._seqs.get(topic, 0) + 1
        return self.give(Message(topic, "test", seq, self.now_ns, body, f"e:{topic}:{seq}", ""))

    def ask(self, intent: Intent) -> RiskDecision:
        """The one decision an intent gets."""
        effects = self.message(topics.STRAT_INTENT.name(), intent)
        (decision,) = [e.body for e in effects if isinstance(e, Publish) and isinstance(e.body, RiskDecision)]
        assert (decision.verdict is Verdict.DENIED) == bool(decision.denials)
        return decision

    def tell(self, event: OrderStateChanged | LedgerAdjusted) -> list[Effect]:
        """A word of the ledger's."""
        return self.message(topics.ORDERS_EVENTS.name(), event)

    def hold(self, qty: str | int, symbol: str = SYMBOL, owner: str = STRATEGY) -> list[Effect]:
        """Let an owner hold this much of a symbol."""
        position = PositionSnapshot(
            account=ACCOUNT, symbol=symbol, strategy_id=owner, position_qty=Decimal(qty), avg_price=Decimal(100), realized_pnl=Decimal(0), as_of_ns=self.now_ns
        )
        return self.tell(LedgerAdjusted(account=ACCOUNT, reason="TEST", evidence="TEST", occurred_ns=self.now_ns, position=position))

    def observe(self, fact: Fact) -> list[Effect]:
        """A fact from outside the bus."""
        return self.give(Observed(fact))

    def command(self, body: OperatorCommand, actor: str = "ops") -> str:
        """An operator's command; its answer."""
        (answer,) = [e for e in self.give(Command("c", actor, body)) if isinstance(e, Answer)]
        assert isinstance(answer.reply, str)
        return answer.reply

    def set_state(self, state: TradingState, reason: str = "because") -> str:
        """The trading state an operator wants."""
        return self.command(SetTradingState(trading_state=state, reason=reason))

    def mark(self, price: float, *, symbol: str = SYMBOL, age_ms: float = 0) -> None:
        """The market's last price, made so long ago."""
        self.marks[symbol] = Mark(symbol, price, self.now_ns - int(age_ms * 10**6))

    def later(self, ms: float) -> None:
        """Time passes; prices stay fresh."""
        self.now_ns += int(ms * 10**6)
        self.marks = {symbol: Mark(symbol, mark.price, self.now_ns) for symbol, mark in self.marks.items()}

    def events(self) -> list[RiskEvent]:
        """Every risk event so far."""
        return [e.body for e in self.said if isinstance(e, Publish) and isinstance(e.body, RiskEvent)]

    def alerts(self) -> list[Alert]:
        """Every alert so far."""
        return [e.body for e in self.said if isinstance(e, Publish) and isinstance(e.body, Alert)]

    def reborn(self) -> RiskEngine:
        """Another engine, restored from this one's snapshot as the journal keeps it."""
        other = build_risk_engine(self.settings, id_prefix=PREFIX)
        other.restore(msgspec.json.decode(msgspec.json.encode(self.engine.snapshot()), type=RiskState))
        return other
