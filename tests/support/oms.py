"""A bench for the OMS: it plays shell and archive, and checks on every input what must hold whatever the scenario.

Every input is also handled by a second machine that was just restored from the first one's snapshot; effects and states of
the two must agree, so each scenario is a test of restarts at each of its steps as well.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from core import topics
from core.contracts import (
    Alert,
    CancelIntent,
    CancelOrder,
    Contract,
    ExecType,
    OrderIntent,
    OrderStateChanged,
    OrderStatus,
    ReplaceIntent,
    ReplaceOrder,
    RiskDecision,
    SubmitOrder,
    Verdict,
)
from core.contracts import Evidence as RiskEvidence
from core.contracts.risk import Approval, TradingState
from core.ids import client_order_id
from core.machine import Archive, Attached, ConfigLoaded, Effect, Input, Log, Publish, Wake
from core.order import Order
from core.settings import Settings
from core.venue import BrokerOrderReq, terms_hash
from execution.ledger import Transaction, decode_transaction
from execution.oms import Oms, OmsState, build_oms
from execution.transaction_log import LogRow, decode_log_row
from tests.support.builders import NOW, PREFIX, STRATEGY, VENUE, a_decision, a_message, a_report, an_intent, dec, settings_with

__all__ = ["OmsBench", "a_cancel", "a_replace"]

_REWRITTEN = ("order", "suspense")
_B = TypeVar("_B", bound=Contract)


def _decision(intent: CancelIntent | ReplaceIntent, approval: Approval | None, **changes: Any) -> RiskDecision:
    values: dict[str, Any] = {
        "decision_id": f"d-{intent.intent_id}",
        "verdict": Verdict.ALLOWED,
        "intent": intent,
        "limits_version": "limits-1",
        "evidence": RiskEvidence(trading_state=TradingState.ACTIVE),
        "decided_ns": NOW,
        "approval": approval,
    } | changes
    return RiskDecision(**values)


def a_cancel(target: str = "trend:e:bar:0", reason: str = "") -> RiskDecision:
    """Risk passes a cancel."""
    return _decision(CancelIntent(intent_id=f"{target}!cancel", strategy_id=STRATEGY, target_intent_id=target, created_ns=NOW, reason=reason), None)


def a_replace(intent: OrderIntent, revision: int = 1, *, is_approved: bool = True, expires_ns: int = NOW + 10**10, reduces: bool = False, **terms: Any) -> RiskDecision:
    """Risk allows other terms of the order this intent became: its own, with these changes."""
    wanted: dict[str, Any] = {name: dec(value) for name, value in terms.items()}
    wish = ReplaceIntent(
        intent_id=f"{intent.intent_id}!replace{revision}",
        strategy_id=intent.strategy_id,
        target_intent_id=intent.intent_id,
        created_ns=NOW,
        expires_ns=expires_ns,
        **wanted,
    )
    order_id = client_order_id(PREFIX, intent.strategy_id, intent.intent_id, revision)
    order = BrokerOrderReq(
        client_order_id=order_id,
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        order_qty=wanted.get("order_qty") or intent.order_qty,
        limit_price=wanted.get("limit_price") or intent.limit_price,
        stop_price=wanted.get("stop_price") or intent.stop_price,
    )
    approval = Approval(
        approval_id=f"d-{wish.intent_id}",
        client_order_id=order_id,
        content_hash=terms_hash(intent.account, intent.venue, order),
        limits_version="limits-1",
        expires_ns=NOW + 5 * 10**9,
        reduces=reduces,
    )
    return _decision(wish, approval if is_approved else None)


class OmsBench:
    """An OMS that was started, and everything it said.

    Checked on every input: a restored twin acts alike; archive rows are unique but for those that are rewritten on purpose;
    every transaction is double and the sum of them is the ledger; the log is numbered without holes.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or settings_with()
        self.oms = build_oms(self.settings)
        self.now_ns = NOW
        self.archive: dict[tuple[str, str], bytes] = {}
        self.effects: list[Effect] = []
        self.said: list[Publish] = []
        self.start()

    # Inputs.

    def start(self) -> list[Effect]:
        """The daemon starts."""
        return self.give(ConfigLoaded("hash", "{}"))

    def give(self, event: Input) -> list[Effect]:
        """Handle an input as the shell would; what it led to."""
        needs = self.oms.needs(event)
        archived = {f"{kind}/{key}": self.archive[kind, key] for kind, key in needs.archived if (kind, key) in self.archive}
        twin = self._twin()
        effects = list(self.oms.handle(event, Attached(archived=archived), self.now_ns))
        assert list(twin.handle(event, Attached(archived=archived), self.now_ns)) == effects
        assert twin.snapshot() == self.oms.snapshot()
        assert twin.next_wake_ns == self.oms.next_wake_ns
        self._keep(effects)
        self._check_books()
        return effects

    def decide(self, decision: RiskDecision) -> list[Effect]:
        """Risk has decided."""
        return self.give(a_message(topics.RISK_DECISION.name(), decision))

    def submit(self, intent: OrderIntent | None = None, **changes: Any) -> str:
        """Risk allows an intent; the client order id of what it became."""
        decision = a_decision(intent or an_intent(), **changes)
        self.decide(decision)
        return decision.approval.client_order_id if decision.approval is not None else ""

    def report(self, exec_type: ExecType, order_id: str, **changes: Any) -> list[Effect]:
        """The broker reports something about an order."""
        return self.give(a_message(topics.BROKER_REPORTS.name(venue=VENUE), a_report(exec_type, **({"client_order_id": order_id, "venue_order_id": "V1"} | changes))))

    def attempt(self, order_id: str) -> list[Effect]:
        """The broker is about to send an order."""
        return self.report(ExecType.ATTEMPTED, order_id, venue_order_id="", evidence="GATEWAY", occurred_ns=self.now_ns)

    def accept(self, order_id: str) -> list[Effect]:
        """The broker sends an order and the venue takes it."""
        self.attempt(order_id)
        return self.report(ExecType.NEW, order_id, status=OrderStatus.ACCEPTED, evidence="REPLY")

    def fill(self, order_id: str, qty: int | str, price: int | str = 100, exec_id: str = "X1", **changes: Any) -> list[Effect]:
        """The venue executes part of an order."""
        return self.report(ExecType.TRADE, order_id, **({"last_qty": qty, "last_price": price, "exec_id": exec_id} | changes))

    def working(self, intent: OrderIntent | None = None) -> str:
        """An order that rests at the venue."""
        order_id = self.submit(intent)
        self.accept(order_id)
        return order_id

    def wake(self) -> list[Effect]:
        """Time jumps to the machine's next wake."""
        due = self.oms.next_wake_ns
        assert due is not None, "the machine does not want to be woken"
        self.now_ns = max(self.now_ns, due)
        return self.give(Wake(due))

    # What it said and keeps.

    def all_said(self, kind: type[_B]) -> list[_B]:
        """Every message of a type so far."""
        return [published.body for published in self.said if isinstance(published.body, kind)]

    @property
    def events(self) -> list[OrderStateChanged]:
        """Every order event so far."""
        return self.all_said(OrderStateChanged)

    @property
    def alerts(self) -> list[str]:
        """The names of every alert so far."""
        return [alert.name for alert in self.all_said(Alert)]

    @property
    def instructions(self) -> list[SubmitOrder | CancelOrder | ReplaceOrder]:
        """Everything the broker was told."""
        return [p.body for p in self.said if isinstance(p.body, SubmitOrder | CancelOrder | ReplaceOrder)]

    @property
    def transactions(self) -> list[Transaction]:
        """Every ledger transaction."""
        return [decode_transaction(data) for (kind, _), data in self.archive.items() if kind == "txn"]

    @property
    def log(self) -> list[LogRow]:
        """The transaction log."""
        return [decode_log_row(data) for (kind, _), data in self.archive.items() if kind == "log"]

    def archived_order(self, order_id: str) -> Order:
        """An order that has ended."""
        return msgspec.json.decode(self.archive["order", order_id], type=Order)

    def position_qty(self, owner: str = STRATEGY, symbol: str = "IBM") -> Decimal:
        """What an owner holds."""
        return self.oms.ledger.position(symbol, owner).qty

    @property
    def cash(self) -> Decimal:
        """The balance in dollars."""
        return self.oms.ledger.balances["USD"]

    # What always holds.

    def _twin(self) -> Oms:
        twin = build_oms(self.settings)
        twin.restore(msgspec.json.decode(msgspec.json.encode(self.oms.snapshot()), type=OmsState))
        return twin

    def _keep(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Archive):
                assert (effect.kind, effect.key) not in self.archive or effect.kind in _REWRITTEN, f"{effect.kind} {effect.key} is archived twice"
                self.archive[effect.kind, effect.key] = effect.data
            elif isinstance(effect, Publish):
                self.said.append(effect)
                if isinstance(effect.body, Alert):
                    assert any(isinstance(e, Log) and e.event == effect.body.name for e in effects)
        self.effects += effects
        numbers = [key for kind, key in self.archive if kind == "log"]
        assert numbers == [f"{n:012d}" for n in range(1, len(numbers) + 1)]

    def _check_books(self) -> None:
        sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for transaction in self.transactions:
            per_asset: defaultdict[str, Decimal] = defaultdict(Decimal)
            for posting in transaction.postings:
                per_asset[posting.asset] += posting.amount
                sums[posting.account, posting.asset] += posting.amount
            assert not any(per_asset.values()), f"{transaction.key} does not sum to zero"
        ledger = self.oms.ledger
        assert {asset: sums[f"cash:{asset}", asset] for asset in ledger.balances} == ledger.balances
        for symbol, owner, position in ledger.positions():
            assert sums[f"position:{symbol}:{owner}", symbol] == position.qty
