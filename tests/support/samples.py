"""One sample of every message, with every optional amount present, so that a rule about all contracts is held against each."""

from __future__ import annotations

from decimal import Decimal

from core.contracts import (
    AccountSnapshot,
    Alert,
    ArmLease,
    BalanceSnapshot,
    BookLevel,
    BookSnapshot,
    BookUpdate,
    CancelIntent,
    CancelOrder,
    Contract,
    ExecType,
    ExecutionReport,
    FillEvent,
    Heartbeat,
    LedgerAdjusted,
    LimitsChanged,
    NoTrade,
    OrderType,
    ReplaceIntent,
    ReplaceOrder,
    RiskEvent,
    Severity,
    Side,
    Ticker,
    TimeInForce,
    Trade,
    TradingState,
)
from core.contracts import Evidence as RiskEvidence
from tests.support.builders import (
    ACCOUNT,
    NOW,
    STRATEGY,
    SYMBOL,
    VENUE,
    a_bar,
    a_clock,
    a_decision,
    a_position,
    a_report,
    a_submit_order,
    an_approval,
    an_intent,
    an_order_event,
)

__all__ = ["every_message"]

_ONE = Decimal(1)


def every_message() -> tuple[Contract, ...]:
    """A sample of each type that may stand in an envelope."""
    return (*_intents_and_decisions(), *_orders(), *_ledger(), *_market(), *_control())


def _intents_and_decisions() -> tuple[Contract, ...]:
    intent = an_intent(order_type=OrderType.STOP_LIMIT, limit_price=2, stop_price=3, stop_loss=1, take_profit=4)
    evidence = RiskEvidence(
        trading_state=TradingState.ACTIVE,
        reference_price=_ONE,
        position_qty=_ONE,
        working_buy_qty=_ONE,
        working_sell_qty=_ONE,
        order_notional=_ONE,
        worst_qty=_ONE,
        worst_notional=_ONE,
    )
    return (
        intent,
        CancelIntent(intent_id="c", strategy_id=STRATEGY, target_intent_id="i", created_ns=NOW),
        ReplaceIntent(intent_id="r", strategy_id=STRATEGY, target_intent_id="i", created_ns=NOW, expires_ns=NOW, order_qty=_ONE, limit_price=_ONE, stop_price=_ONE),
        a_decision(intent, evidence=evidence, approval=an_approval(intent, reference_price=_ONE)),
        RiskEvent(event="trip", reason="r", occurred_ns=NOW, trading_state=TradingState.HALTED),
    )


def _orders() -> tuple[Contract, ...]:
    intent = an_intent(order_type=OrderType.STOP_LIMIT, limit_price=2, stop_price=3)
    return (
        a_submit_order(intent),
        CancelOrder(client_order_id="c", orig_client_order_id="o", account=ACCOUNT, venue=VENUE, symbol=SYMBOL, created_ns=NOW),
        ReplaceOrder(
            client_order_id="r",
            orig_client_order_id="o",
            intent_id="i",
            strategy_id=STRATEGY,
            account=ACCOUNT,
            venue=VENUE,
            symbol=SYMBOL,
            side=Side.BUY,
            order_type=OrderType.STOP_LIMIT,
            time_in_force=TimeInForce.DAY,
            order_qty=_ONE,
            approval=an_approval(intent),
            created_ns=NOW,
            limit_price=_ONE,
            stop_price=_ONE,
        ),
        a_report(ExecType.TRADE, order_qty=1, limit_price=1, stop_price=1, cum_qty=1, leaves_qty=1, last_qty=1, last_price=1, fee=1),
    )


def _ledger() -> tuple[Contract, ...]:
    balance = BalanceSnapshot(account=ACCOUNT, asset="USD", total=_ONE, as_of_ns=NOW)
    return (
        an_order_event(intent=an_intent(order_type=OrderType.STOP_LIMIT, limit_price=2, stop_price=3), cum_qty=1, last_qty=1, last_price=1),
        LedgerAdjusted(account=ACCOUNT, reason="r", evidence="e", occurred_ns=NOW, position=a_position(1), balances=(balance,)),
        FillEvent(
            exec_id="x",
            client_order_id="c",
            venue_order_id="v",
            intent_id="i",
            strategy_id=STRATEGY,
            account=ACCOUNT,
            venue=VENUE,
            symbol=SYMBOL,
            side=Side.BUY,
            last_qty=_ONE,
            last_price=_ONE,
            fee=_ONE,
            fee_asset="USD",
            occurred_ns=NOW,
        ),
        a_position(1),
        AccountSnapshot(account=ACCOUNT, venue=VENUE, balances=(balance, balance), as_of_ns=NOW),
        ExecutionReport(execution_id="e", strategy_id=STRATEGY, symbol=SYMBOL, side=Side.BUY, order_qty=_ONE, cum_qty=_ONE, status="WORKING", occurred_ns=NOW),
    )


def _market() -> tuple[Contract, ...]:
    level = BookLevel(price=1.0, size=2.0)
    return (
        a_bar(),
        Trade(symbol=SYMBOL, price=1.0, size=1.0, exchange_ns=NOW),
        Ticker(symbol=SYMBOL, bid_price=1.0, ask_price=2.0, bid_size=1.0, ask_size=1.0, exchange_ns=NOW),
        BookSnapshot(symbol=SYMBOL, bids=(level,), asks=(level,), update_id=1, exchange_ns=NOW),
        BookUpdate(symbol=SYMBOL, bids=(level,), asks=(), previous_update_id=1, update_id=2, exchange_ns=NOW),
    )


def _control() -> tuple[Contract, ...]:
    return (
        a_clock(),
        ArmLease(account=ACCOUNT, boot_id="b", valid_until_boot_ns=NOW),
        Heartbeat(daemon="oms", incarnation=1, ready=True, sent_ns=NOW),
        LimitsChanged(limits_version="l", actor="a", reason="r", changed_ns=NOW, limits={"order_qty_max": "1"}),
        NoTrade(strategy_id=STRATEGY, symbol=SYMBOL, reason="r", trigger="t", occurred_ns=NOW),
        Alert(name="n", severity=Severity.INFO, text="t", daemon="oms", occurred_ns=NOW),
    )
