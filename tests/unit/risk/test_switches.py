"""The doors that stop trading: the strictest counts, none opens another, loosening needs a reason."""

from __future__ import annotations

import msgspec
import pytest

from core.contracts import ClearKillSwitch, KillSwitchState, KillSwitchStatus, SetTradingState, TradingState, TripKillSwitch
from core.kill_switch import parse_kill_file
from risk.switches import Switches, SwitchState, strictest

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR)
UNREADABLE = KillSwitchState(status=KillSwitchStatus.UNREADABLE, reason="permission denied")


def _tripped(state: TradingState, reason: str = "drill") -> KillSwitchState:
    return KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=state, reason=reason, actor="ops")


def _ready() -> Switches:
    switches = Switches()
    switches.on_kill_file(CLEAR)
    return switches


def _set(switches: Switches, state: TradingState, reason: str = "because") -> str:
    return switches.set_trading_state(SetTradingState(trading_state=state, reason=reason), "ops").answer


@pytest.mark.parametrize("operator", [ACTIVE, REDUCING, HALTED])
@pytest.mark.parametrize("command", [ACTIVE, REDUCING, HALTED])
@pytest.mark.parametrize("file", [CLEAR, _tripped(REDUCING), _tripped(HALTED), UNREADABLE])
def test_the_account_is_as_the_strictest_door_says(operator: TradingState, command: TradingState, file: KillSwitchState) -> None:
    """Operator's state, trip by command and kill file: whichever allows least."""
    switches = _ready()
    _set(switches, operator)
    switches.trip(TripKillSwitch(trading_state=command, reason="drill"), "ops")
    switches.on_kill_file(file)

    of_file = {KillSwitchStatus.CLEAR: ACTIVE, KillSwitchStatus.UNREADABLE: HALTED}.get(file.status, file.trading_state)
    assert switches.effective is strictest(operator, command, of_file)
    assert switches.kill_state is strictest(command, of_file)


def test_the_kill_file_counts_as_unreadable_when_nobody_has_looked() -> None:
    """Before the first look of a run nothing passes, whatever the run before saw."""
    switches = Switches()
    assert (switches.is_kill_readable, switches.effective) == (False, HALTED)
    switches.on_kill_file(CLEAR)
    assert (switches.is_kill_readable, switches.effective) == (True, ACTIVE)
    switches.begin_run()

    assert (switches.is_kill_readable, switches.effective) == (False, HALTED)


def test_an_empty_kill_file_halts() -> None:
    """`touch` is enough to stop."""
    switches = _ready()
    switches.on_kill_file(parse_kill_file(""))

    assert switches.effective is HALTED


def test_a_trip_that_claims_to_allow_everything_halts() -> None:
    """A tripped file is a trip whatever it says."""
    switches = _ready()
    switches.on_kill_file(_tripped(ACTIVE))

    assert switches.kill_state is HALTED


@pytest.mark.parametrize("operator", [ACTIVE, REDUCING])
def test_the_operators_state_comes_back_when_the_kill_file_is_gone(operator: TradingState) -> None:
    """Removing the file opens its own door and no other."""
    switches = _ready()
    _set(switches, operator)
    switches.on_kill_file(_tripped(HALTED))
    switches.on_kill_file(CLEAR)

    assert switches.effective is operator


def test_an_unreadable_kill_file_clears_by_itself() -> None:
    """Unreadable lasts as long as it lasts, and leaves no trace."""
    switches = _ready()
    turn = switches.on_kill_file(UNREADABLE)
    assert turn is not None
    assert (turn.event, turn.is_trip, switches.effective) == ("KILL_FILE_UNREADABLE", True, HALTED)
    turn = switches.on_kill_file(CLEAR)

    assert turn is not None
    assert (turn.event, turn.is_trip, switches.effective) == ("KILL_FILE_CLEAR", False, ACTIVE)


def test_the_same_look_again_is_no_news() -> None:
    """A restart that finds the file as it was tells nobody again."""
    switches = _ready()
    switches.on_kill_file(_tripped(HALTED))
    switches.begin_run()

    assert switches.on_kill_file(_tripped(HALTED, "other words")) is None
    assert switches.effective is HALTED


@pytest.mark.parametrize(("before", "after"), [(HALTED, REDUCING), (HALTED, ACTIVE), (REDUCING, ACTIVE)])
def test_loosening_is_refused_without_a_reason(before: TradingState, after: TradingState) -> None:
    """A blank reason is none; with one the state changes, and the answer says from what to what."""
    switches = _ready()
    _set(switches, before, "")
    assert switches.effective is before

    for reason in ("", "  \n"):
        assert _set(switches, after, reason) == f"refused: trading state {before} -> {after} loosens, a reason is required"
        assert switches.effective is before
    assert _set(switches, after, "cause is gone") == f"trading state {before} -> {after}; the account is {after}"


