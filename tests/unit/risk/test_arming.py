"""Arming: who may, with which words, of what kind of account, and what ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.contracts import ArmAccount, DisarmAccount, KillSwitchState, KillSwitchStatus, SetTradingState, Severity, TradingState, TripKillSwitch
from core.machine import ConfigLoaded, LinkStopped
from core.settings import Settings
from risk.arming import Arming, Wellness, arm_phrase
from tests.support.builders import settings_with
from tests.support.risk_desk import CLEAR, RiskDesk

SETTINGS = settings_with(venue={"arming": "lease"}, limits={"order_notional_max": "25.50"})
PHRASE = "ARM paper 25.5"
TRIPPED = KillSwitchState(status=KillSwitchStatus.TRIPPED, reason="drill")
UNREADABLE = KillSwitchState(status=KillSwitchStatus.UNREADABLE)


def _desk(settings: Settings = SETTINGS) -> RiskDesk:
    return RiskDesk(settings)


def _arm(desk: RiskDesk, phrase: str = PHRASE, reason: str = "open") -> str:
    return desk.command(ArmAccount(phrase=phrase, reason=reason))


def _armed() -> RiskDesk:
    desk = _desk()
    assert _arm(desk) == "armed"
    assert desk.engine.arm_state == (True, "armed by ops: open")
    return desk


def test_account_is_disarmed_when_a_run_begins() -> None:
    """Also when it was armed before: only a person of this run arms it."""
    desk = _armed()
    desk.engine = desk.reborn()
    assert desk.engine.arm_state.is_armed
    desk.start()
    assert desk.engine.arm_state == (False, "every run begins disarmed, `njord arm` arms the account")


def test_account_arms_itself_when_nothing_real_can_be_lost_at_its_venue() -> None:
    """With the configuration of each run, and whatever befalls it."""
    desk = _desk(settings_with())
    desk.command(TripKillSwitch(trading_state=TradingState.HALTED, reason="drill"))
    assert desk.engine.arm_state == (True, "self-armed: simulated venue")


def test_phrase_names_the_account_and_its_largest_order() -> None:
    """One spelling per number."""
    assert arm_phrase(SETTINGS) == PHRASE
    assert arm_phrase(settings_with(limits={"order_notional_max": "25000"})) == "ARM paper 25000"


@pytest.mark.parametrize("phrase", ["", "arm paper 25.5", "ARM paper 25.5 ", "ARM paper 25.50", "ARM other 25.5", "ARM paper"])
def test_arming_is_refused_when_the_phrase_is_not_the_one(phrase: str) -> None:
    """Letter for letter; the answer says which it is."""
    desk = _desk()
    assert _arm(desk, phrase) == f"refused: phrase {phrase!r} is not {PHRASE!r}, which names the account and its largest order"
    assert not desk.engine.arm_state.is_armed


def test_arming_is_refused_when_it_has_no_reason() -> None:
    """It is a person's decision, and it is kept."""
    assert _arm(_desk(), reason=" ") == "refused: arming needs a reason"


AILMENTS: dict[str, tuple[Callable[[RiskDesk], object], str]] = {
    "kill file": (lambda desk: desk.observe(TRIPPED), "the account is HALTED, ACTIVE is required"),
    "kill command": (lambda desk: desk.command(TripKillSwitch(trading_state=TradingState.REDUCING, reason="r")), "the account is REDUCING, ACTIVE is required"),
    "trading state": (lambda desk: desk.command(SetTradingState(trading_state=TradingState.HALTED, reason="r")), "the account is HALTED, ACTIVE is required"),
    "stopped link": (lambda desk: desk.observe(LinkStopped("t", "p", "poison")), "inputs stand still: t of p"),
}


@pytest.mark.parametrize("ailment", AILMENTS)
def test_arming_is_refused_when_the_account_is_not_well(ailment: str) -> None:
    """Each thing that has to be right for entries."""
    befall, why = AILMENTS[ailment]
    desk = _desk()
    befall(desk)
    assert _arm(desk) == f"refused: {why}"


@pytest.mark.parametrize("ailment", AILMENTS)
def test_account_is_disarmed_when_it_stops_being_well(ailment: str) -> None:
    """At once, told, and for good: only a person arms it again."""
    befall, why = AILMENTS[ailment]
    desk = _armed()
    befall(desk)
    assert desk.engine.arm_state == (False, why)
    assert desk.events()[-1].event == "DISARMED"
    assert (desk.alerts()[-1].name, desk.alerts()[-1].severity) == ("DISARMED", Severity.CRITICAL)
    desk.observe(CLEAR)
    assert not desk.engine.arm_state.is_armed


def test_word_is_withheld_while_the_kill_switch_cannot_be_read() -> None:
    """Unreadable denies for as long as it lasts and clears by itself."""
    desk = _armed()
    desk.observe(UNREADABLE)
    assert desk.engine.arm_state == (False, "the kill switch cannot be read")
    assert _arm(desk) == "refused: the kill switch cannot be read"
    desk.observe(CLEAR)
    assert desk.engine.arm_state == (True, "armed by ops: open")


def test_arming_waits_for_the_first_look_at_the_kill_switch() -> None:
    """Not looked yet is not clear."""
    desk = _desk()
    desk.give(ConfigLoaded("hash", "{}"))
    assert _arm(desk) == "refused: the kill switch cannot be read"


def test_account_is_neither_armed_nor_stays_armed_when_it_is_not_reconciled() -> None:
    """The word of a reconciliation counts like every other ailment."""
    arming = Arming(SETTINGS)
    arming.on_wellness(Wellness(TradingState.ACTIVE, True, (), is_reconciled=True))
    assert arming.arm(ArmAccount(phrase=PHRASE, reason="open"), "ops").answer == "armed"
    turn = arming.on_wellness(Wellness(TradingState.ACTIVE, True, (), is_reconciled=False))
    assert turn is not None and turn.reason == "the account is not reconciled with its venue"
    assert arming.arm(ArmAccount(phrase=PHRASE, reason="open"), "ops").answer == "refused: the account is not reconciled with its venue"


def test_anyone_may_disarm_at_any_time() -> None:
    """Without a phrase, without a reason; it is told who and why."""
    desk = _armed()
    assert desk.command(DisarmAccount(reason="lunch"), "someone") == "disarmed"
    assert desk.engine.arm_state == (False, "disarmed by someone: lunch")
    assert desk.command(DisarmAccount(reason="")) == "disarmed already: disarmed by someone: lunch"
    event = desk.events()[-1]
    assert (event.event, event.actor, event.reason) == ("DISARMED", "someone", "lunch")


def test_arming_is_told_with_its_actor_and_reason() -> None:
    """Once; what is armed already is not armed again."""
    desk = _armed()
    assert _arm(desk) == "armed already: armed by ops: open"
    assert [(e.event, e.actor, e.reason) for e in desk.events() if e.event == "ARMED"] == [("ARMED", "ops", "open")]
