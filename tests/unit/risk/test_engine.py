"""The engine as a machine: one decision per intent, what it says beside yes or no, and what moves its switches."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.contracts import (
    CancelAllOrders,
    ClearKillSwitch,
    ExecType,
    Intent,
    KillSwitchState,
    KillSwitchStatus,
    LedgerAdjusted,
    LimitsChanged,
    OrderIntent,
    OrderStatus,
    OrderType,
    ReplaceIntent,
    RiskDecision,
    SetTradingState,
    Severity,
    Side,
    TimeInForce,
    TradingState,
    TripKillSwitch,
    Verdict,
)
from core.ids import client_order_id
from core.machine import (
    NO_NEEDS,
    NOTHING_ATTACHED,
    Archive,
    BacklogState,
    CallInterrupted,
    ConfigLoaded,
    Effect,
    Input,
    LinkStopped,
    Needs,
    Observed,
    Publish,
    VenueLinkState,
    Wake,
)
from core.order import Origin, new_order, request_replace
from core.venue import BrokerOrderReq, terms_hash
from risk.engine import build_risk_engine
from risk.limits.version import limits_version, told_limits
from tests.support.builders import ACCOUNT, NOW, PREFIX, STRATEGY, SYMBOL, VENUE, a_clock, a_message, a_position, an_intent, an_order_event, settings_with
from tests.support.risk_desk import CLEAR, RiskDesk, a_cancel_intent, a_replace_intent, codes, numbers

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
_DENIED, _ALLOWED = Verdict.DENIED, Verdict.ALLOWED


def _published(effects: list[Effect], kind: type) -> list[Any]:
    return [e.body for e in effects if isinstance(e, Publish) and isinstance(e.body, kind)]


# Approvals and evidence.


def test_an_approval_binds_exactly_the_order_the_venue_will_be_told() -> None:
    """Id, content, limits version and deadline are what broker and venue will see; market price and its age go with it."""
    desk = RiskDesk()
    desk.mark(100.0, age_ms=250.7)
    intent = an_intent("a", order_type=OrderType.LIMIT, limit_price="100.50", time_in_force=TimeInForce.GTC, side=Side.SELL)
    decision = desk.ask(intent)
    order = BrokerOrderReq(
        client_order_id=client_order_id(PREFIX, STRATEGY, "a"),
        symbol=SYMBOL,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=Decimal(10),
        limit_price=Decimal("100.50"),
    )

    approval = decision.approval
    assert approval is not None
    assert (approval.client_order_id, approval.content_hash) == (order.client_order_id, terms_hash(ACCOUNT, VENUE, order))
    assert (approval.limits_version, approval.expires_ns, approval.reduces) == (limits_version(desk.settings), NOW + 5_000 * 10**6, False)
    assert numbers(approval.reference_price, approval.reference_age_ms) == (100, 250)
    assert (decision.intent, decision.limits_version, decision.decided_ns, decision.decision_id) == (intent, approval.limits_version, NOW, "a:d")


def test_an_approval_never_outlives_the_wish() -> None:
    """What the strategy does not want any more at a time cannot be sent then."""
    decision = RiskDesk().ask(an_intent(expires_ns=NOW + 7))

    assert decision.approval is not None and decision.approval.expires_ns == NOW + 7


def test_a_decision_tells_what_it_looked_at() -> None:
    """Position and working orders before, the worst case after, prices and ages: allowed or denied."""
    desk = RiskDesk()
    desk.hold(5, owner="_external")
    desk.ask(an_intent("a", order_qty=3))
    desk.ask(an_intent("b", order_qty=2, side=Side.SELL))
    desk.later(1_200)
    evidence = desk.ask(an_intent("c", order_qty=10, order_type=OrderType.LIMIT, limit_price="101.00")).evidence

    assert numbers(evidence.position_qty, evidence.working_buy_qty, evidence.working_sell_qty) == (5, 3, 2)
    assert numbers(evidence.worst_qty, evidence.worst_notional, evidence.order_notional) == (18, 1_818, 1_010)
    assert numbers(evidence.reference_price, evidence.reference_age_ms, evidence.intent_age_ms) == (100, 0, 1_200)
    assert (evidence.open_positions, evidence.reduces, evidence.trading_state) == (1, False, ACTIVE)


def test_a_sells_worst_case_is_told_below_zero() -> None:
    """Quantities are signed: a possible short shows as one."""
    evidence = RiskDesk().ask(an_intent(side=Side.SELL, order_qty=10)).evidence

    assert numbers(evidence.worst_qty, evidence.worst_notional) == (-10, 1_000)


def test_a_decision_is_published_under_its_intent_and_archived_with_it() -> None:
    """One publication with the intent as correlation, one archive row, nothing else."""
    effects = RiskDesk().message("strat.intent", an_intent("a"))

    assert [type(e) for e in effects] == [Publish, Archive]
    assert isinstance(effects[0], Publish) and (effects[0].topic, effects[0].correlation_id) == ("risk.decision", "a")


# What reduces.


@pytest.mark.parametrize(
    ("held", "working", "side", "qty", "reduces"),
    [
        (10, [], Side.SELL, 10, True),
        (10, [], Side.SELL, 11, False),
        (-10, [], Side.BUY, 10, True),
        (-10, [], Side.BUY, 11, False),
        (0, [], Side.SELL, 1, False),
        (10, [], Side.BUY, 1, False),
        (-10, [], Side.SELL, 1, False),
        (10, [(Side.SELL, 4)], Side.SELL, 6, True),
        (10, [(Side.SELL, 4)], Side.SELL, 7, False),
        (-10, [(Side.BUY, 4)], Side.BUY, 6, True),
        (-10, [(Side.BUY, 4)], Side.BUY, 7, False),
        (10, [(Side.BUY, 4)], Side.SELL, 10, True),
        (0, [(Side.BUY, 4)], Side.SELL, 4, False),
        (10, [(Side.SELL, 10)], Side.SELL, 1, False),
    ],
)
def test_an_order_reduces_only_when_everything_on_its_side_together_cannot_pass_zero(held: int, working: list[tuple[Side, int]], side: Side, qty: int, reduces: bool) -> None:
    """Two exits that would together sell more than is held are not two exits."""
    desk = RiskDesk()
    desk.hold(held)
    for n, (other, size) in enumerate(working):
        desk.ask(an_intent(f"w{n}", side=other, order_qty=size))
    decision = desk.ask(an_intent(side=side, order_qty=qty))

    assert decision.evidence.reduces is reduces
    assert decision.approval is not None and decision.approval.reduces is reduces


def test_an_exit_in_doubt_still_counts_against_the_next_exit() -> None:
    """An exit of unknown outcome may have happened: only the rest can be sold."""
    desk = RiskDesk()
    desk.hold(10)
    desk.ask(an_intent("a", side=Side.SELL, order_qty=6))
    desk.tell(an_order_event(an_intent("a", side=Side.SELL, order_qty=6), OrderStatus.SUBMITTED, facets=("in_doubt",), position=a_position(10)))

    assert codes(desk.ask(an_intent("b", side=Side.SELL, order_qty=5))) == ["IN_DOUBT"]
    assert codes(desk.ask(an_intent("c", side=Side.SELL, order_qty=4))) == []


def test_an_exit_passes_whatever_blocks_entries() -> None:
    """No price, an old wish, a stopped link, a backlog, doubt, REDUCING, an unknown strategy, a repeat: a position can be closed."""
    desk = RiskDesk(settings_with(limits={"order_qty_max": 1, "order_notional_max": 1, "position_qty_max": 1, "position_notional_max": 1, "open_positions_max": 1}))
    desk.hold(100)
    desk.hold(100, "B")
    desk.ask(an_intent("a", side=Side.SELL, order_qty=7))
    desk.tell(an_order_event(an_intent("a", side=Side.SELL, order_qty=7), OrderStatus.SUBMITTED, facets=("in_doubt",), position=a_position(100)))
    desk.marks.clear()
    desk.observe(LinkStopped("md.bars.1m.IBM", "md_ingest", "poison"))
    desk.observe(BacklogState("risk.decision", 9, True))
    desk.set_state(REDUCING)
    desk.observe(KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=REDUCING))
    decision = desk.ask(an_intent("b", side=Side.SELL, order_qty=7, strategy_id="nobody", created_ns=NOW - 10**15))

    assert codes(decision) == []
    assert decision.approval is not None and decision.approval.reduces
    assert (decision.evidence.reference_price, decision.evidence.order_notional) == (None, None)


@pytest.mark.parametrize("is_halted_by", ["operator", "command", "file", "unreadable file"])
def test_nothing_but_cancels_passes_a_halt(is_halted_by: str) -> None:
    """A hard halt stops exits too; cancels stay possible."""
    desk = RiskDesk()
    desk.hold(10)
    match is_halted_by:
        case "operator":
            desk.set_state(HALTED)
        case "command":
            desk.command(TripKillSwitch(trading_state=HALTED, reason="drill"))
        case "file":
            desk.observe(KillSwitchState(status=KillSwitchStatus.TRIPPED))
        case _:
            desk.observe(KillSwitchState(status=KillSwitchStatus.UNREADABLE))

    exit_ = desk.ask(an_intent("a", side=Side.SELL))
    assert (exit_.verdict, exit_.evidence.trading_state, exit_.evidence.reduces) == (_DENIED, HALTED, True)
    assert desk.ask(a_replace_intent("a", "r")).verdict is _DENIED
    assert desk.ask(a_cancel_intent("a", "c")).verdict is _ALLOWED


def test_nothing_passes_before_the_kill_file_was_looked_at() -> None:
    """A run that has not looked yet knows nothing, whatever the run before saw."""
    desk = RiskDesk()
    desk.give(ConfigLoaded("hash", "{}"))
    assert codes(desk.ask(an_intent("a"))) == ["KILL_SWITCH_UNREADABLE"]
    desk.observe(CLEAR)

    assert codes(desk.ask(an_intent("b"))) == []


# Repeats.


def test_the_same_intent_again_is_denied_for_ever() -> None:
    """A repeat right after, and one after the archive is all that remembers, are the same repeat; each answer has its own id."""
    desk = RiskDesk(settings_with(journal={"batch_max": 1}))
    desk.ask(an_intent("a"))
    first = desk.ask(an_intent("a"))
    for n in range(3):
        desk.ask(an_intent(f"b{n}", order_qty=n + 1))
    second = desk.ask(an_intent("a"))

    assert codes(first) == codes(second) == ["DUPLICATE_INTENT", "DUPLICATE_ORDER"]
    assert len({first.decision_id, second.decision_id, "a:d"}) == 3
    assert first.evidence.working_buy_qty == 10
    assert not desk.alerts()


def test_a_denied_intent_again_is_a_repeat_too() -> None:
    """A wish gets one answer, and 'no' is one."""
    desk = RiskDesk()
    desk.ask(an_intent("a", strategy_id="nobody"))

    assert codes(desk.ask(an_intent("a", strategy_id="nobody")))[0] == "DUPLICATE_INTENT"


def test_a_person_is_told_when_an_intent_id_means_two_things() -> None:
    """Other content under a used id is denied, alerted, and changes nothing about the first."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    decision = desk.ask(an_intent("a", order_qty=11))

    assert codes(decision) == ["INTENT_ID_REUSED"]
    (alert,) = desk.alerts()
    assert (alert.name, alert.severity, alert.daemon) == ("INTENT_ID_REUSED", Severity.CRITICAL, "risk_engine")
    assert desk.engine.snapshot().exposure.reservations["a"].order_qty == 10


