"""Intent to venue through the real processes, beside the floor: `make bench-pipeline`, or `python -m benchmarks.pipeline --help`.

One run starts risk_engine, oms, broker and paper_venue as processes of their own on a server of their own, under the shipped
limits raised only where the load would meet them, and plays the strategies and the market itself. It measures

* latency: from publishing an intent to hearing of the broker's attempt, which is three durable hops (risk, OMS and broker each
  commit, then publish), one intent at a time;
* intents per second until the venue has answered every order;
* intents per second until every order is filled, booked and announced on `fills.new`, with bars arriving meanwhile;

and, in turn with it, the floor of benchmarks/floor.py: with three hops for the latency, and for the throughput with as many as
commit on the way to the venue, which is four (risk, OMS, broker, venue). At the end of a run the intents published must be the
orders in the OMS's journal, none lost and none doubled, or the run counts for nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import uvloop
import yaml
from rich.console import Console
from rich.table import Table

from apps.cli.journals import JournalReader
from apps.cli.summary import orders
from apps.cli.supervisor import Supervisor
from apps.runtime.bus import open_bus
from apps.runtime.control_socket import ask_daemon
from apps.runtime.embedded import EmbeddedServer
from apps.runtime.home import Home, open_home
from apps.runtime.settings_loader import load_settings
from benchmarks.floor import PAUSE_S, floor_chain, floor_latencies_us, floor_throughput
from core import topics
from core.codec import Codec, Envelope
from core.contracts import Bar, OrderIntent, OrderType, Side, TimeInForce
from core.ports import StreamId, Token
from core.settings import Settings
from core.topics import Daemon

__all__ = ["Figures", "measure"]

_LATENCY_HOPS = 3
_THROUGHPUT_HOPS = 4
_SYMBOL = "BENCH"
_STRATEGY = "bench"
_TOKEN = Token("bench", 1)
_MINUTE_NS = 60 * 10**9
_BURST = 100
_UNDER_WAY_MAX = 2_000
_BAR_EVERY_S = 0.05
_STARTED = (Daemon.RISK_ENGINE, Daemon.OMS, Daemon.BROKER, Daemon.PAPER_VENUE)


class Figures(msgspec.Struct, frozen=True):
    """One run: microseconds from intent to attempt, and intents per second, of the pipeline and of the floor."""

    p50_us: float
    p99_us: float
    to_venue_per_s: float
    to_fill_per_s: float
    intents: int
    orders: int
    floor_p50_us: float
    floor_p99_us: float
    floor_per_s: float


def _overlay() -> dict[str, Any]:
    """What the load needs beyond the shipped limits; every control stays on."""
    return {
        "environment": "test",
        "account": {"opening_balances": {"USD": 10**14}},
        "feed": {"kind": "synthetic", "timeframe": "1m", "symbols": [_SYMBOL]},
        "strategies": {_STRATEGY: {"kind": "sma_cross", "symbols": [_SYMBOL]}},
        "limits": {
            "order_qty_max": 10**6,
            "order_notional_max": 10**10,
            "position_qty_max": 10**9,
            "position_notional_max": 10**13,
            "mark_age_ms_max": 3_600_000,
            "intent_age_ms_max": 600_000,
            "approval_ttl_ms": 600_000,
            "duplicate_window_ms": 1,
        },
        "runtime": {"clock": "system", "log_level": "warning"},
    }


class _Driver:
    """The strategies and the market of the suite: publishes intents and bars, and hears what becomes of them."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.heard: Counter[str] = Counter()
        self.attempted: asyncio.Future[float] | None = None
        self.said = 0
        self._bars = 0
        self._settings = settings
        self._codec = Codec()
        self._bus = open_bus(home, settings, "bench")
        self._connected = asyncio.Event()
        self._changed = asyncio.Event()
        self._reports = StreamId(topics.BROKER_REPORTS.name(venue=settings.account.venue), Daemon.BROKER.value)
        self._fills = StreamId(topics.FILLS_NEW.name(), Daemon.OMS.value)
        self._followed = (StreamId(topics.RISK_DECISION.name(), Daemon.RISK_ENGINE.value), StreamId(topics.ORDERS_EVENTS.name(), Daemon.OMS.value))
        self._intents = StreamId(topics.STRAT_INTENT.name(), Daemon.STRATEGY_RUNNER.value)
        self._market = StreamId(topics.MD_BARS.name(timeframe=settings.feed.timeframe, symbol=_SYMBOL), Daemon.MD_INGEST.value)

    async def __aenter__(self) -> _Driver:
        await self._bus.start([self._reports, self._fills], self)
        await self._connected.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._bus.stop()

    # What the bus tells.

    def on_bus_connected(self, run_id: str) -> None:
        self._connected.set()

    def on_bus_lost(self, reason: str) -> None:
        raise RuntimeError(f"the benchmark lost its server: {reason}")

    def on_bus_broken(self, error: BaseException) -> None:
        raise error

    def on_bus_message(self, stream: StreamId, data: bytes) -> None:
        if stream == self._fills:
            self.heard["fill"] += 1
        elif b'"exec_type":"ATTEMPTED"' in data:
            self.heard["attempt"] += 1
            if self.attempted is not None and not self.attempted.done():
                self.attempted.set_result(time.perf_counter())
        elif b'"evidence":"REPLY"' in data:
            self.heard["reply"] += 1
        self._changed.set()

    # What the driver says.

    async def say_intents(self, count: int) -> None:
        """Publish the next intents as one write, quantities and sides in turn."""
        first = self.said + 1
        bodies = [self._intent(number) for number in range(first, first + count)]
        self.said += count
        await self._bus.publish(self._intents, _TOKEN, 1, first, bodies)

    async def say_bar(self) -> None:
        """Publish the next bar: what rests is filled at its open, and the mark is fresh."""
        self._bars += 1
        now_ns = time.time_ns()
        bar = Bar(symbol=_SYMBOL, timeframe=self._settings.feed.timeframe, open_ns=now_ns - _MINUTE_NS, close_ns=now_ns, open=100.0, high=101.0, low=99.0, close=100.0, volume=1e9)
        await self._bus.publish(self._market, _TOKEN, 1, self._bars, [self._encode(self._market, self._bars, now_ns, bar)])

    async def follow(self) -> None:
        """Acknowledge, as a strategy runner would, what the suite says to strategies: else its backlog bound denies entries."""
        ends = await self._bus.tails(self._followed)
        await self._bus.acknowledge(Daemon.STRATEGY_RUNNER.value, dict(zip(self._followed, ends, strict=True)))

    async def until(self, what: str, count: int, timeout_s: float = 120.0) -> None:
        """Return when so many have been heard; TimeoutError tells how many were."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.heard[what] < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{what}: {self.heard[what]} of {count} within {timeout_s:.0f} s ({dict(self.heard)}, {self.said} intents said)") from None

    def _intent(self, number: int) -> bytes:
        now_ns = time.time_ns()
        intent = OrderIntent(
            intent_id=f"{_STRATEGY}:bench:{number}:0",
            strategy_id=_STRATEGY,
            account=self._settings.account.name,
            venue=self._settings.account.venue,
            symbol=_SYMBOL,
            side=Side.BUY if number % 2 else Side.SELL,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.GTC,
            order_qty=Decimal(1 + number // 2),
            created_ns=now_ns,
            expires_ns=now_ns + 600 * 10**9,
        )
        return self._encode(self._intents, number, now_ns, intent)

    def _encode(self, stream: StreamId, seq: int, now_ns: int, body: Any) -> bytes:
        return self._codec.encode(Envelope(stream.topic, stream.producer, seq, _TOKEN.epoch, now_ns, body))


async def _drive(home: Home, settings: Settings, latencies: int, load: int) -> tuple[list[float], float, float, int]:
    async with _Driver(home, settings) as driver:
        await driver.say_bar()
        _wait_ready(home)
        samples = await _latencies(driver, latencies, warm_up=latencies // 5)
        to_venue = await _to_venue(driver, load)
        to_fill = await _to_fill(driver, load)
        return samples, to_venue, to_fill, driver.said


async def _latencies(driver: _Driver, count: int, warm_up: int) -> list[float]:
    found = []
    for number in range(warm_up + count):
        driver.attempted = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        await driver.say_intents(1)
        found.append((await driver.attempted - began) * 1e6)
        # One at a time, to the end: what follows from this one must not be in the way of the next.
        await driver.until("reply", driver.said)
        await asyncio.sleep(PAUSE_S)
        if number % 200 == 0:
            await driver.follow()
    driver.attempted = None
    await driver.say_bar()
    await driver.until("fill", driver.said)
    return found[warm_up:]


async def _to_venue(driver: _Driver, count: int) -> float:
    began = time.perf_counter()
    await _load(driver, count, "reply")
    await driver.until("reply", driver.said)
    rate = count / (time.perf_counter() - began)
    await driver.say_bar()
    await driver.until("fill", driver.said)
    return rate


async def _to_fill(driver: _Driver, count: int) -> float:
    async def market() -> None:
        while True:
            await driver.say_bar()
            await asyncio.sleep(_BAR_EVERY_S)

    bars = asyncio.ensure_future(market())
    began = time.perf_counter()
    await _load(driver, count, "fill")
    await driver.until("fill", driver.said)
    rate = count / (time.perf_counter() - began)
    bars.cancel()
    return rate


async def _load(driver: _Driver, count: int, what: str) -> None:
    """Publish in bursts, keeping a bounded number under way."""
    target = driver.said + count
    for number in itertools.count():
        if driver.said >= target:
            return
        await driver.say_intents(min(_BURST, target - driver.said))
        await driver.until(what, driver.said - _UNDER_WAY_MAX)
        if number % 10 == 0:
            await driver.follow()


@contextmanager
def _suite(root: Path) -> Iterator[tuple[Home, Settings]]:
    home = open_home(root)
    home.settings_overlay.write_text(yaml.safe_dump(_overlay()))
    settings = load_settings(home.settings_overlay).settings
    supervisor = Supervisor(home, _STARTED, None)
    with EmbeddedServer(home):
        supervisor.start()
        try:
            yield home, settings
        finally:
            supervisor.stop()


def _wait_ready(home: Home, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    for daemon in _STARTED:
        while not _is_ready(home, daemon):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{daemon.value} is not ready within {timeout_s:.0f} s")
            time.sleep(0.05)


def _is_ready(home: Home, daemon: Daemon) -> bool:
    try:
        return bool(ask_daemon(home.socket(daemon.value), {"query": "health"}, timeout_s=1.0)["result"]["ready"])
    except ConnectionError:
        return False


def measure(latencies: int, load: int) -> Figures:
    """One run of the pipeline and one of the floor; RuntimeError when intents and orders do not match."""
    with tempfile.TemporaryDirectory(prefix="njord-bench-") as folder:
        with _suite(Path(folder)) as (home, settings):
            samples, to_venue, to_fill, said = uvloop.run(_drive(home, settings, latencies, load))
        with JournalReader(home.journal(Daemon.OMS.value), Daemon.OMS.value) as oms:
            rows = orders(oms)
        if len(rows) != said or any(row.status != "FILLED" for row in rows):
            raise RuntimeError(f"{said} intents, {len(rows)} orders: {dict(Counter(row.status for row in rows))}")
    with tempfile.TemporaryDirectory(prefix="njord-floor-") as folder:
        home = open_home(Path(folder))
        server = home.socket("redis")
        with EmbeddedServer(home), floor_chain(server, _LATENCY_HOPS, Path(folder)):
            floor = floor_latencies_us(server, _LATENCY_HOPS, latencies, latencies // 5)
    with tempfile.TemporaryDirectory(prefix="njord-floor-") as folder:
        home = open_home(Path(folder))
        server = home.socket("redis")
        with EmbeddedServer(home), floor_chain(server, _THROUGHPUT_HOPS, Path(folder)):
            floor_rate = floor_throughput(server, _THROUGHPUT_HOPS, load)
    return Figures(_at(samples, 50), _at(samples, 99), to_venue, to_fill, said, len(rows), _at(floor, 50), _at(floor, 99), floor_rate)


def _at(samples: list[float], percent: int) -> float:
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _print(console: Console, runs: list[Figures]) -> None:
    def median(pick: Callable[[Figures], float]) -> float:
        return statistics.median(pick(run) for run in runs)

    rows: list[tuple[str, Callable[[Figures], float], Callable[[Figures], float]]] = [
        ("latency p50, µs", lambda f: f.p50_us, lambda f: f.floor_p50_us),
        ("latency p99, µs", lambda f: f.p99_us, lambda f: f.floor_p99_us),
        ("to the venue, intents/s", lambda f: f.to_venue_per_s, lambda f: f.floor_per_s),
        ("to the booked fill, intents/s", lambda f: f.to_fill_per_s, lambda f: f.floor_per_s),
    ]
    table = Table(title=f"median of {len(runs)} runs, {runs[0].intents} intents = {runs[0].orders} orders in each", title_justify="left")
    for column in ("what", "pipeline", "floor", "ratio"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, ours, floor in rows:
        table.add_row(name, f"{median(ours):,.0f}", f"{median(floor):,.0f}", f"{median(lambda f, a=ours, b=floor: a(f) / b(f)):.2f}")  # type: ignore[misc]
    console.print(table)


def main() -> int:
    """Run and print; 0 always, for a figure is no verdict."""
    parser = argparse.ArgumentParser(description="intent to venue through the real processes, beside the floor")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, in turn (default 5)")
    parser.add_argument("--latencies", type=int, default=1_000, help="intents measured one at a time (default 1000)")
    parser.add_argument("--load", type=int, default=20_000, help="intents of each throughput measurement (default 20000)")
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    options = parser.parse_args()
    console = Console(stderr=options.json)
    runs = []
    for number in range(options.runs):
        runs.append(measure(options.latencies, options.load))
        latest = runs[-1]
        console.print(
            f"run {number + 1}/{options.runs}: p50 {latest.p50_us:.0f} µs (floor {latest.floor_p50_us:.0f}), {latest.to_venue_per_s:.0f}/s to the venue, "
            f"{latest.to_fill_per_s:.0f}/s to the fill (floor {latest.floor_per_s:.0f}/s)"
        )
    if options.json:
        print(msgspec.json.encode(runs).decode())
    else:
        _print(console, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
