"""The cut over all journals of a suite, decoded: what each daemon saw, said and called, and what the venue was asked.

In a consistent cut (cut.py) nothing is handled that is not also said. What is said and not handled yet is under way, which is
pending and never a breach; everything else must hold, whether or not the suite is running.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import msgspec

from apps.cli.journals import JournalReader
from core.contracts import Contract, OrderIntent, OrderStateChanged, RiskDecision, SubmitOrder, VenueReport
from core.contracts.intent import Intent
from core.errors import DecodeError
from core.journal import decode_input
from core.machine import Command
from core.node import NodeSpec
from core.ports import StreamId
from core.settings import Settings
from core.topics import BROKER_REPORTS, ORDERS_ACCEPTED, ORDERS_EVENTS, RISK_DECISION, STRAT_INTENT, Daemon, Topic, View
from core.topology import node_spec
from core.venue import BrokerOrderReq, Place, Replace

__all__ = ["Evidence", "Sent", "gather"]

T = TypeVar("T", bound=Contract)


class Sent(msgspec.Struct, frozen=True):
    """An order request as the venue received it."""

    request_id: str
    order: BrokerOrderReq
    n: int


class Evidence(msgspec.Struct):
    """Everything the checks look at. Lists are in the order of the journal they come from.

    `handled` is what each consumer's journal says it has come to. `unheard_*` name what was said
    and has not reached its consumer: intents risk has not seen, allowed intents and executions the OMS has not seen.
    """

    settings: Settings
    journals: dict[str, JournalReader]
    specs: dict[str, NodeSpec]
    heads: dict[StreamId, int]
    handled: dict[tuple[str, StreamId], int]
    intents: dict[str, Intent]
    decisions: list[RiskDecision]
    submitted: list[SubmitOrder]
    events: list[OrderStateChanged]
    calls: set[str]
    open_calls: list[str]
    sent: list[Sent]
    unheard_intents: set[str]
    unheard_decisions: set[str]
    unheard_executions: set[str]

    @property
    def in_flight(self) -> dict[str, int]:
        """Streams whose consumer has not handled everything said, with how much is between them."""
        return {f"{stream.topic} → {consumer}": self.heads.get(stream, 0) - handled for (consumer, stream), handled in self.handled.items() if handled < self.heads.get(stream, 0)}

    @property
    def last_events(self) -> dict[str, OrderStateChanged]:
        """The latest event of each order."""
        return {event.client_order_id: event for event in self.events}

    @property
    def order_intents(self) -> list[OrderIntent]:
        """Wishes for a new order."""
        return [intent for intent in self.intents.values() if isinstance(intent, OrderIntent)]


class _Said(NamedTuple):
    """What was said on a topic: all of it, and the part that its consumer has not handled."""

    all: list[Contract]
    unheard: list[Contract]


def gather(settings: Settings, journals: dict[str, JournalReader]) -> Evidence:
    """Read and decode; what cannot be decoded is left out here and reported by the chain check."""
    specs = {daemon.value: node_spec(daemon, settings) for daemon in settings.runtime.daemons}
    handled = _handled(journals, specs)
    said_wishes = _said(journals, Daemon.STRATEGY_RUNNER, STRAT_INTENT, Daemon.RISK_ENGINE, handled)
    answers = _said(journals, Daemon.RISK_ENGINE, RISK_DECISION, Daemon.OMS, handled)
    reports = _said(journals, Daemon.BROKER, BROKER_REPORTS, Daemon.OMS, handled)
    outcomes = {call.row.call_id: call.outcome_n for call in journals[Daemon.BROKER.value].calls()} if Daemon.BROKER.value in journals else {}
    intents: dict[str, Intent] = {}
    for wish in _wishes(said_wishes.all):
        intents.setdefault(wish.intent_id, wish)
    return Evidence(
        settings=settings,
        journals=journals,
        specs=specs,
        heads={StreamId(topic, daemon): seq for daemon, reader in journals.items() for topic, seq in reader.heads.items()},
        handled=handled,
        intents=intents,
        decisions=_of(answers.all, RiskDecision),
        submitted=_of(_said(journals, Daemon.OMS, ORDERS_ACCEPTED, Daemon.BROKER, handled).all, SubmitOrder),
        events=_of(_said(journals, Daemon.OMS, ORDERS_EVENTS, Daemon.RISK_ENGINE, handled).all, OrderStateChanged),
        calls=set(outcomes),
        open_calls=[call_id for call_id, outcome_n in outcomes.items() if outcome_n is None],
        sent=_sent(journals.get(Daemon.PAPER_VENUE.value)),
        unheard_intents={wish.intent_id for wish in _wishes(said_wishes.unheard)},
        unheard_decisions={decision.intent.intent_id for decision in _of(answers.unheard, RiskDecision)},
        unheard_executions={report.exec_id for report in _of(reports.unheard, VenueReport) if report.exec_id},
    )


def _handled(journals: dict[str, JournalReader], specs: dict[str, NodeSpec]) -> dict[tuple[str, StreamId], int]:
    """How far each consumer has come on each stream that is an input of its machine."""
    marks = {daemon: reader.watermarks for daemon, reader in journals.items()}
    return {
        (daemon, subscription.stream): marks.get(daemon, {}).get(subscription.stream, 0)
        for daemon, spec in specs.items()
        for subscription in spec.subscriptions
        if subscription.view is View.JOURNALED
    }


def _said(journals: dict[str, JournalReader], daemon: Daemon, topic: Topic, consumer: Daemon, handled: Mapping[tuple[str, StreamId], int]) -> _Said:
    """All that a daemon said on a topic under any of its names."""
    found = _Said([], [])
    reader = journals.get(daemon.value)
    for row, envelope in reader.said(topic.pattern.partition("{")[0]) if reader is not None else ():
        found.all.append(envelope.body)
        if row.seq > handled.get((consumer.value, StreamId(row.topic, daemon.value)), 0):
            found.unheard.append(envelope.body)
    return found


def _of(bodies: list[Contract], kind: type[T]) -> list[T]:
    return [body for body in bodies if isinstance(body, kind)]


def _wishes(bodies: list[Contract]) -> list[Intent]:
    return [body for body in bodies if isinstance(body, Intent)]


def _sent(reader: JournalReader | None) -> list[Sent]:
    """The orders the venue was asked for, by its own journal."""
    found = []
    for row in reader.inputs(Command.__name__) if reader is not None else ():
        try:
            event = decode_input(row)
        except DecodeError:
            continue
        if isinstance(event, Command) and isinstance(event.body, Place | Replace):
            found.append(Sent(event.command_id, event.body.order, row.n))
    return found
