"""The broker's end of the arm lease: armed by risk's word alone, and for seconds."""

from __future__ import annotations

import pytest

from core.contracts import ArmLease
from execution.arming import HeldLease, SelfArmed

BOOT_NS = 1_000_000_000_000
TTL_MS = 3_000
TTL_NS = TTL_MS * 1_000_000


def _lease(left_ns: int = TTL_NS, account: str = "paper", boot_id: str = "boot") -> ArmLease:
    return ArmLease(account=account, boot_id=boot_id, valid_until_boot_ns=BOOT_NS + left_ns)


def _held(*leases: ArmLease) -> HeldLease:
    held = HeldLease("paper", "boot", TTL_MS)
    for lease in leases:
        held.on_lease(lease)
    return held


def test_account_is_disarmed_when_no_lease_was_heard() -> None:
    """Boots disarmed: nothing on disk arms it."""
    assert _held().state(BOOT_NS) == (False, "no lease for account paper was heard from risk")


@pytest.mark.parametrize(("later_ns", "is_armed"), [(0, True), (TTL_NS - 1, True), (TTL_NS, False), (TTL_NS + 1, False)])
def test_account_is_armed_only_while_the_lease_runs(later_ns: int, is_armed: bool) -> None:
    """The broker looks at the boot clock itself; nobody has to tell it that the lease has ended."""
    assert _held(_lease()).state(BOOT_NS + later_ns).is_armed is is_armed


def test_account_is_disarmed_at_once_when_risk_takes_the_lease_back() -> None:
    """A lease that has ended takes the place of one that has not."""
    held = _held(_lease(), ArmLease(account="paper", boot_id="boot", valid_until_boot_ns=0))
    assert held.state(BOOT_NS) == (False, "risk took the lease back")


@pytest.mark.parametrize("lease", [_lease(account="other"), _lease(boot_id="other")], ids=["another account", "another boot"])
def test_lease_is_no_ones_when_it_is_not_for_this_account_and_boot(lease: ArmLease) -> None:
    """Another account's word arms nothing; the clock of another boot or host says nothing."""
    assert not _held(lease).state(BOOT_NS).is_armed


def test_lease_is_not_believed_when_it_is_longer_than_any_may_be() -> None:
    """Nobody arms an account for the rest of the day."""
    assert _held(_lease(TTL_NS + 1)).state(BOOT_NS) == (False, "a lease for another 3000 ms is not believed, at most 3000 ms are allowed")


def test_account_is_armed_for_ever_when_its_venue_arms_itself() -> None:
    """Nothing real can be lost there."""
    assert SelfArmed().state(BOOT_NS) == SelfArmed().state(0) == (True, "self-armed: simulated venue")