def test_an_id_is_used_by_intents_of_every_kind() -> None:
    """An order under the id of an earlier cancel is not that cancel again."""
    desk = RiskDesk()
    desk.ask(a_cancel_intent("x", "a"))

    assert codes(desk.ask(an_intent("a"))) == ["INTENT_ID_REUSED"]


def test_a_repeat_reserves_nothing() -> None:
    """However often an intent comes, its order is counted once."""
    desk = RiskDesk()
    for _ in range(3):
        desk.ask(an_intent("a"))

    assert desk.engine.snapshot().exposure.symbols[SYMBOL].working_buy_qty == 10


# Cancels and replaces.


def test_a_cancel_is_always_allowed_and_needs_no_approval() -> None:
    """Known target or not, again or not, other content or not: a cancel is never held back."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    for intent in (a_cancel_intent("a", "c"), a_cancel_intent("a", "c"), a_cancel_intent("nobody's", "c")):
        decision = desk.ask(intent)
        assert (decision.verdict, decision.approval, decision.denials) == (_ALLOWED, None, ())

    assert [alert.name for alert in desk.alerts()] == ["INTENT_ID_REUSED"]
    assert desk.said[-2] != desk.said[-1]


def test_a_cancels_evidence_tells_its_orders_symbol() -> None:
    """What was held and working when it passed."""
    desk = RiskDesk()
    desk.hold(3)
    desk.ask(an_intent("a"))
    evidence = desk.ask(a_cancel_intent("a")).evidence

    assert numbers(evidence.position_qty, evidence.working_buy_qty, evidence.working_sell_qty, evidence.intent_age_ms) == (3, 10, 0, 0)
    assert desk.ask(a_cancel_intent("nobody's", "c2")).evidence.position_qty is None


def test_a_replaces_approval_is_bound_to_the_terms_the_oms_will_send() -> None:
    """The hash is over the target's terms with the wanted ones laid over, under the next id of the lineage, as the OMS makes them."""
    desk = RiskDesk()
    intent = an_intent("a", order_type=OrderType.STOP_LIMIT, limit_price="99.50", stop_price="101.00", time_in_force=TimeInForce.GTC)
    desk.ask(intent)
    decision = desk.ask(a_replace_intent("a", "r", limit_price="99.75"))
    origin = Origin(
        client_order_id=client_order_id(PREFIX, STRATEGY, "a"),
        intent_id="a",
        strategy_id=STRATEGY,
        account=ACCOUNT,
        venue=VENUE,
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.STOP_LIMIT,
        time_in_force=TimeInForce.GTC,
        created_ns=NOW,
    )
    order = msgspec.structs.replace(new_order(origin, intent.order_qty, intent.limit_price, intent.stop_price), attempted_ns=1, is_accepted=True)
    assert decision.approval is not None
    asked = request_replace(order, decision.approval.client_order_id, "r", NOW, order_qty=None, limit_price=Decimal("99.75"), stop_price=None)
    terms = asked.requests[0].terms
    assert terms is not None
    wanted = BrokerOrderReq(
        client_order_id=terms.client_order_id,
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.STOP_LIMIT,
        time_in_force=TimeInForce.GTC,
        order_qty=terms.order_qty,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
    )

    assert decision.approval.client_order_id == client_order_id(PREFIX, STRATEGY, "a", 1)
    assert decision.approval.content_hash == terms_hash(ACCOUNT, VENUE, wanted)


