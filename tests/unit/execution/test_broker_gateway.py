"""What the gateway sends, and what each outcome of a call becomes."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from core.contracts import Alert, ExecType, OrderStatus, SessionPhase, SetTradingState, Severity, TradingState
from core.machine import (
    NO_NEEDS,
    NOTHING_ATTACHED,
    Answer,
    BacklogState,
    CallInterrupted,
    CallReplied,
    CallVenue,
    Command,
    ConfigLoaded,
    FeedExhausted,
    LinkStopped,
    Message,
    Needs,
    Observed,
    Publish,
    Settled,
    VenuePushed,
)
from core.venue import (
    DUPLICATE_CLIENT_ORDER_ID,
    Lookup,
    NotFound,
    NotSent,
    OrdersFetched,
    OutcomeUnknown,
    Place,
    Refused,
    Replace,
    VenueReply,
)
from execution.broker_gateway import build_gateway
from tests.support.builders import NOW, a_clock, a_message, settings_with
from tests.support.gateway import GatewayBench, a_cancel, a_fill, a_replace, a_submit, an_ack, reports_in, terms_of

ORDER = a_submit()
ORDER_ID = ORDER.client_order_id
REPLACE = a_replace(ORDER)


@pytest.fixture(params=[False, True], ids=["alive", "restored before every input"])
def bench(request: pytest.FixtureRequest) -> GatewayBench:
    """A connected gateway; the second one is made anew from its snapshot before every input."""
    return GatewayBench(restarts=request.param).connect()


def test_attempt_is_announced_before_the_call_when_an_order_comes(bench: GatewayBench) -> None:
    """The call is fenced by the topic of the announcement and carries exactly the approved terms and the approval."""
    effects = bench.tell(ORDER)
    (report,) = reports_in(effects)
    assert (report.exec_type, report.evidence, report.client_order_id, report.order_qty) == (ExecType.ATTEMPTED, "GATEWAY", ORDER_ID, Decimal(10))
    assert effects[1] == CallVenue(f"{ORDER_ID}.place1", Place(order=terms_of(ORDER)), "broker.reports.sim", ORDER.approval)
    assert isinstance(effects[0], Publish) and effects[0].correlation_id == "c-1"
    assert len(effects) == 2


def test_replace_is_announced_and_fenced_like_an_order(bench: GatewayBench) -> None:
    """A replacement is new risk: it waits for its announcement and carries its approval."""
    bench.working(ORDER)
    effects = bench.tell(REPLACE)
    (report,) = reports_in(effects)
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id) == (ExecType.ATTEMPTED, "replacement", ORDER_ID)
    request = Replace(orig_client_order_id=ORDER_ID, order=terms_of(REPLACE), venue_order_id=f"V-{ORDER_ID}")
    assert effects[1] == CallVenue("replacement.replace1", request, "broker.reports.sim", REPLACE.approval)


OUTCOMES = [
    (an_ack(ORDER_ID), ExecType.NEW, "REPLY", "", True),
    (an_ack(ORDER_ID, venue_order_id=""), ExecType.IN_DOUBT, "GATEWAY", "NO_ANSWER: reply=Accepted", True),
    (an_ack("another"), ExecType.IN_DOUBT, "GATEWAY", "NO_ANSWER: reply=Accepted", True),
    (Refused(code="INSUFFICIENT_FUNDS", text="need=1"), ExecType.REJECTED, "REPLY", "INSUFFICIENT_FUNDS: need=1", False),
    (Refused(code="NO"), ExecType.REJECTED, "REPLY", "NO", False),
    (Refused(code=DUPLICATE_CLIENT_ORDER_ID, text="o"), ExecType.IN_DOUBT, "GATEWAY", DUPLICATE_CLIENT_ORDER_ID, True),
    (NotSent(code="KILL_SWITCH", text="reason=drill"), ExecType.NOT_SENT, "GATEWAY", "KILL_SWITCH", False),
    (OutcomeUnknown(cause="TIMEOUT", text="5 s"), ExecType.IN_DOUBT, "GATEWAY", "TIMEOUT: 5 s", True),
    (NotFound(), ExecType.IN_DOUBT, "GATEWAY", "NO_ANSWER: reply=NotFound", True),
    (OrdersFetched(orders=()), ExecType.IN_DOUBT, "GATEWAY", "NO_ANSWER: reply=OrdersFetched", True),
]


@pytest.mark.parametrize(("reply", "exec_type", "evidence", "reason", "lives"), OUTCOMES, ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else "")
def test_outcome_of_an_order_is_told_as_what_it_proves(bench: GatewayBench, reply: VenueReply, exec_type: ExecType, evidence: str, reason: str, lives: bool) -> None:
    """A definite yes or no is evidence; everything else is in doubt and is looked up at once, never called rejected."""
    bench.tell(ORDER)
    (report,) = reports_in(bench.reply(Place, reply))
    assert (report.exec_type, report.evidence, report.reject_reason, report.client_order_id) == (exec_type, evidence, reason, ORDER_ID)
    assert (bench.live == [ORDER_ID]) is lives
    assert bench.is_open(Lookup) is (exec_type is ExecType.IN_DOUBT)
    assert ("order_in_doubt" in bench.alerts) is (exec_type is ExecType.IN_DOUBT)
    assert (f"order/{ORDER_ID}" in bench.archive) is not lives


def test_acknowledgement_is_told_with_the_venues_id_and_time(bench: GatewayBench) -> None:
    """NEW says only what the venue said: its id and its moment, no terms."""
    bench.tell(ORDER)
    (report,) = reports_in(bench.reply(Place, an_ack(ORDER_ID, accepted_ns=NOW + 3)))
    assert (report.venue_order_id, report.occurred_ns, report.status, report.order_qty) == (f"V-{ORDER_ID}", NOW + 3, OrderStatus.ACCEPTED, None)


REPLACE_OUTCOMES = [
    (an_ack("replacement"), ExecType.PENDING_REPLACE, "REPLY", "", True),
    (Refused(code="TOO_LATE", text="cum_qty=7"), ExecType.REPLACE_REJECTED, "REPLY", "TOO_LATE: cum_qty=7", False),
    (Refused(code=DUPLICATE_CLIENT_ORDER_ID), ExecType.IN_DOUBT, "GATEWAY", DUPLICATE_CLIENT_ORDER_ID, True),
    (NotSent(code="APPROVAL_EXPIRED"), ExecType.NOT_SENT, "GATEWAY", "APPROVAL_EXPIRED", False),
    (OutcomeUnknown(cause="RESET"), ExecType.IN_DOUBT, "GATEWAY", "RESET", True),
    (NotFound(), ExecType.IN_DOUBT, "GATEWAY", "NO_ANSWER: reply=NotFound", True),
]


@pytest.mark.parametrize(
    ("reply", "exec_type", "evidence", "reason", "lives"), REPLACE_OUTCOMES, ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else ""
)
def test_outcome_of_a_replace_is_told_under_the_replacements_id(bench: GatewayBench, reply: VenueReply, exec_type: ExecType, evidence: str, reason: str, lives: bool) -> None:
    """Whatever became of it, the order it was to replace stays what it was."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    (report,) = reports_in(bench.reply(Replace, reply))
    assert (report.exec_type, report.evidence, report.reject_reason) == (exec_type, evidence, reason)
    assert (report.client_order_id, report.orig_client_order_id) == ("replacement", ORDER_ID)
    assert bench.live == [ORDER_ID, *(["replacement"] if lives else [])]


