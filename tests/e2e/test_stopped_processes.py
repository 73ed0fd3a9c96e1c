"""Real processes that stand still for a while and go on as if nothing had happened: what grew old meanwhile never reaches the venue."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import msgspec
import pytest

from apps.runtime.daemon import main
from apps.strategy_runner.__main__ import build
from core.contracts import Verdict
from core.topics import Daemon
from strategies import registry
from strategies.strategy import Context, Strategy, StrategyParams
from tests.support.story import decisions_of, events_of
from tests.support.suite import RunningSuite

INTENT_AGE_S, APPROVAL_S, CALL_S = 1.5, 1.0, 0.5
TIMEOUT_S = 20.0
ENOUGH = 5
KIND = "eager"
HERE = "tests.e2e.test_stopped_processes"
EAGER = {
    # The clock on the wall goes on while a process stands still; that of a replay would stand still with it.
    "runtime": {"clock": "system"},
    # One minute of the market a second, so that the feed can be held between two instants: from then on only timers go.
    "feed": {"speed": 60},
    "strategies": {"reversion": None, "eager": {"kind": KIND, "symbols": ["ALFA", "BRVO"]}},
    "limits": {"intent_age_ms_max": int(INTENT_AGE_S * 1000), "approval_ttl_ms": int(APPROVAL_S * 1000), "mark_age_ms_max": 10**12},
    "venue": {"call_timeout_ms": int(CALL_S * 1000)},
}
"""Paper trading as shipped, where wishes and approvals soon grow old and the market's prices, which are of another year, do not."""


class EagerState(msgspec.Struct):
    """How often it has wished."""

    wishes: int = 0


class Eager(Strategy[StrategyParams, EagerState]):
    """Wishes for something new many times a second, by the clock on the wall."""

    Params = StrategyParams
    State = EagerState

    def on_start(self, ctx: Context) -> None:
        """Begin."""
        ctx.set_timer("again", ctx.now_ns)

    def on_timer(self, ctx: Context, name: str) -> None:
        """No two wishes in a row are alike, so none is taken for a repetition."""
        self.state.wishes += 1
        ctx.buy(self.symbols[self.state.wishes % 2], ctx.instrument(self.symbols[0]).lot * self.state.wishes)
        ctx.set_timer(name, ctx.now_ns + 100_000_000)


def run_eager() -> int:
    """The strategy runner, with one more kind of strategy."""
    registry.BUILT_IN[KIND] = f"{HERE}:Eager"  # type: ignore[index]
    return main(Daemon.STRATEGY_RUNNER, build)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSuite]:
    """Not started yet; the kind is known here as well, where journals are handled again."""
    monkeypatch.setitem(registry.BUILT_IN, KIND, f"{HERE}:Eager")
    registry._loaders.cache_clear()
    found = RunningSuite(tmp_path, EAGER, "paper")
    monkeypatch.setattr(found.supervisor.children[Daemon.STRATEGY_RUNNER.value], "_command", [sys.executable, "-c", f"from {HERE} import run_eager; raise SystemExit(run_eager())"])
    yield found
    registry._loaders.cache_clear()


