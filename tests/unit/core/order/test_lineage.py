"""What we ask of an order: cancels, replaces, its end before the wire; and what an order says of itself."""

# A Decimal equals the int it is written as here, also inside a tuple.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from core.contracts import ExecType, OrderStatus
from core.errors import BrokerConfirmationRequiredError, DuplicateOrderError, InvalidTransitionError, TerminalStateError
from core.order import Facet, Order, RequestKind, RequestState, close_by_us, is_order_stale, request_cancel, request_replace
from core.order.order import NS_PER_MS
from tests.support.builders import NOW
from tests.support.orders import ORDER_ID, VENUE_ORDER_ID, a_new_order, new, said, submitted, told, trade


def _part_filled() -> Order:
    return told(submitted(), new(), trade(4, 4))


def _replace(order: Order, request_id: str, order_qty: int | None = None, limit_price: int | None = None, stop_price: int | None = None) -> Order:
    def dec(value: int | None) -> Decimal | None:
        return None if value is None else Decimal(value)

    return request_replace(order, request_id, "intent-2", NOW + 1, order_qty=dec(order_qty), limit_price=dec(limit_price), stop_price=dec(stop_price))


def test_order_is_pending_with_all_its_quantity_when_it_is_new() -> None:
    """A new order has its own id as the lineage's first, everything open, nothing done."""
    order = a_new_order()
    assert (order.status, order.cum_qty, order.leaves_qty, order.avg_price) == (OrderStatus.PENDING, 0, 10, 0)
    assert (order.client_order_ids, order.facets, order.open_request) == ((ORDER_ID,), (), None)


def test_cancel_is_a_fact_beside_the_order_when_it_is_asked_for() -> None:
    """Asking for a cancel changes no status; the request has its own id, reason and time."""
    order = request_cancel(_part_filled(), "C", "TTL", NOW + 1)
    request = order.requests[0]
    assert (order.status, order.leaves_qty) == (OrderStatus.PARTIALLY_FILLED, 6)
    assert (request.client_order_id, request.kind, request.state, request.reason) == ("C", RequestKind.CANCEL, RequestState.REQUESTED, "TTL")
    assert request.created_ns == NOW + 1
    assert order.client_order_ids == (ORDER_ID,)


def test_replace_names_its_own_step_when_it_is_asked_for() -> None:
    """A replace is the next step of the lineage under its own id; a term not named stays as it is confirmed, and none holds yet."""
    order = _replace(_replace(_part_filled(), "Y", order_qty=12), "Z", limit_price=99, stop_price=98)
    first, second = (request.terms for request in order.requests)
    assert first is not None and second is not None
    assert (first.client_order_id, first.rank, first.order_qty, first.limit_price, first.stop_price) == ("Y", 1, 12, 100, None)
    assert (second.client_order_id, second.rank, second.order_qty, second.limit_price, second.stop_price) == ("Z", 2, 10, 99, 98)
    assert (order.terms, order.requests[1].intent_id) == (_part_filled().terms, "intent-2")
    assert order.client_order_ids == (ORDER_ID, "Y", "Z")
    assert order.open_request == order.requests[1]


def test_next_replace_starts_from_the_confirmed_terms() -> None:
    """After a confirmed replace the next one leaves the terms as they were confirmed, not as they were asked for."""
    order = told(_replace(_part_filled(), "Y", order_qty=12), said(ExecType.REPLACED, "Y", order_qty=11, limit_price=97))
    asked = _replace(order, "Z").requests[-1].terms
    assert asked is not None
    assert (asked.order_qty, asked.limit_price, asked.rank) == (11, 97, 2)


@pytest.mark.parametrize("used", [ORDER_ID, "C", "Y"])
def test_request_is_refused_when_its_id_was_used_before(used: str) -> None:
    """No request goes out under an id that the order or one of its requests has had."""
    order = _replace(request_cancel(_part_filled(), "C", "WISH", NOW), "Y")
    with pytest.raises(DuplicateOrderError, match=f"order {ORDER_ID}: request id {used} was used before"):
        request_cancel(order, used, "WISH", NOW)
    with pytest.raises(DuplicateOrderError, match=f"order {ORDER_ID}: request id {used} was used before"):
        _replace(order, used)


