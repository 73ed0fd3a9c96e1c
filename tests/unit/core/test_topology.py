"""The table of topics under one configuration: what each daemon takes in and says."""

from __future__ import annotations

from core import topics
from core.node import Subscription
from core.ports import StreamId
from core.topics import Daemon, View
from core.topology import durable_streams, node_spec, topic_names
from tests.support.builders import SYMBOL, VENUE, settings_with

SETTINGS = settings_with(feed={"symbols": [SYMBOL, "AAPL"]})


def test_a_topic_has_a_name_for_every_symbol() -> None:
    """And one where it mentions none."""
    assert topic_names(topics.MD_BARS, SETTINGS) == ("md.bars.1m.IBM", "md.bars.1m.AAPL")
    assert topic_names(topics.BROKER_REPORTS, SETTINGS) == (f"broker.reports.{VENUE}",)
    assert topic_names(topics.STRAT_INTENT, SETTINGS) == ("strat.intent",)


def test_a_daemon_takes_in_its_rows() -> None:
    """With the view its row gives."""
    assert node_spec(Daemon.RISK_ENGINE, SETTINGS).subscriptions == (
        Subscription(StreamId("md.bars.1m.IBM", "md_ingest"), View.AS_MARKS),
        Subscription(StreamId("md.bars.1m.AAPL", "md_ingest"), View.AS_MARKS),
        Subscription(StreamId("control.clock", "md_ingest")),
        Subscription(StreamId("strat.intent", "strategy_runner")),
        Subscription(StreamId("orders.events", "oms")),
    )
    assert all(s.sees_future for s in node_spec(Daemon.PAPER_VENUE, SETTINGS).subscriptions)


def test_a_daemon_says_its_durable_rows() -> None:
    """To the consumers that are enabled; lossy topics have no outbox."""
    produces = node_spec(Daemon.OMS, SETTINGS).produces
    assert produces["orders.events"] == ("risk_engine", "strategy_runner")
    assert produces["fills.new"] == ()
    assert "control.heartbeat" not in produces


def test_a_daemon_that_is_not_enabled_is_not_waited_for() -> None:
    """Neither as a consumer nor as a producer."""
    daemons = [d.value for d in Daemon if d not in (Daemon.STRATEGY_RUNNER, Daemon.OMS)]
    settings = settings_with(feed={"symbols": [SYMBOL]}, runtime={"daemons": daemons})
    assert {s.stream.producer for s in node_spec(Daemon.RISK_ENGINE, settings).subscriptions} == {"md_ingest"}
    assert node_spec(Daemon.RISK_ENGINE, settings).produces["risk.decision"] == ()
    assert all("strategy_runner" not in consumers for consumers in durable_streams(settings).values())


def test_cadences_and_clock_come_from_the_settings() -> None:
    """Only the venue pushes; only a replay waits for the clock."""
    spec = node_spec(Daemon.PAPER_VENUE, settings_with(journal={"batch_max": 7, "snapshot_every": 9}))
    assert (spec.daemon, spec.batch_max, spec.snapshot_every, spec.pushes_events, spec.waits_for_clock) == ("paper_venue", 7, 9, True, True)
    spec = node_spec(Daemon.OMS, settings_with(runtime={"clock": "system"}))
    assert (spec.pushes_events, spec.waits_for_clock) == (False, False)


def test_what_must_settle_is_every_stream_somebody_waits_for() -> None:
    """Streams for onlookers alone are none of them."""
    streams = durable_streams(SETTINGS)
    assert streams[StreamId("strat.intent", "strategy_runner")] == ("risk_engine",)
    assert StreamId("fills.new", "oms") not in streams
    assert all(streams.values())
