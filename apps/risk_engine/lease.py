"""The shell's half of arming: the machine decides that the account is armed, this gives the broker risk's word for it, again and again.

A lease is announced, not stored: nobody may find an old one. It is renewed three times within its life, and what ends it (a
command, a trip, this process) needs no message to the broker, though the end is announced at once where it can be.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from apps.runtime.clock import boot_id, boot_ns, wall_ns
from apps.runtime.shell import Shell
from core.codec import Codec, Envelope
from core.contracts import ArmLease
from core.gate import ArmState
from core.seal import sealed
from core.settings import Settings
from core.topics import CONTROL_LEASE

__all__ = ["LeaseGiver"]

_LOOK_S = 0.02
_RENEWALS = 3
_NS_PER_MS = 1_000_000


class _Decider(Protocol):
    @property
    def arm_state(self) -> ArmState:
        """Whether the account is armed, as the machine has decided."""


class LeaseGiver:
    """Announces leases while the machine says armed, and their end when it does not say so any more."""

    def __init__(self, engine: _Decider, settings: Settings, key: bytes) -> None:
        self._engine = engine
        self._account = settings.account.name
        self._ttl_ns = settings.runtime.lease_ttl_ms * _NS_PER_MS
        self._key = key
        self._boot_id = boot_id()
        self._codec = Codec()
        self._seq = 0
        self._renew_at_ns = 0
        self._is_given = False

    async def run(self, shell: Shell) -> None:
        """Look fifty times a second, for as long as the shell runs."""
        shell.queries["arming"] = lambda: self._engine.arm_state
        while True:
            self.look(shell, boot_ns())
            await asyncio.sleep(_LOOK_S)

    def look(self, shell: Shell, now_ns: int) -> None:
        """Renew, end, or leave as it is. `now_ns` is of the boot clock."""
        if not self._engine.arm_state.is_armed:
            if self._is_given:
                self._is_given = False
                self._announce(shell, 0)
        elif not self._is_given or now_ns >= self._renew_at_ns:
            self._is_given = True
            self._renew_at_ns = now_ns + self._ttl_ns // _RENEWALS
            self._announce(shell, now_ns + self._ttl_ns)

    def _announce(self, shell: Shell, valid_until_boot_ns: int) -> None:
        lease = ArmLease(account=self._account, boot_id=self._boot_id, valid_until_boot_ns=valid_until_boot_ns)
        topic, daemon = CONTROL_LEASE.name(), shell.node.spec.daemon
        self._seq += 1
        shell.bus.announce(topic, daemon, self._codec.encode(Envelope(topic, daemon, self._seq, shell.node.epoch, wall_ns(), sealed(self._key, lease))))
