"""The circuit breaker of a venue: when calls fail too often or take too long, entries stop before they become orders in doubt.

    CLOSED      entries pass; the last calls are remembered as good or bad
    OPEN        no entry passes until a time; each time it opens again without having closed, the time doubles
    HALF_OPEN   the time is over: exactly one question is asked, one that changes nothing at the venue, and still no entry passes;
                a quick answer closes the breaker, anything else opens it again

It judges the gateway's own calls by what came of them: an answer, also a refusal, is good; no answer, or one that took longer than
the bound, is bad. Cancels, questions and reductions are never asked of it, but what becomes of them is counted like the rest.
"""

from __future__ import annotations

import msgspec

from core.settings import BreakerSettings

__all__ = ["BreakerState", "CircuitBreaker"]

_NS_PER_MS = 1_000_000


class BreakerState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last calls (`bad` has a bit for each bad one, the newest lowest, of `calls`), and how far an open breaker has come.

    `openings` counts how often it has opened without closing, `until_ns` is when the next question may be asked (ns UTC, None:
    closed, or the question `probe` is under way), `probes` numbers the questions for ever.
    """

    bad: int = 0
    calls: int = 0
    openings: int = 0
    until_ns: int | None = None
    probe: str = ""
    probes: int = 0


class CircuitBreaker:
    """One venue's breaker. Invariants: at most one probe is under way; only a probe closes it."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._window = settings.calls
        self._bad_max = settings.error_rate_max * settings.calls
        self._latency_max_ns = settings.latency_ms_max * _NS_PER_MS
        self._open_ns = settings.open_ms * _NS_PER_MS
        self._open_max_ns = settings.open_ms_max * _NS_PER_MS
        self.state = BreakerState()

    @property
    def is_open(self) -> bool:
        """Whether entries are stopped (OPEN or HALF_OPEN)."""
        return self.state.openings > 0

    @property
    def due_ns(self) -> int | None:
        """When the probe is to be sent."""
        return self.state.until_ns

    def on_outcome(self, call_id: str, took_ns: int, now_ns: int, *, is_answer: bool) -> str:
        """A call has its outcome; why the breaker opened because of it, or ''."""
        is_slow = took_ns > self._latency_max_ns
        is_bad = is_slow or not is_answer
        state = self.state
        if state.probe and call_id == state.probe:
            if not is_bad:
                self.state = BreakerState(probes=state.probes)
                return ""
            return self._open(now_ns, "the probe had no answer" if not is_answer else f"the probe took {took_ns // _NS_PER_MS} ms")
        if state.openings:
            return ""
        bad = (state.bad << 1 | is_bad) & ((1 << self._window) - 1)
        if bad or state.bad:
            self.state = msgspec.structs.replace(state, bad=bad, calls=min(state.calls + 1, self._window))
        elif state.calls < self._window:
            self.state = msgspec.structs.replace(state, calls=state.calls + 1)
        if is_slow:
            return self._open(now_ns, f"a call took {took_ns // _NS_PER_MS} ms, at most {self._latency_max_ns // _NS_PER_MS} ms are allowed")
        if is_bad and self.state.calls >= self._window and bad.bit_count() > self._bad_max:
            return self._open(now_ns, f"{bad.bit_count()} of the last {self._window} calls had no answer")
        return ""

    def begin_probe(self, account: str) -> str:
        """The time is over: the id of the one question that may be asked."""
        probes = self.state.probes + 1
        self.state = msgspec.structs.replace(self.state, until_ns=None, probe=f"{account}.probe{probes}", probes=probes)
        return self.state.probe

    def _open(self, now_ns: int, why: str) -> str:
        openings = self.state.openings + 1
        wait_ns = min(self._open_ns << min(openings - 1, 32), self._open_max_ns)
        self.state = BreakerState(openings=openings, until_ns=now_ns + wait_ns, probes=self.state.probes)
        return why
