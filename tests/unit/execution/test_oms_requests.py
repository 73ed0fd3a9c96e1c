"""Cancels, replaces and times to live: what we ask of the venue, and what its answers make of it."""

# Decimals are compared with plain numbers, statuses with their names; a property is looked at twice, and changes between the looks.
# mypy: disable-error-code="comparison-overlap, unreachable"

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.contracts import CancelOrder, ExecType, OrderIntent, OrderStatus, OrderType, ReplaceOrder, SubmitOrder
from core.machine import LinkStopped, Log, Observed, Wake
from execution.transaction_log import LogEvent
from tests.support.builders import NOW, STRATEGY, an_intent
from tests.support.oms import OmsBench, a_cancel, a_replace

_SECOND = 10**9
_LIMIT: dict[str, Any] = {"order_type": OrderType.LIMIT, "limit_price": "100.00"}


def a_limit(intent_id: str = "trend:e:bar:0", **changes: Any) -> OrderIntent:
    """A wish to buy ten shares at 100 or better."""
    return an_intent(intent_id, **(_LIMIT | changes))


def the_cancels(bench: OmsBench) -> list[CancelOrder]:
    """Every cancel the broker was told."""
    return [i for i in bench.instructions if isinstance(i, CancelOrder)]


# Cancels.


def test_cancel_goes_out_as_a_request_when_a_strategy_wishes_it() -> None:
    """The order does not change its status: it is being cancelled until the venue says it is."""
    bench = OmsBench()
    order_id = bench.working()
    bench.decide(a_cancel(reason="signal gone"))
    (cancel,) = the_cancels(bench)
    assert cancel == CancelOrder(
        client_order_id=f"{order_id}.cancel1",
        orig_client_order_id=order_id,
        account="paper",
        venue="sim",
        symbol="IBM",
        created_ns=NOW,
        venue_order_id="V1",
        reason="signal gone",
    )
    event = bench.events[-1]
    assert (event.old_status, event.new_status, event.cause, event.exec_type, event.evidence, event.facets) == (
        "ACCEPTED",
        "ACCEPTED",
        "CANCEL",
        None,
        "OURS",
        ("pending_cancel",),
    )
    bench.report(ExecType.CANCELLED, order_id)
    assert (bench.events[-1].new_status, bench.events[-1].cause) == ("CANCELLED", "signal gone")
    assert (LogEvent.CANCEL, "signal gone") in [(row.event, row.reason) for row in bench.log]


def test_no_second_cancel_goes_out_when_one_has_no_answer() -> None:
    """One open cancel is enough, a refused one may be asked again under a new name."""
    bench = OmsBench()
    order_id = bench.working()
    bench.decide(a_cancel())
    assert bench.decide(a_cancel()) == []
    bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel1", orig_client_order_id=order_id, reject_reason="TOO_LATE")
    assert (bench.events[-1].exec_type, bench.events[-1].new_status, bench.events[-1].facets) == (ExecType.CANCEL_REJECTED, "ACCEPTED", ())
    bench.decide(a_cancel())
    assert [c.client_order_id for c in the_cancels(bench)] == [f"{order_id}.cancel1", f"{order_id}.cancel2"]


def test_cancel_takes_a_free_name_when_someone_else_used_the_next_one() -> None:
    """A request id names one request for ever, whoever made it."""
    bench = OmsBench()
    order_id = bench.working()
    bench.report(ExecType.PENDING_CANCEL, f"{order_id}.cancel2", orig_client_order_id=order_id)
    bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel2", orig_client_order_id=order_id)
    for k in (1, 3):
        bench.decide(a_cancel())
        assert the_cancels(bench)[-1].client_order_id == f"{order_id}.cancel{k}"
        bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel{k}", orig_client_order_id=order_id)


@pytest.mark.parametrize("is_known", [True, False], ids=["ended", "unknown"])
def test_only_a_warning_is_logged_when_a_cancel_or_replace_has_no_live_target(is_known: bool) -> None:
    """What has ended needs no cancel, and there is nothing left to replace."""
    bench = OmsBench()
    intent = a_limit()
    if is_known:
        bench.fill(bench.working(intent), 10)
    told = len(bench.said)
    for decision in (a_cancel(), a_replace(intent, order_qty=5)):
        (effect,) = bench.decide(decision)
        assert isinstance(effect, Log) and effect.level == "warning"
    assert len(bench.said) == told


