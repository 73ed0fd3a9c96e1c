"""One cut over all journals of a suite, decoded: what each daemon saw, said and called, and what the venue itself kept.

The journals are read one after the other while the daemons may be running, so a stream's two ends can be a few messages
apart. What both sides know is evidence; what only one side knows yet is in flight, which is pending and never a breach.
"""

from __future__ import annotations

import msgspec

from apps.cli.journals import JournalReader
from core.codec import Envelope
from core.contracts import OrderIntent, OrderStateChanged, RiskDecision, SubmitOrder, VenueReport
from core.contracts.intent import Intent
from core.errors import DecodeError
from core.journal import CallRow, decode_call, decode_input
from core.machine import CallVenue, Command
from core.node import NodeSpec
from core.ports import StreamId
from core.settings import Settings
from core.topics import BROKER_REPORTS, ORDERS_ACCEPTED, ORDERS_EVENTS, RISK_DECISION, STRAT_INTENT, Daemon, Topic
from core.topology import node_spec
from core.venue import BrokerOrderReq, Place, Replace

__all__ = ["Evidence", "Sent", "gather"]


class Sent(msgspec.Struct, frozen=True):
    """An order request as the venue received it."""

    request_id: str
    order: BrokerOrderReq
    n: int


class Evidence(msgspec.Struct):
    """Everything the checks look at. Lists are in the order of the journal they come from."""

    settings: Settings
    journals: dict[str, JournalReader]
    specs: dict[str, NodeSpec]
    heads: dict[StreamId, int]
    handled: dict[tuple[str, StreamId], int]
    intents: dict[str, Intent]
    decisions: list[RiskDecision]
    submitted: list[SubmitOrder]
    events: list[OrderStateChanged]
    reports: list[VenueReport]
    calls: dict[str, CallVenue]
    open_calls: list[str]
    sent: list[Sent]

    @property
    def in_flight(self) -> dict[str, int]:
        """Streams whose consumer has not handled everything said, with how much is between them."""
        return {
            f"{stream.topic} → {consumer}": self.heads.get(stream, 0) - handled for (consumer, stream), handled in self.handled.items() if handled < self.heads.get(stream, 0)
        }

    @property
    def last_events(self) -> dict[str, OrderStateChanged]:
        """The latest event of each order."""
        return {event.client_order_id: event for event in self.events}

    @property
    def order_intents(self) -> list[OrderIntent]:
        """Wishes for a new order."""
        return [intent for intent in self.intents.values() if isinstance(intent, OrderIntent)]


def gather(settings: Settings, journals: dict[str, JournalReader]) -> Evidence:
    """Read and decode; what cannot be decoded is left out here and reported by the chain check."""
    specs = {daemon.value: node_spec(daemon, settings) for daemon in settings.runtime.daemons}
    calls, open_calls = _calls(journals.get(Daemon.BROKER.value))
    intents: dict[str, Intent] = {}
    for envelope in _said(journals, Daemon.STRATEGY_RUNNER, STRAT_INTENT):
        if not isinstance(envelope.body, RiskDecision) and (intent_id := getattr(envelope.body, "intent_id", "")):
            intents.setdefault(intent_id, envelope.body)  # type: ignore[arg-type]
    return Evidence(
        settings=settings,
        journals=journals,
        specs=specs,
        heads={StreamId(topic, daemon): seq for daemon, reader in journals.items() for topic, seq in reader.heads.items()},
        handled={
            (daemon, subscription.stream): reader.watermarks.get(subscription.stream, 0)
            for daemon, reader in journals.items()
            for subscription in specs[daemon].subscriptions
            if subscription.view == "JOURNALED"
        },
        intents=intents,
        decisions=[e.body for e in _said(journals, Daemon.RISK_ENGINE, RISK_DECISION) if isinstance(e.body, RiskDecision)],
        submitted=[e.body for e in _said(journals, Daemon.OMS, ORDERS_ACCEPTED) if isinstance(e.body, SubmitOrder)],
        events=[e.body for e in _said(journals, Daemon.OMS, ORDERS_EVENTS) if isinstance(e.body, OrderStateChanged)],
        reports=[e.body for e in _said(journals, Daemon.BROKER, BROKER_REPORTS) if isinstance(e.body, VenueReport)],
        calls=calls,
        open_calls=open_calls,
        sent=_sent(journals.get(Daemon.PAPER_VENUE.value)),
    )


def _said(journals: dict[str, JournalReader], daemon: Daemon, topic: Topic) -> list[Envelope]:
    reader = journals.get(daemon.value)
    return [] if reader is None else [envelope for _, envelope in reader.said(topic.pattern.partition("{")[0])]


def _calls(reader: JournalReader | None) -> tuple[dict[str, CallVenue], list[str]]:
    if reader is None:
        return {}, []
    rows: list[tuple[CallRow, int | None]] = [(row, outcome) for row, outcome in reader.calls()]
    return {row.call_id: decode_call(row.data) for row, _ in rows}, [row.call_id for row, outcome in rows if outcome is None]


def _sent(reader: JournalReader | None) -> list[Sent]:
    """The orders the venue was asked for, by its own journal."""
    found = []
    for row in reader.inputs() if reader is not None else ():
        if row.kind != Command.__name__:
            continue
        try:
            event = decode_input(row)
        except DecodeError:
            continue
        if isinstance(event, Command) and isinstance(event.body, Place | Replace):
            found.append(Sent(event.command_id, event.body.order, row.n))
    return found
