"""Which streams each daemon takes in and says, under one configuration: the table of topics with its fields filled in."""

from __future__ import annotations

from itertools import product

from core.node import NodeSpec, Subscription
from core.ports import StreamId
from core.settings import Settings
from core.topics import Daemon, Delivery, Topic, consumed_by, produced_by

__all__ = ["durable_streams", "node_spec", "topic_names"]


def topic_names(topic: Topic, settings: Settings) -> tuple[str, ...]:
    """The names a topic has under these settings: one per symbol, timeframe and venue it mentions."""
    values = {"symbol": settings.symbols, "timeframe": (settings.feed.timeframe,), "venue": (settings.account.venue,)}
    fields = topic.fields
    return tuple(topic.name(**dict(zip(fields, combination, strict=True))) for combination in product(*(values[field] for field in fields)))


def node_spec(daemon: Daemon, settings: Settings) -> NodeSpec:
    """The daemon's subscriptions and outboxes; a consumer or producer that is not enabled is not waited for."""
    enabled = settings.runtime.daemons
    subscriptions = tuple(
        Subscription(StreamId(name, producer.value), consumer.view, consumer.sees_future)
        for topic, consumer in consumed_by(daemon)
        for name in topic_names(topic, settings)
        for producer in topic.producers
        if producer in enabled
    )
    produces = {
        name: tuple(consumer.daemon.value for consumer in topic.consumers if consumer.daemon in enabled)
        for topic in produced_by(daemon)
        if topic.delivery is Delivery.DURABLE
        for name in topic_names(topic, settings)
    }
    return NodeSpec(
        daemon.value,
        subscriptions,
        produces,
        batch_max=settings.journal.batch_max,
        snapshot_every=settings.journal.snapshot_every,
        pushes_events=daemon is Daemon.PAPER_VENUE,
        calls_venue=daemon is Daemon.BROKER,
        waits_for_clock=settings.runtime.clock == "session",
    )


def durable_streams(settings: Settings) -> dict[StreamId, tuple[str, ...]]:
    """Every stream that has a durable consumer, with those consumers: what must be acknowledged for an instant to have settled."""
    return {StreamId(topic, daemon.value): consumers for daemon in settings.runtime.daemons for topic, consumers in node_spec(daemon, settings).produces.items() if consumers}