def test_a_second_replace_follows_the_answer_to_the_first() -> None:
    """One outstanding; after a refusal or a confirmation the next one has the next revision and the confirmed terms."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    desk.ask(a_replace_intent("a", "r1", order_qty=12))
    assert codes(desk.ask(a_replace_intent("a", "r2", order_qty=13))) == ["REPLACE_PENDING"]
    desk.tell(an_order_event(an_intent("a", order_qty=12), exec_type=ExecType.REPLACED))
    decision = desk.ask(a_replace_intent("a", "r3", order_qty=14))

    assert decision.approval is not None
    assert decision.approval.client_order_id == client_order_id(PREFIX, STRATEGY, "a", 2)
    assert numbers(decision.evidence.working_buy_qty, decision.evidence.worst_qty) == (12, 14)


@pytest.mark.parametrize(("wanted", "worst"), [(15, 15), (5, 10)])
def test_a_replace_is_judged_by_the_larger_of_both_terms(wanted: int, worst: int) -> None:
    """Until it is answered either may trade; the order's own reservation is not counted twice."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    decision = desk.ask(a_replace_intent("a", order_qty=wanted))

    assert decision.evidence.worst_qty == worst
    assert desk.engine.snapshot().exposure.symbols[SYMBOL].working_buy_qty == worst