def test_replaced_order_ends_when_the_venue_shows_the_replacement(bench: GatewayBench) -> None:
    """From REPLACED on the replacement is the order."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, an_ack("replacement"))
    (report,) = reports_in(bench.update(REPLACE, OrderStatus.ACCEPTED, ORDER_ID))
    assert (report.exec_type, report.client_order_id, report.orig_client_order_id, report.order_qty) == (ExecType.REPLACED, "replacement", ORDER_ID, Decimal(7))
    assert bench.live == ["replacement"]
    assert set(bench.archive) == {f"order/{ORDER_ID}"}


def test_second_replacement_stays_pending_when_the_first_one_is_made(bench: GatewayBench) -> None:
    """The venue has taken it and will say what becomes of it."""
    bench.working(ORDER)
    for name in ("replacement", "second"):
        bench.tell(a_replace(ORDER, name))
        bench.reply(Replace, an_ack(name))
    bench.update(REPLACE, OrderStatus.ACCEPTED, ORDER_ID)
    assert bench.live == ["replacement", "second"]


def test_acknowledgement_after_the_venue_showed_the_replacement_changes_nothing(bench: GatewayBench) -> None:
    """A push may overtake the reply; the reply then has nothing to say."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.update(REPLACE, OrderStatus.ACCEPTED, ORDER_ID)
    assert bench.reply(Replace, an_ack("replacement")) == []
    assert bench.live == ["replacement"]


