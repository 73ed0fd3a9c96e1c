"""What holds in every state: exits pass what blocks entries, and no approval lets the worst case beyond a limit."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from math import nan
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import ExecType, KillSwitchState, KillSwitchStatus, OrderIntent, OrderStatus, ReplaceIntent, Side, TradingState, Verdict
from core.machine import BacklogState, LinkStopped
from risk.limits.registry import REGISTRY, AppliesTo
from tests.support.builders import NOW, SYMBOL, a_position, an_intent, an_order_event, settings_with
from tests.support.risk_desk import RiskDesk, a_replace_intent, codes

_TIGHT = {"order_qty_max": 5, "order_notional_max": 300, "position_qty_max": 8, "position_notional_max": 500, "open_positions_max": 1}
_WIDE = {"order_qty_max": 1_000, "order_notional_max": 10**6, "position_qty_max": 1_000, "position_notional_max": 10**6, "open_positions_max": 9}
_ENTRY_CODES = {code for row in REGISTRY.rows if row.applies_to is AppliesTo.ENTRIES for code in row.codes}

_troubles = st.fixed_dictionaries(
    {
        "is_tight": st.booleans(),
        "mark": st.sampled_from([None, nan, 0.0, 100.0, 1e6]),
        "mark_age_ms": st.sampled_from([0, 5_000, 5_001, -1, 10**9]),
        "intent_age_ms": st.sampled_from([0, 10_001, -1, 10**9]),
        "is_link_stopped": st.booleans(),
        "is_behind": st.booleans(),
        "is_in_doubt": st.booleans(),
        "is_known_strategy": st.booleans(),
        "others_held": st.integers(0, 3),
        "state": st.sampled_from([TradingState.ACTIVE, TradingState.REDUCING]),
        "kill": st.sampled_from([TradingState.ACTIVE, TradingState.REDUCING]),
        "order_qty_min": st.sampled_from(["0", "50"]),
    }
)


def _troubled_desk(held: int, working: list[tuple[Side, int]], trouble: dict[str, Any]) -> RiskDesk:
    """An account in trouble: it took on what it holds and works while it was well."""
    grid = {"tick": "0.01", "lot": "1", "order_qty_min": trouble["order_qty_min"], "order_notional_min": "1" if trouble["is_tight"] else "0"}
    well = RiskDesk(settings_with(limits=_WIDE, instruments={"default": {"tick": "0.01", "lot": "1"}}))
    well.hold(held)
    intents = [an_intent(f"w{n}", side=side, order_qty=qty) for n, (side, qty) in enumerate(working)]
    allowed = [intent for intent in intents if well.ask(intent).verdict is Verdict.ALLOWED]
    for intent in allowed if trouble["is_in_doubt"] else ():
        well.tell(an_order_event(intent, OrderStatus.SUBMITTED, facets=("in_doubt",), position=a_position(held)))
    desk = RiskDesk(settings_with(limits=_TIGHT if trouble["is_tight"] else _WIDE, instruments={"default": grid}))
    desk.engine.restore(well.engine.snapshot())
    for n in range(trouble["others_held"]):
        desk.hold(3, f"OTHER{n}")
    if trouble["mark"] is None:
        desk.marks.clear()
    else:
        desk.mark(trouble["mark"], age_ms=trouble["mark_age_ms"])
    if trouble["is_link_stopped"]:
        desk.observe(LinkStopped("orders.events", "oms", "poison"))
    if trouble["is_behind"]:
        desk.observe(BacklogState("risk.decision", 9, True))
    desk.set_state(trouble["state"])
    if trouble["kill"] is not TradingState.ACTIVE:
        desk.observe(KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=trouble["kill"]))
    return desk


@settings(max_examples=100)
@given(
    held=st.integers(-20, 20),
    working=st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 9)), max_size=3),
    side=st.sampled_from(list(Side)),
    qty=st.integers(1, 25),
    trouble=_troubles,
)
def test_an_order_that_reduces_passes_everything_that_holds_entries_back(held: int, working: list[tuple[Side, int]], side: Side, qty: int, trouble: dict[str, Any]) -> None:
    """In any state short of a halt: what together with all that works on its side cannot pass zero is allowed, and is known to reduce."""
    desk = _troubled_desk(held, working, trouble)
    taken = sum(int(r.working_qty) for r in desk.engine.snapshot().exposure.reservations.values() if r.side is side)
    reduces = held * side.sign < 0 and taken + qty <= abs(held)
    intent = an_intent(
        "exit",
        side=side,
        order_qty=qty,
        created_ns=NOW - trouble["intent_age_ms"] * 10**6,
        strategy_id="trend" if trouble["is_known_strategy"] else "nobody",
    )
    decision = desk.ask(intent)

    assert decision.evidence.reduces is reduces
    if reduces:
        assert codes(decision) == []
    else:
        is_shut = TradingState.REDUCING in (trouble["state"], trouble["kill"])
        assert decision.verdict is Verdict.DENIED or not is_shut
        assert {code for code in codes(decision) if code not in ("KILL_SWITCH", "REDUCING_ONLY")} <= _ENTRY_CODES


class _Order:
    """One order of the walk, as the venue has it: the truth that reservations are measured against."""

    def __init__(self, intent: OrderIntent) -> None:
        self.intent = intent
        self.qty = self.intent.order_qty
        self.cum = Decimal(0)
        self.wanted: Decimal | None = None
        self.in_doubt = False
        self.ended: OrderStatus | None = None

    @property
    def most(self) -> Decimal:
        """The most that may yet execute, whichever terms hold."""
        return Decimal(0) if self.ended else max(self.qty, self.wanted or self.qty) - self.cum

    def event(self, position: Decimal, exec_type: ExecType = ExecType.ORDER_STATUS) -> Any:
        """What the ledger says of it."""
        facets = (("in_doubt",) if self.in_doubt else ()) + (("pending_replace",) if self.wanted is not None else ())
        live = OrderStatus.PARTIALLY_FILLED if self.cum else OrderStatus.ACCEPTED
        status = self.ended or live
        return an_order_event(
            msgspec.structs.replace(self.intent, order_qty=self.qty),
            status,
            cum_qty=self.cum,
            leaves_qty=Decimal(0) if self.ended else self.qty - self.cum,
            position=a_position(str(position), symbol=self.intent.symbol),
            facets=facets if self.ended is None else (),
            exec_type=exec_type,
        )


class _Walk:
    """A venue and a ledger that do what they like, and strategies that ask for anything."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.symbols = [SYMBOL, "B", "C"]
        self.limits = {"order_qty_max": 30, "position_qty_max": 40, "order_notional_max": 3_000, "position_notional_max": 4_000, "open_positions_max": 2, "duplicate_window_ms": 1}
        strategies = {"trend": {"kind": "sma_cross", "symbols": self.symbols}}
        self.desk = RiskDesk(settings_with(limits=self.limits, feed={"symbols": self.symbols}, strategies=strategies))
        self.orders: list[_Order] = []
        self.held = dict.fromkeys(self.symbols, Decimal(0))
        self.count = 0
        self.outcomes: Counter[str] = Counter()

    def step(self) -> None:
        """One thing happens."""
        self.desk.later(2)
        live = [order for order in self.orders if order.ended is None]
        what = self.draw.choice([self.order, self.order, self.replace, self.fill, self.fill, self.answer, self.doubt, self.end, self.reborn])
        if what in (self.order, self.reborn) or live:
            what(self.draw.choice(live)) if live and what not in (self.order, self.reborn) else what(None)
        self.compare()

    def _id(self) -> str:
        self.count += 1
        return f"i{self.count}"

    def order(self, _: _Order | None) -> None:
        """A strategy asks for an order."""
        now = self.desk.now_ns
        symbol, side = self.draw.choice(self.symbols), self.draw.choice(list(Side))
        intent = an_intent(self._id(), symbol=symbol, side=side, order_qty=self.draw.randint(1, 32), created_ns=now, expires_ns=now + 10**9)
        if self._ask(intent, symbol):
            self.orders.append(_Order(intent))

    def replace(self, order: _Order | None) -> None:
        """A strategy asks for another quantity."""
        assert order is not None
        now = self.desk.now_ns
        qty = self.draw.randint(1, 32)
        intent = a_replace_intent(order.intent.intent_id, self._id(), order_qty=qty, created_ns=now, expires_ns=now + 10**9)
        if self._ask(intent, order.intent.symbol):
            order.wanted = Decimal(qty)
            if self.draw.random() < 0.5:
                self._tell(order)

    def fill(self, order: _Order | None) -> None:
        """The venue executes some of what is open; never more than the confirmed terms allow."""
        assert order is not None
        if order.qty <= order.cum:
            return
        qty = Decimal(self.draw.randint(1, int(order.qty - order.cum)))
        order.cum += qty
        order.in_doubt = False
        self.held[order.intent.symbol] += order.intent.side.sign * qty
        if order.cum == order.qty and order.wanted is None:
            order.ended = OrderStatus.FILLED
        self._tell(order, ExecType.TRADE)

    def answer(self, order: _Order | None) -> None:
        """The venue answers a replace."""
        assert order is not None
        if order.wanted is None:
            return
        if self.draw.random() < 0.5:
            order.qty = max(order.wanted, order.cum)
        order.wanted = None
        if order.qty == order.cum:
            order.ended = OrderStatus.FILLED
        self._tell(order, ExecType.REPLACED if order.ended is None else ExecType.TRADE)

    def doubt(self, order: _Order | None) -> None:
        """The outcome of something becomes unknown."""
        assert order is not None
        order.in_doubt = not order.in_doubt
        self._tell(order)

    def end(self, order: _Order | None) -> None:
        """The venue ends an order."""
        assert order is not None
        order.ended, order.wanted, order.in_doubt = self.draw.choice([OrderStatus.CANCELLED, OrderStatus.EXPIRED]), None, False
        self._tell(order)

    def reborn(self, _: _Order | None) -> None:
        """Risk restarts from its snapshot."""
        self.desk.engine = self.desk.reborn()

    def worst(self, symbol: str) -> Decimal:
        """The largest position on either side that the venue could make of what it has."""
        sides = {side: sum((o.most for o in self.orders if o.intent.symbol == symbol and o.intent.side is side), Decimal(0)) for side in Side}
        return max(self.held[symbol] + sides[Side.BUY], sides[Side.SELL] - self.held[symbol])

    def compare(self) -> None:
        """What risk has counted is what the venue may yet do."""
        state = self.desk.engine.snapshot().exposure
        for symbol in self.symbols:
            row = state.symbols.get(symbol)
            orders = [o for o in self.orders if o.intent.symbol == symbol and o.ended is None]
            assert (row.position_qty if row else 0) == self.held[symbol]
            assert (row.working_buy_qty if row else 0) == sum(o.most for o in orders if o.intent.side is Side.BUY)
            assert (row.working_sell_qty if row else 0) == sum(o.most for o in orders if o.intent.side is Side.SELL)
            assert (row.in_doubt if row else 0) == sum(o.in_doubt for o in orders)

    def _tell(self, order: _Order, exec_type: ExecType = ExecType.ORDER_STATUS) -> None:
        self.desk.tell(order.event(self.held[order.intent.symbol], exec_type))

    def _ask(self, intent: OrderIntent | ReplaceIntent, symbol: str) -> bool:
        decision = self.desk.ask(intent)
        self.outcomes.update(codes(decision) or ["ALLOWED_REDUCING" if decision.evidence.reduces else "ALLOWED"])
        if decision.verdict is Verdict.ALLOWED and not decision.evidence.reduces:
            self._require_within(intent, symbol)
        return decision.verdict is Verdict.ALLOWED

    def _require_within(self, intent: OrderIntent | ReplaceIntent, symbol: str) -> None:
        """I9, by the venue's own books: with this order, the worst that can come is within every limit."""
        worst = self.worst(symbol)
        if isinstance(intent, OrderIntent):
            side = sum((o.most for o in self.orders if o.intent.symbol == symbol and o.intent.side is intent.side), intent.order_qty)
            worst = max(worst, intent.side.sign * self.held[symbol] + side)
        else:
            (order,) = [o for o in self.orders if o.intent.intent_id == intent.target_intent_id]
            assert intent.order_qty is not None
            side = sum((o.most for o in self.orders if o is not order and o.intent.symbol == symbol and o.intent.side is order.intent.side), Decimal(0))
            worst = max(worst, order.intent.side.sign * self.held[symbol] + side + max(order.most, intent.order_qty - order.cum))
        assert worst <= self.limits["position_qty_max"]
        assert worst * 100 <= self.limits["position_notional_max"]
        used = {o.intent.symbol for o in self.orders if o.ended is None} | {s for s, qty in self.held.items() if qty} | {symbol}
        assert len(used) <= self.limits["open_positions_max"]


@pytest.mark.parametrize("seed", range(8))
def test_the_worst_case_is_within_every_limit_at_each_approval(seed: int) -> None:
    """Over random lives of orders, with restarts, risk's sums are the venue's at every step and no approval breaks a limit."""
    walk = _Walk(seed)
    for _ in range(400):
        walk.step()

    wanted = {"ALLOWED", "ALLOWED_REDUCING", "POSITION_QTY_MAX", "IN_DOUBT", "ORDER_QTY_MAX"}
    assert wanted <= set(walk.outcomes), "the walk is too tame to show anything"
