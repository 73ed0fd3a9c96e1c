"""`njord reconcile`, `njord orders resolve`, `njord suspense`: a person looks at where the account and its venue differ, and decides.

Every decision is a command over the socket of the daemon that owns what it is about: the broker for what the venue is asked and for orders
nobody knows the end of, the OMS for the books. It is journaled there with the person who gave it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

import msgspec

from apps.cli.journals import JournalReader
from apps.runtime.control_socket import ask_daemon
from apps.runtime.home import Home
from core.contracts import OperatorCommand, ReconcileAccount, ReconciliationReport, SyncFromBroker
from core.errors import ConfigError
from core.topics import RECON_REPORT, Daemon

__all__ = ["NOT_YET", "SuspenseView", "exit_code_of", "last_report", "reconcile_now", "suspense_rows", "tell_daemon"]

NOT_YET = 3
_POLL_S = 0.05


class SuspenseView(msgspec.Struct, frozen=True):
    """One row of suspense as people see it: `notional` is what its executions cost, `since_ns` when the first was booked."""

    suspense_key: str
    symbol: str
    side: str
    quantity: Decimal
    notional: Decimal
    venue_order_id: str
    client_order_id: str
    executions: int
    since_ns: int


def tell_daemon(home: Home, daemon: Daemon, command: OperatorCommand) -> tuple[str, int]:
    """Give a daemon a command: its answer, and the exit code (1 when it refuses). ConfigError when it cannot be asked."""
    try:
        reply = ask_daemon(home.socket(daemon.value), {"command": msgspec.to_builtins(command)})
    except ConnectionError as error:
        raise ConfigError(f"{error}: {daemon.value} does not answer, so nothing has changed") from None
    text = str(reply.get("text", ""))
    return text, 0 if reply.get("ok") and not text.startswith("refused") else 1


def last_report(home: Home, cycle_min: int = 0) -> ReconciliationReport | None:
    """The last comparison the OMS has told, if it is of this cycle or a later one."""
    path = home.journal(Daemon.OMS.value)
    if not path.exists():
        raise ConfigError(f"{path}: not found, this suite was never compared with a venue; NJORD_HOME names the suite")
    with JournalReader(path, Daemon.OMS.value) as oms:
        reports = [envelope.body for _, envelope in oms.said(RECON_REPORT.name()) if isinstance(envelope.body, ReconciliationReport)]
    return reports[-1] if reports and reports[-1].cycle >= cycle_min else None


def reconcile_now(
    home: Home, reason: str, timeout_s: float, *, is_sync: bool = False, now_s: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep
) -> tuple[ReconciliationReport | None, str]:
    """Compare everything now, first adopting the venue's word when `is_sync`; the report, or None with why there is none (yet)."""
    if is_sync:
        text, code = tell_daemon(home, Daemon.OMS, SyncFromBroker(reason=reason))
        if code:
            return None, text
    text, code = tell_daemon(home, Daemon.BROKER, ReconcileAccount(reason=reason))
    if code:
        return None, text
    cycle, deadline = int(text.rpartition(" ")[2]), now_s() + timeout_s
    while (report := last_report(home, cycle)) is None:
        if now_s() >= deadline:
            return None, f"the comparison has not come to its end within {timeout_s:g} s"
        pause(_POLL_S)
    return report, ""


def exit_code_of(report: ReconciliationReport | None) -> int:
    """0 when the account agrees with its venue (or what differed was adopted), 1 when it differs, 3 when nobody knows yet."""
    if report is None:
        return NOT_YET
    return 0 if report.is_reconciled and all(b.is_adopted for b in report.breaks) and not report.errors else 1


def suspense_rows(home: Home) -> list[SuspenseView]:
    """What is in suspense now, by the OMS's word. ConfigError when it cannot be asked."""
    try:
        reply = ask_daemon(home.socket(Daemon.OMS.value), {"query": "suspense"})
    except ConnectionError as error:
        raise ConfigError(f"{error}: the oms does not answer, only it knows what is settled") from None
    return msgspec.convert(reply["result"], list[SuspenseView], strict=False)
