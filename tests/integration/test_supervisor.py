"""The supervisor on real processes: what dies comes back, what a person must mend stays down, and nothing outlives a stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from apps.cli import supervisor as supervising
from apps.cli.supervisor import STOPPED_FOR_GOOD, Child, Supervisor
from apps.runtime.home import open_home
from core.topics import Daemon

# Says that it runs, so that a test need not guess when its handlers are in place.
_READY = "import signal, sys, time; "
_SLEEPS = _READY + "print('up', flush=True); time.sleep(60)"
_DRAINS = _READY + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up', flush=True); time.sleep(60)"
_DEAF = _READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
TIMEOUT_S = 10.0


def _python(script: str) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", script]


def _until(condition: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        meanwhile()
        time.sleep(0.005)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Makes children, and sees them gone."""
    made: list[Child] = []

    def make(script: str, **terms: frozenset[int]) -> Child:
        made.append(Child("c", _python(script), dict(os.environ), tmp_path / "c.err", **terms))
        return made[-1]

    yield make
    for found in made:
        found.kill()


class TestChild:
    """One process."""

    def test_process_comes_back_when_it_is_killed(self, child: Callable[..., Child]) -> None:
        """Another process, counted as a restart."""
        one = child(_SLEEPS)
        one.start()
        first = one.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        _until(lambda: one.restarts, one.watch)
        assert one.pid not in (None, first)
        assert (one.restarts, one.exit_code) == (1, None)

    def test_pauses_grow_when_it_dies_again_and_again(self, child: Callable[..., Child], tmp_path: Path) -> None:
        """A process that cannot live does not take the machine with it: each pause is twice the one before."""
        one = child(f"import time; open({str(tmp_path / 'starts')!r}, 'a').write(f'{{time.monotonic()}}\\n'); raise SystemExit(1)")
        one.start()
        _until(lambda: one.restarts >= 3 and one.pid is None, one.watch)
        starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
        pauses = [after - before for before, after in pairwise(starts)]
        assert [pause >= least for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=False)] == [True] * len(pauses)
        assert len(pauses) >= 2

    @pytest.mark.parametrize("code", sorted(STOPPED_FOR_GOOD))
    def test_process_stays_down_when_a_restart_cannot_mend_it(self, child: Callable[..., Child], code: int) -> None:
        """Its last words are kept for whoever looks."""
        one = child(f"import sys; print('what is wrong', file=sys.stderr); sys.exit({code})")
        one.start()
        _until(lambda: one.has_given_up, one.watch)
        assert not one.watch()
        assert (one.restarts, one.exit_code, one.errors()) == (0, code, "what is wrong")

    def test_process_comes_back_when_its_supervisor_knows_no_reason_to_stay_down(self, child: Callable[..., Child]) -> None:
        """A demo asks for the end itself: there even a clean end is a death."""
        one = child("pass", stays_down=STOPPED_FOR_GOOD - {0})
        one.start()
        _until(lambda: one.restarts, one.watch)

    def test_last_lines_are_told_when_it_printed_many(self, child: Callable[..., Child]) -> None:
        """Not the first ones, and none when nothing was printed yet."""
        one = child("import sys; [print(k, file=sys.stderr) for k in range(9000)]; sys.exit(2)")
        assert one.errors() == ""
        one.start()
        assert one.wait(TIMEOUT_S)
        assert one.errors(2) == "8998\n8999"

    def test_nothing_happens_when_it_was_never_started(self, child: Callable[..., Child]) -> None:
        """Neither a restart nor a signal nor a wait."""
        one = child(_SLEEPS)
        one.signal(signal.SIGTERM)
        one.kill()
        assert (one.watch(), one.wait(0), one.pid, one.has_given_up) == (False, True, None, False)


