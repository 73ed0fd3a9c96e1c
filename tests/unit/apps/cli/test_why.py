"""Why something did or did not trade: decisions, idle reasons and alerts, from the journals of those who said them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from apps.cli.why import alerts_of, decisions_of, idle_reasons_of, print_alerts, print_decisions, print_idle_reasons
from apps.runtime.home import Home, open_home
from apps.runtime.journal import SqliteJournal
from core import topics
from core.codec import Codec, Envelope
from core.contracts import Alert, NoTrade, Severity
from core.journal import Batch, InputRow, OutputRow
from core.topics import Daemon
from tests.support.builders import NOW, STRATEGY, SYMBOL
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings

_LIMITED = {"order_qty_max": "1"}


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A suite that has traded to its end."""
    with JournaledSuite(tmp_path_factory.mktemp("traded"), trading_settings(), a_zigzag(16), 1) as suite:
        suite.run()
    yield suite.home


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The same one under a limit that denies every entry."""
    with JournaledSuite(tmp_path_factory.mktemp("limited"), trading_settings(limits=_LIMITED), a_zigzag(16), 1) as suite:
        suite.run()
    yield suite.home


def _printed(show: object, *values: object) -> str:
    stream = io.StringIO()
    assert callable(show)
    show(Console(file=stream, width=200), *values)
    return stream.getvalue()


def _say(root: Path, daemon: Daemon, *said: tuple[str, object]) -> Home:
    """A home in which a daemon said these messages."""
    home = open_home(root)
    journal = SqliteJournal(home.journal(daemon.value), 1)
    outputs = []
    for k, (topic, body) in enumerate(said, 1):
        seq = sum(topic == earlier for earlier, _ in said[:k])
        outputs.append(OutputRow(topic, seq, 1, Codec().encode(Envelope(topic, daemon.value, seq, journal.epoch, NOW, body))))  # type: ignore[arg-type]
    journal.commit(Batch(inputs=[InputRow(1, "Wake", "", "", 0, NOW, NOW, b"{}", b"")], outputs=outputs))
    journal.close()
    return home


def test_every_wish_has_its_answer(traded: Home) -> None:
    """Allowed ones name the order they became."""
    rows = decisions_of(traded)
    assert rows
    assert {row.verdict for row in rows} == {"ALLOWED"}
    assert all(row.client_order_id and not row.denials for row in rows)
    assert decisions_of(traded, symbol="NONE") == []
    assert decisions_of(traded, strategy=STRATEGY, symbol=SYMBOL) == rows
    assert decisions_of(traded, denied=True) == []


def test_a_denial_says_what_was_held_against_what(limited: Home) -> None:
    """The code with its evidence, as the strategy got it."""
    rows = decisions_of(limited, denied=True)
    assert rows
    assert any("ORDER_QTY_MAX: order_qty=" in denial for row in rows for denial in row.denials)
    told = _printed(print_decisions, rows)
    assert "ORDER_QTY_MAX: order_qty=" in told
    assert f"BUY {rows[0].intent.split()[1]} {SYMBOL} MARKET" in told


def test_reasons_for_doing_nothing_are_counted(tmp_path: Path) -> None:
    """By strategy, symbol and reason, the most frequent first."""
    said = [
        (topics.TELEMETRY_NO_TRADE.name(), NoTrade(strategy_id="s", symbol=symbol, reason=reason, trigger="t", occurred_ns=NOW + k))
        for k, (symbol, reason) in enumerate([("A", "WARMUP"), ("A", "IN_POSITION"), ("A", "WARMUP"), ("B", "WARMUP")])
    ]
    rows = idle_reasons_of(_say(tmp_path, Daemon.STRATEGY_RUNNER, *said))
    assert [(row.symbol, row.reason, row.count, row.last_ns) for row in rows] == [("A", "WARMUP", 2, NOW + 2), ("A", "IN_POSITION", 1, NOW + 1), ("B", "WARMUP", 1, NOW + 3)]
    assert "WARMUP" in _printed(print_idle_reasons, rows)


def test_a_quarantined_strategy_is_among_the_alerts(tmp_path: Path) -> None:
    """What a daemon alerted to is shown whoever was listening then; a severity leaves out what is below it."""
    topic = topics.ALERTS_FIRED.name()
    alerts = [
        Alert(name="STRATEGY_QUARANTINED", severity=Severity.CRITICAL, text="s: ZeroDivisionError", daemon="strategy_runner", occurred_ns=NOW + 1),
        Alert(name="x", severity=Severity.WARNING, text="t", daemon="strategy_runner", occurred_ns=NOW),
    ]
    home = _say(tmp_path, Daemon.STRATEGY_RUNNER, *((topic, alert) for alert in alerts))
    assert [alert.name for alert in alerts_of(home)] == ["x", "STRATEGY_QUARANTINED"]
    assert [alert.name for alert in alerts_of(home, Severity.CRITICAL)] == ["STRATEGY_QUARANTINED"]
    assert "s: ZeroDivisionError" in _printed(print_alerts, alerts_of(home))