def test_pending_replacement_ends_when_the_order_it_replaces_ends(bench: GatewayBench) -> None:
    """There is nothing left that could be replaced."""
    bench.working(ORDER)
    bench.tell(REPLACE)
    bench.reply(Replace, an_ack("replacement"))
    bench.update(ORDER, OrderStatus.CANCELLED)
    assert bench.live == []


def test_replacement_is_sent_when_the_order_it_replaces_is_not_known_here(bench: GatewayBench) -> None:
    """The venue decides about it, not our memory."""
    bench.tell(REPLACE)
    assert bench.is_open(Replace)
    bench.reply(Replace, an_ack("replacement"))
    bench.update(REPLACE, OrderStatus.ACCEPTED, ORDER_ID)
    assert bench.live == ["replacement"]


@pytest.mark.parametrize("wish", [ORDER, REPLACE], ids=["submit", "replace"])
def test_id_is_sent_once_when_the_instruction_comes_twice(bench: GatewayBench, wish: object) -> None:
    """While it lives, and for ever after it has ended."""
    bench.tell(wish)  # type: ignore[arg-type]
    assert reports_in(bench.tell(wish)) == []  # type: ignore[arg-type]
    bench.give(CallReplied(next(iter(bench.open)), Refused(code="NO")))
    assert bench.live == []
    assert reports_in(bench.tell(wish)) == []  # type: ignore[arg-type]
    assert len(bench.asked) == 1


def test_archive_is_asked_for_only_when_an_id_is_not_live(bench: GatewayBench) -> None:
    """The lookup in the archive costs nothing on the usual path."""
    topic = "orders.accepted.sim"
    bench.working(ORDER)
    gateway = bench.gateway
    needed = Needs(archived=(("order", "else"),))
    assert gateway.needs(a_message(topic, a_submit(2))) == Needs(archived=(("order", a_submit(2).client_order_id),))
    assert gateway.needs(a_message(topic, msgspec.structs.replace(REPLACE, client_order_id="else"))) == needed
    assert gateway.needs(a_message(topic, a_cancel("else"))) == needed
    assert gateway.needs(a_message(topic, a_cancel(ORDER))) is NO_NEEDS
    assert gateway.needs(VenuePushed(a_fill(ORDER, 1))) is NO_NEEDS
    assert gateway.needs(a_message("control.clock", a_clock())) is NO_NEEDS


def test_reply_is_ignored_when_the_order_has_ended_meanwhile(bench: GatewayBench) -> None:
    """A fill overtakes the acknowledgement: the order is filled, and stays so."""
    bench.tell(ORDER)
    bench.push(a_fill(ORDER, 1))
    assert bench.live == []
    assert bench.reply(Place, an_ack(ORDER_ID)) == []


