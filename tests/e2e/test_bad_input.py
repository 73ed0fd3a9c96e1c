"""What no daemon can take in, put where it has to be taken in: on every durable stream, and in the place of the kill file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from apps.cli.journals import JournalReader
from core.codec import Codec, Envelope
from core.node import EXIT_POISON
from core.ports import StreamId
from core.topics import Daemon, View
from core.topology import durable_streams, node_spec
from tests.support.builders import an_intent
from tests.support.suite import RunningSuite
from tests.support.whole import problems_of

TRADING = {
    "feed": {"speed": None, "synthetic_steps": 400},
    "strategies": {"reversion": None, "trend": {"kind": "sma_cross", "symbols": ["ALFA", "BRVO"], "params": {"fast": 2, "slow": 5}}},
}
TIMEOUT_S = 30.0
CLOCK = StreamId("control.clock", "md_ingest")


def _until(suite: RunningSuite, is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        suite.supervisor.watch()
        assert time.monotonic() < deadline, what + suite.logs()
        time.sleep(0.02)


def _message(stream: StreamId, seq: int, **changes: object) -> bytes:
    """A well-formed intent on this stream, with changes to its body."""
    data = Codec().encode(Envelope(stream.topic, stream.producer, seq, "epoch", 1, an_intent()))
    raw = msgspec.json.decode(data)
    raw["body"] |= changes
    return msgspec.json.encode(raw)


def _kinds() -> Iterator[tuple[str, Callable[[StreamId, int], bytes], str]]:
    """Each kind of bad message, what it is, and what the reason given must hold."""
    other = StreamId("strat.intent", "somebody_else")
    while True:
        yield "no JSON", lambda stream, seq: b"{not json", "{not json"
        yield "unknown type", lambda stream, seq: _message(stream, seq, type="Wish.1"), "Wish.1"
        yield "unknown major version", lambda stream, seq: _message(stream, seq, type="OrderIntent.2"), "OrderIntent.2"
        yield "no number", lambda stream, seq: _message(stream, seq, order_qty="NaN"), "order_qty: NaN"
        yield "negative quantity", lambda stream, seq: _message(stream, seq, order_qty="-5"), "order_qty: -5"
        yield "another producer", lambda stream, seq: _message(other, seq), "somebody_else"
        yield "another number", lambda stream, seq: _message(stream, seq + 7), "number"
        yield "nothing", lambda stream, seq: b"", "b''"


def _njord(suite: RunningSuite, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("njord")), *arguments]
    return subprocess.run(command, env={**os.environ, "NJORD_HOME": str(suite.home.root)}, capture_output=True, text=True, timeout=60, check=False)


def _placed(suite: RunningSuite) -> int:
    return int(suite.rows(Daemon.PAPER_VENUE, "select count(*) from inputs where kind = 'Command' and json_extract(data, '$.body.type') = 'Place'")[0][0])


def _exit_code(suite: RunningSuite, daemon: Daemon) -> int | None:
    return suite.supervisor.children[daemon.value].exit_code


def _stopped_links(suite: RunningSuite, daemon: Daemon) -> list[str]:
    health = suite.health(daemon)
    return [] if health is None else [text.partition(":")[0] for text in health["stopped_links"]]


def _quarantine(suite: RunningSuite, daemon: Daemon) -> dict[str, str]:
    with JournalReader(suite.home.journal(daemon.value), daemon.value) as reader:
        return {row.topic: row.reason for row in reader.quarantine()}


def _consumers(suite: RunningSuite, stream: StreamId) -> list[Daemon]:
    """Who takes every message of this stream for an input."""
    specs = {daemon: node_spec(daemon, suite.loaded.settings) for daemon in Daemon}
    return [daemon for daemon, spec in specs.items() if any(s.stream == stream and s.view is View.JOURNALED for s in spec.subscriptions)]


def _poison(suite: RunningSuite, stream: StreamId, make: Callable[[StreamId, int], bytes]) -> None:
    """Put a bad message where the stream's next one belongs."""
    key = stream.key(suite.home.namespace)
    with suite._client() as client:
        seq = int(client.xinfo_stream(key)["last-generated-id"].partition(b"-")[0]) + 1
        client.xadd(key, {"d": make(stream, seq)}, id=f"{seq}-0")


