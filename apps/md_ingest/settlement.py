"""Watches the whole suite settle, so that a replay's next half-instant begins only when the last one has no consequence left.

An instant has settled when, in one atomic cut over all durable streams, every consumer has acknowledged every message: an
acknowledgement stands for published consequences and finished venue calls (core/node.py), so nothing can be under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from apps.runtime.clock import boot_ns
from apps.runtime.shell import Shell
from core.feed import Feed
from core.machine import FeedExhausted, Observed, Settled
from core.ports import StreamId
from core.replay import ReplayConductor
from core.settings import Settings
from core.topics import CONTROL_CLOCK, MD_BARS, Consumer, View
from core.topology import durable_streams

__all__ = ["Settlement", "has_settled", "market_half"]

_POLL_S = 0.001
_POLL_DOWN_S = 0.02

Cut = Mapping[StreamId, tuple[int, Mapping[str, int]]]


def has_settled(cut: Cut, streams: Mapping[StreamId, tuple[str, ...]]) -> bool:
    """Whether every consumer has acknowledged every message of every stream."""
    return all(cut[stream][1].get(consumer, 0) >= cut[stream][0] for stream, consumers in streams.items() for consumer in consumers)


def market_half(streams: Mapping[StreamId, tuple[str, ...]]) -> dict[StreamId, tuple[str, ...]]:
    """What must settle before the clock moves: all but those who may not see the new bars yet."""
    waiting = {c.daemon.value for c in MD_BARS.consumers if _waits(c)}
    return {stream: tuple(c for c in consumers if c not in waiting) if MD_BARS.expression.match(stream.topic) else consumers for stream, consumers in streams.items()}


def _waits(consumer: Consumer) -> bool:
    return consumer.view is View.JOURNALED and not consumer.sees_future


class Settlement:
    """Drives the conductor: tells it when its last step has settled, at the pace `feed.speed` allows."""

    def __init__(self, conductor: ReplayConductor, feed: Feed, settings: Settings) -> None:
        self.is_finished = False
        self._conductor = conductor
        self._feed = feed
        self._speed = settings.feed.speed
        everything = durable_streams(settings)
        clock = {stream: consumers for stream, consumers in everything.items() if stream.topic == CONTROL_CLOCK.name()}
        # What each half waits for, first the clock alone: everyone must have taken it, and asking for one stream is cheap.
        self._cuts = tuple(tuple(cut for cut in (clock, half) if cut) for half in (market_half(everything), everything))
        self._began: tuple[int, int] | None = None

    def progress(self) -> dict[str, int | bool]:
        """How far the replay has come, for whoever asks over the control socket. `step` counts halves of instants from 0."""
        at = self._conductor.progress
        return {"step": at.step, "last_ns": at.last_ns, "is_finished": self.is_finished, "feed_steps": len(self._feed)}

    async def run(self, shell: Shell) -> None:
        """Watch until the replay has ended and its last step has settled."""
        shell.queries["progress"] = self.progress
        shell.observe(Observed(FeedExhausted(len(self._feed) - 1)))
        while not self.is_finished:
            step = self._conductor.progress.step
            if not shell.is_quiet or not await self._is_settled(shell, step):
                await asyncio.sleep(_POLL_S if shell.is_connected else _POLL_DOWN_S)
            elif self._conductor.is_done:
                self.is_finished = True
            else:
                await self._pace(step)
                shell.observe(Observed(Settled(step)))
                await asyncio.sleep(0)

    async def _is_settled(self, shell: Shell, step: int) -> bool:
        try:
            for streams in self._cuts[step % 2]:
                if not has_settled(await shell.bus.watermarks(list(streams)), streams):
                    return False
        except ConnectionError:
            return False
        return step == self._conductor.progress.step

    async def _pace(self, settled: int) -> None:
        """Before a new instant, wait until its time has come at the chosen speed."""
        following = (settled + 1) // 2
        if self._speed is None or settled % 2 == 0 or following >= len(self._feed):
            return
        at_ns = self._feed.step(following).close_ns
        if self._began is None:
            self._began = (boot_ns(), at_ns)
        due_ns = self._began[0] + int((at_ns - self._began[1]) / self._speed)
        await asyncio.sleep(max(0.0, (due_ns - boot_ns()) / 1e9))
