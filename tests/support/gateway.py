"""A broker gateway on a bench: inputs by hand, attachments and archive as the node keeps them, and a record of what it said."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from core.contracts import (
    Alert,
    CancelAllOrders,
    CancelOrder,
    Contract,
    ExecType,
    KillSwitchState,
    KillSwitchStatus,
    OrderStatus,
    ReplaceOrder,
    SubmitOrder,
    TradingState,
    VenueReport,
)
from core.ids import request_id
from core.machine import (
    Answer,
    Archive,
    Attached,
    CallInterrupted,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    Effect,
    Halt,
    Input,
    Log,
    Observed,
    Publish,
    VenueLinkState,
    VenuePushed,
    Wake,
)
from core.venue import (
    Accepted,
    BrokerFill,
    BrokerOrderAck,
    BrokerOrderReq,
    BrokerOrderUpdate,
    Cancel,
    Lookup,
    OrderFilled,
    OrderFound,
    OrderUpdated,
    Place,
    Replace,
    Subscribe,
    Subscribed,
    VenueEvent,
    VenueReply,
    VenueRequest,
    terms_hash,
)
from execution.broker_gateway import BrokerGateway, GatewayState
from execution.gate import build_gate
from execution.live_orders import VenueTraits
from tests.support.builders import ACCOUNT, NOW, STRATEGY, SYMBOL, VENUE, a_message, a_submit_order, an_approval, an_intent, settings_with

__all__ = [
    "CLEAR",
    "HALTED",
    "MS",
    "REDUCING",
    "SECOND",
    "UNREADABLE",
    "GatewayBench",
    "a_cancel",
    "a_fill",
    "a_replace",
    "a_submit",
    "a_view",
    "an_ack",
    "found",
    "reports_in",
    "terms_of",
]

MS = 1_000_000
SECOND = 1_000 * MS
CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)
HALTED = KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=TradingState.HALTED, reason="drill")
REDUCING = KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=TradingState.REDUCING, reason="drill")
UNREADABLE = KillSwitchState(status=KillSwitchStatus.UNREADABLE, reason="EACCES")


def a_submit(number: int = 1, *, protective: bool = False, approval: dict[str, Any] | None = None, **changes: Any) -> SubmitOrder:
    """The instruction to place the order of the `number`-th intent."""
    intent = an_intent(f"trend:e:bar:{number}", **changes)
    return a_submit_order(intent, protective=protective, approval=an_approval(intent, **(approval or {})))


def a_cancel(order: SubmitOrder | ReplaceOrder | str, number: int = 1, **changes: Any) -> CancelOrder:
    """The OMS's `number`-th request to cancel this order."""
    order_id = order if isinstance(order, str) else order.client_order_id
    values: dict[str, Any] = {"account": ACCOUNT, "venue": VENUE, "symbol": SYMBOL, "created_ns": NOW} | changes
    return CancelOrder(client_order_id=request_id(order_id, "cancel", number), orig_client_order_id=order_id, **values)


def a_replace(order: SubmitOrder, client_order_id: str = "replacement", order_qty: int = 7, **approved: Any) -> ReplaceOrder:
    """The instruction to change this order's quantity."""
    terms = msgspec.structs.replace(terms_of(order), client_order_id=client_order_id, order_qty=Decimal(order_qty))
    approval = {"client_order_id": client_order_id, "content_hash": terms_hash(ACCOUNT, VENUE, terms)} | approved
    return ReplaceOrder(
        client_order_id=client_order_id,
        orig_client_order_id=order.client_order_id,
        intent_id="trend:e:bar:r",
        strategy_id=STRATEGY,
        account=ACCOUNT,
        venue=VENUE,
        symbol=SYMBOL,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        order_qty=terms.order_qty,
        approval=msgspec.structs.replace(order.approval, **approval),
        created_ns=NOW,
        venue_order_id=f"V-{order.client_order_id}",
    )


def terms_of(order: SubmitOrder | ReplaceOrder) -> BrokerOrderReq:
    """What the venue must be told about this order."""
    return BrokerOrderReq(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        order_qty=order.order_qty,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
    )


def an_ack(order_id: str, **changes: Any) -> Accepted:
    """The venue takes a request."""
    values: dict[str, Any] = {"client_order_id": order_id, "venue_order_id": f"V-{order_id}", "accepted_ns": NOW} | changes
    return Accepted(ack=BrokerOrderAck(**values))


