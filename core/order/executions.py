"""The execution ledger of one order: one entry per execution for ever, amended only by reference.

What counts follows from the set of entries alone, so it does not matter in which order they came: a bust may be heard
before the trade it undoes, a correction before the trade it corrects. Entries about one trade form a group; one of the group
stands: the bust if there is one, else the latest correction, else the trade.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from core.contracts import ExecType, VenueReport
from core.money import ZERO
from core.order.facts import Amendment, Execution

__all__ = ["Tally", "execution_of", "has_twin", "peak_qty", "tally"]

_KINDS = {ExecType.TRADE: Amendment.TRADE, ExecType.TRADE_CORRECT: Amendment.CORRECT, ExecType.TRADE_CANCEL: Amendment.BUST}
_IN_TIME = (Amendment.TRADE, Amendment.CORRECT, Amendment.BUST)


class Tally(NamedTuple):
    """What a ledger comes to. `gross_qty` counts every trade at its largest, busted or not; `silent_qty` what stands without the venue's own total."""

    live: dict[str, Execution]
    cum_qty: Decimal
    notional: Decimal
    gross_qty: Decimal
    silent_qty: Decimal


def execution_of(report: VenueReport) -> Execution:
    """The ledger entry a TRADE, TRADE_CORRECT or TRADE_CANCEL report is. A correction to nothing is a bust."""
    kind = _KINDS[report.exec_type]
    if kind is Amendment.CORRECT and not report.last_qty:
        kind = Amendment.BUST
    ref = f"{report.venue_order_id}|{report.exec_ref_id}" if report.exec_ref_id and kind is not Amendment.TRADE else ""
    exec_id = report.exec_id
    # Without an id of its own, or under the id of what it amends, an entry is named after what it says.
    if not exec_id or (ref and exec_id == report.exec_ref_id):
        exec_id = f"{report.exec_ref_id}!{kind}:{report.occurred_ns}:{report.cum_qty}:{report.last_qty}@{report.last_price}"
    return Execution(
        key=f"{report.venue_order_id}|{exec_id}",
        kind=kind,
        qty=report.last_qty,
        price=report.last_price or ZERO,
        occurred_ns=report.occurred_ns,
        exec_id=exec_id,
        venue_order_id=report.venue_order_id,
        ref=ref,
        fee=report.fee,
        fee_asset=report.fee_asset,
        cum_qty=report.cum_qty,
        evidence=report.evidence,
    )


def has_twin(known: Iterable[Execution], new: Execution) -> bool:
    """Whether a trade may already be known under another name.

    Some venues name one execution differently on the stream and in a backfill (Alpaca). Two trades of one venue order cannot
    both have brought it to the same cumulative quantity, so what a push and a query agree on in total, quantity and price is
    one execution, unless an amendment between the two took the total back.
    """
    return new.cum_qty is not None and any(
        e.cum_qty == new.cum_qty
        and e.kind is Amendment.TRADE
        and e.evidence != new.evidence
        and e.qty == new.qty
        and e.price == new.price
        and e.venue_order_id == new.venue_order_id
        for e in known
    )


def tally(entries: Iterable[Execution]) -> Tally:
    """What the entries come to, in whatever order they came."""
    known = list(entries)
    about = _about(known)
    groups: dict[str, list[Execution]] = {}
    for entry in known:
        groups.setdefault(_end(entry.key, about), []).append(entry)
    overtaken = set(about.values())
    standing = (max(group, key=lambda e: _precedence(e, overtaken)) for group in groups.values())
    live = {e.key: e for e in standing if e.kind is not Amendment.BUST}
    return Tally(
        live=live,
        cum_qty=sum((e.qty for e in live.values()), ZERO),
        notional=sum((e.qty * e.price for e in live.values()), ZERO),
        gross_qty=sum((max(_standing_qty(e) for e in group) for group in groups.values()), ZERO),
        silent_qty=sum((e.qty for e in live.values() if e.cum_qty is None), ZERO),
    )


def peak_qty(entries: Iterable[Execution], since_ns: int) -> Decimal:
    """The most that stood at one time from `since_ns` on: the venue's own total where it said one, else ours as the entries happened.

    Totals of two venue orders (a replacement can be an order of its own) do not add up to the order's, so then ours holds.
    """
    known = list(entries)
    about = _about(known)
    is_one = len({e.venue_order_id for e in known}) == 1
    standing: dict[str, Decimal] = {}
    peak = total = ZERO
    for entry in sorted(known, key=lambda e: (e.occurred_ns, _IN_TIME.index(e.kind), e.key)):
        trade, qty = _end(entry.key, about), _standing_qty(entry)
        total += qty - standing.get(trade, ZERO)
        standing[trade] = qty
        stood = entry.cum_qty if is_one and entry.cum_qty is not None else total
        peak = stood if entry.occurred_ns <= since_ns else max(peak, stood)
    return peak


def _about(known: list[Execution]) -> dict[str, str]:
    """What each amendment amends and each second name of a trade names, key by key."""
    keys = {e.key for e in known}
    by_exec_id = {e.exec_id: e.key for e in sorted(known, key=lambda e: e.key)}
    amended_ns = [e.occurred_ns for e in known if e.kind is not Amendment.TRADE]
    firsts: dict[tuple[str, Decimal | None], list[Execution]] = {}
    about: dict[str, str] = {}
    for entry in known:
        alike = firsts.setdefault((entry.venue_order_id, entry.cum_qty), [])
        if entry.ref:
            # After a replace the venue may name the old execution under the order's new id.
            about[entry.key] = entry.ref if entry.ref in keys else by_exec_id.get(entry.ref.partition("|")[2], entry.ref)
        elif (first := next((e for e in alike if has_twin((e,), entry) and not _is_amended_between(amended_ns, e, entry)), None)) is not None:
            about[entry.key] = first.key
        else:
            alike.append(entry)
    return about


def _is_amended_between(amended_ns: list[int], one: Execution, other: Execution) -> bool:
    first, last = sorted((one.occurred_ns, other.occurred_ns))
    return any(first <= at < last for at in amended_ns)


def _end(key: str, about: dict[str, str]) -> str:
    """Where following the references ends; a circle, which no sane venue sends, ends where it began."""
    seen: set[str] = set()
    while key in about and key not in seen:
        seen.add(key)
        key = about[key]
    return key


def _precedence(entry: Execution, overtaken: set[str]) -> tuple[int, bool, int, str]:
    """Of the entries about one trade a bust wins, then what no other entry amends, then the younger; of two names the first heard."""
    if entry.kind is Amendment.TRADE:
        return (0, False, 0, "")
    return (_IN_TIME.index(entry.kind), entry.key not in overtaken, entry.occurred_ns, entry.key)


def _standing_qty(entry: Execution) -> Decimal:
    return ZERO if entry.kind is Amendment.BUST else entry.qty
