"""What risk knows of the account's agreement with its venue, and of executions that belong to nobody.

Both come from the OMS. Without its word the account does not count as reconciled, so it cannot be armed; a difference that lasts
stops new risk in its symbol, then everywhere. Unattributed executions count toward every limit like any position (control 54: the
account that receives the fills is the account the limits look at), and above a bound they trip the kill switch.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.contracts import SUSPENSE_OWNER, PositionSnapshot, ReconciliationReport
from core.money import ZERO
from risk.health import Symptom

__all__ = ["Reconciliation", "ReconciliationState"]

_UNTOLD = "nobody has compared it yet"


class ReconciliationState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why the account is not reconciled ('': it is), where no risk is added, and what suspense is worth by symbol (account currency, at cost)."""

    unreconciled: str = _UNTOLD
    is_told: bool = False
    symbols: tuple[str, ...] = ()
    suspense: dict[str, Decimal] = msgspec.field(default_factory=dict)


class Reconciliation:
    """The last report's word, and what is in suspense."""

    def __init__(self) -> None:
        self.state = ReconciliationState()

    @property
    def is_reconciled(self) -> bool:
        """Whether the account was compared with its venue, and both agree well enough to take risk."""
        return self.state.is_told and not self.state.unreconciled

    @property
    def account_reason(self) -> str:
        """Which difference stops all new risk, or ''. Before the first report the broker holds entries back itself."""
        return self.state.unreconciled if self.state.is_told else ""

    def on_report(self, report: ReconciliationReport) -> Symptom | None:
        """A cycle's outcome; what has changed for new risk, None when nothing has."""
        before = (self.account_reason, self.state.symbols)
        reason = "" if report.is_reconciled else report.reason or report.verdict.value
        self.state = msgspec.structs.replace(self.state, unreconciled=reason, is_told=True, symbols=report.disarmed_symbols)
        now = (reason, report.disarmed_symbols)
        if now == before:
            return None
        if reason:
            return Symptom("RECONCILIATION_BREAK", f"no risk is added to the account, it differs from its venue's: {reason}")
        if report.disarmed_symbols:
            return Symptom("RECONCILIATION_BREAK", f"no risk is added in {', '.join(report.disarmed_symbols)}, the account differs from its venue's")
        return Symptom("RECONCILIATION_BREAK_ENDED", "the account agrees with its venue's", is_alarm=False)

    def on_position(self, position: PositionSnapshot, multiplier: Decimal) -> Decimal | None:
        """An owner's position has changed: what all suspense is worth then, None when it is somebody's position."""
        if position.strategy_id != SUSPENSE_OWNER:
            return None
        worth = abs(position.position_qty) * position.avg_price * multiplier
        suspense = {symbol: value for symbol, value in self.state.suspense.items() if symbol != position.symbol}
        if worth:
            suspense[position.symbol] = worth
        self.state = msgspec.structs.replace(self.state, suspense=suspense)
        return sum(suspense.values(), ZERO)