def test_replace_is_refused_when_the_venue_and_we_disagree_and_a_cancel_is_not() -> None:
    """An order frozen in a disagreement can be cancelled, and nothing else."""
    frozen = told(_part_filled(), trade(3, 3, exec_id="e2"))
    assert frozen.has_facet(Facet.DISAGREEMENT)
    with pytest.raises(InvalidTransitionError, match="disagree"):
        _replace(frozen, "Y")
    assert request_cancel(frozen, "C", "WISH", NOW).open_request is not None


def test_close_by_us_ends_the_order_when_nothing_was_sent() -> None:
    """Before the wire the end is ours to say, with its cause."""
    order = close_by_us(a_new_order(), "KILL_SWITCH", NOW)
    assert order.closure is not None
    assert (order.status, order.leaves_qty, order.closure.cause, order.closure.at_ns) == (OrderStatus.CANCELLED, 0, "KILL_SWITCH", NOW)
    with pytest.raises(TerminalStateError, match="has ended CANCELLED"):
        close_by_us(order, "KILL_SWITCH", NOW)


def test_close_by_us_is_refused_when_an_attempt_was_made() -> None:
    """From the attempt on only the venue can say how the order ended."""
    with pytest.raises(BrokerConfirmationRequiredError, match="only the venue"):
        close_by_us(submitted(), "KILL_SWITCH", NOW)


@pytest.mark.parametrize(("age_ns", "is_stale"), [(0, False), (250 * NS_PER_MS - 1, False), (250 * NS_PER_MS, True), (251 * NS_PER_MS, True)])
def test_order_is_stale_when_it_has_outlived_its_ttl(age_ns: int, is_stale: bool) -> None:
    """The age counts from the attempt, and the limit itself is too old."""
    assert is_order_stale(told(submitted(ttl_ms=250), new()), NOW + age_ns) is is_stale


def test_order_is_never_stale_when_it_has_no_ttl_or_was_not_sent_or_has_ended() -> None:
    """What has no limit, no attempt or no life left cannot outlive anything."""
    for order in (submitted(), a_new_order(ttl_ms=250), told(submitted(ttl_ms=250), trade(10, 10)), told(submitted(ttl_ms=250), said(ExecType.REJECTED))):
        assert not is_order_stale(order, NOW + 10**15)


def test_average_price_is_weighted_and_plainly_spelled() -> None:
    """The average weighs by quantity, keeps twelve places and has no exponent."""
    order = told(submitted(), trade(4, 4, last_price=100), trade(2, 6, exec_id="e2", last_price="100.01"))
    assert str(order.avg_price) == "100.003333333333"
    assert str(told(submitted(), trade(4, 4, last_price=100)).avg_price) == "100"


def test_closure_holds_when_no_later_step_was_confirmed() -> None:
    """The closure in force is the lineage's, until a later step is confirmed."""
    order = _replace(_part_filled(), "Y", order_qty=12)
    ended = told(order, said(ExecType.CANCELLED))
    assert ended.effective_closure is ended.closure is not None
    reopened = told(ended, said(ExecType.REPLACED, "Y", order_qty=12))
    assert (reopened.effective_closure, reopened.closure) == (None, ended.closure)


def test_order_is_the_same_when_it_comes_back_from_a_snapshot() -> None:
    """Facts survive JSON exactly, executions in their order, and the restored order goes on as the old one would."""
    order = told(
        request_cancel(_replace(told(submitted(ttl_ms=250, protective=True), new()), "Y", order_qty=12, limit_price=99), "C", "TTL", NOW),
        trade(4, 4, exec_id="e2", fee="0.05", fee_asset="USD"),
        trade("1.5", exec_id="e1"),
        said(ExecType.TRADE_CORRECT, exec_id="c1", exec_ref_id="e1", last_qty=2, last_price="99.5"),
        said(ExecType.SUSPENDED, at=3),
        said(ExecType.CANCELLED, at=4, reject_reason="HALT"),
    )
    restored = msgspec.json.decode(msgspec.json.encode(order), type=Order)
    assert restored == order
    assert list(restored.executions) == list(order.executions) == [f"{VENUE_ORDER_ID}|{name}" for name in ("e2", "e1", "c1")]
    report = said(ExecType.REPLACED, "Y", order_qty=12, at=5)
    assert told(restored, report) == told(order, report)
    assert (restored.status, restored.facets, restored.avg_price) == (order.status, order.facets, order.avg_price)
