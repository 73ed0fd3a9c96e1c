"""Days at a venue that the OMS hears of in any order: two orders of ours and one of nobody's, and where the venue's books end.

Each order's life is told by an honest venue (`tests.support.honest_venue`); a day puts the three together under the ids the OMS
knows them by, with fees, and says what the account must hold when every fact has arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from core.contracts import CancelOrder, ExecType, OrderIntent, OrderStatus, OrderType, ReplaceOrder, Side, TimeInForce, VenueReport
from core.money import ZERO
from core.order import Order
from execution.reconciliation.external import EXTERNAL
from execution.suspense import SUSPENSE
from tests.support.builders import STRATEGY, an_intent, settings_with
from tests.support.honest_venue import ACTIONS, CANCEL_ID, HonestVenue
from tests.support.oms import OmsBench, a_cancel, a_replace
from tests.support.orders import ORDER_ID

__all__ = ["Books", "Day", "Desk", "books_of", "days", "stand_as"]

_OPENING = Decimal(100_000)
_FEE_RATE = Decimal("0.001")
_SIDES = (Side.BUY, Side.SELL, Side.BUY)
_STRANGER = 2
_UNEXPLAINED = (SUSPENSE, EXTERNAL)


class Books(NamedTuple):
    """What an account comes to. `unexplained_qty` is held by the reserved owners of what no order of ours explains. `orders` by number: status, ordered, executed, remaining, average price, whether it disagrees."""

    orders: tuple[tuple[OrderStatus, Decimal, Decimal, Decimal, Decimal, bool], ...]
    position_qty: Decimal
    unexplained_qty: Decimal
    cash: Decimal


class Day(NamedTuple):
    """Three lives: two orders of ours and, last, one that nobody of ours sent. `facts` are (life, report), in the order they happened."""

    venues: tuple[HonestVenue, HonestVenue, HonestVenue]

    @property
    def facts(self) -> list[tuple[int, int]]:
        """Every fact by its life and its number in it, in the order of time; the first of each life is its acknowledgement."""
        return sorted(
            ((k, n) for k, venue in enumerate(self.venues) for n in range(len(venue.reports))), key=lambda fact: (self.venues[fact[0]].reports[fact[1]].occurred_ns, fact)
        )

    @property
    def books(self) -> Books:
        """Where the venue's own books stand at the end."""
        held = [side.sign * venue.cum_qty for side, venue in zip(_SIDES, self.venues, strict=True)]
        spent = sum((side.sign * venue.notional + _FEE_RATE * venue.notional for side, venue in zip(_SIDES, self.venues, strict=True)), ZERO)
        ours = tuple(
            (venue.status, venue.order_qty, venue.cum_qty, venue.leaves_qty, venue.notional / venue.cum_qty if venue.cum_qty else ZERO, False) for venue in self.venues[:_STRANGER]
        )
        return Books(ours, held[0] + held[1], held[2], _OPENING - spent)