def a_view(order: SubmitOrder | ReplaceOrder | BrokerOrderReq, status: OrderStatus = OrderStatus.ACCEPTED, cum_qty: int = 0, **changes: Any) -> BrokerOrderUpdate:
    """The venue's view of an order."""
    terms = order if isinstance(order, BrokerOrderReq) else terms_of(order)
    values: dict[str, Any] = {
        **msgspec.structs.asdict(terms),
        "venue_order_id": f"V-{terms.client_order_id}",
        "cum_qty": Decimal(cum_qty),
        "leaves_qty": Decimal(0) if status.is_terminal else terms.order_qty - cum_qty,
        "status": status,
        "updated_ns": NOW + 7,
    } | changes
    return BrokerOrderUpdate(**values)


def a_fill(order: SubmitOrder | ReplaceOrder, cursor: int, last_qty: int = 10, cum_qty: int | None = None, status: OrderStatus = OrderStatus.FILLED) -> OrderFilled:
    """The venue pushes an execution of this order."""
    fill = BrokerFill(
        cursor=cursor,
        exec_id=f"x{cursor}",
        venue_order_id=f"V-{order.client_order_id}",
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        last_qty=Decimal(last_qty),
        last_price=Decimal("99.5"),
        cum_qty=Decimal(last_qty if cum_qty is None else cum_qty),
        order_qty=order.order_qty,
        occurred_ns=NOW + 9,
        fee=Decimal("0.5"),
        fee_asset="USD",
    )
    return OrderFilled(cursor=cursor, fill=fill, status=status)


def found(order: SubmitOrder | ReplaceOrder, status: OrderStatus = OrderStatus.ACCEPTED, cum_qty: int = 0) -> OrderFound:
    """The venue finds the order."""
    return OrderFound(order=a_view(order, status, cum_qty))