def test_a_replace_to_more_than_the_position_limit_is_denied() -> None:
    """What is allowed as an order and its replacement is what would be allowed as one order."""
    desk = RiskDesk(settings_with(limits={"order_qty_max": 20, "position_qty_max": 20}), price=1.0)
    desk.hold(5)
    desk.ask(an_intent("a"))

    assert codes(desk.ask(a_replace_intent("a", "r1", order_qty=16))) == ["POSITION_QTY_MAX"]
    assert codes(desk.ask(a_replace_intent("a", "r2", order_qty=15))) == []


def test_a_replace_of_a_partly_filled_order_counts_what_is_left() -> None:
    """What has traded is in the position already."""
    desk = RiskDesk(settings_with(limits={"order_qty_max": 20, "position_qty_max": 20}), price=1.0)
    desk.ask(an_intent("a"))
    desk.tell(an_order_event(an_intent("a"), OrderStatus.PARTIALLY_FILLED, cum_qty=8, position=a_position(8)))
    decision = desk.ask(a_replace_intent("a", "r", order_qty=20))

    assert codes(decision) == []
    assert decision.evidence.worst_qty == 20


def test_a_replace_that_reduces_passes_while_only_reducing_is_allowed() -> None:
    """An exit's price can be bettered in REDUCING; an entry's cannot, and an exit cannot grow through zero."""
    desk = RiskDesk()
    desk.hold(10)
    desk.ask(an_intent("x", side=Side.SELL, order_type=OrderType.LIMIT, limit_price="101.00"))
    desk.ask(an_intent("e", order_type=OrderType.LIMIT, limit_price="99.00"))
    desk.set_state(REDUCING)

    assert codes(desk.ask(a_replace_intent("e", "r1", order_qty=5))) == ["REDUCING_ONLY"]
    assert codes(desk.ask(a_replace_intent("x", "r2", order_qty=11))) == ["REDUCING_ONLY"]
    decision = desk.ask(a_replace_intent("x", "r3", limit_price="100.00"))
    assert decision.approval is not None and decision.approval.reduces


