"""Cancels: at once, without permission, again and again; and the sweep by which a kill leaves nothing open.

A cancel of an order nobody knows to be there yet is held until that is known, and goes out in the same breath. A cancel whose
answer is lost is repeated, because repeating it is harmless.
"""

from __future__ import annotations

from msgspec.structs import replace

from core.contracts import ExecType, KillSwitchState, KillSwitchStatus, TradingState
from core.ids import request_id
from core.machine import CallVenue
from core.venue import Accepted, Cancel, NotFound, Refused, VenueReply
from execution.live_book import CallKind, LiveBook
from execution.live_orders import CancelRequest, CancelStage, LiveOrder, Stage, retry_delay_ns, sweep_delay_ns
from execution.venue_reports import reason_of

__all__ = ["CLEAR", "Cancels", "without"]

CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)


class Cancels:
    """The cancel requests of all live orders, and the kill switch that makes some of its own.

    Invariants: no cancel waits for anything but the knowledge that its order is there; while `stop` is set, everything this
    kill wants gone and that is known to be there has a cancel under way or is swept again.
    """

    def __init__(self, book: LiveBook) -> None:
        self.kill_switch = CLEAR
        self.stop: TradingState | None = None
        self.sweeps = 0
        self.sweep_due_ns: int | None = None
        self._book = book

    def request(self, order: LiveOrder, cancel: CancelRequest) -> LiveOrder:
        """Take a new request: the order with it."""
        wanted = replace(order, cancels=(*order.cancels, cancel))
        return self._book.put(wanted) if wanted.is_unknown else self._send(wanted, cancel)

    def on_answer(self, order: LiveOrder, call_id: str, reply: VenueReply) -> None:
        """The venue took a cancel, refused it, or nobody knows."""
        cancel = next((c for c in order.cancels if c.call_id == call_id and c.stage is CancelStage.ASKED), None)
        if cancel is None:
            return
        match reply:
            case Accepted():
                self._book.report_cancel(order, cancel, ExecType.PENDING_CANCEL)
                self._book.put(_with(order, replace(cancel, stage=CancelStage.TAKEN, failures=0)))
            case Refused(code=code, text=text):
                self._on_refused(order, cancel, reason_of(code, text))
            case NotFound():
                self._on_refused(order, cancel, "NOT_FOUND")
            case _:
                self._again(order, replace(cancel, failures=cancel.failures + 1))

    def on_known(self, order: LiveOrder) -> None:
        """The order is there: send what was held, and cancel it if a kill wants it gone."""
        known = self._book.put(replace(order, stage=Stage.WORKING, query="", doubt="", due_ns=None))
        for cancel in known.cancels:
            if cancel.stage is CancelStage.HELD:
                known = self._send(known, cancel)
        if self.stop is not None and known.must_go(self.stop):
            self._by_ourselves(known)
            if self.sweep_due_ns is None:
                self._sweep_again_after(1)

    def on_connected(self) -> None:
        """Whatever waited for the connection goes first."""
        for order in list(self._book.orders.values()):
            self._resend(order, order.cancels)

    def on_due(self, order: LiveOrder) -> LiveOrder:
        """Repeat the cancels of this order whose time has come."""
        return self._resend(order, tuple(c for c in order.cancels if c.due_ns is not None and c.due_ns <= self._book.now_ns))

    def on_kill_switch(self, seen: KillSwitchState) -> None:
        """An unreadable switch only denies, and the gate does that; what it said before it became unreadable still stands."""
        self.kill_switch = seen
        match seen.status:
            case KillSwitchStatus.TRIPPED:
                self.stop = TradingState.REDUCING if seen.trading_state is TradingState.REDUCING else TradingState.HALTED
                self._book.log("warning", "kill_switch_tripped", trading_state=self.stop, reason=seen.reason, orders=len(self._book.orders))
                self.sweeps = 0
                self.sweep()
            case KillSwitchStatus.CLEAR:
                self.stop = self.sweep_due_ns = None
            case KillSwitchStatus.UNREADABLE:
                self._book.log("error", "kill_switch_unreadable", reason=seen.reason)

    def sweep(self) -> None:
        """Cancel everything this kill wants gone, and look again as long as anything of it is left."""
        targets = 0 if self.stop is None else self.cancel_all(self.stop)
        if targets:
            self._sweep_again_after(self.sweeps + 1)
        else:
            self.sweep_due_ns = None

    def cancel_all(self, state: TradingState) -> int:
        """Cancel what a kill to this state wants gone; how many orders that is, those already being cancelled included."""
        targets = [order for order in self._book.orders.values() if order.must_go(state)]
        for order in targets:
            self._by_ourselves(order)
        return len(targets)

    def _sweep_again_after(self, sweeps: int) -> None:
        self.sweeps = sweeps
        self.sweep_due_ns = self._book.now_ns + sweep_delay_ns(sweeps)

    def _by_ourselves(self, order: LiveOrder) -> None:
        """A cancel nobody but the gateway asked for, unless one is under way; it takes the place of an earlier one of its own."""
        if order.is_cancel_under_way:
            return
        others = tuple(c for c in order.cancels if not c.is_ours)
        self.request(replace(order, cancels=others), CancelRequest(request_id=request_id(order.client_order_id, "kill", order.cancel_calls + 1), is_ours=True))

    def _send(self, order: LiveOrder, cancel: CancelRequest) -> LiveOrder:
        calls = order.cancel_calls + 1
        call_id = request_id(order.client_order_id, "kill" if cancel.is_ours else "cancel", calls)
        asked = _with(replace(order, cancel_calls=calls), replace(cancel, stage=CancelStage.ASKED, call_id=call_id, due_ns=None))
        self._book.call(CallKind.CANCEL, order.client_order_id, CallVenue(call_id, Cancel(client_order_id=order.client_order_id, venue_order_id=order.venue_order_id)))
        return self._book.put(asked)

    def _resend(self, order: LiveOrder, cancels: tuple[CancelRequest, ...]) -> LiveOrder:
        for cancel in cancels:
            if cancel.stage is CancelStage.WAITING:
                order = self._send(order, cancel)
        return order

    def _again(self, order: LiveOrder, cancel: CancelRequest) -> None:
        """At once, then with back-off; without a connection when it is back."""
        delay_ns = retry_delay_ns(cancel.failures)
        if not self._book.feed.is_connected:
            self._book.put(_with(order, replace(cancel, stage=CancelStage.WAITING, failures=0)))
        elif delay_ns:
            self._book.put(_with(order, replace(cancel, stage=CancelStage.WAITING, due_ns=self._book.now_ns + delay_ns)))
        else:
            self._send(order, cancel)

    def _on_refused(self, order: LiveOrder, cancel: CancelRequest, reason: str) -> None:
        self._book.report_cancel(order, cancel, ExecType.CANCEL_REJECTED, reason)
        self._book.put(without(order, cancel))


def without(order: LiveOrder, cancel: CancelRequest) -> LiveOrder:
    """The order without this request."""
    return replace(order, cancels=tuple(c for c in order.cancels if c.request_id != cancel.request_id))


def _with(order: LiveOrder, cancel: CancelRequest) -> LiveOrder:
    return replace(order, cancels=tuple(cancel if c.request_id == cancel.request_id else c for c in order.cancels))