class Desk:
    """The OMS with the orders of a day working at the venue, a replace and a cancel of each asked for."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.bench = OmsBench(settings_with())
        self.order_ids: list[str] = []
        self._names: list[dict[str, str]] = []
        for number, side in enumerate(_SIDES[:_STRANGER]):
            self._send(an_intent(f"i{number}", side=side, order_type=OrderType.LIMIT, limit_price=100, time_in_force=TimeInForce.GTC))
        self._names.append({ORDER_ID: "nobody", CANCEL_ID: "nobody-cancel", "Y": "nobody-replace"})

    def _send(self, intent: OrderIntent) -> None:
        bench = self.bench
        order_id = bench.submit(intent)
        bench.attempt(order_id)
        bench.report(ExecType.NEW, order_id, venue_order_id=f"V{len(self.order_ids)}", status=OrderStatus.ACCEPTED)
        bench.decide(a_replace(intent, order_qty=12))
        bench.decide(a_cancel(intent.intent_id))
        asked = {type(o): o.client_order_id for o in bench.instructions if isinstance(o, CancelOrder | ReplaceOrder) and o.orig_client_order_id == order_id}
        self.order_ids.append(order_id)
        self._names.append({ORDER_ID: order_id, "Y": asked[ReplaceOrder], CANCEL_ID: asked[CancelOrder]})

    def hear(self, facts: Iterable[tuple[int, int]], **changes: Any) -> None:
        """These facts arrive."""
        for number, n in facts:
            self.bench.report_as(self._report(number, self.day.venues[number].reports[n], **changes))

    def hear_by_query(self, facts: Iterable[tuple[int, int]]) -> None:
        """A query brings the executions among these facts, each under a name of its own and dated to the microsecond."""
        for number, n in facts:
            report = self.day.venues[number].reports[n]
            if report.exec_type is ExecType.TRADE:
                self.bench.report_as(self._report(number, report, exec_id=f"q-{report.exec_id}", evidence="QUERY", occurred_ns=report.occurred_ns // 1000 * 1000))

    def _report(self, number: int, report: VenueReport, **changes: Any) -> VenueReport:
        names = self._names[number]
        fee = report.last_qty * (report.last_price or ZERO) * _FEE_RATE if report.exec_type in (ExecType.TRADE, ExecType.TRADE_CORRECT) else ZERO
        known: dict[str, Any] = {
            "client_order_id": names.get(report.client_order_id, f"{number}-{report.client_order_id}"),
            "orig_client_order_id": names.get(report.orig_client_order_id, report.orig_client_order_id),
            "venue_order_id": f"V{number}",
            "side": _SIDES[number],
            "fee": fee,
            "fee_asset": "USD" if fee else "",
        }
        return msgspec.structs.replace(report, **known | changes)

    def order(self, number: int) -> Order:
        """An order of ours, live or ended."""
        order_id = self.order_ids[number]
        return self.bench.oms.orders.find(order_id) or self.bench.archived_order(order_id)


def books_of(desk: Desk) -> Books:
    """Where our own books stand."""
    bench = desk.bench
    orders = [desk.order(number) for number in range(len(desk.order_ids))]
    return Books(
        tuple((o.status, o.order_qty, o.cum_qty, o.leaves_qty, o.notional / o.cum_qty if o.cum_qty else ZERO, o.is_disagreeing or bool(o.missing_qty)) for o in orders),
        bench.position_qty(STRATEGY),
        sum((bench.position_qty(owner) for owner in _UNEXPLAINED), ZERO),
        bench.cash,
    )


def stand_as(desk: Desk, books: Books) -> None:
    """Our books are these, the account is the sum of its owners, and profit, position and cash are one equation."""
    assert books_of(desk) == books
    ledger = desk.bench.oms.ledger
    assert ledger.account_qty("IBM") == books.position_qty + books.unexplained_qty
    venues = desk.day.venues
    for owners, lives in (((STRATEGY,), (0, 1)), (_UNEXPLAINED, (2,))):
        held = [ledger.position("IBM", owner) for owner in owners]
        flow = sum((_SIDES[k].sign * venues[k].notional for k in lives), ZERO)
        assert abs(sum((p.realized_pnl - p.qty * p.avg_price for p in held), ZERO) + flow) < Decimal("1E-9")


@st.composite
def days(draw: st.DrawFn, *, says_totals: bool = True) -> Day:
    """Any day: the lives interleave as time goes."""
    venues = (HonestVenue(says_totals=says_totals), HonestVenue(says_totals=says_totals), HonestVenue(says_totals=says_totals))
    for venue in venues:
        venue.steps_left = ["Y"]
    # What races what is what matters most.
    races = st.sampled_from(["trade", "trade", "bust", "correct", "replace", "cancel", "expire"])
    for number, action, amount in draw(st.lists(st.tuples(st.integers(0, 2), races | st.sampled_from(ACTIONS), st.integers(0, 40)), min_size=4, max_size=16)):
        # A stranger's amendments are a claim of their own (test_facts_converge).
        if number != _STRANGER or action not in ("bust", "correct"):
            venues[number].act(action, amount)
    return Day(venues)
