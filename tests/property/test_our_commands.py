"""Whatever happened to an order before: a command of ours that is illegal is refused by its name and leaves the order as it is.

What is legal is written down here once more, from the rules and not from the code: it depends on where the order stands, on
what the venue has shown, and on nothing the caller believes.
"""

from __future__ import annotations

from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.contracts import ExecType, OrderStatus, SubmitOrder
from core.errors import BrokerConfirmationRequiredError, DuplicateOrderError, ExecutionError, InvalidTransitionError, TerminalStateError
from core.money import ZERO
from core.order import Command, Evidence, Order, close_by_us, fold, request_cancel, request_replace, require_command, require_transition
from tests.support.builders import NOW, a_decision, an_approval, an_intent
from tests.support.oms import OmsBench
from tests.support.orders import ORDER_ID, a_new_order, said

_S = OrderStatus
_LIVE = (_S.ACCEPTED, _S.PARTIALLY_FILLED)
_VENUE_ONLY = st.sampled_from([_S.ACCEPTED, _S.PARTIALLY_FILLED, _S.FILLED, _S.REJECTED, _S.EXPIRED])
_IDS = st.sampled_from(["R1", "R2", "R3", ORDER_ID])
_EXEC_IDS = st.sampled_from(["e1", "e2", "e3"])
_QTYS = st.sampled_from([0, 3, 5, 10])
_NO_ERROR: type[ExecutionError] | None = None


def _refused(error: type[ExecutionError] | None, order: Order, attempt: object) -> bool:
    """Run an attempt: it must pass, or fail with exactly this error, naming the order; whether it was refused."""
    assert callable(attempt)
    before = order
    try:
        attempt()
    except ExecutionError as refusal:
        assert type(refusal) is error, f"{type(refusal).__name__} is not {error}"
        assert ORDER_ID in str(refusal)
        assert order == before
        return True
    assert error is None, f"{error.__name__} was expected"
    return False


class OurCommands(RuleBasedStateMachine):
    """One order, told anything by the venue and asked anything by us, legal or not."""

    @initialize()
    def begin(self) -> None:
        """A new order for ten."""
        self.order = a_new_order(10)
        self.used = {ORDER_ID}

    # What happens to it.

    @rule(
        kind=st.sampled_from(ExecType),
        name=_IDS,
        at=st.integers(0, 5),
        exec_id=_EXEC_IDS,
        ref=_EXEC_IDS,
        qty=_QTYS,
        status=st.none() | st.sampled_from(_S),
        order_qty=st.none() | _QTYS,
    )
    def hear(self, kind: ExecType, name: str, at: int, exec_id: str, ref: str, qty: int, status: OrderStatus | None, order_qty: int | None) -> None:
        """Any fact is taken: it is never refused, and it never makes the order forget an execution or a request."""
        after = fold(self.order, said(kind, name, at=at, exec_id=exec_id, exec_ref_id=ref, last_qty=qty, last_price=100, status=status, order_qty=order_qty or None)).order
        assert set(self.order.executions) <= set(after.executions)
        assert {r.client_order_id for r in self.order.requests} <= {r.client_order_id for r in after.requests}
        self.order = after
        self.used |= {r.client_order_id for r in after.requests}

    # What we ask.

    @rule(name=_IDS)
    def cancel(self, name: str) -> None:
        """Legal while it lives, and always for what the venue shows alive; each request id once."""
        order, error = self.order, _NO_ERROR
        if name in self.used:
            error = DuplicateOrderError
        elif order.status.is_terminal and not order.is_shown_live:
            error = TerminalStateError
        if not _refused(error, order, lambda: request_cancel(order, name, "WISH", NOW)):
            self.order = request_cancel(order, name, "WISH", NOW)
            self.used.add(name)
            assert self.order.status is order.status

    @rule(name=_IDS, order_qty=st.sampled_from([5, 15]))
    def replace(self, name: str, order_qty: int) -> None:
        """Legal while it works at the venue and nobody disagrees about it."""

        def attempt() -> Order:
            return request_replace(order, name, "i", NOW, order_qty=Decimal(order_qty), limit_price=None, stop_price=None)

        order, error = self.order, _NO_ERROR
        if name in self.used:
            error = DuplicateOrderError
        elif order.status.is_terminal:
            error = TerminalStateError
        elif order.status not in _LIVE or order.is_disagreeing:
            error = InvalidTransitionError
        if not _refused(error, order, attempt):
            self.order = attempt()
            self.used.add(name)
            assert (self.order.status, self.order.order_qty) == (order.status, order.order_qty)

    @rule()
    def submit(self) -> None:
        """Only a new order is ours to send."""
        order = self.order
        error = TerminalStateError if order.status.is_terminal else InvalidTransitionError
        _refused(None if order.status is _S.PENDING else error, order, lambda: require_command(order.client_order_id, order.status, Command.SUBMIT))

    @precondition(lambda self: self.order.status is not _S.PENDING)
    @rule()
    def close(self) -> None:
        """From the attempt on only the venue can say how an order ended."""
        order = self.order
        error = TerminalStateError if order.status.is_terminal else BrokerConfirmationRequiredError
        assert _refused(error, order, lambda: close_by_us(order, "WISH", NOW))

    @rule(claimed=_VENUE_ONLY)
    def claim(self, claimed: OrderStatus) -> None:
        """What only the venue can say is refused without its evidence; an impossible step is refused as that."""
        order = self.order
        rows = {(_S.PENDING, _S.SUBMITTED), *((old, new) for old in (_S.SUBMITTED, *_LIVE) for new in _S)}
        if order.status.is_terminal:
            errors: tuple[type[ExecutionError], ...] = (TerminalStateError,)
        elif (order.status, claimed) in rows:
            errors = (BrokerConfirmationRequiredError, InvalidTransitionError)
        else:
            errors = (InvalidTransitionError,)
        try:
            require_transition(order.client_order_id, order.status, claimed, Evidence.OURS)
        except ExecutionError as refusal:
            assert type(refusal) in errors
        else:
            raise AssertionError(f"we may not say that an order is {claimed}")

    # What always holds.

    @invariant()
    def quantities_agree(self) -> None:
        """Ordered is executed and remaining while it lives, nothing remains when it has ended."""
        order = self.order
        if order.status.is_terminal or order.origin.external:
            assert order.leaves_qty == ZERO
        elif not order.is_done_for_day:
            assert order.leaves_qty == max(order.order_qty - order.cum_qty, ZERO)


