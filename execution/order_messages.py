"""What an order is told to the broker as, and its executions to observers: pure translations, one per message."""

from __future__ import annotations

from core.contracts import Approval, CancelOrder, FillEvent, ReplaceIntent, ReplaceOrder, SubmitOrder
from core.order import Execution, Order, Origin
from core.venue import BrokerOrderReq

__all__ = ["cancellation", "fill_event", "replacement", "request_of", "submission"]


def request_of(order: Order, client_order_id: str) -> BrokerOrderReq:
    """What the venue will be told under this id: the order itself, or the replacement it goes by."""
    terms = next((r.terms for r in order.requests if r.client_order_id == client_order_id and r.terms is not None), order.terms)
    origin = order.origin
    return BrokerOrderReq(
        client_order_id=client_order_id,
        symbol=origin.symbol,
        side=origin.side,
        order_type=origin.order_type,
        time_in_force=origin.time_in_force,
        order_qty=terms.order_qty,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
    )


def submission(order: Order, approval: Approval, now_ns: int) -> SubmitOrder:
    """Place the order, as approved."""
    origin, terms = order.origin, order.terms
    return SubmitOrder(
        client_order_id=origin.client_order_id,
        intent_id=origin.intent_id,
        strategy_id=origin.strategy_id,
        account=origin.account,
        venue=origin.venue,
        symbol=origin.symbol,
        side=origin.side,
        order_type=origin.order_type,
        time_in_force=origin.time_in_force,
        order_qty=terms.order_qty,
        approval=approval,
        created_ns=now_ns,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        ttl_ms=origin.ttl_ms,
        protective=origin.protective,
        execution_id=origin.execution_id,
        slice_id=origin.slice_id,
    )


def cancellation(order: Order, request_id: str, reason: str, now_ns: int) -> CancelOrder:
    """Cancel the order, by the id it goes by now."""
    origin = order.origin
    return CancelOrder(
        client_order_id=request_id,
        orig_client_order_id=order.terms.client_order_id,
        account=origin.account,
        venue=origin.venue,
        symbol=origin.symbol,
        created_ns=now_ns,
        venue_order_id=order.venue_order_id,
        reason=reason,
    )


def replacement(order: Order, intent: ReplaceIntent, wanted: BrokerOrderReq, approval: Approval, now_ns: int) -> ReplaceOrder:
    """Change the order that goes by its present id into the wanted one; ValueError when the prices do not fit its kind."""
    origin = order.origin
    return ReplaceOrder(
        client_order_id=wanted.client_order_id,
        orig_client_order_id=order.terms.client_order_id,
        intent_id=intent.intent_id,
        strategy_id=origin.strategy_id,
        account=origin.account,
        venue=origin.venue,
        symbol=origin.symbol,
        side=origin.side,
        order_type=origin.order_type,
        time_in_force=origin.time_in_force,
        order_qty=wanted.order_qty,
        approval=approval,
        created_ns=now_ns,
        venue_order_id=order.venue_order_id,
        limit_price=wanted.limit_price,
        stop_price=wanted.stop_price,
    )


def fill_event(origin: Origin, trade: Execution) -> FillEvent:
    """A booked execution, for observers."""
    return FillEvent(
        exec_id=trade.exec_id,
        client_order_id=origin.client_order_id,
        venue_order_id=trade.venue_order_id,
        intent_id=origin.intent_id,
        strategy_id=origin.strategy_id,
        account=origin.account,
        venue=origin.venue,
        symbol=origin.symbol,
        side=origin.side,
        last_qty=trade.qty,
        last_price=trade.price,
        fee=trade.fee,
        fee_asset=trade.fee_asset,
        occurred_ns=trade.occurred_ns,
        execution_id=origin.execution_id,
        slice_id=origin.slice_id,
    )
