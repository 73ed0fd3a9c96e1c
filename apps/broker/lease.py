"""The broker's ear for the arm lease: takes what risk announces, believes it only with risk's seal, and asks the boot clock itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apps.runtime.clock import boot_id, boot_ns
from apps.runtime.shell import Shell
from core.codec import Codec
from core.contracts import ArmLease
from core.errors import DecodeError
from core.gate import ArmState
from core.ports import StreamId
from core.seal import is_sealed
from core.settings import Settings
from core.topics import CONTROL_LEASE, Daemon
from execution.arming import Arming, HeldLease, SelfArmed

__all__ = ["LeaseEar"]


class LeaseEar:
    """What this account's venue asks for: risk's lease, or nothing. `hears` names the stream a lease comes on."""

    def __init__(self, settings: Settings, key: bytes) -> None:
        self._key = key
        self._codec = Codec()
        self._held = HeldLease(settings.account.name, boot_id(), settings.runtime.lease_ttl_ms)
        self._needs_lease = settings.venue.arming == "lease"
        self._arming: Arming = self._held if self._needs_lease else SelfArmed()

    @property
    def hears(self) -> Mapping[StreamId, Callable[[bytes], None]]:
        """The announcements to be handed to this ear."""
        return {StreamId(CONTROL_LEASE.name(), Daemon.RISK_ENGINE.value): self.on_announcement} if self._needs_lease else {}

    def on_announcement(self, data: bytes) -> None:
        """A lease, or what claims to be one. What cannot be read or has not risk's seal is as good as not said: the last one runs out."""
        try:
            lease = self._codec.decode(data).body
        except DecodeError:
            return
        if isinstance(lease, ArmLease) and is_sealed(self._key, lease):
            self._held.on_lease(lease)

    def state(self) -> ArmState:
        """Armed or not at this very moment, and why."""
        return self._arming.state(boot_ns())

    async def run(self, shell: Shell) -> None:
        """Tell operators who ask."""
        shell.queries["arming"] = self.state