@pytest.mark.parametrize("reply", [OutcomeUnknown(cause="TIMEOUT"), Refused(code=DUPLICATE_CLIENT_ORDER_ID), NotSent(code="X")], ids=lambda r: type(r).__name__)
def test_order_is_not_doubted_when_the_venue_has_shown_it_already(bench: GatewayBench, reply: VenueReply) -> None:
    """A lost or odd answer does not unsay what the venue pushed."""
    bench.tell(ORDER)
    bench.push(a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED))
    assert bench.reply(Place, reply) == []
    assert bench.live == [ORDER_ID]


def test_late_acknowledgement_is_told_when_a_fill_came_first(bench: GatewayBench) -> None:
    """It still brings the venue's word that the order was taken."""
    bench.tell(ORDER)
    bench.push(a_fill(ORDER, 1, 4, status=OrderStatus.PARTIALLY_FILLED))
    (report,) = reports_in(bench.reply(Place, an_ack(ORDER_ID)))
    assert report.exec_type is ExecType.NEW


def test_reply_to_an_unknown_call_changes_nothing(bench: GatewayBench) -> None:
    """A call whose outcome has been taken, or that was never made."""
    assert bench.give(CallReplied("nobody.place1", an_ack("nobody"))) == []
    assert bench.give(CallInterrupted("nobody.place1")) == []


def test_ended_order_leaves_a_small_row_that_keeps_its_id(bench: GatewayBench) -> None:
    """The archive holds the id for ever and little else; the hot state holds nothing."""
    bench.working(ORDER)
    bench.update(ORDER, OrderStatus.CANCELLED)
    row = bench.archive[f"order/{ORDER_ID}"]
    assert msgspec.json.decode(row) == {"symbol": "IBM", "end": "CANCELLED", "at_ns": NOW, "venue_order_id": f"V-{ORDER_ID}", "correlation_id": "c-1"}
    assert bench.gateway.snapshot().orders == () and bench.gateway.snapshot().calls == {}


def test_simulated_venue_arms_itself_when_the_gateway_starts(bench: GatewayBench) -> None:
    """The journal shows that nobody else armed it, and for which account."""
    effects = bench.give(ConfigLoaded("hash", "{}"))
    (alert,) = [effect.body for effect in effects if isinstance(effect, Publish) and effect.topic == "alerts.fired"]
    assert isinstance(alert, Alert)
    assert (alert.severity, alert.daemon, alert.text) == (Severity.INFO, "broker", "account paper at venue sim self-armed: simulated venue")


def test_person_is_told_what_stands_still_when_a_link_stops(bench: GatewayBench) -> None:
    """Single cancels wait behind a stopped link; the kill switch does not, and the alert says both."""
    bench.give(Observed(LinkStopped("orders.accepted.sim", "oms", "poison")))
    assert bench.alerts == ["link_stopped"]


def test_nothing_happens_when_a_fact_or_message_is_not_the_gateways_business(bench: GatewayBench) -> None:
    """Time, settlement and backlogs change nothing here."""
    for fact in (Settled(1), FeedExhausted(1), BacklogState("t", 1, False)):
        assert bench.give(Observed(fact)) == []
    clock: Message = a_message("control.clock", a_clock(phase=SessionPhase.ENDED))
    assert bench.give(clock) == []


def test_other_commands_are_answered_with_what_the_gateway_takes(bench: GatewayBench) -> None:
    """An operator who asks the wrong daemon is told so."""
    answer = Answer("c1", "broker does not take SetTradingState, only CancelAllOrders")
    assert bench.give(Command("c1", "op", SetTradingState(trading_state=TradingState.HALTED, reason="r"))) == [answer]
    assert bench.give(Command("c2", "op", Lookup(client_order_id="o"))) == [Answer("c2", "broker does not take Lookup, only CancelAllOrders")]


def test_gateway_of_the_settings_gates_and_reports_for_their_account() -> None:
    """Name of account and venue, and the late-arrival bound, come from the configuration."""
    gateway = build_gateway(settings_with(account={"name": "other", "venue": "sim2"}))
    effects = gateway.handle(a_message("orders.accepted.sim2", ORDER), NOTHING_ATTACHED, NOW)
    (report,) = reports_in(effects)
    assert (report.account, report.venue) == ("other", "sim2")
