"""Where the venue and we differ, typed. Pure: the same two pictures give the same differences, in a fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal

from core.contracts import BreakKind, ReconciliationBreak, VenueReport
from core.money import ZERO
from core.order import Order

__all__ = ["cash_breaks", "drift_pct", "order_break", "position_breaks"]

_PLACES = Decimal("0.0001")
# A ratio of two amounts may need more digits than the default context holds.
_WIDE = Context(prec=64, rounding=ROUND_HALF_EVEN)
_HUNDRED = Decimal(100)


def drift_pct(local: Decimal, broker: Decimal) -> Decimal:
    """How far apart two amounts are, in percent of the larger one, to four places; 0 when they are equal, above 100 when their signs differ."""
    base = max(abs(local), abs(broker))
    return ZERO if not base else _WIDE.divide(abs(broker - local) * _HUNDRED, base).quantize(_PLACES, context=_WIDE)


def position_breaks(local: Mapping[str, Decimal], broker: Mapping[str, Decimal]) -> tuple[ReconciliationBreak, ...]:
    """Signed account positions by symbol; what is not named is flat. Nothing is tolerated."""
    found = []
    for symbol in sorted({*local, *broker}):
        ours, theirs = local.get(symbol, ZERO), broker.get(symbol, ZERO)
        if ours == theirs:
            continue
        kind = BreakKind.MISSING_LOCAL if not ours else BreakKind.MISSING_BROKER if not theirs else BreakKind.QUANTITY_MISMATCH
        found.append(ReconciliationBreak(kind=kind, name=symbol, symbol=symbol, local=ours, broker=theirs, drift_pct=drift_pct(ours, theirs)))
    return tuple(found)


def cash_breaks(local: Mapping[str, Decimal], broker: Mapping[str, Decimal], tolerance: Decimal) -> tuple[ReconciliationBreak, ...]:
    """Balances by asset; what is not named is zero. Differences of at most `tolerance` units of the asset are none."""
    found = []
    for asset in sorted({*local, *broker}):
        ours, theirs = local.get(asset, ZERO), broker.get(asset, ZERO)
        if abs(ours - theirs) > tolerance:
            found.append(ReconciliationBreak(kind=BreakKind.CASH_MISMATCH, name=asset, local=ours, broker=theirs, drift_pct=drift_pct(ours, theirs)))
    return tuple(found)


def order_break(order: Order | None, view: VenueReport) -> ReconciliationBreak | None:
    """How the venue's view of an order differs from what was booked of it by then; None when it does not.

    Of an order that is not ours only its end is compared: what it executed before it was first seen was never told.
    """
    name = view.client_order_id or view.venue_order_id
    is_open = view.status is None or not view.status.is_terminal
    if order is None:
        if not is_open:
            return None
        return ReconciliationBreak(kind=BreakKind.EXTRA_ORDER, name=name, symbol=view.symbol, broker=view.order_qty, text=f"{view.side} {view.status}, not an order of ours")
    status = order.status
    if status.is_terminal is is_open:
        return ReconciliationBreak(kind=BreakKind.STATUS_MISMATCH, name=name, symbol=view.symbol, text=f"local={status}, broker={view.status}")
    cum_qty = view.cum_qty
    if cum_qty is None or order.cum_qty == cum_qty or order.origin.external or order.terms.rank:
        return None
    return ReconciliationBreak(
        kind=BreakKind.STATUS_MISMATCH,
        name=name,
        symbol=view.symbol,
        local=order.cum_qty,
        broker=cum_qty,
        drift_pct=drift_pct(order.cum_qty, cum_qty),
        text="executed quantity",
    )