def _forget(suite: RunningSuite, stream: StreamId) -> None:
    """What an operator does about a stream that holds something foreign: nothing in the server is needed, the journals have it all."""
    with suite._client() as client:
        client.delete(stream.key(suite.home.namespace))


def test_bad_message_stops_its_reader_and_nothing_is_lost_whatever_stream_it_is_on(tmp_path: Path) -> None:
    """On each durable stream in turn: its readers end with 75 and name what they were given, nobody else ends, nothing is traded, a start
    by hand finds the link still stopped and does not end again; released and started anew, the replay goes on as if nothing had been."""
    with RunningSuite(tmp_path, TRADING, "paper") as suite:
        _until(suite, lambda: (suite.progress() or {"step": 0})["step"] >= 100, "no progress")
        suite.send(Daemon.MD_INGEST.value, signal.SIGSTOP)
        _rest(suite)
        placed = _placed(suite)
        # The clock last: without it nobody can be told any time.
        streams = sorted(durable_streams(suite.loaded.settings), key=lambda stream: (stream == CLOCK, stream.topic.startswith("md."), stream.topic))
        for stream, (what, make, named) in zip(streams, _kinds(), strict=False):
            _check_poisoned(suite, stream, f"{what} on {stream.topic}", make, named)
        assert _placed(suite) == placed
        report = suite.verify(0.0)
        assert report.broken == ()
        assert {text.split()[1] for text in report.quarantined} == {stream.topic for stream in streams}
        suite.send(Daemon.MD_INGEST.value, signal.SIGCONT)
    for daemon in Daemon:
        _release(suite, daemon)
    with RunningSuite(tmp_path, TRADING, "paper") as again:
        again.run_to_end(60.0)
    assert problems_of(again) == []
    assert _placed(again) > placed


def _rest(suite: RunningSuite) -> None:
    """While the feed stands still, what is under way comes to its end."""
    seen: list[int] = []

    def is_still() -> bool:
        nonlocal seen
        before, seen = seen, [suite.rows(daemon, "select max(n) from inputs")[0][0] for daemon in Daemon]
        time.sleep(0.3)
        return seen == before

    _until(suite, is_still, "the suite does not come to rest")


def _check_poisoned(suite: RunningSuite, stream: StreamId, what: str, make: Callable[[StreamId, int], bytes], named: str) -> None:
    readers = _consumers(suite, stream)
    alive = {name: child.pid for name, child in suite.supervisor.children.items() if name not in readers}
    _poison(suite, stream, make)
    _until(suite, lambda: all(_exit_code(suite, daemon) is not None for daemon in readers), f"{what}: not everybody stopped")
    assert {daemon: _exit_code(suite, daemon) for daemon in readers} == dict.fromkeys(readers, EXIT_POISON), what
    assert {name: suite.supervisor.children[name].pid for name in alive} == alive, f"{what}: somebody else ended"
    for daemon in readers:
        assert named in _quarantine(suite, daemon)[stream.topic], what
        log = (suite.home.logs / f"{daemon.value}.ndjson").read_text()
        assert any(stream.topic in line and '"critical"' in line for line in log.splitlines()), what
        suite.supervisor.children[daemon.value].start()
    _until(suite, lambda: all(stream.topic in _stopped_links(suite, daemon) for daemon in readers), f"{what}: the link does not stand still")
    _forget(suite, stream)


def _release(suite: RunningSuite, daemon: Daemon) -> None:
    """Someone has understood what was in quarantine."""
    with sqlite3.connect(suite.home.journal(daemon.value)) as connection:
        connection.execute("update quarantine set released = 'understood'")
    connection.close()
