"""What the invariants look at: everything the simulated suite wrote and did, decoded once."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from backtest.faults.daemon import SentOrder, SimulatedBroker
from backtest.faults.suite import SimulatedSuite
from core import topics
from core.codec import Codec
from core.contracts import (
    CancelIntent,
    Contract,
    FillEvent,
    Intent,
    OrderIntent,
    OrderStateChanged,
    ReplaceIntent,
    ReplaceOrder,
    RiskDecision,
    SubmitOrder,
    VenueReport,
)
from core.topics import Daemon
from core.venue import BrokerFill, BrokerOrderUpdate
from execution.ledger import Transaction, decode_transaction
from execution.venues.simulated import FILL_KIND, ORDER_KIND

__all__ = ["Records", "collect"]

T = TypeVar("T", bound=Contract)

_fills = msgspec.json.Decoder(BrokerFill)
_orders = msgspec.json.Decoder(BrokerOrderUpdate)


class Records(msgspec.Struct, frozen=True):
    """The messages of the trade path in the order they were said, what left for the venue, and the venue's own ledger.

    `venue_orders` are the venue's view of every order that ever reached it, once under each client order id it went by.
    """

    suite: SimulatedSuite
    intents: list[Intent]
    decisions: list[RiskDecision]
    submitted: list[SubmitOrder]
    replaced: list[ReplaceOrder]
    events: list[OrderStateChanged]
    reports: list[VenueReport]
    fills: list[FillEvent]
    transactions: list[Transaction]
    sent: list[SentOrder]
    venue_fills: list[BrokerFill]
    venue_orders: dict[str, BrokerOrderUpdate]


def collect(suite: SimulatedSuite) -> Records:
    """Read every journal."""
    codec = Codec()

    def said(daemon: Daemon, topic: str, kind: type[T]) -> list[T]:
        rows = suite.hosts[daemon].journal.rows.get(topic, [])
        bodies = (codec.decode(row.data).body for row in rows)
        return [body for body in bodies if isinstance(body, kind)]

    venue = suite.settings.account.venue
    accepted, wishes = topics.ORDERS_ACCEPTED.name(venue=venue), topics.STRAT_INTENT.name()
    oms, at_venue = suite.hosts[Daemon.OMS].journal, suite.venue.journal
    ended = {row.key: _orders.decode(row.data) for row in at_venue.archive.values() if row.kind == ORDER_KIND}
    machine = suite.venue_machine
    live = {name: order.view() for order in machine.snapshot().orders for name in (*order.lineage, order.client_order_id)} if machine is not None else {}
    return Records(
        suite=suite,
        intents=[*said(Daemon.STRATEGY_RUNNER, wishes, OrderIntent), *said(Daemon.STRATEGY_RUNNER, wishes, CancelIntent), *said(Daemon.STRATEGY_RUNNER, wishes, ReplaceIntent)],
        decisions=said(Daemon.RISK_ENGINE, topics.RISK_DECISION.name(), RiskDecision),
        submitted=said(Daemon.OMS, accepted, SubmitOrder),
        replaced=said(Daemon.OMS, accepted, ReplaceOrder),
        events=said(Daemon.OMS, topics.ORDERS_EVENTS.name(), OrderStateChanged),
        reports=said(Daemon.BROKER, topics.BROKER_REPORTS.name(venue=venue), VenueReport),
        fills=said(Daemon.OMS, topics.FILLS_NEW.name(), FillEvent),
        transactions=[decode_transaction(row.data) for row in oms.archive.values() if row.kind == "txn"],
        sent=[*(sent for zombie in suite.zombies if isinstance(zombie, SimulatedBroker) for sent in zombie.sent), *suite.broker.sent],
        venue_fills=[_fills.decode(row.data) for row in at_venue.archive.values() if row.kind == FILL_KIND],
        venue_orders=ended | live,
    )
