"""The table of topics: names, the way back from a name, and who stands where."""

from __future__ import annotations

import pytest

from core import topics
from core.topics import ROSTER, Daemon, Delivery, View, consumed_by, produced_by, topic_of, topic_table


@pytest.mark.parametrize(
    ("topic", "fields", "name"),
    [
        (topics.MD_BARS, {"timeframe": "1m", "symbol": "IBM"}, "md.bars.1m.IBM"),
        (topics.MD_BARS, {"timeframe": "1d", "symbol": "BRK.B"}, "md.bars.1d.BRK.B"),
        (topics.MD_BOOK, {"symbol": "BTC/USDT"}, "md.book.BTC/USDT"),
        (topics.ORDERS_ACCEPTED, {"venue": "sim"}, "orders.accepted.sim"),
        (topics.STRAT_INTENT, {}, "strat.intent"),
    ],
)
def test_a_name_leads_back_to_its_row(topic: topics.Topic, fields: dict[str, str], name: str) -> None:
    """Filled in and found again, symbols with dots and slashes included."""
    assert topic.name(**fields) == name
    assert topic_of(name) is topic
    match = topic.expression.match(name)
    assert match is not None
    assert match.groupdict() == fields


@pytest.mark.parametrize("topic", ROSTER, ids=lambda topic: topic.pattern)
def test_every_row_finds_itself_and_no_other(topic: topics.Topic) -> None:
    """No two rows share a name."""
    name = topic.name(**dict.fromkeys(topic.fields, "x1"))
    assert [row.pattern for row in ROSTER if row.expression.match(name)] == [topic.pattern]


@pytest.mark.parametrize("name", ["", "md.bars", "md.bars.1m.", "strat.intent.x", "xstrat.intent", "strat-intent", "orders.accepted.a.b", "md.trades.a|b"])
def test_a_name_of_no_row_is_refused(name: str) -> None:
    """There is one table."""
    with pytest.raises(KeyError, match=r"is not in core/topics\.py"):
        topic_of(name)


def test_a_missing_field_is_named() -> None:
    """And nothing is guessed."""
    with pytest.raises(KeyError, match="symbol"):
        topics.MD_BARS.name(timeframe="1m")


def test_producers_and_consumers_are_found_by_daemon() -> None:
    """The broker's place in the flow, as an example."""
    assert topics.BROKER_REPORTS in produced_by(Daemon.BROKER)
    assert [(topic.pattern, consumer.view) for topic, consumer in consumed_by(Daemon.BROKER)] == [("control.clock", View.JOURNALED), ("orders.accepted.{venue}", View.JOURNALED)]


def test_only_the_venue_sees_the_future() -> None:
    """Look-ahead is a row of the table, not a habit."""
    assert {consumer.daemon for topic in ROSTER for consumer in topic.consumers if consumer.sees_future} == {Daemon.PAPER_VENUE}


def test_nobody_waits_for_what_may_be_lost() -> None:
    """A lossy topic has no durable consumer, and every row says what a loss costs."""
    assert [topic.pattern for topic in ROSTER if topic.delivery is Delivery.LOSSY and topic.consumers] == []
    assert all(topic.loss for topic in ROSTER)


def test_the_trade_path_is_durable() -> None:
    """Everything an order depends on arrives exactly once in effect."""
    for topic in (topics.STRAT_INTENT, topics.RISK_DECISION, topics.ORDERS_ACCEPTED, topics.BROKER_REPORTS, topics.ORDERS_EVENTS, topics.MD_BARS, topics.CONTROL_CLOCK):
        assert topic.delivery is Delivery.DURABLE and topic.consumers, topic.pattern


def test_the_table_for_people_has_a_row_for_every_topic() -> None:
    """Markdown: a header, a rule, and one line each."""
    lines = topic_table().splitlines()
    assert len(lines) == len(ROSTER) + 2
    assert "| `strat.intent` | OrderIntent, CancelIntent, ReplaceIntent | strategy_runner | risk_engine | a wish, or a cancel, is never answered |" in lines
    assert "| `md.bars.{timeframe}.{symbol}` | Bar | md_ingest | strategy_runner, risk_engine (marks), paper_venue | a bar strategy decides on a hole in its history |" in lines
    assert any("every daemon | -" in line for line in lines)
