"""Properties of any history: the books balance, events explain themselves, and the order of arrival does not matter."""

# Decimals are compared with plain numbers, statuses with their names.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import CancelOrder, ExecType, FillEvent, OrderStatus, OrderType, Side, SubmitOrder
from core.money import ZERO
from tests.support.builders import NOW, an_intent
from tests.support.oms import OmsBench, a_cancel, a_replace


class Step(NamedTuple):
    """One thing that happens to one of three orders."""

    what: str
    order: int
    number: int


_STEPS = st.builds(
    Step,
    st.sampled_from(
        ["submit", "attempt", "accept", "fill", "fill", "backfill", "bust", "correct", "cancel", "refuse", "cancelled", "replace", "replaced", "doubt", "never", "stranger", "wake"]
    ),
    st.integers(0, 2),
    st.integers(1, 5),
)


class Play:
    """Plays steps on a bench; ids follow from the step, so that repeats are repeats."""

    def __init__(self) -> None:
        self.bench = OmsBench()
        self.intents = [
            an_intent(f"i{n}", side=side, order_type=OrderType.LIMIT, limit_price=100, ttl_ms=n * 1_000 or None) for n, side in enumerate((Side.BUY, Side.SELL, Side.BUY))
        ]
        self.ids: dict[int, str] = {}

    def play(self, step: Step) -> None:
        """Do one step."""
        bench, n, k = self.bench, step.order, step.number
        intent = self.intents[n]
        order_id = self.ids.get(n, f"unknown{n}")
        named: dict[str, Any] = {"venue_order_id": f"V{n}", "side": intent.side}
        match step.what:
            case "submit":
                self.ids[n] = bench.submit(intent)
            case "attempt":
                bench.attempt(order_id)
            case "accept":
                bench.report(ExecType.NEW, order_id, status=OrderStatus.ACCEPTED, **named)
            case "fill":
                bench.fill(order_id, k, 100 + k, exec_id=f"X{n}.{k}", fee=f"0.0{k}", fee_asset="BNB" if k % 2 else "", cum_qty=k if k % 2 else None, **named)
            case "backfill":
                bench.fill(order_id, k, 100 + k, exec_id=f"Q{n}.{k}", cum_qty=k, evidence="QUERY", **named)
            case "bust":
                bench.report(ExecType.TRADE_CANCEL, order_id, exec_id=f"B{n}.{k}", exec_ref_id=f"X{n}.{k}", occurred_ns=NOW + 1, **named)
            case "correct":
                bench.report(ExecType.TRADE_CORRECT, order_id, exec_id=f"C{n}.{k}", exec_ref_id=f"X{n}.{k}", last_qty=1, last_price=99, occurred_ns=NOW + 2, **named)
            case "cancel":
                bench.decide(a_cancel(intent.intent_id))
            case "refuse":
                bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel{k}", orig_client_order_id=order_id)
            case "cancelled":
                bench.report(ExecType.CANCELLED, order_id, **named)
            case "replace":
                bench.decide(a_replace(intent, k, order_qty=10 + k))
            case "replaced":
                approval = a_replace(intent, k, order_qty=10 + k).approval
                assert approval is not None
                bench.report(ExecType.REPLACED, approval.client_order_id, orig_client_order_id=order_id, order_qty=10 + k, **named)
            case "doubt" | "never":
                bench.report(ExecType.IN_DOUBT if step.what == "doubt" else ExecType.NEVER_REACHED, order_id, venue_order_id="", evidence="GATEWAY")
            case "stranger":
                bench.fill("stranger", k, 100, exec_id=f"S{k}", side=Side.BUY, venue_order_id="VS")
            case _ if bench.oms.next_wake_ns is not None:
                bench.wake()


@settings(max_examples=60)
@given(steps=st.lists(_STEPS, min_size=5, max_size=40))
def test_events_and_books_agree_when_anything_happens_in_any_order(steps: list[Step]) -> None:
    """Whatever comes: events are their executions, each told once, one order per intent, and the cash is opening plus transactions."""
    play = Play()
    for step in steps:
        play.play(step)
    bench = play.bench
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    status: dict[str, OrderStatus] = {}
    for event in bench.events:
        if event.exec_type is ExecType.TRADE:
            executed[event.client_order_id] += event.last_qty
        elif event.exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT):
            executed[event.client_order_id] = event.cum_qty
        assert event.cum_qty == executed[event.client_order_id]
        assert event.leaves_qty == (ZERO if event.new_status.is_terminal else max(event.order_qty - event.cum_qty, ZERO))
        assert event.old_status is status.get(event.client_order_id, OrderStatus.PENDING)
        status[event.client_order_id] = event.new_status
    told = Counter(fill.exec_id for fill in bench.all_said(FillEvent))
    assert told == Counter(event.exec_id for event in bench.events if event.last_qty)
    assert not told or max(told.values()) == 1
    assert max(Counter(o.intent_id for o in bench.instructions if isinstance(o, SubmitOrder)).values(), default=1) == 1
    assert max(Counter(o.client_order_id for o in bench.instructions if isinstance(o, CancelOrder)).values(), default=1) == 1
    cash: defaultdict[str, Decimal] = defaultdict(Decimal, USD=Decimal(100_000))
    for transaction in bench.transactions:
        if transaction.side is not None:
            cash[transaction.currency] -= transaction.side.sign * transaction.notional
            cash[transaction.fee_asset] -= transaction.fee
    assert all(cash[asset] == total for asset, total in bench.oms.ledger.balances.items())


_FACTS = [
    Step("accept", 0, 1),
    Step("fill", 0, 1),
    Step("fill", 0, 2),
    Step("fill", 0, 3),
    Step("bust", 0, 2),
    Step("correct", 0, 3),
    Step("cancelled", 0, 1),
    Step("fill", 0, 1),
    Step("bust", 0, 2),
]


@settings(max_examples=60)
@given(facts=st.permutations(_FACTS))
def test_books_and_order_come_to_the_same_when_the_venues_facts_are_shuffled_and_repeated(facts: list[Step]) -> None:
    """Position, cash and the order do not depend on how reports were ordered or repeated."""
    play = Play()
    for step in (Step("submit", 0, 1), Step("attempt", 0, 1), *facts):
        play.play(step)
    bench = play.bench
    order = bench.archived_order(play.ids[0])
    assert (bench.position_qty(), order.cum_qty, order.status, order.leaves_qty) == (2, 2, OrderStatus.CANCELLED, 0)
    assert bench.cash == 100_000 - 101 - 99
    assert bench.oms.ledger.balances["BNB"] == Decimal("-0.01")
    position = bench.oms.ledger.position("IBM", "trend")
    assert abs(position.realized_pnl - position.qty * position.avg_price + 200) < Decimal("1E-9")
    assert len(bench.oms.orders) == 0
