"""What the venue says the account is, and how that compares with what we say it is."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from core.contracts.base import Contract
from core.contracts.execution import VenueReport
from core.contracts.position import BalanceSnapshot, PositionSnapshot
from core.money import require_amounts, require_not_negative

__all__ = ["BreakKind", "ReconciliationBreak", "ReconciliationReport", "ReconciliationVerdict", "StatementSubject", "VenueStatement"]


class StatementSubject(StrEnum):
    """What a statement is about: orders that are open, orders that have ended, positions, or balances."""

    OPEN_ORDERS = "OPEN_ORDERS"
    CLOSED_ORDERS = "CLOSED_ORDERS"
    POSITIONS = "POSITIONS"
    BALANCES = "BALANCES"


class VenueStatement(Contract, frozen=True, tag="VenueStatement.1"):
    """What the venue says the account is, as of its event `cursor`. Topic broker.reports.{venue} · Producer broker · Consumers oms.

    Every event up to `cursor`, and none beyond it, was reported before this on the same stream: what was booked by then is what the
    statement has to agree with. `orders` are the venue's views; `missing` are orders of ours that it showed before and does not show
    now, `unsettled` those of which nobody knows yet whether it has them. Statements of one `cycle` belong together, `is_last` ends it;
    `is_start` is set until the account has been reconciled for the first time in a run of the broker.
    """

    venue: str
    account: str
    subject: StatementSubject
    cycle: int
    cursor: int
    stated_ns: int
    orders: tuple[VenueReport, ...] = ()
    missing: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()
    positions: tuple[PositionSnapshot, ...] = ()
    balances: tuple[BalanceSnapshot, ...] = ()
    is_start: bool = False
    is_last: bool = False


class BreakKind(StrEnum):
    """How the venue and we differ: a position only the venue has, or only we; both, of another size; an order of ours it does not
    show, or one that is not ours; an order both know and see differently; another balance."""

    MISSING_LOCAL = "missing_local"
    MISSING_BROKER = "missing_broker"
    QUANTITY_MISMATCH = "quantity_mismatch"
    MISSING_ORDER = "missing_order"
    EXTRA_ORDER = "extra_order"
    STATUS_MISMATCH = "status_mismatch"
    CASH_MISMATCH = "cash_mismatch"


class ReconciliationBreak(Contract, frozen=True):
    """One difference. `name` is the symbol, or for cash the asset, or for an order its client order id; `symbol` is '' for cash.

    `local` and `broker` are amounts (None: there is none), `text` says what amounts cannot; `drift_pct` is how far the venue is from
    us in percent of the larger of both. `cycles` counts how often in a row it was found; `is_adopted` says that the venue's word was taken.
    """

    kind: BreakKind
    name: str
    symbol: str = ""
    local: Decimal | None = None
    broker: Decimal | None = None
    drift_pct: Decimal | None = None
    text: str = ""
    cycles: int = 1
    is_adopted: bool = False

    def __post_init__(self) -> None:
        require_amounts(self, "local", "broker")
        require_not_negative(self, "drift_pct")

    def __str__(self) -> str:
        amounts = "" if self.local is None and self.broker is None else f": local={self.local}, broker={self.broker}"
        return f"{self.kind} {self.name}{amounts}{f' ({self.text})' if self.text else ''}"


class ReconciliationVerdict(StrEnum):
    """What a cycle came to: no difference; differences that were adopted, or are watched; or a start-up that waits for a person."""

    CLEAN = "CLEAN"
    ADOPTED = "ADOPTED"
    BROKEN = "BROKEN"
    HALTED = "HALTED"


class ReconciliationReport(Contract, frozen=True, tag="ReconciliationReport.1"):
    """What one cycle of questions to the venue came to. Topic recon.report · Producer oms · Consumers risk_engine, broker.

    `is_reconciled` says that the account as a whole may take risk: its start-up was not halted and no difference has disarmed it.
    In `disarmed_symbols` no risk is added; reductions pass everywhere. `errors` are findings a person has to look at although nothing
    differs, such as a position held overnight by a strategy that never does.
    """

    account: str
    venue: str
    cycle: int
    cursor: int
    occurred_ns: int
    verdict: ReconciliationVerdict
    is_reconciled: bool
    is_start: bool = False
    reason: str = ""
    breaks: tuple[ReconciliationBreak, ...] = ()
    disarmed_symbols: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
