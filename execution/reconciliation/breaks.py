"""How long differences last, and what they stop: first their symbol, then the account.

    found once          told, and watched
    `symbol_cycles`     no risk is added in its symbol; one that has no symbol (cash) stops the account
    `account_cycles`    no risk is added at all

What has gone stops nothing any more by itself; whether an account is armed again is a person's decision elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from core.contracts import BreakKind, ReconciliationBreak, StatementSubject
from core.errors import ReconciliationError
from core.settings import ReconciliationSettings

__all__ = ["BreakBook", "BreakState", "require_startable"]

_MISSING = (BreakKind.MISSING_LOCAL, BreakKind.MISSING_BROKER)


class BreakState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What each subject's last statement differed in."""

    found: dict[StatementSubject, tuple[ReconciliationBreak, ...]] = msgspec.field(default_factory=dict)


class BreakBook:
    """The differences there are now.

    Invariant: a difference's `cycles` is the number of statements about its subject in a row that showed it and after which it was not
    adopted.
    """

    def __init__(self, settings: ReconciliationSettings) -> None:
        self.state = BreakState()
        self._symbol_cycles = settings.symbol_cycles
        self._account_cycles = settings.account_cycles

    def update(self, subject: StatementSubject, found: Sequence[ReconciliationBreak], *, is_adopted: bool) -> tuple[ReconciliationBreak, ...]:
        """A new statement differs in this; the same with how often each was found in a row. What is adopted begins anew."""
        before = {(b.kind, b.name): b.cycles for b in self.state.found.get(subject, ())}
        counted = tuple(replace(b, cycles=1 if is_adopted else before.get((b.kind, b.name), 0) + 1, is_adopted=is_adopted) for b in found)
        self.state = BreakState({**self.state.found, subject: counted})
        return counted

    def forget_adopted(self) -> None:
        """What was adopted was told: it is no difference any more."""
        self.state = BreakState({subject: tuple(b for b in found if not b.is_adopted) for subject, found in self.state.found.items()})

    @property
    def all(self) -> tuple[ReconciliationBreak, ...]:
        """Every difference of every subject's last statement."""
        return tuple(b for subject in StatementSubject for b in self.state.found.get(subject, ()))

    @property
    def disarmed_symbols(self) -> tuple[str, ...]:
        """The symbols in which no risk is added."""
        return tuple(sorted({b.symbol for b in self.all if b.symbol and b.cycles >= self._symbol_cycles}))

    @property
    def account_reason(self) -> str:
        """Which difference stops the whole account, or ''."""
        return next((f"{b}, found {b.cycles} times in a row" for b in self.all if b.cycles >= (self._account_cycles if b.symbol else self._symbol_cycles)), "")


def require_startable(breaks: Sequence[ReconciliationBreak], settings: ReconciliationSettings) -> None:
    """ReconciliationError when positions differ in more than a start-up may mend by itself: a person has to look."""
    missing = [b.name for b in breaks if b.kind in _MISSING]
    if len(missing) > settings.missing_positions_max:
        raise ReconciliationError(f"{len(missing)} positions are on one side only ({', '.join(missing)}), at most {settings.missing_positions_max} are allowed")
    for b in breaks:
        if b.kind is BreakKind.QUANTITY_MISMATCH and b.drift_pct is not None and b.drift_pct > settings.quantity_drift_pct_max:
            raise ReconciliationError(f"{b}: {b.drift_pct} % apart, at most {settings.quantity_drift_pct_max} % are allowed")
