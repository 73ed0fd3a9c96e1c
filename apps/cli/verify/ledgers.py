"""The two ledgers of a suite, ours and the venue's, each as its journal gives it: transactions, balances, positions, executions."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from apps.cli.journals import JournalReader
from apps.cli.summary import fills
from apps.cli.verify.evidence import Evidence
from apps.cli.verify.replayed import Replayed, replay
from apps.runtime.home import Home
from core.contracts import LedgerAdjusted
from core.errors import DecodeError
from core.journal import decode_input
from core.machine import VenuePushed
from core.money import ZERO
from core.topics import ORDERS_EVENTS, Daemon
from core.venue import BrokerFill
from execution.ledger import Transaction, TransactionKind, decode_transaction
from execution.oms import Oms
from execution.venues.simulated import SimulatedVenue

__all__ = ["Ledgers", "read_ledgers"]


class Ledgers(msgspec.Struct):
    """What the checks hold against each other. Balances by asset, positions by symbol over all owners.

    `opening` and `entries` are sums of the transactions' cash postings; `balances` and `positions` are where the OMS's own state
    stands; the `venue_*` are the venue's word, `venue_cursor` its last event. `broker_cursor` is the last one before which the
    broker has handled all.
    """

    transactions: dict[str, Transaction]
    opening: dict[str, Decimal]
    entries: dict[str, Decimal]
    balances: dict[str, Decimal]
    positions: dict[str, Decimal]
    fill_events: list[str]
    suspense_exec_ids: set[str]
    venue_fills: dict[str, BrokerFill]
    venue_balances: dict[str, Decimal]
    venue_positions: dict[str, Decimal]
    venue_cursor: int
    broker_cursor: int
    replayed_inputs: int
    replay_problems: list[str]

    @property
    def venue_events_behind(self) -> int:
        """How many of the venue's events the broker has not handled."""
        return max(0, self.venue_cursor - self.broker_cursor)

    @property
    def fill_transactions(self) -> set[str]:
        """The executions that have a transaction."""
        return {transaction.exec_id for transaction in self.transactions.values() if transaction.kind is TransactionKind.FILL}

    @property
    def booked_executions(self) -> list[Transaction]:
        """Transactions that book an execution, or take one back."""
        return [transaction for transaction in self.transactions.values() if transaction.side is not None]


def read_ledgers(evidence: Evidence, home: Home) -> Ledgers:
    """Read the transactions, and handle every journal again for where each machine stands."""
    replays = {daemon: replay(Daemon(daemon), reader, evidence.settings, home.account_epoch) for daemon, reader in evidence.journals.items()}
    oms, venue, broker = (evidence.journals.get(daemon.value) for daemon in (Daemon.OMS, Daemon.PAPER_VENUE, Daemon.BROKER))
    our_machine, venue_machine = _oms_of(replays), _venue_of(replays)
    transactions = _transactions(oms, our_machine)
    return Ledgers(
        transactions=transactions,
        opening=_cash(transactions, TransactionKind.OPENING),
        entries=_cash(transactions, TransactionKind.FILL, TransactionKind.REVERSAL),
        balances=dict(our_machine.ledger.balances) if our_machine is not None else {},
        positions={symbol: our_machine.ledger.account_qty(symbol) for symbol in _symbols(our_machine)} if our_machine is not None else {},
        fill_events=[fill.exec_id for fill in fills(oms)] if oms is not None else [],
        suspense_exec_ids=_suspense(oms) if oms is not None else set(),
        venue_fills=_venue_fills(venue, venue_machine),
        venue_balances=dict(venue_machine.balances) if venue_machine is not None else {},
        venue_positions=dict(venue_machine.positions) if venue_machine is not None else {},
        venue_cursor=venue_machine.last_cursor if venue_machine is not None else 0,
        broker_cursor=_broker_cursor(broker) if broker is not None else 0,
        replayed_inputs=sum(replayed.inputs for replayed in replays.values()),
        replay_problems=[problem for replayed in replays.values() for problem in replayed.problems],
    )


def _oms_of(replays: dict[str, Replayed]) -> Oms | None:
    replayed = replays.get(Daemon.OMS.value)
    return replayed.machine if replayed is not None and isinstance(replayed.machine, Oms) else None


def _venue_of(replays: dict[str, Replayed]) -> SimulatedVenue | None:
    replayed = replays.get(Daemon.PAPER_VENUE.value)
    return replayed.machine if replayed is not None and isinstance(replayed.machine, SimulatedVenue) else None


def _symbols(machine: Oms) -> list[str]:
    return sorted({symbol for symbol, _, _ in machine.ledger.positions()})


def _transactions(oms: JournalReader | None, machine: Oms | None) -> dict[str, Transaction]:
    """The ledger's entries. In a cut, those that it counts: they are numbered, and the archive holds later ones as well."""
    if oms is None:
        return {}
    rows = {row.key: decode_transaction(row.data) for row in oms.archive("txn")}
    if not oms.is_cut or machine is None:
        return rows
    return {key: transaction for key, transaction in rows.items() if int(key.partition("|")[0]) <= machine.ledger.count}


def _cash(transactions: dict[str, Transaction], *kinds: TransactionKind) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for transaction in transactions.values():
        for posting in transaction.postings if transaction.kind in kinds else ():
            if posting.account == f"cash:{posting.asset}":
                totals[posting.asset] = totals.get(posting.asset, ZERO) + posting.amount
    return totals


def _suspense(oms: JournalReader) -> set[str]:
    adjustments = (envelope.body for _, envelope in oms.said(ORDERS_EVENTS.name()))
    return {body.exec_id for body in adjustments if isinstance(body, LedgerAdjusted) and body.exec_id}


def _venue_fills(venue: JournalReader | None, machine: SimulatedVenue | None) -> dict[str, BrokerFill]:
    """The venue's executions, from its own archive; in a cut, those up to its last event."""
    rows = (msgspec.json.decode(row.data, type=BrokerFill) for row in venue.archive("fill")) if venue is not None else ()
    is_whole = venue is None or machine is None or not venue.is_cut
    return {fill.exec_id: fill for fill in rows if is_whole or machine is None or fill.cursor <= machine.last_cursor}


def _broker_cursor(broker: JournalReader) -> int:
    """The newest venue event in the broker's journal that nothing is missing before; one that came too early comes again."""
    cursor = 0
    for row in broker.inputs(VenuePushed.__name__):
        try:
            event = decode_input(row)
        except DecodeError:
            continue
        if isinstance(event, VenuePushed) and event.event.cursor == cursor + 1:
            cursor += 1
    return cursor