def test_tightening_needs_no_reason() -> None:
    """Stopping is never held up by a form."""
    switches = _ready()
    turn = switches.set_trading_state(SetTradingState(trading_state=REDUCING, reason=""), "ops")

    assert (turn.event, turn.actor, switches.effective) == ("TRADING_STATE_SET", "ops", REDUCING)


def test_setting_the_state_it_has_changes_nothing() -> None:
    """The answer says so, and nothing is told."""
    switches = _ready()
    turn = switches.set_trading_state(SetTradingState(trading_state=ACTIVE, reason="x"), "ops")

    assert (turn.answer, turn.event) == ("trading state is ACTIVE already", "")


def test_a_trip_is_undone_by_clearing_alone() -> None:
    """An operator's ACTIVE does not open the kill switch, and clearing it does not open what an operator shut."""
    switches = _ready()
    assert switches.trip(TripKillSwitch(trading_state=HALTED, reason="runaway"), "ops").answer == "kill switch tripped to HALTED; the account is HALTED"
    _set(switches, REDUCING)
    _set(switches, ACTIVE)
    assert (switches.effective, switches.kill_reason) == (HALTED, "runaway")
    _set(switches, REDUCING)

    turn = switches.clear(ClearKillSwitch(reason="found it"), "ops")
    assert (turn.answer, turn.event, turn.reason) == ("kill switch HALTED -> cleared; the account is REDUCING", "KILL_SWITCH_CLEARED", "found it")
    assert switches.effective is REDUCING


@pytest.mark.parametrize(("first", "second", "stays"), [(HALTED, REDUCING, HALTED), (HALTED, HALTED, HALTED), (REDUCING, HALTED, HALTED)])
def test_a_second_trip_never_loosens_the_first(first: TradingState, second: TradingState, stays: TradingState) -> None:
    """Whoever trips last cannot make it milder."""
    switches = _ready()
    switches.trip(TripKillSwitch(trading_state=first, reason="1"), "a")
    switches.trip(TripKillSwitch(trading_state=second, reason="2"), "b")

    assert switches.kill_state is stays


def test_active_is_no_trip() -> None:
    """The command that stops cannot be used to start."""
    switches = _ready()
    switches.trip(TripKillSwitch(trading_state=REDUCING, reason="drill"), "ops")
    turn = switches.trip(TripKillSwitch(trading_state=ACTIVE, reason="drill"), "ops")

    assert (turn.answer, turn.event, switches.kill_state) == ("refused: ACTIVE is not a trip, REDUCING or HALTED is required", "", REDUCING)


@pytest.mark.parametrize(
    ("file", "reason", "answer"),
    [
        (CLEAR, " ", "refused: clearing the kill switch loosens, a reason is required"),
        (UNREADABLE, "x", "refused: the kill file cannot be read"),
        (_tripped(HALTED), "x", "refused: the kill file is tripped (drill), remove it first"),
        (_tripped(HALTED, ""), "x", "refused: the kill file is tripped (no reason given), remove it first"),
    ],
)
def test_clearing_is_refused_while_the_cause_may_still_be_there(file: KillSwitchState, reason: str, answer: str) -> None:
    """No reason, a file that says stop, or one that cannot be read: the switch stays tripped."""
    switches = _ready()
    switches.trip(TripKillSwitch(trading_state=HALTED, reason="drill"), "ops")
    switches.on_kill_file(file)
    turn = switches.clear(ClearKillSwitch(reason=reason), "ops")

    assert (turn.answer, turn.event, switches.state.tripped) == (answer, "", HALTED)


def test_clearing_is_refused_when_nobody_has_looked_at_the_kill_file() -> None:
    """Unknown is not clear."""
    switches = Switches()
    switches.trip(TripKillSwitch(trading_state=HALTED, reason="drill"), "ops")

    assert switches.clear(ClearKillSwitch(reason="x"), "ops").answer == "refused: the kill file cannot be read"


def test_clearing_what_is_clear_changes_nothing() -> None:
    """The answer tells where the account stands all the same."""
    switches = _ready()
    _set(switches, HALTED)

    assert switches.clear(ClearKillSwitch(reason="x"), "ops")[:2] == ("kill switch is clear already; the account is HALTED", "")


def test_everything_a_person_set_survives_a_restart() -> None:
    """State and trip are sticky; only the look at the file is taken anew."""
    switches = _ready()
    _set(switches, REDUCING)
    switches.trip(TripKillSwitch(trading_state=HALTED, reason="drill"), "ops")
    other = Switches()
    other.restore(msgspec.json.decode(msgspec.json.encode(switches.state), type=SwitchState))
    other.begin_run()
    other.on_kill_file(CLEAR)

    assert other.state == switches.state
    assert (other.effective, other.kill_reason) == (HALTED, "drill")
