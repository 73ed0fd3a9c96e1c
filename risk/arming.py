"""Whether the account is armed: a person said so, with the exact words, and nothing has come between since.

Every run begins disarmed. Arming needs the phrase that names the account and its limit, a reason, and an account that is well:
trading state ACTIVE with every door open, all inputs delivering, reconciled. When the account stops being well it is disarmed, and
only a person arms it again; a kill file that cannot be read for a while only suspends. A venue at which nothing real can be lost
arms itself when a run begins.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from core.contracts import ArmAccount, DisarmAccount, TradingState
from core.gate import ArmState
from core.settings import Settings
from risk.switches import Turn

__all__ = ["Arming", "ArmingState", "Wellness", "arm_phrase"]

_AT_BOOT = "every run begins disarmed, `njord arm` arms the account"


class ArmingState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision, and who took it or what ended it."""

    is_armed: bool = False
    reason: str = _AT_BOOT


class Wellness(NamedTuple):
    """What arming asks of the account beside a person's word. `is_reconciled` is the word of a reconciliation with the venue."""

    trading_state: TradingState
    is_kill_readable: bool
    stopped_links: tuple[str, ...]
    is_reconciled: bool

    @property
    def ailment(self) -> str:
        """Why the account cannot be armed, or ''."""
        if self.is_kill_readable and self.trading_state is not TradingState.ACTIVE:
            return f"the account is {self.trading_state}, ACTIVE is required"
        if self.stopped_links:
            return f"inputs stand still: {', '.join(self.stopped_links)}"
        return "" if self.is_reconciled else "the account is not reconciled with its venue"


class Arming:
    """The latch and the state of the account it depends on.

    Invariants: armed only by a person's phrase in this run, or by the venue's own nature; any ailment opens the latch; while the
    kill switch cannot be read the latch gives nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self.state = ArmingState()
        self._phrase = arm_phrase(settings)
        self._is_self_arming = settings.venue.arming == "self"
        self._wellness = Wellness(TradingState.HALTED, False, (), True)

    @property
    def arm_state(self) -> ArmState:
        """Whether risk gives its word now, and why (not)."""
        if self.state.is_armed and not self._wellness.is_kill_readable:
            return ArmState(False, "the kill switch cannot be read")
        return ArmState(self.state.is_armed, self.state.reason)

    def arm(self, command: ArmAccount, actor: str) -> Turn:
        """A person's word."""
        reason = command.reason.strip()
        if command.phrase != self._phrase:
            return Turn(f"refused: phrase {command.phrase!r} is not {self._phrase!r}, which names the account and its largest order")
        if not reason:
            return Turn("refused: arming needs a reason")
        if not self._wellness.is_kill_readable:
            return Turn("refused: the kill switch cannot be read")
        if ailment := self._wellness.ailment:
            return Turn(f"refused: {ailment}")
        if self.state.is_armed:
            return Turn(f"armed already: {self.state.reason}")
        self.state = ArmingState(True, f"armed by {actor}: {reason}")
        return Turn("armed", "ARMED", reason, actor)

    def disarm(self, command: DisarmAccount, actor: str) -> Turn:
        """Anyone may, at any time, without a phrase."""
        reason = command.reason.strip()
        if not self.state.is_armed:
            return Turn(f"disarmed already: {self.state.reason}")
        self.state = ArmingState(False, f"disarmed by {actor}: {reason or 'no reason given'}")
        return Turn("disarmed", "DISARMED", reason, actor, is_trip=True)

    def begin_run(self) -> None:
        """A run begins: nobody has armed it yet, unless the venue needs nobody."""
        self.state = ArmingState(True, "self-armed: simulated venue") if self._is_self_arming else ArmingState()

    def on_wellness(self, wellness: Wellness) -> Turn | None:
        """How the account is now; an ailment ends what a person began. What arms itself needs no person, so nothing ends it for good."""
        self._wellness = wellness
        if not self.state.is_armed or self._is_self_arming or not wellness.ailment:
            return None
        self.state = ArmingState(False, wellness.ailment)
        return Turn("disarmed", "DISARMED", wellness.ailment, "risk_engine", is_trip=True)


def arm_phrase(settings: Settings) -> str:
    """The exact words that arm an account: its name, and the largest order it may send in its currency."""
    return f"ARM {settings.account.name} {settings.limits.order_notional_max.normalize():f}"