def test_cancel_may_be_wished_by_the_replace_it_became() -> None:
    """A lineage goes by every intent that shaped it."""
    bench = OmsBench()
    intent = a_limit()
    order_id = bench.working(intent)
    bench.decide(a_replace(intent, order_qty=20))
    bench.decide(a_cancel(f"{intent.intent_id}!replace1"))
    assert [c.orig_client_order_id for c in the_cancels(bench)] == [order_id]


def test_fill_stands_when_it_races_a_cancel() -> None:
    """The order filled first: the cancel's refusal changes nothing any more."""
    bench = OmsBench()
    order_id = bench.working()
    bench.decide(a_cancel())
    bench.fill(order_id, 10)
    assert (bench.events[-1].new_status, bench.events[-1].facets) == ("FILLED", ())
    bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel1", orig_client_order_id=order_id)
    assert bench.archived_order(order_id).status is OrderStatus.FILLED
    assert bench.alerts == []


def test_partial_fill_counts_when_a_cancel_wins_the_race() -> None:
    """What was executed before the end is kept, what was left is gone."""
    bench = OmsBench()
    order_id = bench.working()
    bench.decide(a_cancel())
    bench.fill(order_id, 4)
    bench.report(ExecType.CANCELLED, order_id, cum_qty=4)
    event = bench.events[-1]
    assert (event.new_status, event.cum_qty, event.leaves_qty, event.cause) == ("CANCELLED", 4, 0, "REQUESTED")
    assert bench.position_qty() == 4


# Replaces.


def test_replacement_takes_over_when_the_venue_confirms_it() -> None:
    """A replace goes out under its own id, and later instructions name the order by it."""
    bench = OmsBench()
    intent = a_limit()
    order_id = bench.working(intent)
    decision = a_replace(intent, order_qty=20, limit_price="101.00")
    bench.decide(decision)
    sent = bench.instructions[-1]
    assert decision.approval is not None
    new_id = decision.approval.client_order_id
    assert isinstance(sent, ReplaceOrder)
    assert (sent.client_order_id, sent.orig_client_order_id, sent.order_qty, sent.limit_price, sent.approval) == (new_id, order_id, 20, Decimal("101.00"), decision.approval)
    assert (sent.intent_id, sent.strategy_id, sent.venue_order_id) == (decision.intent.intent_id, STRATEGY, "V1")
    assert (bench.events[-1].cause, bench.events[-1].facets, bench.events[-1].order_qty) == ("REPLACE", ("pending_replace",), 10)
    bench.report(ExecType.REPLACED, new_id, orig_client_order_id=order_id, venue_order_id="V2")
    event = bench.events[-1]
    assert (event.client_order_id, event.order_qty, event.limit_price, event.venue_order_id, event.facets) == (order_id, 20, Decimal("101.00"), "V2", ())
    bench.fill(new_id, 15, venue_order_id="V2")
    bench.decide(a_cancel())
    assert (the_cancels(bench)[-1].orig_client_order_id, the_cancels(bench)[-1].venue_order_id) == (new_id, "V2")
    bench.report(ExecType.CANCELLED, new_id, venue_order_id="V2")
    assert bench.archived_order(order_id) == bench.archived_order(new_id)
    assert bench.position_qty() == 15
    bench.fill(order_id, 1, exec_id="X9")
    assert bench.position_qty() == 16


def test_order_is_as_it_was_when_the_venue_refuses_a_replace() -> None:
    """A refused replace changes neither terms nor status."""
    bench = OmsBench()
    intent = a_limit()
    order_id = bench.working(intent)
    decision = a_replace(intent, order_qty=20)
    bench.decide(decision)
    assert decision.approval is not None
    bench.report(ExecType.REPLACE_REJECTED, decision.approval.client_order_id, orig_client_order_id=order_id)
    event = bench.events[-1]
    assert (event.new_status, event.order_qty, event.facets, event.exec_type) == ("ACCEPTED", 10, (), ExecType.REPLACE_REJECTED)


def test_filled_order_works_again_when_a_replace_that_raised_it_is_confirmed() -> None:
    """Only a confirmed replace reopens an order: it comes back from the archive and can end a second time."""
    bench = OmsBench()
    intent = a_limit()
    order_id = bench.working(intent)
    decision = a_replace(intent, order_qty=20)
    bench.decide(decision)
    assert decision.approval is not None
    new_id = decision.approval.client_order_id
    bench.fill(order_id, 10)
    assert len(bench.oms.orders) == 0
    bench.report(ExecType.REPLACED, new_id, orig_client_order_id=order_id, venue_order_id="V2")
    assert (bench.events[-1].new_status, bench.events[-1].leaves_qty) == ("PARTIALLY_FILLED", 10)
    assert order_id in bench.oms.orders and new_id in bench.oms.orders
    bench.fill(new_id, 10, exec_id="X2", venue_order_id="V2")
    assert bench.events[-1].new_status is OrderStatus.FILLED
    assert len(bench.oms.orders) == 0


