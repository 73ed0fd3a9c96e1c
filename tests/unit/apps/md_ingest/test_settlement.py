"""The settlement watch: nothing moves while anything is outstanding, everything moves once nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from apps.md_ingest import settlement
from apps.md_ingest.settlement import Settlement, has_settled, market_half
from apps.md_ingest.synthetic import synthetic_feed
from apps.runtime.shell import Shell
from core.contracts import SessionClock, SessionPhase
from core.machine import Attached, Observed, Publish
from core.ports import StreamId
from core.replay import ReplayConductor
from core.settings import Settings
from core.topology import durable_streams
from tests.support.builders import settings_with

_BARS, _CLOCK = StreamId("md.bars.1m.IBM", "md_ingest"), StreamId("control.clock", "md_ingest")
_STREAMS = {_BARS: ("strategy_runner", "risk_engine", "paper_venue"), _CLOCK: ("oms",)}


class NotedShell:
    """A shell whose suite takes everything in at once, except what `behind` names: (stream, consumer) pairs not acknowledged."""

    def __init__(self, conductor: ReplayConductor, settings: Settings) -> None:
        self.queries: dict[str, Any] = {}
        self.bus = self
        self.is_quiet = True
        self.is_connected = True
        self.published: list[Publish] = []
        self.behind: set[tuple[StreamId, str]] = set()
        self.asked = 0
        self._conductor = conductor
        self._feed = synthetic_feed(settings)
        self._consumers = durable_streams(settings)

    def observe(self, observed: Observed) -> None:
        """Give it to the conductor with the rows it needs, as the node does."""
        k = self._conductor.needs(observed).feed_step
        rows = self._feed.step(k).rows if k is not None and k < len(self._feed) else ()
        self.published += [effect for effect in self._conductor.handle(observed, Attached(feed=rows), 0) if isinstance(effect, Publish)]

    async def watermarks(self, streams: Sequence[StreamId]) -> dict[StreamId, tuple[int, dict[str, int]]]:
        """A cut: every stream ends at 1, which all have acknowledged but those behind."""
        self.asked += 1
        if self.asked == 1:
            raise ConnectionError("not yet")
        return {stream: (1, {consumer: 0 if (stream, consumer) in self.behind else 1 for consumer in self._consumers[stream]}) for stream in streams}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_POLL_S", "_POLL_DOWN_S"):
        monkeypatch.setattr(settlement, name, 0, raising=False)


def _watched(steps: int, **feed: Any) -> tuple[Settlement, NotedShell]:
    settings = settings_with(feed={"synthetic_steps": steps, **feed})
    conductor = ReplayConductor()
    return Settlement(conductor, synthetic_feed(settings), settings), NotedShell(conductor, settings)


def _clocks(shell: NotedShell) -> list[tuple[int, SessionPhase]]:
    return [(p.body.step, p.body.phase) for p in shell.published if isinstance(p.body, SessionClock)]


def test_nothing_has_settled_when_one_consumer_is_behind() -> None:
    """Every consumer of every stream must have acknowledged its last message."""
    everyone = {"strategy_runner": 3, "risk_engine": 3, "paper_venue": 3}
    assert has_settled({_BARS: (3, everyone), _CLOCK: (2, {"oms": 2})}, _STREAMS)
    assert not has_settled({_BARS: (3, everyone | {"paper_venue": 2}), _CLOCK: (2, {"oms": 2})}, _STREAMS)
    assert not has_settled({_BARS: (3, everyone), _CLOCK: (2, {})}, _STREAMS)


def test_those_who_may_not_look_yet_are_not_waited_for_when_the_market_moves() -> None:
    """Strategies hold new bars back until the clock says so; waiting for them would be waiting for ever."""
    assert market_half(_STREAMS) == {_BARS: ("risk_engine", "paper_venue"), _CLOCK: ("oms",)}


async def test_replay_runs_to_its_end_when_everything_settles() -> None:
    """Market, decide, market, decide, ended: one after the other, and only then it is finished."""
    watch, shell = _watched(2)
    await watch.run(cast(Shell, shell))
    market, decide, ended = SessionPhase.MARKET, SessionPhase.DECIDE, SessionPhase.ENDED
    assert _clocks(shell) == [(0, market), (1, decide), (2, market), (3, decide), (4, ended)]
    assert watch.is_finished
    assert shell.queries["progress"]() == {"step": 4, "last_ns": synthetic_feed(settings_with(feed={"synthetic_steps": 2})).step(1).close_ns, "is_finished": True, "feed_steps": 2}


@pytest.mark.parametrize(("consumer", "stops_at"), [("paper_venue", 0), ("strategy_runner", 1)])
async def test_replay_stands_still_when_a_consumer_of_bars_is_behind(consumer: str, stops_at: int) -> None:
    """The venue holds up the market half; a strategy holds up the decide half, not the market half."""
    watch, shell = _watched(3)
    running = watch.run(cast(Shell, shell)).__await__()
    next(running)
    for _ in range(20):
        if _clocks(shell):
            shell.behind = {(_BARS, consumer)}
        next(running)
    assert _clocks(shell)[-1][0] == stops_at
    assert not watch.is_finished
    running.close()


async def test_replay_stands_still_when_its_own_messages_are_not_out() -> None:
    """What is not in Redis yet cannot have been acknowledged."""
    watch, shell = _watched(3)
    shell.is_quiet = False
    running = watch.run(cast(Shell, shell)).__await__()
    for _ in range(20):
        next(running)
    assert shell.asked == 0
    running.close()


async def test_next_instant_waits_for_its_time_when_a_speed_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 600 feed seconds a second a minute lasts 100 ms; the first instant comes at once."""
    watch, shell = _watched(3, speed=600)
    waits: list[float] = []

    async def noted(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(settlement, "boot_ns", lambda: 1_000)
    monkeypatch.setattr("asyncio.sleep", noted)
    await watch.run(cast(Shell, shell))
    assert [round(wait, 6) for wait in waits if wait] == [0.1, 0.2]