@pytest.mark.parametrize("change", [{"strategy_id": "other"}, {"target_intent_id": "b"}])
def test_a_replace_is_denied_when_the_order_is_not_its_strategys(change: dict[str, str]) -> None:
    """Nobody changes another's order, nor one that does not exist; there is no order to look at then."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    wish = msgspec.structs.replace(a_replace_intent("a", order_qty=11), **change)
    decision = desk.ask(wish)

    assert codes(decision) == ["UNKNOWN_TARGET"]
    assert (decision.evidence.order_notional, decision.evidence.intent_age_ms) == (None, 0)


@pytest.mark.parametrize("batch_max", [1, 256])
def test_a_replace_is_told_that_its_order_has_ended(batch_max: int) -> None:
    """An ended order is known from the archive for ever; a denied wish never was an order."""
    desk = RiskDesk(settings_with(journal={"batch_max": batch_max}))
    desk.ask(an_intent("a"))
    desk.ask(an_intent("d", strategy_id="nobody"))
    desk.tell(an_order_event(an_intent("a"), OrderStatus.FILLED, cum_qty=10, position=a_position(10)))

    assert codes(desk.ask(a_replace_intent("a", "r1", order_qty=12))) == ["TARGET_ENDED"]
    assert codes(desk.ask(a_replace_intent("d", "r2", order_qty=12))) == ["UNKNOWN_TARGET"]


def test_a_replace_is_denied_when_its_order_ended_in_doubt() -> None:
    """An ended order whose remainder is still counted can be no replace's target."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    desk.tell(an_order_event(an_intent("a"), OrderStatus.CANCELLED, facets=("lost",)))

    assert codes(desk.ask(a_replace_intent("a", order_qty=12))) == ["TARGET_ENDED"]


def test_a_replace_is_denied_when_risk_never_approved_the_order() -> None:
    """An order that risk knows from the ledger alone has terms it cannot vouch for."""
    desk = RiskDesk()
    desk.tell(an_order_event(an_intent("found")))

    (denial,) = desk.ask(a_replace_intent("found", order_qty=12)).denials
    assert (denial.code, denial.evidence) == ("UNKNOWN_TARGET", "target_intent_id=found, approved=never")


# The ledger's words.


def test_positions_of_every_owner_count() -> None:
    """Suspense and other people's fills are exposure like any other."""
    desk = RiskDesk(settings_with(limits={"order_qty_max": 20, "position_qty_max": 20}), price=1.0)
    desk.hold(8, owner="_suspense")
    desk.hold(7, owner="_external")

    assert codes(desk.ask(an_intent("a", order_qty=6))) == ["POSITION_QTY_MAX"]
    assert codes(desk.ask(an_intent("b", order_qty=5))) == []


