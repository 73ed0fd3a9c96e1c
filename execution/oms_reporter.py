"""What the OMS says: the one sequenced stream of order events, its views, alerts and the transaction log.

An event is built once, after everything it tells of is booked, so the position and the cash in it are the resulting ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from core import topics
from core.contracts import (
    AccountSnapshot,
    Alert,
    BalanceSnapshot,
    Contract,
    ExecType,
    Intent,
    LedgerAdjusted,
    OrderStateChanged,
    OrderStatus,
    PositionSnapshot,
    Severity,
    VenueReport,
)
from core.machine import Effect, Log, Publish
from core.money import ZERO
from core.order import Execution, Facet, Order
from execution.ledger import Ledger, Transaction
from execution.order_messages import fill_event
from execution.suspense import SUSPENSE
from execution.transaction_log import LogEvent, TransactionLog

__all__ = ["Reporter", "Views"]

_VIEW_DELAY_NS = 250_000_000

_DAEMON = topics.Daemon.OMS.value
_EVENTS = topics.ORDERS_EVENTS.name()
_FILLS = topics.FILLS_NEW.name()
_POSITIONS = topics.POSITIONS_SNAPSHOT.name()
_ACCOUNT = topics.ACCOUNT_SNAPSHOT.name()
_ALERTS = topics.ALERTS_FIRED.name()

_TOLD_FACETS = {
    Facet.DISAGREEMENT: ("StateDisagreement", Severity.CRITICAL),
    Facet.OVERFILLED: ("Overfill", Severity.CRITICAL),
    Facet.LOST: ("OrderLost", Severity.CRITICAL),
    Facet.LATE_FILL: ("LateFill", Severity.WARNING),
    Facet.BUSTED: ("TradeBusted", Severity.WARNING),
}
_LEVELS = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}


class Views:
    """Which positions have changed since they were last shown, and when they are shown next.

    Views are for people: they are told a moment after the first change, once for all that changed meanwhile, however many
    executions that were. Whoever decides anything reads the order events.
    """

    def __init__(self, changed: Iterable[tuple[str, str]] = (), due_ns: int | None = None) -> None:
        self.changed = dict.fromkeys(changed)
        self.due_ns = due_ns

    def touch(self, symbol: str, owner: str, now_ns: int) -> None:
        """A position has changed."""
        self.changed[symbol, owner] = None
        if self.due_ns is None:
            self.due_ns = now_ns + _VIEW_DELAY_NS

    def take(self) -> list[tuple[str, str]]:
        """What has changed, which is now shown."""
        changed, self.changed, self.due_ns = list(self.changed), {}, None
        return changed


class Reporter:
    """Collects the effects of one input in the order they were told.

    Invariants: an order event carries position and balances as they are in the ledger when it is told; balances are those
    the change touched, none for a change without an execution; each event has one row in the transaction log.
    """

    def __init__(self, account: str, venue: str, ledger: Ledger) -> None:
        self.log = TransactionLog()
        self._account = account
        self._venue = venue
        self._ledger = ledger
        self.views = Views()
        self._now_ns = 0
        self._effects: list[Effect] = []

    def begin(self, now_ns: int) -> list[Effect]:
        """A new input: the list its effects will stand in."""
        self._now_ns, self._effects = now_ns, []
        return self._effects

    def add(self, effect: Effect) -> None:
        """An effect that is no message."""
        self._effects.append(effect)

    def publish(self, topic: str, body: Contract, correlation_id: str = "") -> None:
        """Say something."""
        self._effects.append(Publish(topic, body, correlation_id))

    def alert(self, name: str, severity: Severity, text: str) -> None:
        """Tell a person, and the log."""
        self._effects.append(Log(_LEVELS[severity], name, (("text", text),)))
        self.publish(_ALERTS, Alert(name=name, severity=severity, text=text, daemon=_DAEMON, occurred_ns=self._now_ns))

    def opening(self) -> None:
        """The books were opened: the cash they start with."""
        balances = self._balances(self._ledger.balances)
        self.publish(_EVENTS, LedgerAdjusted(account=self._account, reason="OPENING", evidence="CONFIG", occurred_ns=self._now_ns, balances=balances))
        self._publish_account()

    def denial(self, intent: Intent, reason: str) -> None:
        """Risk refused a wish: a row in the log, risk itself has said it to everyone."""
        self._effects.append(self.log.of_denial(intent, reason, self._now_ns))

    def created(self, order: Order, reason: str) -> None:
        """An order came to be: a row in the log. The instruction itself tells everyone else; no status has changed yet."""
        self._effects.append(self.log.of_order(LogEvent.SUBMIT, order, self._now_ns, reason))

    def ours(self, old: Order, new: Order, cause: str, event: LogEvent, reason: str, exec_type: ExecType | None = None) -> None:
        """A change, or a refusal, of our own making."""
        self.publish(_EVENTS, self._event(old, new, new.facets, cause, exec_type, "OURS", self._now_ns), new.origin.correlation_id)
        self._effects.append(self.log.of_order(event, new, self._now_ns, reason))

    def fact(self, old: Order, new: Order, facets: tuple[Facet, ...], report: VenueReport, trade: Execution | None, transactions: Sequence[Transaction]) -> None:
        """A change that a report made, with the execution it brought."""
        correlation_id = new.origin.correlation_id
        cause = _cause(old.status, new, report)
        balances = self._balances(asset for transaction in transactions for asset in transaction.assets)
        exec_type = report.exec_type
        if exec_type is ExecType.TRADE and trade is None and new.cum_qty != old.cum_qty:
            # The trade made sense of earlier reports: the executions were recounted, more than this one has changed.
            exec_type = ExecType.TRADE_CORRECT
        event = self._event(old, new, facets, cause, exec_type, report.evidence, report.occurred_ns, balances, trade, report.exec_id)
        self.publish(_EVENTS, event, correlation_id)
        if trade is not None:
            self.publish(_FILLS, fill_event(new.origin, trade), correlation_id)
            self._effects.append(self.log.of_order(LogEvent.FILL, new, self._now_ns, cause, exec_id=trade.exec_id, qty=trade.qty, price=trade.price))
        else:
            self._effects.append(self.log.of_order(LogEvent.STATE, new, self._now_ns, cause, exec_id=report.exec_id))

    def suspense(self, report: VenueReport, transactions: Sequence[Transaction]) -> None:
        """An execution that no order of ours explains was booked."""
        self.publish(
            _EVENTS,
            LedgerAdjusted(
                account=self._account,
                reason="SUSPENSE",
                evidence=report.evidence,
                occurred_ns=report.occurred_ns,
                position=self._position(report.symbol, SUSPENSE),
                balances=self._balances(asset for transaction in transactions for asset in transaction.assets),
                exec_id=report.exec_id,
            ),
        )

    def holdings(self, order: Order, held_before: Decimal) -> None:
        """After a booking: the views are out of date, and the log tells when a position left or came back to zero."""
        symbol, owner = order.origin.symbol, order.origin.strategy_id
        self.views.touch(symbol, owner, self._now_ns)
        position = self._ledger.position(symbol, owner)
        crossed = held_before * position.qty < 0
        if held_before and (crossed or not position.qty):
            self._effects.append(self.log.of_order(LogEvent.TRADE_CLOSE, order, self._now_ns, f"realized_pnl={position.realized_pnl}", qty=-held_before))
        if position.qty and (crossed or not held_before):
            self._effects.append(self.log.of_order(LogEvent.TRADE_OPEN, order, self._now_ns, "", qty=position.qty, price=position.avg_price))

    def refresh_views(self) -> None:
        """Show every position that has changed since the views were last told, and the account with them."""
        changed = self.views.take()
        for symbol, owner in changed:
            self.publish(_POSITIONS, self._position(symbol, owner))
        if changed:
            self._publish_account()

    def facets(self, order: Order, before: tuple[Facet, ...], now: tuple[Facet, ...]) -> None:
        """Alert a person to what should not be, when it begins to be so."""
        if now and now != before:
            for facet, (name, severity) in _TOLD_FACETS.items():
                if facet in now and facet not in before:
                    self.alert(name, severity, _situation(order))

    def _event(
        self,
        old: Order,
        new: Order,
        facets: tuple[Facet, ...],
        cause: str,
        exec_type: ExecType | None,
        evidence: str,
        occurred_ns: int,
        balances: tuple[BalanceSnapshot, ...] = (),
        trade: Execution | None = None,
        exec_id: str = "",
    ) -> OrderStateChanged:
        origin, terms = new.origin, new.terms
        return OrderStateChanged(
            client_order_id=origin.client_order_id,
            intent_id=origin.intent_id,
            strategy_id=origin.strategy_id,
            account=origin.account,
            venue=origin.venue,
            symbol=origin.symbol,
            side=origin.side,
            order_qty=terms.order_qty,
            old_status=old.status,
            new_status=new.status,
            cause=cause,
            exec_type=exec_type,
            evidence=evidence,
            cum_qty=new.cum_qty,
            leaves_qty=new.leaves_qty,
            avg_price=new.avg_price,
            occurred_ns=occurred_ns,
            position=self._position(origin.symbol, origin.strategy_id),
            balances=balances,
            last_qty=ZERO if trade is None else trade.qty,
            last_price=None if trade is None else trade.price,
            exec_id=exec_id if trade is None else trade.exec_id,
            venue_order_id=new.venue_order_id,
            limit_price=terms.limit_price,
            stop_price=terms.stop_price,
            facets=tuple(facet.value for facet in facets),
            execution_id=origin.execution_id,
            slice_id=origin.slice_id,
        )

    def _position(self, symbol: str, owner: str) -> PositionSnapshot:
        position = self._ledger.position(symbol, owner)
        return PositionSnapshot(
            account=self._account,
            symbol=symbol,
            strategy_id=owner,
            position_qty=position.qty,
            avg_price=position.avg_price,
            realized_pnl=position.realized_pnl,
            as_of_ns=self._now_ns,
        )

    def _balances(self, assets: Iterable[str]) -> tuple[BalanceSnapshot, ...]:
        totals = self._ledger.balances
        return tuple(BalanceSnapshot(account=self._account, asset=asset, total=totals[asset], as_of_ns=self._now_ns) for asset in dict.fromkeys(assets))

    def _publish_account(self) -> None:
        self.publish(_ACCOUNT, AccountSnapshot(account=self._account, venue=self._venue, balances=self._balances(self._ledger.balances), as_of_ns=self._now_ns))


def _cause(old_status: OrderStatus, new: Order, report: VenueReport) -> str:
    """What happened; for the end of an order why it ended."""
    closure = new.effective_closure
    if closure is not None and new.status is closure.status and not old_status.is_terminal:
        return closure.cause
    return report.exec_type.value


def _situation(order: Order) -> str:
    text = f"order {order.client_order_id} of {order.origin.strategy_id}: {order.origin.side} {order.order_qty} {order.origin.symbol}, executed {order.cum_qty}, {order.status}"
    if order.is_shown_live:
        text += ", live at the venue although we ended it"
    return f"{text}, {order.disagreement}" if order.disagreement else text
