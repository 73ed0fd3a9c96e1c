"""The order management system: the single writer of orders, fills, positions and cash.

Reads risk.decision, broker.reports.{venue} · Writes orders.accepted.{venue}, orders.events, fills.new, positions.snapshot,
account.snapshot, alerts.fired, the archive · Decides what becomes an order, and what each report of the venue's means.

Our own commands are checked against the stored order and refused when they are illegal; the venue's facts are never refused.
They are folded into the order they name, and what no order explains is booked to the suspense ledger. An order that has ended
leaves the hot state at once; a later fact about it brings it back from the archive for as long as it takes to book it.

Archive kinds: `intent` (intent id → client order id, written when the order is created), `order` (every client order id of an
ended lineage → the order), `txn` (ledger transactions), `log` (the transaction log), `suspense`, `exec` and `external` (what
no order of ours explains).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import assert_never

import msgspec

from core import ids, topics
from core.contracts import (
    Approval,
    CancelIntent,
    ExecType,
    OrderIntent,
    ReplaceIntent,
    RiskDecision,
    SessionClock,
    SessionPhase,
    Severity,
    VenueReport,
    Verdict,
)
from core.errors import DuplicateOrderError, ExecutionError
from core.instrument import Instrument
from core.machine import (
    NO_NEEDS,
    Archive,
    Attached,
    CallInterrupted,
    CallReplied,
    Command,
    ConfigLoaded,
    Effect,
    Halt,
    Input,
    LinkStopped,
    Log,
    Message,
    Needs,
    Observed,
    VenuePushed,
    Wake,
)
from core.money import ZERO
from core.order import (
    Amendment,
    Execution,
    Folded,
    Order,
    Origin,
    RequestKind,
    close_by_us,
    fold,
    new_order,
    request_cancel,
    request_replace,
)
from core.settings import Settings
from core.venue import terms_hash
from execution.hot_orders import HotOrders, cancels_of, is_over, next_cancel_id
from execution.ledger import Booking, Ledger, LedgerState, Transaction
from execution.oms_reporter import Reporter, Views
from execution.order_messages import cancellation, replacement, request_of, submission
from execution.suspense import SUSPENSE, contradiction, execution_key, is_execution, stranger_key, suspense_key, suspense_order
from execution.transaction_log import LogEvent

__all__ = ["Oms", "OmsState", "build_oms"]

_REPORTS = topics.BROKER_REPORTS.pattern.partition("{")[0]
# One execution of ten million million units, or of that much money, is a mistake of whoever reported it. A hundred smaller
# ones still add up to an amount that a message may carry (core/money.py).
_EXECUTION_END = Decimal("1E13")
_encoder = msgspec.json.Encoder()
_orders = msgspec.json.Decoder(Order)


class OmsState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The hot state: live orders, ledger, how many log rows there are, which report links stand still, and which views are due when."""

    orders: tuple[Order, ...] = ()
    ledger: LedgerState = LedgerState()
    log_rows: int = 0
    stopped_links: dict[str, str] = msgspec.field(default_factory=dict)
    changed_views: tuple[tuple[str, str], ...] = ()
    views_due_ns: int | None = None