class RepeatedIntents(RuleBasedStateMachine):
    """An intent that becomes an order, whose decision is delivered again at any moment of the order's life."""

    @initialize()
    def begin(self) -> None:
        """One order of ours."""
        self.bench = OmsBench()
        self.order_id = self.bench.submit(an_intent())

    @rule(kind=st.sampled_from([ExecType.NEW, ExecType.CANCELLED, ExecType.REJECTED, ExecType.EXPIRED, ExecType.NOT_SENT, ExecType.NEVER_REACHED, ExecType.IN_DOUBT]))
    def report(self, kind: ExecType) -> None:
        """The broker says something."""
        self.bench.attempt(self.order_id)
        self.bench.report(kind, self.order_id)

    @rule(qty=st.integers(1, 6), number=st.integers(0, 3))
    def fill(self, qty: int, number: int) -> None:
        """The venue executes."""
        self.bench.fill(self.order_id, qty, exec_id=f"X{number}")

    @rule(again=st.sampled_from(["the same", "another content", "another id"]))
    def submit_again(self, again: str) -> None:
        """Alive, ended or long archived: DuplicateOrderError, nothing is sent, nothing changes."""
        bench = self.bench
        before, alerts = bench.oms.snapshot(), len(bench.alerts)
        intent = an_intent(order_qty=99) if again == "another content" else an_intent()
        bench.decide(a_decision(intent, approval=an_approval(intent, **({"client_order_id": "t-another"} if again == "another id" else {}))))
        assert bench.alerts[alerts:] == ["DuplicateOrderError"]
        after = bench.oms.snapshot()
        assert (after.orders, after.ledger) == (before.orders, before.ledger)

    @invariant()
    def sent_once(self) -> None:
        """One intent, one order, for ever."""
        assert [o.client_order_id for o in self.bench.instructions if isinstance(o, SubmitOrder)] == [self.order_id]


TestOurCommands = OurCommands.TestCase
TestOurCommands.settings = settings(max_examples=50, stateful_step_count=20)
TestRepeatedIntents = RepeatedIntents.TestCase
TestRepeatedIntents.settings = settings(max_examples=15, stateful_step_count=12)