def _pending(bench: OmsBench, intent: OrderIntent) -> None:
    bench.submit(intent)


def _working(bench: OmsBench, intent: OrderIntent) -> None:
    bench.working(intent)


def _replacing(bench: OmsBench, intent: OrderIntent) -> None:
    bench.working(intent)
    bench.decide(a_replace(intent, 9, order_qty=30))


def _stopped(bench: OmsBench, intent: OrderIntent) -> None:
    bench.working(intent)
    bench.give(Observed(LinkStopped("broker.reports.sim", "broker", "poison")))


def _late(bench: OmsBench, intent: OrderIntent) -> None:
    bench.working(intent)
    bench.now_ns = NOW + 6 * _SECOND


_REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "the order is not at the venue yet": (_pending, {}, "InvalidTransitionError"),
    "the approval is missing": (_working, {"is_approved": False}, "ExecutionError"),
    "the wish is stale": (_working, {"expires_ns": NOW - 1}, "ExecutionError"),
    "the approval is stale": (_late, {}, "ExecutionError"),
    "another replace has no answer": (_replacing, {}, "ExecutionError"),
    "the report link stands still": (_stopped, {}, "ExecutionError"),
    "the prices are of another kind of order": (_working, {"stop_price": "99.00"}, "ValueError"),
}


@pytest.mark.parametrize(("prepare", "changes", "name"), _REFUSED.values(), ids=_REFUSED)
def test_replace_is_refused_and_told_when_it_must_not_leave(prepare: Any, changes: dict[str, Any], name: str) -> None:
    """Nothing is sent, the order is unchanged, a person hears of it, and whoever reserved the new terms learns their end."""
    bench = OmsBench()
    intent = a_limit()
    prepare(bench, intent)
    orders, sent = bench.oms.snapshot().orders, len(bench.instructions)
    bench.decide(a_replace(intent, **({"order_qty": 20} | changes)))
    assert len(bench.instructions) == sent
    assert bench.oms.snapshot().orders == orders
    assert bench.alerts[-1] == name
    event = bench.events[-1]
    assert (event.exec_type, event.evidence, event.cause, event.old_status) == (ExecType.REPLACE_REJECTED, "OURS", name, event.new_status)


def test_replace_is_refused_when_its_id_was_used_before() -> None:
    """A repeated approval of one replace is a duplicate."""
    bench = OmsBench()
    intent = a_limit()
    order_id = bench.working(intent)
    decision = a_replace(intent, order_qty=20)
    bench.decide(decision)
    assert decision.approval is not None
    bench.report(ExecType.REPLACED, decision.approval.client_order_id, orig_client_order_id=order_id)
    bench.decide(decision)
    assert bench.alerts == ["DuplicateOrderError"]
    assert len([i for i in bench.instructions if isinstance(i, ReplaceOrder)]) == 1


def test_replace_is_refused_when_other_terms_were_approved() -> None:
    """Terms that changed between approval and sending are not the approved ones."""
    bench = OmsBench()
    intent = a_limit()
    bench.working(intent)
    decision = a_replace(intent, order_qty=20)
    assert decision.approval is not None
    bench.decide(msgspec.structs.replace(decision, approval=msgspec.structs.replace(decision.approval, content_hash="else")))
    assert bench.alerts == ["ExecutionError"]
    assert all(isinstance(i, SubmitOrder) for i in bench.instructions)


def test_reducing_replace_leaves_when_the_report_link_stands_still() -> None:
    """Less risk is always welcome."""
    bench = OmsBench()
    intent = a_limit()
    _stopped(bench, intent)
    bench.decide(a_replace(intent, order_qty=5, reduces=True))
    assert isinstance(bench.instructions[-1], ReplaceOrder)


# Time to live.


