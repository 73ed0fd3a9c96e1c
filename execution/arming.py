"""Whether risk-increasing orders may leave: the broker's end of the arm lease.

Risk gives its word for a few seconds at a time and the broker looks at the clock itself, so that whatever goes missing (risk,
the bus, a renewal) ends in *disarmed* and needs nobody to say so. Times are of the boot clock, which no one can set back and
which counts while the host sleeps; a lease of another boot or another host is none.
"""

from __future__ import annotations

from typing import Protocol

from core.contracts import ArmLease
from core.gate import ArmState

__all__ = ["SELF_ARMED", "Arming", "HeldLease", "SelfArmed"]

SELF_ARMED = ArmState(True, "self-armed: simulated venue")
_NS_PER_MS = 1_000_000


class Arming(Protocol):
    """What the gate asks."""

    def state(self, boot_ns: int) -> ArmState:
        """Armed or not, and why, at this moment of the boot clock."""


class SelfArmed:
    """A venue at which nothing real can be lost needs nobody's word."""

    def state(self, boot_ns: int) -> ArmState:
        """Always armed."""
        return SELF_ARMED


class HeldLease:
    """The last lease heard.

    Invariants: disarmed until a lease is heard; armed only before the end of the last one, and never for longer than `ttl_ms`
    beyond now, whatever it claims: nobody may arm an account for the rest of the day.
    """

    def __init__(self, account: str, boot_id: str, ttl_ms: int) -> None:
        self._account = account
        self._boot_id = boot_id
        self._ttl_ns = ttl_ms * _NS_PER_MS
        self._lease: ArmLease | None = None

    def on_lease(self, lease: ArmLease) -> None:
        """A genuine lease was heard; it takes the place of the one before, also when it is shorter."""
        if lease.account == self._account and lease.boot_id == self._boot_id:
            self._lease = lease

    def state(self, boot_ns: int) -> ArmState:
        """Armed while the last lease runs."""
        if self._lease is None:
            return ArmState(False, f"no lease for account {self._account} was heard from risk")
        left_ns = self._lease.valid_until_boot_ns - boot_ns
        if left_ns <= 0:
            return ArmState(False, "the lease has ended" if self._lease.valid_until_boot_ns else "risk took the lease back")
        if left_ns > self._ttl_ns:
            return ArmState(False, f"a lease for another {left_ns // _NS_PER_MS} ms is not believed, at most {self._ttl_ns // _NS_PER_MS} ms are allowed")
        return ArmState(True, f"leased for another {left_ns // _NS_PER_MS} ms")
