"""Things to test with. A test names only what matters to it: `an_intent(order_qty=5)`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from core.contracts import (
    Approval,
    BalanceSnapshot,
    Bar,
    Contract,
    ExecType,
    OrderIntent,
    OrderStateChanged,
    OrderStatus,
    OrderType,
    PositionSnapshot,
    RiskDecision,
    SessionClock,
    SessionPhase,
    Side,
    SubmitOrder,
    TimeInForce,
    TradingState,
    VenueReport,
    Verdict,
)
from core.contracts import Evidence as RiskEvidence
from core.ids import account_prefix, client_order_id
from core.instrument import Instrument
from core.machine import Message
from core.settings import Settings
from core.venue import BrokerOrderReq, terms_hash

__all__ = [
    "ACCOUNT",
    "NOW",
    "PREFIX",
    "STRATEGY",
    "SYMBOL",
    "VENUE",
    "a_bar",
    "a_clock",
    "a_decision",
    "a_message",
    "a_position",
    "a_report",
    "a_submit_order",
    "an_approval",
    "an_instrument",
    "an_intent",
    "an_order_event",
    "dec",
    "settings_with",
]

NOW = 1_700_000_000_000_000_000
ACCOUNT, VENUE, SYMBOL, STRATEGY = "paper", "sim", "IBM", "trend"
PREFIX = account_prefix("test", ACCOUNT, "epoch")


def dec(value: str | int | Decimal | None) -> Decimal | None:
    """A Decimal, or None."""
    return None if value is None else Decimal(value)


def _decimals(changes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: dec(value) if name in names else value for name, value in changes.items()}


def an_instrument(symbol: str = SYMBOL, **changes: Any) -> Instrument:
    """A US stock: ticks of a cent, whole shares."""
    terms: dict[str, Any] = {"tick": Decimal("0.01"), "lot": Decimal(1), "order_qty_min": Decimal(1)} | changes
    return Instrument(symbol=symbol, **_decimals(terms, "tick", "lot", "multiplier", "order_qty_min", "order_qty_max", "order_notional_min"))


def settings_with(**sections: Any) -> Settings:
    """Valid settings of a small suite (one strategy on SYMBOL); sections are laid over them key by key."""
    base: dict[str, Any] = {
        "environment": "test",
        "account": {"name": ACCOUNT, "venue": VENUE, "opening_balances": {"USD": "100000"}},
        "instruments": {"default": {"tick": "0.01", "lot": "1", "order_qty_min": "1"}},
        "feed": {"kind": "synthetic", "timeframe": "1m", "symbols": [SYMBOL]},
        "strategies": {STRATEGY: {"kind": "sma_cross", "symbols": [SYMBOL]}},
    }
    for name, section in sections.items():
        base[name] = {**base.get(name, {}), **section} if isinstance(section, dict) else section
    return Settings.model_validate(base)


def a_bar(close: float = 100.0, *, symbol: str = SYMBOL, close_ns: int = NOW, minutes: int = 1, **changes: Any) -> Bar:
    """A bar that opens, moves and closes at `close` unless told otherwise."""
    values: dict[str, Any] = {"open": close, "high": close, "low": close, "close": close, "volume": 1_000.0, "timeframe": "1m"} | changes
    values["high"] = max(values["high"], values["open"], values["close"])
    values["low"] = min(values["low"], values["open"], values["close"])
    return Bar(symbol=symbol, open_ns=close_ns - minutes * 60 * 10**9, close_ns=close_ns, **values)


def a_clock(now_ns: int = NOW, step: int = 0, phase: SessionPhase = SessionPhase.DECIDE) -> SessionClock:
    """A tick of the session clock."""
    return SessionClock(now_ns=now_ns, step=step, phase=phase)


def an_intent(intent_id: str = "trend:e:bar:0", **changes: Any) -> OrderIntent:
    """A wish to buy ten shares at market."""
    values: dict[str, Any] = {
        "strategy_id": STRATEGY,
        "account": ACCOUNT,
        "venue": VENUE,
        "symbol": SYMBOL,
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.DAY,
        "order_qty": 10,
        "created_ns": NOW,
        "expires_ns": NOW + 10 * 10**9,
    } | changes
    return OrderIntent(intent_id=intent_id, **_decimals(values, "order_qty", "limit_price", "stop_price", "stop_loss", "take_profit"))


def an_approval(intent: OrderIntent, **changes: Any) -> Approval:
    """The approval that allows exactly this intent."""
    order_id = client_order_id(PREFIX, intent.strategy_id, intent.intent_id)
    order = BrokerOrderReq(
        client_order_id=order_id,
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        order_qty=intent.order_qty,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
    )
    values: dict[str, Any] = {
        "approval_id": f"d-{intent.intent_id}",
        "client_order_id": order_id,
        "content_hash": terms_hash(intent.account, intent.venue, order),
        "limits_version": "limits-1",
        "expires_ns": NOW + 5 * 10**9,
    } | changes
    return Approval(**values)


def a_decision(intent: OrderIntent | None = None, **changes: Any) -> RiskDecision:
    """Risk allows the intent."""
    wish = intent or an_intent()
    values: dict[str, Any] = {
        "decision_id": f"d-{wish.intent_id}",
        "verdict": Verdict.ALLOWED,
        "intent": wish,
        "limits_version": "limits-1",
        "evidence": RiskEvidence(trading_state=TradingState.ACTIVE),
        "decided_ns": NOW,
        "approval": an_approval(wish),
    } | changes
    return RiskDecision(**values)


def a_submit_order(intent: OrderIntent | None = None, **changes: Any) -> SubmitOrder:
    """The instruction an allowed intent becomes."""
    wish = intent or an_intent()
    approval = an_approval(wish)
    values: dict[str, Any] = {
        "client_order_id": approval.client_order_id,
        "intent_id": wish.intent_id,
        "strategy_id": wish.strategy_id,
        "account": wish.account,
        "venue": wish.venue,
        "symbol": wish.symbol,
        "side": wish.side,
        "order_type": wish.order_type,
        "time_in_force": wish.time_in_force,
        "order_qty": wish.order_qty,
        "limit_price": wish.limit_price,
        "stop_price": wish.stop_price,
        "approval": approval,
        "created_ns": NOW,
    } | changes
    return SubmitOrder(**_decimals(values, "order_qty", "limit_price", "stop_price"))


def a_report(exec_type: ExecType, **changes: Any) -> VenueReport:
    """A report of the venue's about SYMBOL, pushed now."""
    values: dict[str, Any] = {"venue": VENUE, "account": ACCOUNT, "symbol": SYMBOL, "evidence": "PUSH", "occurred_ns": NOW} | changes
    return VenueReport(exec_type=exec_type, **_decimals(values, "order_qty", "limit_price", "stop_price", "cum_qty", "leaves_qty", "last_qty", "last_price", "fee"))


