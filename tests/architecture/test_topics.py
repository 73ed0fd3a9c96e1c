"""Topics under the shipped configuration: everything that is said is heard, everything that is waited for is said, and one file spells the names."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import core.contracts as contracts
from apps.runtime.settings_loader import load_settings
from core.codec import Body
from core.contracts import Contract
from core.ports import StreamId
from core.settings import Settings
from core.topics import ROSTER, Daemon, Delivery, topic_of
from core.topology import node_spec

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("paper", "demo")
PACKAGES = ("core", "strategies", "risk", "execution", "backtest", "apps", "benchmarks", "scripts")

# What never leaves a daemon on the bus: what operators ask over the socket, what a shell observes, and what stands only
# inside other messages or in the configuration.
NO_MESSAGES = {
    "SetTradingState",
    "TripKillSwitch",
    "ClearKillSwitch",
    "SetStrategyState",
    "CancelAllOrders",
    "KillSwitchState",
    "BalanceSnapshot",
    "AlertRule",
    "NotificationChannel",
}


@pytest.fixture(params=SHIPPED)
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The shipped configuration of an environment, whatever the environment of this test says."""
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return load_settings(environment=request.param).settings


def _produced(settings: Settings) -> dict[StreamId, tuple[str, ...]]:
    return {StreamId(topic, d.value): consumers for d in settings.runtime.daemons for topic, consumers in node_spec(d, settings).produces.items()}


def _subscribed(settings: Settings) -> dict[tuple[str, StreamId], int]:
    return Counter((d.value, s.stream) for d in settings.runtime.daemons for s in node_spec(d, settings).subscriptions)


def test_every_subscription_has_its_one_producer(settings: Settings) -> None:
    """Nobody waits for a stream that nobody writes, and the stream counts that consumer before it forgets."""
    produced = _produced(settings)
    for (daemon, stream), times in _subscribed(settings).items():
        assert times == 1, f"{daemon} takes {stream} in twice"
        assert daemon in produced.get(stream, ()), f"{daemon} waits for {stream}, whose producer does not wait for it"


def test_every_consumer_that_is_waited_for_subscribes(settings: Settings) -> None:
    """A consumer that never acknowledges would keep its streams from ever being trimmed, and a replay from ever settling."""
    subscribed = _subscribed(settings)
    for stream, consumers in _produced(settings).items():
        for consumer in consumers:
            assert (consumer, stream) in subscribed, f"{stream} waits for {consumer}, which does not take it in"


def test_a_stream_has_one_writer(settings: Settings) -> None:
    """One producer per stream: a topic that is waited for by anybody is written by one daemon."""
    writers = Counter(stream.topic for stream, consumers in _produced(settings).items() if consumers)
    assert {topic: count for topic, count in writers.items() if count > 1} == {}


def test_every_name_leads_back_to_its_row(settings: Settings) -> None:
    """With the shipped symbols, timeframe and venue."""
    for stream in _produced(settings):
        assert Daemon(stream.producer) in topic_of(stream.topic).producers


def test_the_trade_path_is_complete(settings: Settings) -> None:
    """From the bar to the position: each hop is a durable stream between two enabled daemons."""
    produced = _produced(settings)
    hops = {(stream.producer, consumer) for stream, consumers in produced.items() for consumer in consumers}
    assert {
        ("md_ingest", "strategy_runner"),
        ("strategy_runner", "risk_engine"),
        ("risk_engine", "oms"),
        ("oms", "broker"),
        ("broker", "oms"),
        ("oms", "risk_engine"),
        ("oms", "strategy_runner"),
    } <= hops


def test_every_message_has_one_row_and_a_place_in_the_envelope() -> None:
    """Except for what is named here as no message."""
    tagged = {name: value for name, value in vars(contracts).items() if isinstance(value, type) and issubclass(value, Contract) and value.__struct_config__.tag is not None}
    rows = Counter(body_type for topic in ROSTER for body_type in topic.types)
    assert set(NO_MESSAGES) <= set(tagged), "an exception names something that does not exist"
    messages = {value for name, value in tagged.items() if name not in NO_MESSAGES}
    assert rows == dict.fromkeys(messages, 1)
    assert set(get_args(Body)) == messages


def test_a_message_names_its_topic() -> None:
    """The docstring of every message says where it travels."""
    for topic in ROSTER:
        for body_type in topic.types:
            assert f"Topic {topic.pattern}" in (body_type.__doc__ or ""), f"{body_type.__name__} does not name its topic {topic.pattern}"


def test_only_durable_topics_have_an_outbox(settings: Settings) -> None:
    """What may be lost is announced and never stored."""
    assert all(topic_of(stream.topic).delivery is Delivery.DURABLE for stream in _produced(settings))


# A name is spelled where a text begins with the fixed part of a topic's pattern, as far as its first field.
_FIXED = [topic.pattern.partition("{")[0] for topic in ROSTER]
_SPELLED = re.compile("|".join(re.escape(prefix) + ("" if prefix.endswith(".") else r"\Z") for prefix in _FIXED))


def _texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """All texts of a module but its docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def _spelled(source: str) -> list[str]:
    return [f"{text.lineno}: {text.value!r}" for text in _texts(ast.parse(source)) if _SPELLED.match(str(text.value))]


def test_nothing_but_the_table_spells_a_topic() -> None:
    """A topic that is renamed is renamed in one place."""
    found = [
        f"{path.relative_to(ROOT)}:{where}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if path != ROOT / "core" / "topics.py"
        for source in (path.read_text(),)
        if any(prefix in source for prefix in _FIXED)  # parsing takes longer than everything else
        for where in _spelled(source)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('TOPIC = "strat.intent"', 1),
        ('name = f"md.bars.{tf}.{symbol}"', 1),
        ('publish("orders.accepted." + venue, body)', 1),
        ('"""strat.intent is a topic."""', 0),
        ("# strat.intent", 0),
        ('"a strat.intent"', 0),
        ('"strat.intention"', 0),
    ],
)
def test_the_search_finds_a_spelled_topic(source: str, count: int) -> None:
    """And leaves docstrings, comments and other words alone."""
    assert len(_spelled(source)) == count