def test_a_ledger_adjustment_without_a_position_changes_nothing() -> None:
    """Cash alone is no exposure."""
    desk = RiskDesk()
    before = desk.engine.snapshot()

    assert desk.tell(LedgerAdjusted(account=ACCOUNT, reason="OPENING", evidence="CONFIG", occurred_ns=NOW)) == []
    assert desk.engine.snapshot() == before


def test_an_excess_that_a_fact_made_is_told_once_and_until_it_ends() -> None:
    """An overfill takes the position beyond its limit: a person is told, entries are denied, and the end is told too."""
    desk = RiskDesk(settings_with(limits={"order_qty_max": 10, "position_qty_max": 10}), price=1.0)
    desk.hold(11)
    desk.hold(12)
    assert [(e.event, e.symbol) for e in desk.events()] == [("POSITION_EXCESS", SYMBOL)]
    assert [(a.name, a.severity) for a in desk.alerts()] == [("POSITION_EXCESS", Severity.CRITICAL)]
    assert codes(desk.ask(an_intent("a", order_qty=1))) == ["POSITION_QTY_MAX"]
    desk.hold(-11, "B")
    desk.hold(10)

    assert [e.event for e in desk.events()] == ["POSITION_EXCESS", "POSITION_EXCESS", "POSITION_EXCESS_ENDED"]
    assert desk.engine.snapshot().excesses == ("B",)


# Switches, links, configuration.


def test_every_turn_of_a_switch_is_told_with_its_reason_and_actor() -> None:
    """Events say what changed, why, by whom, and where the account stands; trips alert a person."""
    desk = RiskDesk()
    desk.set_state(REDUCING, "lunch")
    desk.command(TripKillSwitch(trading_state=HALTED, reason="runaway"), actor="ann")
    desk.observe(KillSwitchState(status=KillSwitchStatus.TRIPPED, reason="smoke", actor="bob"))
    desk.observe(CLEAR)
    desk.command(ClearKillSwitch(reason="found it"), actor="ann")
    desk.set_state(ACTIVE, "back")

    assert [(e.event, e.reason, e.actor, e.trading_state) for e in desk.events()] == [
        ("TRADING_STATE_SET", "lunch", "ops", REDUCING),
        ("KILL_SWITCH_TRIPPED", "runaway", "ann", HALTED),
        ("KILL_FILE_TRIPPED", "smoke", "bob", HALTED),
        ("KILL_FILE_CLEAR", "", "", HALTED),
        ("KILL_SWITCH_CLEARED", "found it", "ann", REDUCING),
        ("TRADING_STATE_SET", "back", "ops", ACTIVE),
    ]
    assert [(a.name, a.severity) for a in desk.alerts()] == [("KILL_SWITCH_TRIPPED", Severity.CRITICAL), ("KILL_FILE_TRIPPED", Severity.CRITICAL)]
    assert "smoke" in desk.alerts()[1].text and "bob" in desk.alerts()[1].text


def test_a_refused_command_changes_and_tells_nothing() -> None:
    """Only the answer says why."""
    desk = RiskDesk()
    desk.set_state(HALTED)
    told = len(desk.events())

    assert desk.command(SetTradingState(trading_state=ACTIVE, reason="")).startswith("refused: ")
    assert desk.command(CancelAllOrders(reason="x")) == "refused: CancelAllOrders is not a command for risk_engine"
    assert (len(desk.events()), codes(desk.ask(an_intent()))) == (told, ["TRADING_HALTED"])


def test_a_restart_without_changes_tells_nothing() -> None:
    """The same limits and the same kill file are no news."""
    desk = RiskDesk()
    before = len(desk.said)
    desk.start()

    assert len(desk.said) == before