def a_position(position_qty: str | int = 0, *, symbol: str = SYMBOL, strategy_id: str = STRATEGY, avg_price: str | int = 0, as_of_ns: int = NOW) -> PositionSnapshot:
    """What an owner holds."""
    return PositionSnapshot(
        account=ACCOUNT,
        symbol=symbol,
        strategy_id=strategy_id,
        position_qty=Decimal(position_qty),
        avg_price=Decimal(avg_price),
        realized_pnl=Decimal(0),
        as_of_ns=as_of_ns,
    )


def an_order_event(intent: OrderIntent | None = None, new_status: OrderStatus = OrderStatus.ACCEPTED, **changes: Any) -> OrderStateChanged:
    """The ledger's word about the order of an intent: accepted, nothing executed, nothing held."""
    wish = intent or an_intent()
    cum_qty = Decimal(changes.get("cum_qty", 0))
    values: dict[str, Any] = {
        "client_order_id": client_order_id(PREFIX, wish.strategy_id, wish.intent_id),
        "intent_id": wish.intent_id,
        "strategy_id": wish.strategy_id,
        "account": wish.account,
        "venue": wish.venue,
        "symbol": wish.symbol,
        "side": wish.side,
        "order_qty": wish.order_qty,
        "old_status": OrderStatus.SUBMITTED,
        "cause": "NEW",
        "exec_type": ExecType.NEW,
        "evidence": "REPLY",
        "cum_qty": cum_qty,
        "leaves_qty": Decimal(0) if new_status.is_terminal else wish.order_qty - cum_qty,
        "avg_price": Decimal(0),
        "occurred_ns": NOW,
        "position": a_position(0, symbol=wish.symbol, strategy_id=wish.strategy_id),
        "balances": (BalanceSnapshot(account=wish.account, asset="USD", total=Decimal(100_000), as_of_ns=NOW),),
        "limit_price": wish.limit_price,
        "stop_price": wish.stop_price,
    } | changes
    return OrderStateChanged(new_status=new_status, **_decimals(values, "cum_qty", "leaves_qty", "avg_price", "last_qty", "last_price"))


def a_message(topic: str, body: Contract, *, producer: str = "test", seq: int = 1, ts_ns: int = NOW) -> Message:
    """A message as a machine gets it."""
    return Message(topic, producer, seq, ts_ns, body, f"e:{topic}:{seq}", "")
