"""The lease from risk's shell to the broker's ear: given while armed, believed only with the seal, gone when anything is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from apps.broker import lease as ear_module
from apps.broker.lease import LeaseEar
from apps.risk_engine.lease import LeaseGiver
from apps.runtime.clock import boot_id, boot_ns
from core.codec import Codec, Envelope
from core.contracts import ArmLease
from core.gate import ArmState
from core.seal import sealed
from core.topics import CONTROL_LEASE
from tests.support.builders import NOW, a_clock, settings_with

KEY = b"k" * 32
SETTINGS = settings_with(venue={"arming": "lease"}, runtime={"lease_ttl_ms": 3_000})
SECOND = 1_000_000_000
BOOT_NS = 50 * SECOND


class Engine:
    """What risk has decided."""

    def __init__(self) -> None:
        self.arm_state = ArmState(False, "not yet")


class _Spec(NamedTuple):
    daemon: str = "risk_engine"


class _Node(NamedTuple):
    spec: _Spec = _Spec()
    epoch: str = "e"


class Shell:
    """A shell as far as a lease needs one; what is announced goes to the ear."""

    def __init__(self, ear: LeaseEar | None = None) -> None:
        self.node = _Node()
        self.bus = self
        self.queries: dict[str, Any] = {}
        self.announced: list[ArmLease] = []
        self._ear = ear

    def announce(self, topic: str, producer: str, data: bytes) -> None:
        body = Codec().decode(data).body
        assert isinstance(body, ArmLease) and topic == CONTROL_LEASE.name()
        self.announced.append(body)
        if self._ear is not None:
            for stream, hear in self._ear.hears.items():
                if (stream.topic, stream.producer) == (topic, producer):
                    hear(data)


class Line:
    """Risk's end and the broker's, and the boot clock both look at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, risk_key: bytes = KEY) -> None:
        self.now_ns = BOOT_NS
        monkeypatch.setattr(ear_module, "boot_ns", lambda: self.now_ns)
        self.engine = Engine()
        self.ear = LeaseEar(SETTINGS, KEY)
        self.shell = Shell(self.ear)
        self.giver = LeaseGiver(self.engine, SETTINGS, risk_key)

    def later(self, ns: int, *, is_risk_alive: bool = True) -> ArmState:
        """Time passes; risk looks, if it lives."""
        self.now_ns += ns
        if is_risk_alive:
            self.giver.look(self.shell, self.now_ns)  # type: ignore[arg-type]
        return self.ear.state()


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """An armed account, whose lease has been given once."""
    made = Line(monkeypatch)
    made.engine.arm_state = ArmState(True, "armed by ops")
    assert made.later(0).is_armed
    return made


def test_account_is_disarmed_until_risk_gives_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is announced while risk says no."""
    line = Line(monkeypatch)
    assert not line.later(SECOND).is_armed
    assert line.shell.announced == []


def test_lease_is_renewed_three_times_in_its_life(line: Line) -> None:
    """So the loss of one announcement, or of two, changes nothing."""
    for _ in range(30):
        assert line.later(SECOND // 10).is_armed
    assert [lease.valid_until_boot_ns - BOOT_NS for lease in line.shell.announced] == [n * SECOND for n in (3, 4, 5, 6)]


def test_account_is_disarmed_by_itself_when_risk_is_gone(line: Line) -> None:
    """Nobody has to say so."""
    assert line.later(3 * SECOND - 1, is_risk_alive=False).is_armed
    assert not line.later(1, is_risk_alive=False).is_armed


def test_account_is_disarmed_at_the_next_look_when_risk_changes_its_mind(line: Line) -> None:
    """The end is announced, once."""
    line.engine.arm_state = ArmState(False, "disarmed by ops")
    assert line.later(1) == (False, "risk took the lease back")
    line.later(SECOND)
    assert [lease.valid_until_boot_ns for lease in line.shell.announced] == [BOOT_NS + 3 * SECOND, 0]


def test_lease_is_not_believed_when_it_has_not_risks_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever can speak on the bus cannot arm the account."""
    line = Line(monkeypatch, risk_key=b"x" * 32)
    line.engine.arm_state = ArmState(True, "armed")
    assert not line.later(0).is_armed
    assert len(line.shell.announced) == 1


@pytest.mark.parametrize("data", [b"{", Codec().encode(Envelope("t", "p", 1, "e", NOW, a_clock()))], ids=["no message", "another message"])
def test_last_lease_runs_out_when_what_comes_is_none(line: Line, data: bytes) -> None:
    """It is as good as not said."""
    line.ear.on_announcement(data)
    assert line.ear.state().is_armed
    assert not line.later(3 * SECOND, is_risk_alive=False).is_armed


def test_nothing_is_listened_to_when_the_venue_arms_itself() -> None:
    """A simulated venue needs nobody's word."""
    ear = LeaseEar(settings_with(), KEY)
    assert ear.hears == {}
    assert ear.state() == (True, "self-armed: simulated venue")


async def test_operators_are_told_on_both_ends_when_they_ask() -> None:
    """`njord status` asks the daemons themselves, on the real clock."""
    ear, engine = LeaseEar(SETTINGS, KEY), Engine()
    broker, risk = Shell(), Shell(ear)
    await ear.run(broker)  # type: ignore[arg-type]
    task = asyncio.ensure_future(LeaseGiver(engine, SETTINGS, KEY).run(risk))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert (risk.queries["arming"](), broker.queries["arming"]().is_armed) == ((False, "not yet"), False)
    engine.arm_state = ArmState(True, "armed")
    async with asyncio.timeout(5):
        while not broker.queries["arming"]().is_armed:
            await asyncio.sleep(0.005)
    task.cancel()


def test_boot_clock_and_boot_are_this_hosts() -> None:
    """The clock goes on while the host sleeps; the id is the kernel's."""
    assert 0 < boot_ns() <= boot_ns()
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lease = sealed(KEY, ArmLease(account=SETTINGS.account.name, boot_id=boot_id(), valid_until_boot_ns=boot_ns() + SECOND))
    ear = LeaseEar(SETTINGS, KEY)
    ear.on_announcement(Codec().encode(Envelope(CONTROL_LEASE.name(), "risk_engine", 1, "e", NOW, lease)))
    assert ear.state().is_armed