def test_the_limits_are_told_when_they_differ_from_the_last_told() -> None:
    """Every limit by name with its version; again only after a change, also across a restart."""
    desk = RiskDesk()
    (told,) = _published(desk.said, LimitsChanged)
    assert told.limits_version == desk.ask(an_intent()).limits_version == limits_version(desk.settings)
    assert (told.limits["order_qty_max"], told.limits["approval_ttl_ms"], told.reason) == ("10000", "5000", "configuration hash")
    assert set(told.limits) == set(type(desk.settings.limits).model_fields)

    changed = settings_with(limits={"order_qty_max": 9})
    engine = build_risk_engine(changed, id_prefix=PREFIX)
    engine.restore(desk.engine.snapshot())
    (again,) = _published(list(engine.handle(ConfigLoaded("other", "{}"), NOTHING_ATTACHED, NOW)), LimitsChanged)
    assert again.limits_version == limits_version(changed) != told.limits_version


def test_the_limits_version_depends_on_values_alone() -> None:
    """Another spelling is the same version; another limit, instrument or grid is another one."""
    base = limits_version(settings_with())

    assert limits_version(settings_with(limits={"order_qty_max": "1E+4"}, instruments={"default": {"tick": "0.010", "lot": "1.0", "order_qty_min": "1"}})) == base
    assert limits_version(settings_with(account={"opening_balances": {"USD": "5"}})) == base
    others = [
        limits_version(settings_with(limits={"approval_ttl_ms": 5_001})),
        limits_version(settings_with(instruments={"default": {"tick": "0.02", "lot": "1", "order_qty_min": "1"}})),
        limits_version(settings_with(instruments={"B": {}})),
    ]
    assert len({base, *others}) == 4
    assert told_limits(settings_with())["position_notional_max"] == "50000"


def test_a_stopped_link_is_told_and_holds_until_a_run_without_it() -> None:
    """Entries are denied, exits are not; a run that finds the link whole trades again."""
    desk = RiskDesk()
    desk.observe(LinkStopped("orders.events", "oms", "poison"))
    desk.observe(LinkStopped("orders.events", "oms", "poison"))
    assert codes(desk.ask(an_intent("a"))) == ["LINK_STOPPED"]
    assert [e.event for e in desk.events()] == [a.name for a in desk.alerts()] == ["LINK_STOPPED"]
    desk.observe(LinkStopped("orders.events", "oms", "poison"))
    desk.start()
    assert codes(desk.ask(an_intent("b"))) == ["LINK_STOPPED"]
    desk.start()

    assert codes(desk.ask(an_intent("c"))) == []


def test_a_backlog_denies_entries_until_it_is_over() -> None:
    """Beginning and end are told; the end needs no person."""
    desk = RiskDesk()
    desk.observe(BacklogState("risk.decision", 7, True))
    assert codes(desk.ask(an_intent("a"))) == ["BACKLOG"]
    desk.observe(BacklogState("risk.decision", 1, False))

    assert codes(desk.ask(an_intent("b"))) == []
    assert [e.event for e in desk.events()] == ["BACKLOG", "BACKLOG_ENDED"]
    assert len(desk.alerts()) == 1


# The machine.


@pytest.mark.parametrize("event", [Wake(NOW), CallInterrupted("x"), Observed(VenueLinkState(True)), a_message("control.clock", a_clock())])
def test_what_risk_does_not_need_changes_nothing(event: Input) -> None:
    """Everything a node may give is taken, and what is not risk's business leaves no trace."""
    desk = RiskDesk()
    before = desk.engine.snapshot()

    assert desk.give(event) == []
    assert desk.engine.snapshot() == before
    assert desk.engine.needs(event) is NO_NEEDS
    assert desk.engine.next_wake_ns is None


@pytest.mark.parametrize(
    ("intent", "needs"),
    [
        (an_intent("b"), Needs((SYMBOL,), (("intent", "b"),))),
        (a_cancel_intent("a", "b"), Needs((), (("intent", "b"),))),
        (a_replace_intent("a", "b"), Needs((SYMBOL,), (("intent", "b"),))),
        (a_replace_intent("gone", "b"), Needs((), (("intent", "b"), ("intent", "gone")))),
    ],
)
def test_an_intent_needs_its_mark_and_the_answers_its_id_got_before(intent: Intent, needs: Needs) -> None:
    """Asking changes nothing."""
    desk = RiskDesk()
    desk.ask(an_intent("a"))
    before = desk.engine.snapshot()

    assert desk.engine.needs(a_message("strat.intent", intent)) == needs
    assert desk.engine.snapshot() == before


