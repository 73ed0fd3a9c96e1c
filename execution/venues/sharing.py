"""How one bar is shared among the resting orders of its symbol: who trades first, how much, and at what price.

Price before time: orders that take liquidity come first, then limits by how far they reach beyond the open, whichever side
they are on, and of equals the older. What the bar's volume allows is handed out in that sequence. Chance (partial fills)
hangs on the venue's seed, the bar and the place in the sequence, not on any id: the same market and the same orders give the
same fills in every home.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from core.contracts import Bar, Side, TimeInForce
from core.instrument import Instrument
from core.settings import VenueSettings
from execution.venues.matching import SideBar, Touch, draw, side_bar, slipped, touch, whole_steps
from execution.venues.orders import VenueOrder

__all__ = ["Listing", "Outcome", "share_bar"]


class Listing(NamedTuple):
    """An instrument as the venue trades it, with its grid as floats for measuring bars."""

    instrument: Instrument
    tick: float
    lot: float


class Outcome(NamedTuple):
    """What a bar did to an order: the quantity traded (zero: nothing) and its price, its trigger, and whether it is over unfilled."""

    order: VenueOrder
    qty: Decimal
    price: Decimal
    is_triggered: bool
    is_over: bool


class _Meeting(NamedTuple):
    """An order and what the bar does to it; `limit` in signed ticks, `reach` is how far it goes beyond the open."""

    order: VenueOrder
    limit: int
    reach: int
    touch: Touch


def share_bar(listing: Listing, bar: Bar, orders: Sequence[VenueOrder], rules: VenueSettings) -> list[Outcome]:
    """What the bar does to these orders (oldest first), those it does nothing to left out."""
    instrument = listing.instrument
    budget = None if rules.participation_max is None else max(1, whole_steps(bar.volume * rules.participation_max, listing.lot))
    outcomes = []
    for place, meeting in enumerate(_in_turn(_meetings(listing, bar, orders))):
        order = meeting.order
        lots = _lots(listing, bar, meeting, budget, place, rules)
        if budget is not None:
            budget -= lots
        if lots or order.is_immediate or meeting.touch.is_triggered is not order.is_triggered:
            qty = lots * instrument.lot
            price = abs(_price(meeting, rules)) * instrument.tick
            outcomes.append(Outcome(order, qty, price, meeting.touch.is_triggered, order.is_immediate and qty < order.leaves_qty))
    return outcomes


def _meetings(listing: Listing, bar: Bar, orders: Sequence[VenueOrder]) -> list[_Meeting]:
    sides: dict[Side, SideBar] = {}
    tick = listing.instrument.tick
    found = []
    for order in orders:
        terms = order.terms
        seen = sides.get(terms.side)
        if seen is None:
            seen = sides[terms.side] = side_bar(bar, listing.tick, terms.side)
        limit = order.signed_ticks(terms.limit_price, tick)
        stop = order.signed_ticks(terms.stop_price, tick)
        found.append(_Meeting(order, limit, limit - seen.open_pay, touch(terms.order_type, limit, stop, order.is_triggered, seen)))
    return found


def _in_turn(meetings: list[_Meeting]) -> list[_Meeting]:
    """Price, then time: sorting is stable, and orders come oldest first."""
    return sorted(meetings, key=lambda m: (0, 0) if m.touch.is_taking else (1, -m.reach)) if len(meetings) > 1 else meetings


def _lots(listing: Listing, bar: Bar, meeting: _Meeting, budget: int | None, place: int, rules: VenueSettings) -> int:
    """How many lots the order trades in this bar; fill-or-kill all of them or none."""
    if meeting.touch.price is None:
        return 0
    order, lot = meeting.order, listing.instrument.lot
    leaves = int(order.leaves_qty / lot)
    lots = leaves
    if rules.partial_fill_probability and draw(rules.seed, f"{bar.symbol}|{bar.close_ns}|{place}") < rules.partial_fill_probability:
        lots = min(lots, max(1, whole_steps(float(order.terms.order_qty) * rules.partial_fill_fraction, listing.lot)))
    if budget is not None:
        lots = min(lots, budget)
    return 0 if lots < leaves and order.terms.time_in_force is TimeInForce.FOK else lots


def _price(meeting: _Meeting, rules: VenueSettings) -> int:
    """The price in signed ticks: what takes liquidity slips, but no order trades beyond its limit."""
    price = meeting.touch.price
    if price is None:
        return 0
    if not meeting.touch.is_taking:
        return price
    worse = slipped(price, rules.slippage_rate)
    return min(worse, meeting.limit) if meeting.order.terms.order_type.has_limit else worse