def _until(suite: RunningSuite, is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        suite.supervisor.watch()
        assert time.monotonic() < deadline, what + suite.logs()
        time.sleep(0.02)


def _said(suite: RunningSuite, daemon: Daemon, topic: str) -> int:
    return int(suite.rows(daemon, f"select count(*) from outputs where topic = '{topic}'")[0][0])


def _placed(suite: RunningSuite) -> Counter[str]:
    """How often each order was asked for at the venue."""
    name, kind = "json_extract(data, '$.body.order.client_order_id')", "json_extract(data, '$.body.type')"
    return Counter(row[0] for row in suite.rows(Daemon.PAPER_VENUE, f"select {name} from inputs where kind = 'Command' and {kind} = 'Place'"))


def _hold_market(suite: RunningSuite) -> None:
    """Orders are being placed, there is a price, and the feed stands between two instants."""
    _until(suite, lambda: suite.home.journal(Daemon.PAPER_VENUE.value).exists() and (suite.progress() or {"step": 0})["step"] >= 2, "the market did not open")
    for attempt in count():
        suite.send(Daemon.MD_INGEST.value, signal.SIGSTOP)
        before = _said(suite, Daemon.STRATEGY_RUNNER, "strat.intent")
        time.sleep(0.4)
        if _said(suite, Daemon.STRATEGY_RUNNER, "strat.intent") > before:
            break
        assert attempt < 20, "nothing is wished for" + suite.logs()
        suite.send(Daemon.MD_INGEST.value, signal.SIGCONT)
        time.sleep(0.3)
    _until(suite, lambda: bool(_placed(suite)), "nothing was placed")


def _stand_still(suite: RunningSuite, stopped: Daemon, speaker: Daemon, topic: str, long_s: float) -> tuple[int, int]:
    """Stop a process, let messages pile up before it for longer than they are good, let it go on; the first and the last such message."""
    _hold_market(suite)
    suite.send(stopped.value, signal.SIGSTOP)
    # What was on its way when it was stopped may have been taken in; everything said from now on was not.
    time.sleep(0.2)
    first = _said(suite, speaker, topic) + 1
    _until(suite, lambda: _said(suite, speaker, topic) >= first + ENOUGH, f"nothing piled up before {stopped.value}")
    last = _said(suite, speaker, topic)
    time.sleep(long_s + 0.2)
    _go_on(suite, stopped)
    return first, last


def _go_on(suite: RunningSuite, stopped: Daemon) -> None:
    for daemon in (stopped, Daemon.MD_INGEST):
        suite.send(daemon.value, signal.SIGCONT)


def _decided(suite: RunningSuite) -> int:
    return _said(suite, Daemon.RISK_ENGINE, "risk.decision")


def test_stale_intents_are_denied_when_risk_stood_still(suite: RunningSuite) -> None:
    """Wishes that waited longer than `intent_age_ms_max` are answered, and the answer is no; new ones are allowed again."""
    with suite:
        first, last = _stand_still(suite, Daemon.RISK_ENGINE, Daemon.STRATEGY_RUNNER, "strat.intent", INTENT_AGE_S)
        _until(suite, lambda: _decided(suite) >= last, "not every wish was answered")
        _until(suite, lambda: decisions_of(suite.home)[-1].verdict is Verdict.ALLOWED, "nothing is allowed any more")
    decisions = decisions_of(suite.home)
    old = decisions[first - 1 : last]
    assert len(old) > ENOUGH
    assert {decision.denials[0].code for decision in old if decision.verdict is Verdict.DENIED} == {"INTENT_STALE"}
    assert [decision for decision in old if decision.verdict is not Verdict.DENIED] == []
    assert suite.verify(0.0).broken == ()


@pytest.mark.parametrize(
    ("stopped", "speaker", "topic"),
    [(Daemon.OMS, Daemon.RISK_ENGINE, "risk.decision"), (Daemon.BROKER, Daemon.OMS, "orders.accepted.sim")],
    ids=["oms", "broker"],
)
def test_expired_approvals_end_unsent_when_who_passes_them_on_stood_still(suite: RunningSuite, stopped: Daemon, speaker: Daemon, topic: str) -> None:
    """What waited longer than its intent or its approval is good for never reaches the venue, and its order ends with the reason; new ones are sent again."""
    with suite:
        first, last = _stand_still(suite, stopped, speaker, topic, APPROVAL_S)
        before = len(_placed(suite))
        _until(suite, lambda: len(_placed(suite)) > before, "nothing is sent any more")
    placed = _placed(suite)
    said = decisions_of(suite.home)[first - 1 : last] if speaker is Daemon.RISK_ENGINE else []
    allowed = {decision.intent.intent_id for decision in said if decision.verdict is Verdict.ALLOWED}
    expired = [event for event in events_of(suite.home) if event.cause in ("INTENT_EXPIRED", "APPROVAL_EXPIRED")]
    assert len(expired) >= ENOUGH
    assert allowed <= {event.intent_id for event in expired}
    assert {event.client_order_id for event in expired} & set(placed) == set()
    assert suite.verify(0.0).broken == ()


def test_orders_are_asked_for_once_when_the_venue_stood_still(suite: RunningSuite) -> None:
    """Calls that ran out of time are in doubt, are looked up when the venue goes on, and are not sent again on an old approval."""
    with suite:
        _hold_market(suite)
        suite.send(Daemon.PAPER_VENUE.value, signal.SIGSTOP)
        doubts = "select count(*) from outputs where topic = 'broker.reports.sim' and json_extract(data, '$.body.exec_type') = 'IN_DOUBT'"
        _until(suite, lambda: suite.rows(Daemon.BROKER, doubts)[0][0] > 0, "no call ran out of time")
        time.sleep(APPROVAL_S)
        _go_on(suite, Daemon.PAPER_VENUE)
        before = len(_placed(suite))
        _until(suite, lambda: len(_placed(suite)) > before + ENOUGH, "nothing is sent any more")
    assert set(_placed(suite).values()) == {1}
    assert suite.verify(0.0).broken == ()