class TestSupervisor:
    """All processes of a home."""

    @pytest.fixture
    def supervise(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Supervisor]]:
        """Starts two daemons and a server that run these scripts, and waits until they are up."""
        made: list[Supervisor] = []

        def make(oms: str, broker: str = _DRAINS, server: str = _DRAINS) -> Supervisor:
            scripts = {Daemon.OMS: oms, Daemon.BROKER: broker}
            monkeypatch.setattr(supervising, "daemon_command", lambda daemon: _python(scripts[daemon]))
            home = open_home(tmp_path)
            made.append(Supervisor(home, (Daemon.OMS, Daemon.BROKER), _python(server), {"EXTRA": "1"}))
            made[-1].start()
            _until(lambda: all("up" in child.errors() for child in made[-1].children.values()))
            return made[-1]

        yield make
        for found in made:
            found.stop(0.1)

    def _pids(self, supervisor: Supervisor) -> list[int]:
        return [child.pid or 0 for child in supervisor.children.values()]

    def test_the_dead_are_restarted_and_the_others_left_alone(self, supervise: Callable[..., Supervisor]) -> None:
        """By name, with how often."""
        suite = supervise(_DRAINS)
        before = {name: child.pid for name, child in suite.children.items()}
        os.kill(before["oms"] or 0, signal.SIGKILL)
        restarted: list[str] = []
        _until(lambda: restarted, lambda: restarted.extend(suite.watch()))
        assert (restarted, suite.restarts, suite.given_up) == (["oms"], {"oms": 1}, [])
        assert [name for name, child in suite.children.items() if child.pid != before[name]] == ["oms"]

    def test_who_gave_up_is_named_when_a_person_is_needed(self, supervise: Callable[..., Supervisor]) -> None:
        """The others go on."""
        suite = supervise(_READY + "print('up', flush=True); sys.exit(70)")
        _until(lambda: suite.given_up, suite.watch)
        assert [child.name for child in suite.given_up] == ["oms"]
        assert suite.children["broker"].pid is not None

    def test_all_end_by_themselves_when_stopped(self, supervise: Callable[..., Supervisor]) -> None:
        """Nobody is killed, nobody is left."""
        suite = supervise(_DRAINS)
        pids = self._pids(suite)
        assert suite.stop() == []
        assert [pid for pid in pids if _is_alive(pid)] == []
        assert {child.exit_code for child in suite.children.values()} == {0}

    def test_server_is_asked_last_when_stopped(self, supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
        """Daemons publish what they have said while they drain: the server must still be there."""
        note = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep({wait}), open({file!r}, 'a').write('{name} '), sys.exit(0))); print('up', flush=True); time.sleep(60)"
        scripts = [_READY + note.format(wait=wait, file=str(tmp_path / "ends"), name=name) for name, wait in (("oms", 0.2), ("broker", 0.1), ("redis", 0))]
        supervise(*scripts).stop()
        assert (tmp_path / "ends").read_text().split() == ["broker", "oms", "redis"]

    def test_who_does_not_drain_is_killed_when_the_time_is_over(self, supervise: Callable[..., Supervisor]) -> None:
        """And named; the others had their time, together and not one after the other."""
        suite = supervise(_DEAF, _DEAF)
        pids = self._pids(suite)
        began = time.monotonic()
        assert suite.stop(0.5) == ["oms", "broker"]
        assert time.monotonic() - began < 3.0
        assert [pid for pid in pids if _is_alive(pid)] == []

    def test_nobody_is_left_when_stopping_is_interrupted(self, supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch) -> None:
        """A second Ctrl-C wants it now."""
        suite = supervise(_DEAF)
        pids = self._pids(suite)
        waits = iter([KeyboardInterrupt()])
        real = Child.wait

        def wait(child: Child, timeout_s: float) -> bool:
            for interruption in waits:
                raise interruption
            return real(child, timeout_s)

        monkeypatch.setattr(Child, "wait", wait)
        with pytest.raises(KeyboardInterrupt):
            suite.stop(30.0)
        assert [pid for pid in pids if _is_alive(pid)] == []

    def test_children_get_their_home_when_started(self, supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
        """Whatever NJORD_HOME said where they were started, and what else they are to know; each with a log of its own."""
        suite = supervise(_READY + "import os; print('up', os.environ['NJORD_HOME'], os.environ['EXTRA'], flush=True); time.sleep(60)")
        assert suite.children["oms"].errors() == f"up {tmp_path} 1"
        assert suite.children["broker"].errors() == "up"