class GatewayBench:
    """Drives one gateway. `restarts` makes a new one out of the snapshot's bytes before every input: it must not matter.

    Call ids must be new, archive rows must be new; both would stop the real process.
    """

    def __init__(self, *, traits: VenueTraits | None = None, restarts: bool = False) -> None:
        self.now_ns = NOW
        self.effects: list[Effect] = []
        self.archive: dict[str, bytes] = {}
        self.open: dict[str, VenueRequest] = {}
        self.calls: dict[str, CallVenue] = {}
        self._traits = traits or VenueTraits()
        self._restarts = restarts
        self.gateway = self._build()

    def _build(self) -> BrokerGateway:
        return BrokerGateway(account=ACCOUNT, venue=VENUE, traits=self._traits, gate=build_gate(settings_with()))

    def give(self, event: Input) -> Sequence[Effect]:
        """Hand an input over as the node does."""
        if self._restarts:
            self.restore()
        needs = self.gateway.needs(event)
        rows = {f"{kind}/{key}": self.archive[f"{kind}/{key}"] for kind, key in needs.archived if f"{kind}/{key}" in self.archive}
        if isinstance(event, CallReplied | CallInterrupted):
            self.open.pop(event.call_id, None)
        effects = self.gateway.handle(event, Attached(archived=rows), self.now_ns)
        for effect in effects:
            self._note(effect)
        self.effects += effects
        due = self.gateway.next_wake_ns
        assert due is None or not isinstance(event, Wake) or due > self.now_ns, "the same wake would come again for ever"
        return effects

    def _note(self, effect: Effect) -> None:
        if isinstance(effect, CallVenue):
            assert effect.call_id not in self.calls, f"call id {effect.call_id} is used twice"
            self.calls[effect.call_id] = effect
            self.open[effect.call_id] = effect.request
        elif isinstance(effect, Archive):
            key = f"{effect.kind}/{effect.key}"
            assert key not in self.archive, f"{key} is archived twice"
            self.archive[key] = effect.data

    def restore(self) -> None:
        """Another gateway in the place of this one, from the bytes of its snapshot."""
        snapshot = self.gateway.snapshot()
        data = msgspec.json.encode(snapshot)
        back = msgspec.json.decode(data, type=GatewayState)
        assert back == snapshot
        self.gateway = self._build()
        self.gateway.restore(back)
        assert msgspec.json.encode(self.gateway.snapshot()) == data

    # Inputs.

    def connect(self, last_cursor: int | None = None) -> GatewayBench:
        """The connection comes up and the subscription is answered."""
        self.link_up()
        self.reply(Subscribe, Subscribed(last_cursor=self.cursor if last_cursor is None else last_cursor))
        return self

    def link_up(self) -> Sequence[Effect]:
        """The connection comes up."""
        return self.give(Observed(VenueLinkState(True)))

    def link_down(self) -> Sequence[Effect]:
        """The connection is gone."""
        return self.give(Observed(VenueLinkState(False, "reset")))

    def tell(self, body: Contract, correlation_id: str = "c-1") -> Sequence[Effect]:
        """The OMS says so."""
        return self.give(msgspec.structs.replace(a_message("orders.accepted.sim", body, producer="oms"), correlation_id=correlation_id))

    def reply(self, kind: type[Any], reply: VenueReply) -> Sequence[Effect]:
        """The only open call of this kind has its outcome."""
        (call_id,) = [call_id for call_id, request in self.open.items() if isinstance(request, kind)]
        return self.give(CallReplied(call_id, reply))

    def push(self, event: VenueEvent) -> Sequence[Effect]:
        """The venue says so by itself."""
        return self.give(VenuePushed(event))

    def update(self, order: SubmitOrder | ReplaceOrder | BrokerOrderReq, status: OrderStatus, orig: str = "", **changes: Any) -> Sequence[Effect]:
        """The venue pushes the order's next state."""
        return self.push(OrderUpdated(cursor=self.cursor + 1, order=a_view(order, status, **changes), orig_client_order_id=orig))

    def kill(self, state: KillSwitchState) -> Sequence[Effect]:
        """The kill switch is seen like this."""
        return self.give(Observed(state))

    def cancel_all(self) -> str:
        """An operator cancels everything; the answer."""
        effects = self.give(Command("c1", "op", CancelAllOrders(reason="drill")))
        (answer,) = [str(effect.reply) for effect in effects if isinstance(effect, Answer)]
        return answer

    def die(self) -> None:
        """The process dies and starts again: open calls are interrupted, the connection is not up."""
        self.restore()
        for call_id in sorted(self.open):
            self.give(CallInterrupted(call_id))
        self.give(ConfigLoaded("hash", "{}"))

    def wake(self) -> Sequence[Effect]:
        """Time passes to the gateway's next moment."""
        due = self.gateway.next_wake_ns
        assert due is not None, "the gateway waits for nothing"
        self.now_ns = max(self.now_ns, due)
        return self.give(Wake(due))

    def working(self, order: SubmitOrder) -> SubmitOrder:
        """An order the venue has taken."""
        self.tell(order)
        self.give(CallReplied(request_id(order.client_order_id, "place", 1), an_ack(order.client_order_id)))
        return order

    def next_wake(self) -> int | None:
        """When the gateway wants to be woken."""
        return self.gateway.next_wake_ns

    # What it said.

    @property
    def cursor(self) -> int:
        """The last venue event taken."""
        return self.gateway.snapshot().feed.cursor

    @property
    def live(self) -> list[str]:
        """The ids of all orders that have not ended."""
        return [order.client_order_id for order in self.gateway.snapshot().orders]

    @property
    def reports(self) -> list[VenueReport]:
        """Every report."""
        return reports_in(self.effects)

    @property
    def story(self) -> list[tuple[ExecType, str]]:
        """Every report as (what, how it is known)."""
        return [(report.exec_type, report.evidence) for report in self.reports]

    @property
    def asked(self) -> list[str]:
        """The kinds of requests made of the venue, subscriptions left out."""
        return [type(call.request).__name__ for call in self.calls.values() if not isinstance(call.request, Subscribe)]

    @property
    def alerts(self) -> list[str]:
        """The names of all alerts."""
        return [effect.body.name for effect in self.effects if isinstance(effect, Publish) and isinstance(effect.body, Alert)]

    @property
    def halts(self) -> list[str]:
        """Why it wanted to stop."""
        return [effect.reason for effect in self.effects if isinstance(effect, Halt)]

    @property
    def ways(self) -> list[str]:
        """How doubts were resolved."""
        return [str(dict(effect.fields)["how"]) for effect in self.effects if isinstance(effect, Log) and effect.event == "doubt_resolved"]

    def is_open(self, kind: type[Place | Replace | Cancel | Lookup | Subscribe]) -> bool:
        """Whether a call of this kind is under way."""
        return any(isinstance(request, kind) for request in self.open.values())


def reports_in(effects: Sequence[Effect]) -> list[VenueReport]:
    """The reports among these effects."""
    return [effect.body for effect in effects if isinstance(effect, Publish) and isinstance(effect.body, VenueReport)]