def test_the_engine_is_refused_a_prefix_that_makes_ids_too_long() -> None:
    """An id that a venue would cut must not be minted, and that is found before the first order."""
    with pytest.raises(ValueError, match="too long"):
        build_risk_engine(settings_with(), id_prefix="sixsix")


def _a_day(desk: RiskDesk) -> None:
    """Something of everything that leaves a trace."""
    desk.hold("2.50", "B", "_external")
    desk.ask(an_intent("a", order_type=OrderType.LIMIT, limit_price="99.50"))
    desk.ask(a_replace_intent("a", "r", order_qty="12.0"))
    desk.tell(an_order_event(an_intent("a"), OrderStatus.PARTIALLY_FILLED, cum_qty="3.0", position=a_position("3.0"), facets=("pending_replace", "in_doubt")))
    desk.ask(an_intent("b", symbol="B"))
    desk.ask(an_intent("d", strategy_id="nobody"))
    desk.ask(a_cancel_intent("a"))
    desk.observe(BacklogState("risk.decision", 7, True))
    desk.observe(BacklogState("control.limits", 7, True))
    desk.hold(20_000, "C", "_suspense")
    desk.set_state(REDUCING, "lunch")
    desk.command(TripKillSwitch(trading_state=REDUCING, reason="drill"))
    desk.observe(KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=REDUCING, reason="smoke"))
    desk.observe(LinkStopped("orders.events", "oms", "poison"))


def test_a_restored_engine_goes_on_exactly_like_the_one_that_was_saved() -> None:
    """State survives JSON unchanged, and every later input gives the same bytes from both."""
    desk = RiskDesk()
    _a_day(desk)
    other = RiskDesk(engine=desk.reborn())
    desk.start()
    other.archive, other._seqs = dict(desk.archive), dict(desk._seqs)
    assert other.engine.snapshot() == desk.engine.snapshot()

    later: list[OrderIntent | ReplaceIntent] = [an_intent("a"), an_intent("x", side=Side.SELL, order_qty=3), an_intent("y"), a_replace_intent("a", "r2", order_qty=13)]
    for intent in later:
        assert msgspec.json.encode(desk.ask(intent)) == msgspec.json.encode(other.ask(intent))
    for each in (desk, other):
        each.tell(an_order_event(an_intent("a"), OrderStatus.CANCELLED, cum_qty=3, position=a_position(3)))
        each.hold(0, "C", "_suspense")
        each.observe(CLEAR)
        each.command(ClearKillSwitch(reason="x"))
        each.set_state(ACTIVE)
    assert msgspec.json.encode(desk.engine.snapshot()) == msgspec.json.encode(other.engine.snapshot())
    assert msgspec.json.encode(desk.ask(an_intent("z"))) == msgspec.json.encode(other.ask(an_intent("z")))


def test_a_snapshot_is_not_changed_by_what_happens_after_it() -> None:
    """The journal writes it later than it was taken."""
    desk = RiskDesk()
    _a_day(desk)
    snapshot = desk.engine.snapshot()
    encoded = msgspec.json.encode(snapshot)
    desk.hold(9)
    desk.tell(an_order_event(an_intent("a"), OrderStatus.CANCELLED))
    desk.ask(an_intent("later"))

    assert msgspec.json.encode(snapshot) == encoded


def test_the_state_stays_small_when_orders_end() -> None:
    """What has ended is in the archive; hot state holds the ids of one batch and the orders of one window."""
    desk = RiskDesk(settings_with(journal={"batch_max": 8}))
    for n in range(100):
        desk.later(1_001)
        intent = an_intent(f"i{n}", created_ns=desk.now_ns, expires_ns=desk.now_ns + 10**9)
        assert codes(desk.ask(intent)) == []
        desk.tell(an_order_event(intent, OrderStatus.CANCELLED))
    state = desk.engine.snapshot()

    assert (len(state.memory.decided), len(state.memory.orders), state.exposure.symbols, state.exposure.reservations) == (8, 1, {}, {})
    assert len(desk.archive) == 100
    assert isinstance(desk.said[-1], Archive)
    assert sum(isinstance(e, Publish) and isinstance(e.body, RiskDecision) for e in desk.said) == 100