def test_order_is_cancelled_by_us_when_its_time_to_live_is_over() -> None:
    """The OMS asks for the end, and the end says why."""
    bench = OmsBench()
    order_id = bench.submit(a_limit(ttl_ms=2_000))
    assert bench.oms.next_wake_ns is None
    bench.now_ns += _SECOND
    bench.accept(order_id)
    assert bench.oms.next_wake_ns == NOW + 3 * _SECOND
    assert bench.give(Wake(NOW)) == []
    bench.wake()
    (cancel,) = the_cancels(bench)
    assert cancel.reason == "TTL"
    assert bench.oms.next_wake_ns is None
    bench.report(ExecType.CANCELLED, order_id)
    assert (bench.events[-1].new_status, bench.events[-1].cause) == ("CANCELLED", "TTL")


def test_cancel_is_asked_again_with_backoff_when_the_venue_refuses_it() -> None:
    """A stale order is asked to go until it is gone, ever more slowly, at most once a minute."""
    bench = OmsBench()
    order_id = bench.submit(a_limit(ttl_ms=1))
    bench.accept(order_id)
    waits = []
    for k in range(1, 10):
        bench.wake()
        asked_ns = bench.now_ns
        bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel{k}", orig_client_order_id=order_id)
        assert bench.oms.next_wake_ns is not None
        waits.append((bench.oms.next_wake_ns - asked_ns) // _SECOND)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len({c.client_order_id for c in the_cancels(bench)}) == 9
    bench.fill(order_id, 10)
    bench.wake()
    assert len(the_cancels(bench)) == 9
    assert bench.oms.next_wake_ns is None


def test_nothing_is_asked_twice_when_a_wished_cancel_is_under_way_at_the_end_of_its_life() -> None:
    """The strategy's cancel serves; its refusal starts our own asking."""
    bench = OmsBench()
    order_id = bench.submit(a_limit(ttl_ms=2_000))
    bench.accept(order_id)
    bench.decide(a_cancel())
    assert bench.oms.next_wake_ns is None
    bench.report(ExecType.CANCEL_REJECTED, f"{order_id}.cancel1", orig_client_order_id=order_id)
    assert bench.oms.next_wake_ns == NOW + 2 * _SECOND
    bench.wake()
    assert the_cancels(bench)[-1].client_order_id == f"{order_id}.cancel2"


def test_earliest_of_many_is_next_when_orders_have_times_to_live() -> None:
    """Each order is asked at its own time, in order of time."""
    bench = OmsBench()
    for n, ttl_ms in enumerate((3_000, 1_000, 2_000)):
        bench.accept(bench.submit(a_limit(f"i{n}", ttl_ms=ttl_ms)))
    asked = []
    while bench.oms.next_wake_ns is not None:
        bench.wake()
        asked.append(bench.now_ns - NOW)
    assert asked == [_SECOND, 2 * _SECOND, 3 * _SECOND]
    assert len({c.orig_client_order_id for c in the_cancels(bench)}) == 3


def test_order_is_cancelled_when_the_venue_shows_what_we_had_ended() -> None:
    """An order that was never to be there is alerted, asked to go, and over when the venue says so."""
    bench = OmsBench()
    order_id = bench.submit()
    bench.attempt(order_id)
    bench.report(ExecType.NEVER_REACHED, order_id, venue_order_id="", evidence="QUERY")
    bench.report(ExecType.NEW, order_id, status=OrderStatus.ACCEPTED)
    assert bench.alerts == ["StateDisagreement"]
    assert order_id in bench.oms.orders
    bench.wake()
    assert [(c.orig_client_order_id, c.reason) for c in the_cancels(bench)] == [(order_id, "NEVER_REACHED")]
    bench.fill(order_id, 4)
    assert bench.position_qty() == 4
    bench.report(ExecType.CANCELLED, order_id)
    assert len(bench.oms.orders) == 0
    assert bench.archived_order(order_id).status is OrderStatus.CANCELLED


def test_requests_of_the_venue_are_followed_when_they_have_names_or_none() -> None:
    """A cancel that someone else asked for is shown, answered by its name, and forgotten with the order."""
    bench = OmsBench()
    order_id = bench.working()
    bench.report(ExecType.PENDING_CANCEL, "", orig_client_order_id=order_id)
    assert bench.events[-1].facets == ("pending_cancel",)
    bench.fill("", 1, exec_id="S")
    assert bench.position_qty() == 0
    bench.report(ExecType.PENDING_CANCEL, "theirs", orig_client_order_id=order_id)
    bench.report(ExecType.CANCELLED, "theirs", orig_client_order_id=order_id)
    assert (bench.events[-1].client_order_id, bench.events[-1].new_status) == (order_id, "CANCELLED")
    assert len(bench.oms.orders) == 0
