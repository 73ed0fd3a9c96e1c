"""The doors that stop trading: the state an operator set, the kill switch by command, and the kill file.

Each door is turned on its own and the strictest one counts, so that opening one never opens another. What a person set stays
set across restarts; the kill file is looked at anew in every run, and until then it counts as unreadable.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

import msgspec

from core.contracts import (
    ClearKillSwitch,
    KillSwitchState,
    KillSwitchStatus,
    SetTradingState,
    TradingState,
    TripKillSwitch,
)

__all__ = ["SwitchState", "Switches", "Turn", "strictest"]

_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
_CLEAR = KillSwitchState(status=KillSwitchStatus.CLEAR, trading_state=TradingState.ACTIVE)


def strictest(*states: TradingState) -> TradingState:
    """The state that allows least."""
    return max(states, key=_STRICTNESS.__getitem__)


class SwitchState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where each door stands. `kill_file` is the last look at it, ever; `is_kill_file_known` says that this run has looked."""

    trading_state: TradingState = TradingState.ACTIVE
    trading_reason: str = ""
    tripped: TradingState = TradingState.ACTIVE
    trip_reason: str = ""
    kill_file: KillSwitchState = _CLEAR
    is_kill_file_known: bool = False


class Turn(NamedTuple):
    """What turning a door came to: the answer for whoever turned it, and, when something changed, the event that tells of it."""

    answer: str
    event: str = ""
    reason: str = ""
    actor: str = ""
    is_trip: bool = False


class Switches:
    """The doors together.

    Invariants: `effective` is the strictest door; nothing but a clearing command loosens a trip, nothing but `SetTradingState`
    loosens the operator's state, nothing but a look at the kill file loosens the kill file; loosening needs a reason.
    """

    def __init__(self) -> None:
        self.state = SwitchState()
        self._settle()

    @property
    def is_kill_readable(self) -> bool:
        """Whether this run knows what the kill file says."""
        return self._is_kill_readable

    @property
    def kill_state(self) -> TradingState:
        """What the kill switch allows, by command or by file; HALTED while the file cannot be read."""
        return self._kill_state

    @property
    def kill_reason(self) -> str:
        """Why the kill switch stands where it stands."""
        return self.state.trip_reason if self.state.tripped is self._kill_state else self.state.kill_file.reason

    @property
    def effective(self) -> TradingState:
        """What the account is allowed, all doors considered."""
        return self._effective

    def set_trading_state(self, command: SetTradingState, actor: str) -> Turn:
        """An operator's wish for the account."""
        old, new, reason = self.state.trading_state, command.trading_state, command.reason.strip()
        if new is old:
            return Turn(f"trading state is {old} already")
        if _STRICTNESS[new] < _STRICTNESS[old] and not reason:
            return Turn(f"refused: trading state {old} -> {new} loosens, a reason is required")
        self._become(msgspec.structs.replace(self.state, trading_state=new, trading_reason=reason))
        return Turn(f"trading state {old} -> {new}{self._still}", "TRADING_STATE_SET", reason, actor)

    def trip(self, command: TripKillSwitch, actor: str) -> Turn:
        """Trip by command. A trip is never looser than the one before."""
        old, new, reason = self.state.tripped, command.trading_state, command.reason.strip()
        if new is TradingState.ACTIVE:
            return Turn("refused: ACTIVE is not a trip, REDUCING or HALTED is required")
        if _STRICTNESS[new] <= _STRICTNESS[old]:
            return Turn(f"kill switch is tripped to {old} already")
        self._become(msgspec.structs.replace(self.state, tripped=new, trip_reason=reason))
        return Turn(f"kill switch tripped to {new}{self._still}", "KILL_SWITCH_TRIPPED", reason, actor, True)

    def clear(self, command: ClearKillSwitch, actor: str) -> Turn:
        """Undo a trip. Refused while the kill file is tripped or unknown: it is removed first, then the switch is cleared."""
        reason = command.reason.strip()
        if not reason:
            return Turn("refused: clearing the kill switch loosens, a reason is required")
        if not self._is_kill_readable:
            return Turn("refused: the kill file cannot be read")
        if self.state.kill_file.status is KillSwitchStatus.TRIPPED:
            return Turn(f"refused: the kill file is tripped ({self.state.kill_file.reason or 'no reason given'}), remove it first")
        old = self.state.tripped
        if old is TradingState.ACTIVE:
            return Turn(f"kill switch is clear already{self._still}")
        self._become(msgspec.structs.replace(self.state, tripped=TradingState.ACTIVE, trip_reason=""))
        return Turn(f"kill switch {old} -> cleared{self._still}", "KILL_SWITCH_CLEARED", reason, actor)

    def on_kill_file(self, seen: KillSwitchState) -> Turn | None:
        """A look at the kill file; None when it says what it said before."""
        before = self.state.kill_file
        self._become(msgspec.structs.replace(self.state, kill_file=seen, is_kill_file_known=True))
        if (seen.status, _allowed(seen)) == (before.status, _allowed(before)):
            return None
        is_trip = seen.status is not KillSwitchStatus.CLEAR
        return Turn(f"kill file {seen.status}", f"KILL_FILE_{seen.status.value}", seen.reason, seen.actor, is_trip)

    def begin_run(self) -> None:
        """A run begins: what the last one saw of the kill file no longer counts."""
        self._become(msgspec.structs.replace(self.state, is_kill_file_known=False))

    def restore(self, state: SwitchState) -> None:
        """Become the switches that had this state."""
        self._become(state)

    @property
    def _still(self) -> str:
        return f"; the account is {self._effective}"

    def _become(self, state: SwitchState) -> None:
        self.state = state
        self._settle()

    def _settle(self) -> None:
        """Doors move rarely and are asked with every intent: what they come to is worked out when they move."""
        state = self.state
        self._is_kill_readable = state.is_kill_file_known and state.kill_file.status is not KillSwitchStatus.UNREADABLE
        self._kill_state = strictest(state.tripped, _allowed(state.kill_file) if state.is_kill_file_known else TradingState.HALTED)
        self._effective = strictest(state.trading_state, self._kill_state)


def _allowed(seen: KillSwitchState) -> TradingState:
    """What a look at the kill file allows. A trip that claims to allow everything is a trip all the same."""
    match seen.status:
        case KillSwitchStatus.CLEAR:
            return TradingState.ACTIVE
        case KillSwitchStatus.UNREADABLE:
            return TradingState.HALTED
        case KillSwitchStatus.TRIPPED:
            return TradingState.HALTED if seen.trading_state is TradingState.ACTIVE else seen.trading_state
        case _:
            assert_never(seen.status)
