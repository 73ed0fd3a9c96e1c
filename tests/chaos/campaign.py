"""Rounds of chaos: each is a suite of its own that trades the shipped demo while misfortunes strike, and must be whole at its end."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from core.topics import Daemon
from tests.chaos.misfortunes import MISFORTUNES, World
from tests.chaos.proxy import Proxy
from tests.support.story import decisions_of, events_of
from tests.support.suite import RunningSuite
from tests.support.whole import problems_of

__all__ = ["Round", "run_round"]

_TIMEOUT_S = 400.0
_ROWS_PER_STEP = 5


class Round(msgspec.Struct, frozen=True):
    """One round: what struck and how often, how many processes were killed, what was traded, and what is wrong (nothing, if all is well)."""

    seed: int
    struck: dict[str, int]
    kills: int
    intents: int
    fills: int
    seconds: float
    problems: tuple[str, ...]


def run_round(seed: int, misfortunes: int, steps: int, root: Path | None = None, tell: Callable[[str], None] = lambda text: None) -> Round:
    """Trade `steps` days under so many misfortunes. The journals of a round with problems are kept in `root`."""
    folder = root or Path(tempfile.mkdtemp(prefix="njord-chaos-"))
    draw, struck, began = random.Random(seed), Counter[str](), time.monotonic()
    overlay = {
        "feed": {"rows_max": steps * _ROWS_PER_STEP},
        "strategies": {"trend": {"params": {"fast": 1, "slow": 2}}},
        "runtime": {"redis_url": f"unix://{folder / 'proxy.sock'}"},
    }
    suite = RunningSuite(folder, overlay)
    with Proxy(folder / "proxy.sock", suite.home.socket("redis")) as proxy:
        world = World(suite, proxy, draw)
        due = 5

        def meanwhile(progress: dict[str, Any]) -> None:
            nonlocal due
            if progress["step"] < due or struck.total() >= misfortunes or not _is_up(suite):
                return
            # A random part of a step later, whatever the machine's speed.
            time.sleep(draw.uniform(0.0, 0.03))
            misfortune = draw.choices(MISFORTUNES, [m.weight for m in MISFORTUNES])[0]
            misfortune.strike(world)
            struck[misfortune.name] += 1
            tell(f"step {progress['step']}: {misfortune.name}")
            due = progress["step"] + draw.randint(1, max(2, 2 * (steps - progress["step"]) // max(1, misfortunes - struck.total() + 1)))

        problems: list[str] = []
        try:
            with suite:
                suite.run_to_end(_TIMEOUT_S, meanwhile)
            problems = problems_of(suite)
        except AssertionError as error:
            problems = [str(error)]
    fills = sum(1 for event in events_of(suite.home) if event.last_qty)
    return Round(seed, dict(struck), len(suite.kills), len(decisions_of(suite.home)), fills, time.monotonic() - began, tuple(problems))


def _is_up(suite: RunningSuite) -> bool:
    """Whether every process is there: misfortunes may strike a daemon that recovers, not one that nobody has started yet."""
    return all(suite.supervisor.children[name].pid is not None for name in (*(daemon.value for daemon in Daemon), "redis"))