class Oms:
    """Machine. The single writer of orders, fills, positions and cash of one account.

    Invariants: an intent becomes at most one order, for ever; an execution is booked once, to its order or to suspense; an
    order is sent only with an approval of exactly its terms that is still fresh; every change of an order that a peer could
    see is published once, with the position and cash it left behind; every order that has not ended is hot.
    """

    def __init__(self, account: str, venue: str, opening_balances: Mapping[str, Decimal], instrument_of: Callable[[str], Instrument | None]) -> None:
        self._account = account
        self._venue = venue
        self._opening_balances = opening_balances
        self._instrument_of = instrument_of
        self._accepted = topics.ORDERS_ACCEPTED.name(venue=venue)
        self._instruments: dict[str, Instrument] = {}
        self._hot = HotOrders()
        self._ledger = Ledger()
        self._tell = Reporter(account, venue, self._ledger)
        self._stopped_links: dict[str, str] = {}
        self._now_ns = 0

    @property
    def next_wake_ns(self) -> int | None:
        """When the earliest order's time to live is over, a refused cancel is to be asked again, or the views are to be shown."""
        orders_ns, views_ns = self._hot.next_due_ns, self._tell.views.due_ns
        return orders_ns if views_ns is None else views_ns if orders_ns is None else min(orders_ns, views_ns)

    @property
    def orders(self) -> HotOrders:
        """The orders that have not ended."""
        return self._hot

    @property
    def ledger(self) -> Ledger:
        """Cash and positions."""
        return self._ledger

    def needs(self, event: Input) -> Needs:
        """Archived rows: the intent of a decision, the order of a report, unless they are hot."""
        if isinstance(event, Message):
            if isinstance(event.body, VenueReport):
                return self._report_needs(event.body)
            if isinstance(event.body, RiskDecision):
                return self._decision_needs(event.body)
        return NO_NEEDS

    def handle(self, event: Input, attached: Attached, now_ns: int) -> Sequence[Effect]:
        """Take one input."""
        self._now_ns = now_ns
        effects = self._tell.begin(now_ns)
        match event:
            case Message(body=VenueReport() as report):
                # A link that delivers does not stand still any more.
                self._stopped_links.pop(event.topic, None)
                self._on_report(report, attached.archived)
            case Message(body=RiskDecision() as decision):
                self._on_decision(decision, attached.archived)
            case Wake():
                self._on_wake()
            case ConfigLoaded():
                self._on_start()
            case Observed(fact=LinkStopped() as link):
                self._on_link_stopped(link)
            case Message(body=SessionClock(phase=SessionPhase.ENDED)):
                # No later moment will come in which the views could be shown.
                self._tell.refresh_views()
            case Message(body=SessionClock()):
                pass  # It moves `now_ns`, and with it the deadlines; the session itself is the venue's business.
            case Message() | Observed() | Command() | CallReplied() | CallInterrupted() | VenuePushed():
                pass  # Not ours: kill switch and backlog act at risk and at the broker, calls and pushes at the broker.
            case _:
                assert_never(event)
        return effects

    def snapshot(self) -> OmsState:
        """The whole state."""
        views = self._tell.views
        return OmsState(self._hot.all, self._ledger.snapshot(), self._tell.log.count, dict(self._stopped_links), tuple(views.changed), views.due_ns)

    def restore(self, snapshot: OmsState) -> None:
        """Become exactly the machine that gave this snapshot."""
        self._hot = HotOrders(snapshot.orders)
        self._ledger.restore(snapshot.ledger)
        self._tell.log.count = snapshot.log_rows
        self._stopped_links = dict(snapshot.stopped_links)
        self._tell.views = Views(snapshot.changed_views, snapshot.views_due_ns)

    # Start, links.

    def _on_start(self) -> None:
        """The first configuration opens the books; everyone learns the opening cash from the one sequenced stream."""
        opened = self._ledger.open(self._opening_balances, self._now_ns)
        if opened:
            self._archive_transactions(opened)
            self._tell.opening()

    def _on_link_stopped(self, link: LinkStopped) -> None:
        """Reports that do not come are fills we do not know of: until the link delivers again only reducing orders are sent."""
        if not link.topic.startswith(_REPORTS) or link.topic in self._stopped_links:
            return
        self._stopped_links[link.topic] = link.reason
        self._tell.alert("LinkStopped", Severity.CRITICAL, f"{link.topic} stands still ({link.reason}): fills may be missing, only reducing orders are sent")

    # Decisions.

    def _decision_needs(self, decision: RiskDecision) -> Needs:
        intent = decision.intent
        if decision.verdict is not Verdict.ALLOWED or not isinstance(intent, OrderIntent) or self._hot.of_intent(intent.intent_id) is not None:
            return NO_NEEDS
        return Needs(archived=(("intent", intent.intent_id),))

    def _on_decision(self, decision: RiskDecision, archived: Mapping[str, bytes]) -> None:
        if decision.verdict is not Verdict.ALLOWED:
            self._tell.denial(decision.intent, "; ".join(map(str, decision.denials)))
            return
        match decision.intent:
            case OrderIntent() as intent:
                self._on_order(intent, decision.approval, archived)
            case CancelIntent() as intent:
                self._on_cancel(intent)
            case ReplaceIntent() as intent:
                self._on_replace(intent, decision.approval)
            case _:
                assert_never(decision.intent)

    def _on_order(self, intent: OrderIntent, approval: Approval | None, archived: Mapping[str, bytes]) -> None:
        origin = self._origin(intent, approval)
        if (known := self._order_of(origin, archived)) is not None:
            self._refuse(DuplicateOrderError(f"intent {intent.intent_id} is order {known} already, order {origin.client_order_id} is not created"))
            return
        order = new_order(origin, intent.order_qty, intent.limit_price, intent.stop_price)
        self._tell.add(Archive("intent", intent.intent_id, origin.client_order_id.encode()))
        cause = self._reason_to_hold(intent.expires_ns, approval, terms_hash(intent.account, intent.venue, request_of(order, origin.client_order_id)))
        if (intent.account, intent.venue) != (self._account, self._venue):
            cause = "WRONG_ACCOUNT"
        if cause or approval is None:
            self._close(order, cause)
            return
        self._hot.put(order)
        self._tell.created(order, intent.reason)
        self._tell.publish(self._accepted, submission(order, approval, self._now_ns), origin.correlation_id)

    def _order_of(self, origin: Origin, archived: Mapping[str, bytes]) -> str | None:
        """The order an intent became before, if it did."""
        if (hot := self._hot.of_intent(origin.intent_id) or self._hot.find(origin.client_order_id)) is not None:
            return hot.client_order_id
        row = archived.get(f"intent/{origin.intent_id}")
        return None if row is None else row.decode()

    def _origin(self, intent: OrderIntent, approval: Approval | None) -> Origin:
        # Without an approval nothing is sent, so the name only has to be this intent's.
        named = approval.client_order_id if approval is not None else ""
        return Origin(
            client_order_id=named or ids.client_order_id("", intent.strategy_id, intent.intent_id),
            intent_id=intent.intent_id,
            strategy_id=intent.strategy_id,
            account=intent.account,
            venue=intent.venue,
            symbol=intent.symbol,
            side=intent.side,
            order_type=intent.order_type,
            time_in_force=intent.time_in_force,
            created_ns=self._now_ns,
            ttl_ms=intent.ttl_ms,
            protective=intent.protective,
            execution_id=intent.execution_id,
            slice_id=intent.slice_id,
            correlation_id=intent.intent_id,
        )

    def _reason_to_hold(self, expires_ns: int, approval: Approval | None, content_hash: str) -> str:
        """Why something allowed must not be sent (any more); '' when it may."""
        if approval is None or approval.content_hash != content_hash:
            return "NO_APPROVAL"
        if self._now_ns > expires_ns:
            return "INTENT_EXPIRED"
        if self._now_ns > approval.expires_ns:
            return "APPROVAL_EXPIRED"
        return "LINK_STOPPED" if self._stopped_links and not approval.reduces else ""

    def _close(self, order: Order, cause: str) -> None:
        """An order that ends before anything was sent."""
        closed = close_by_us(order, cause, self._now_ns)
        self._keep(closed)
        self._tell.ours(order, closed, cause, LogEvent.STATE, cause)
        severity = Severity.WARNING if cause.endswith("_EXPIRED") else Severity.CRITICAL
        self._tell.alert(cause, severity, f"order {order.client_order_id} of intent {order.origin.intent_id} is not sent: {cause}")

    def _on_cancel(self, intent: CancelIntent) -> None:
        order = self._hot.of_intent(intent.target_intent_id)
        if order is None:
            fields = (("intent_id", intent.intent_id), ("target_intent_id", intent.target_intent_id), ("strategy_id", intent.strategy_id))
            self._tell.add(Log("warning", "cancel_without_order", fields))
        else:
            self._cancel(order, intent.reason or "REQUESTED")

    def _cancel(self, order: Order, reason: str) -> None:
        """Ask for an order's end, unless that is being asked already."""
        if any(request.state.is_open for request in cancels_of(order)):
            return
        request_id = next_cancel_id(order)
        asked = request_cancel(order, request_id, reason, self._now_ns)
        self._hot.put(asked)
        self._tell.ours(order, asked, "CANCEL", LogEvent.CANCEL, reason)
        self._tell.publish(self._accepted, cancellation(asked, request_id, reason, self._now_ns), order.origin.correlation_id)

    def _on_replace(self, intent: ReplaceIntent, approval: Approval | None) -> None:
        order = self._hot.of_intent(intent.target_intent_id)
        if order is None:
            fields = (("intent_id", intent.intent_id), ("target_intent_id", intent.target_intent_id), ("strategy_id", intent.strategy_id))
            self._tell.add(Log("warning", "replace_without_order", fields))
            return
        try:
            self._replace(order, intent, approval)
        # A ValueError: the wanted prices are not those of this kind of order.
        except (ExecutionError, ValueError) as error:
            self._refuse(error)
            # Whoever reserved the wanted terms learns that they will not come.
            self._tell.ours(order, order, type(error).__name__, LogEvent.STATE, str(error), ExecType.REPLACE_REJECTED)

    def _replace(self, order: Order, intent: ReplaceIntent, approval: Approval | None) -> None:
        if approval is None:
            raise ExecutionError(f"order {order.client_order_id}: replace {intent.intent_id} is not sent: NO_APPROVAL")
        new_id, now_ns = approval.client_order_id, self._now_ns
        asked = request_replace(order, new_id, intent.intent_id, now_ns, order_qty=intent.order_qty, limit_price=intent.limit_price, stop_price=intent.stop_price)
        if any(request.kind is RequestKind.REPLACE and request.state.is_open for request in order.requests):
            raise ExecutionError(f"order {order.client_order_id}: replace {intent.intent_id} is not sent: another one has no answer yet")
        wanted = request_of(asked, new_id)
        if cause := self._reason_to_hold(intent.expires_ns, approval, terms_hash(self._account, self._venue, wanted)):
            raise ExecutionError(f"order {order.client_order_id}: replace {intent.intent_id} is not sent: {cause}")
        instruction = replacement(order, intent, wanted, approval, now_ns)
        self._hot.put(asked)
        self._tell.ours(order, asked, "REPLACE", LogEvent.STATE, intent.reason or "REPLACE")
        self._tell.publish(self._accepted, instruction, order.origin.correlation_id)

    def _refuse(self, error: ExecutionError | ValueError) -> None:
        """A command of ours was illegal: nothing is done, and a person must look."""
        self._tell.alert(type(error).__name__, Severity.CRITICAL, str(error))

    def _on_wake(self) -> None:
        """Ask the venue to end what has lived too long, or should not be there at all, and show what has changed."""
        views_ns = self._tell.views.due_ns
        if views_ns is not None and views_ns <= self._now_ns:
            self._tell.refresh_views()
        for order in self._hot.take_due(self._now_ns):
            closure = order.effective_closure
            self._cancel(order, "TTL" if closure is None else closure.cause)

    # Reports.

    def _report_needs(self, report: VenueReport) -> Needs:
        order = self._hot.find(report.client_order_id, report.orig_client_order_id)
        if order is not None and not contradiction(order, report):
            return NO_NEEDS
        wanted = [("order", name) for name in (report.client_order_id, report.orig_client_order_id) if name and order is None]
        if is_execution(report):
            wanted += [("exec", execution_key(report)), ("suspense", suspense_key(report))]
        elif order is None:
            wanted.append(("external", stranger_key(report)))
        return Needs(archived=tuple(wanted))

    def _on_report(self, report: VenueReport, archived: Mapping[str, bytes]) -> None:
        if is_execution(report) and not self._is_believable(report):
            self._stop_at(report)
            return
        order = self._hot.find(report.client_order_id, report.orig_client_order_id) or _archived_order(report, archived)
        if order is None:
            self._on_stranger(report, archived)
        elif problem := contradiction(order, report):
            self._on_contradiction(order, problem, report, archived)
        else:
            self._on_fact(order, fold(order, report), report)

    def _is_believable(self, report: VenueReport) -> bool:
        amounts = (report.last_qty, self._instrument(report.symbol).notional(report.last_qty, report.last_price or ZERO), abs(report.fee))
        return max(amounts) < _EXECUTION_END

    def _stop_at(self, report: VenueReport) -> None:
        """An execution beyond all belief: nothing is booked, and nothing more is done before a person has looked."""
        self._tell.add(Archive("exec", execution_key(report), _encoder.encode(report)))
        text = f"{_described(report)} is beyond belief, it is NOT booked"
        self._tell.alert("UnbelievableExecution", Severity.CRITICAL, text)
        self._tell.add(Halt(text))

    def _on_fact(self, old: Order, folded: Folded, report: VenueReport) -> None:
        """Keep, book and tell what a report changed about an order."""
        new = folded.order
        if new is old:
            return
        self._keep(new)
        held = self._ledger.position(new.origin.symbol, new.origin.strategy_id)
        transactions = self._book(new, folded)
        old_facets, new_facets = old.facets, new.facets
        if transactions or (old.status, old_facets, old.requests, old.terms, old.venue_order_id) != (new.status, new_facets, new.requests, new.terms, new.venue_order_id):
            self._tell.fact(old, new, new_facets, report, _trade(folded, report), transactions)
        if transactions:
            self._tell.holdings(new, held.qty)
        self._tell.facets(new, old_facets, new_facets)

    def _keep(self, order: Order) -> None:
        """Hot while it lives, archived under every id of its lineage when it is over."""
        if not is_over(order):
            self._hot.put(order)
            return
        self._hot.remove(order)
        data = _encoder.encode(order)
        for client_order_id in dict.fromkeys(order.client_order_ids):
            self._tell.add(Archive("order", client_order_id, data))

    def _on_contradiction(self, order: Order, problem: str, report: VenueReport, archived: Mapping[str, bytes]) -> None:
        """A report that names an order and cannot be about it: freeze the order, keep the execution."""
        if not order.disagreement:
            frozen = msgspec.structs.replace(order, disagreement=problem)
            self._keep(frozen)
            self._tell.fact(order, frozen, frozen.facets, report, None, ())
            self._tell.facets(frozen, order.facets, frozen.facets)
        if is_execution(report):
            self._suspend(report, archived)

    # What no order of ours explains.

    def _on_stranger(self, report: VenueReport, archived: Mapping[str, bytes]) -> None:
        if is_execution(report):
            self._suspend(report, archived)
            return
        key = stranger_key(report)
        if f"external/{key}" in archived:
            return
        self._tell.add(Archive("external", key, _encoder.encode(report)))
        self._tell.alert("ExternalOrder", Severity.WARNING, f"{report.exec_type} about order {key} in {report.symbol}, which is not ours: EXTERNAL, shown and never managed")

    def _suspend(self, report: VenueReport, archived: Mapping[str, bytes]) -> None:
        """Book an unexplained execution to suspense, each once for ever."""
        exec_key, key = execution_key(report), suspense_key(report)
        if f"exec/{exec_key}" in archived:
            return
        self._tell.add(Archive("exec", exec_key, _encoder.encode(report)))
        old = self._suspense_order(report, archived.get(f"suspense/{key}"))
        if old is None:
            self._tell.alert("SuspenseWithoutSide", Severity.CRITICAL, f"{_described(report)} has no side and no order of ours, it is NOT booked")
            return
        folded = fold(old, report)
        self._tell.add(Archive("suspense", key, _encoder.encode(folded.order)))
        held = self._ledger.position(report.symbol, SUSPENSE)
        transactions = self._book(folded.order, folded)
        if transactions:
            self._tell.suspense(report, transactions)
            self._tell.holdings(folded.order, held.qty)
        self._tell.alert("Suspense", Severity.CRITICAL, f"{_described(report)} belongs to no order of ours, it is kept in {SUSPENSE}")

    def _suspense_order(self, report: VenueReport, row: bytes | None) -> Order | None:
        if row is not None:
            return _orders.decode(row)
        return None if report.side is None else suspense_order(report, report.side, self._now_ns)

    # Books.

    def _book(self, order: Order, folded: Folded) -> tuple[Transaction, ...]:
        """Post what does not count any more, then what does."""
        undone = [self._ledger.reverse(self._booking(order, e), self._now_ns) for e in folded.undone]
        done = [self._ledger.book(self._booking(order, e), self._now_ns) for e in folded.done]
        transactions = (*undone, *done)
        if transactions:
            self._archive_transactions(transactions)
        return transactions

    def _booking(self, order: Order, execution: Execution) -> Booking:
        origin = order.origin
        return Booking(owner=origin.strategy_id, client_order_id=origin.client_order_id, side=origin.side, instrument=self._instrument(origin.symbol), execution=execution)

    def _instrument(self, symbol: str) -> Instrument:
        """A symbol's instrument; one that is not configured still has to be booked, as a plain one."""
        known = self._instruments.get(symbol)
        if known is None:
            known = self._instruments[symbol] = self._instrument_of(symbol) or Instrument(symbol=symbol, tick=Decimal("0.01"), lot=Decimal(1))
        return known

    def _archive_transactions(self, transactions: Sequence[Transaction]) -> None:
        for transaction in transactions:
            self._tell.add(Archive("txn", transaction.key, transaction.encode()))


def build_oms(settings: Settings) -> Oms:
    """The OMS of a suite."""
    account = settings.account
    return Oms(account.name, account.venue, account.opening_balances, settings.instrument)


def _archived_order(report: VenueReport, archived: Mapping[str, bytes]) -> Order | None:
    for client_order_id in (report.client_order_id, report.orig_client_order_id):
        if (row := archived.get(f"order/{client_order_id}")) is not None:
            return _orders.decode(row)
    return None


def _trade(folded: Folded, report: VenueReport) -> Execution | None:
    """The execution a report brought, when it is that and nothing else: no second name of a known one, no recount."""
    if report.exec_type is not ExecType.TRADE or folded.undone or len(folded.done) != 1:
        return None
    (done,) = folded.done
    is_own = done.venue_order_id == report.venue_order_id and done.exec_id == (report.exec_id or done.exec_id)
    return done if is_own and done.kind is Amendment.TRADE else None


def _described(report: VenueReport) -> str:
    return f"{report.exec_type} {execution_key(report)} of {report.side or 'unknown side'} {report.last_qty} {report.symbol} at {report.last_price}"
