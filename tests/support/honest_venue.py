"""A venue that tells the life of one order as it is, and the orders in which its reports may arrive."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from core.contracts import ExecType, OrderStatus, VenueReport
from core.money import ZERO
from core.order import Order, request_cancel, request_replace
from tests.support.builders import NOW
from tests.support.orders import ORDER_ID, new, said, submitted, told

__all__ = ["CANCEL_ID", "HonestVenue", "arrivals", "asking", "lives"]

_QTY = 10
_REPLACES = ("Y", "Z")
CANCEL_ID = "C"
_MS = 1_000_000


def asking() -> Order:
    """A working order with two replaces and a cancel asked for; what the venue does with them is for it to say."""
    order = told(submitted(_QTY), new())
    for name in _REPLACES:
        order = request_replace(order, name, "i", NOW, order_qty=None, limit_price=None, stop_price=None)
    return request_cancel(order, CANCEL_ID, "WISH", NOW)


class HonestVenue:
    """One order in a venue's books, and everything the venue said about it in the order it happened."""

    def __init__(self, *, says_totals: bool) -> None:
        self.says_totals = says_totals
        self.reports: list[VenueReport] = []
        self.now_ns = NOW
        self.step, self.steps_left = ORDER_ID, list(_REPLACES)
        self.order_qty, self.price = Decimal(_QTY), Decimal(100)
        self.standing: dict[str, tuple[Decimal, Decimal]] = {}  # the trade's id → what stands of it
        self.names: dict[str, list[str]] = {}
        self.closed: OrderStatus | None = None
        self.is_filled = False
        self.say(ExecType.NEW)

    @property
    def cum_qty(self) -> Decimal:
        return sum((qty for qty, _ in self.standing.values()), ZERO)

    @property
    def notional(self) -> Decimal:
        return sum((qty * price for qty, price in self.standing.values()), ZERO)

    @property
    def is_open(self) -> bool:
        return self.closed is None and not self.is_filled

    @property
    def status(self) -> OrderStatus:
        if self.is_filled:
            return OrderStatus.FILLED
        return self.closed or (OrderStatus.PARTIALLY_FILLED if self.cum_qty else OrderStatus.ACCEPTED)

    @property
    def leaves_qty(self) -> Decimal:
        return self.order_qty - self.cum_qty if self.is_open else ZERO

    def say(self, exec_type: ExecType, client_order_id: str = "", **changes: Any) -> None:
        self.is_filled = self.is_filled or self.cum_qty >= self.order_qty
        totals = {"cum_qty": self.cum_qty, "leaves_qty": self.leaves_qty} if self.says_totals else {}
        values: dict[str, Any] = {"order_qty": self.order_qty, "status": self.status, "occurred_ns": self.now_ns} | totals | changes
        self.reports.append(said(exec_type, client_order_id or self.step, **values))
        self.now_ns += _MS

    def act(self, action: str, number: int) -> None:
        if action in ("trade", "cancel", "expire", "halt", "resume", "done_for_day", "pending_cancel") and not self.is_open:
            return
        if action in ("bust", "correct") and not self.standing:
            return
        getattr(self, f"_{action}")(number)

    def _trade(self, number: int) -> None:
        exec_id = f"e{len(self.names)}"
        qty, price = 1 + Decimal(number) % self.leaves_qty, Decimal(100 + number % 3)
        self.standing[exec_id], self.names[exec_id] = (qty, price), [exec_id]
        self.say(ExecType.TRADE, exec_id=exec_id, last_qty=qty, last_price=price)

    def _bust(self, number: int) -> None:
        trade_id = sorted(self.standing)[number % len(self.standing)]
        qty, price = self.standing.pop(trade_id)
        self.say(ExecType.TRADE_CANCEL, exec_id=f"b{trade_id}", exec_ref_id=self._a_name(trade_id, number), last_qty=qty, last_price=price)

    def _correct(self, number: int) -> None:
        trade_id = sorted(self.standing)[number % len(self.standing)]
        qty = 1 + Decimal(number) % (self.standing[trade_id][0] + self.leaves_qty)
        price = Decimal(90 + number % 3)
        ref, exec_id = self._a_name(trade_id, number), f"{trade_id}.{len(self.names[trade_id])}"
        self.standing[trade_id] = (qty, price)
        self.names[trade_id].append(exec_id)
        self.say(ExecType.TRADE_CORRECT, exec_id=exec_id, exec_ref_id=ref, last_qty=qty, last_price=price)

    def _a_name(self, trade_id: str, number: int) -> str:
        """Some venues refer to the trade, some to its last correction."""
        return self.names[trade_id][-1] if number % 2 else trade_id

    def _cancel(self, number: int) -> None:
        self.closed = OrderStatus.CANCELLED
        self.say(ExecType.CANCELLED, CANCEL_ID if number % 2 else "", orig_client_order_id=self.step)

    def _expire(self, number: int) -> None:
        self.closed = OrderStatus.EXPIRED
        self.say(ExecType.EXPIRED)

    def _replace(self, number: int) -> None:
        """Up or down, at least to what is done already; it also reopens what was filled."""
        if self.closed is not None or not self.steps_left:
            return
        before, self.step = self.step, self.steps_left.pop(0)
        self.order_qty = max(self.cum_qty, Decimal(1 + number % 15))
        self.is_filled = False
        self.say(ExecType.REPLACED, orig_client_order_id=before)

    def _refuse_replace(self, number: int) -> None:
        if self.steps_left:
            self.say(ExecType.REPLACE_REJECTED, self.steps_left.pop(0), orig_client_order_id=self.step, order_qty=None)

    def _refuse_cancel(self, number: int) -> None:
        self.say(ExecType.CANCEL_REJECTED, "another", orig_client_order_id=self.step, order_qty=None)

    def _pending_cancel(self, number: int) -> None:
        self.say(ExecType.PENDING_CANCEL, CANCEL_ID, orig_client_order_id=self.step)

    def _pending_replace(self, number: int) -> None:
        if self.steps_left and self.is_open:
            self.say(ExecType.PENDING_REPLACE, self.steps_left[0], orig_client_order_id=self.step)

    def _restate(self, number: int) -> None:
        self.price += 1
        self.say(ExecType.RESTATED, limit_price=self.price)

    def _halt(self, number: int) -> None:
        self.say(ExecType.SUSPENDED)

    def _done_for_day(self, number: int) -> None:
        self.say(ExecType.DONE_FOR_DAY)

    def _resume(self, number: int) -> None:
        self.say(ExecType.NEW)

    def _state(self, number: int) -> None:
        self.say(ExecType.ORDER_STATUS, evidence="QUERY")


_ACTIONS = sorted(name.removeprefix("_") for name in vars(HonestVenue) if name.startswith("_") and name not in ("_a_name",) and not name.startswith("__"))


@st.composite
def lives(draw: st.DrawFn, *, says_totals: bool = True) -> HonestVenue:
    """A venue that has told the whole life of an order, with or without its own totals."""
    venue = HonestVenue(says_totals=says_totals)
    trades = st.sampled_from(["trade", "bust", "correct"])
    for action, number in draw(st.lists(st.tuples(trades | st.sampled_from(_ACTIONS), st.integers(0, 40)), max_size=12)):
        venue.act(action, number)
    return venue


@st.composite
def arrivals(draw: st.DrawFn, *, says_totals: bool = True) -> tuple[HonestVenue, list[VenueReport]]:
    """Such a venue, and its reports as they arrive: shuffled, some of them again."""
    venue = draw(lives(says_totals=says_totals))
    repeated = draw(st.lists(st.sampled_from(venue.reports), max_size=4))
    return venue, draw(st.permutations(venue.reports + repeated))
