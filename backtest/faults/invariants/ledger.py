"""Executions, cash and positions: I1, I2, I15."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

from backtest.faults.invariants.records import Records
from core.contracts import ExecType
from core.money import ZERO
from core.topics import Daemon
from execution.ledger import TransactionKind

__all__ = ["balances_follow_from_entries", "entries_are_double", "everyone_shows_the_same_position", "executions_are_booked_once"]


def executions_are_booked_once(records: Records) -> list[str]:
    """I1: what the venue executed is what is booked, each execution once, with the same quantity and price."""
    trades = [event for event in records.events if event.exec_type is ExecType.TRADE and event.last_qty]
    booked = {event.exec_id: event for event in trades}
    theirs = {fill.exec_id: fill for fill in records.venue_fills}
    problems = [f"execution {exec_id} is booked {count} times" for exec_id, count in Counter(event.exec_id for event in trades).items() if count > 1]
    told = Counter(fill.exec_id for fill in records.fills)
    problems += [f"execution {exec_id} is told {told[exec_id]} times on fills.new" for exec_id in booked if told[exec_id] != 1]
    entered = Counter(t.exec_id for t in records.transactions if t.kind is TransactionKind.FILL)
    problems += [f"execution {exec_id} has {entered[exec_id]} entries in the ledger" for exec_id in theirs if entered[exec_id] != 1]
    problems += [f"execution {exec_id} is booked and the venue never executed it" for exec_id in booked if exec_id not in theirs]
    for exec_id, fill in theirs.items():
        event = booked.get(exec_id)
        if event is None:
            problems.append(f"execution {exec_id} of {fill.client_order_id} ({fill.last_qty} {fill.symbol}) is at the venue and no order event tells of it")
        elif (event.side, event.last_qty, event.symbol, event.last_price) != (fill.side, fill.last_qty, fill.symbol, fill.last_price):
            problems.append(f"execution {exec_id}: the venue has {fill.side} {fill.last_qty} at {fill.last_price}, booked is {event.side} {event.last_qty} at {event.last_price}")
    return problems


def balances_follow_from_entries(records: Records) -> list[str]:
    """I2: opening plus every entry is the balance, and the venue's balance and positions are ours."""
    oms, venue = records.suite.oms, records.suite.venue_machine
    if oms is None or venue is None:
        return []
    cash: defaultdict[str, Decimal] = defaultdict(Decimal)
    for transaction in records.transactions:
        for posting in transaction.postings:
            if posting.account == f"cash:{posting.asset}":
                cash[posting.asset] += posting.amount
    problems = [f"{asset}: the entries sum to {cash[asset]}, the ledger says {total}" for asset, total in oms.ledger.balances.items() if cash[asset] != total]
    problems += [
        f"{asset}: the venue says {total}, the ledger {oms.ledger.balances.get(asset)}" for asset, total in venue.balances.items() if oms.ledger.balances.get(asset) != total
    ]
    for symbol in sorted({*venue.positions, *(symbol for symbol, _, _ in oms.ledger.positions())}):
        ours, theirs = oms.ledger.account_qty(symbol), venue.positions.get(symbol, ZERO)
        if ours != theirs:
            problems.append(f"{symbol}: the venue holds {theirs}, the ledger {ours}")
    return problems


def everyone_shows_the_same_position(records: Records) -> list[str]:
    """I2 in every daemon: risk's and the strategies' positions and working quantities are the ledger's."""
    suite = records.suite
    oms, risk, strategies = suite.oms, suite.machine(Daemon.RISK_ENGINE), suite.strategies
    if oms is None:
        return []
    held = {(symbol, owner): position.qty for symbol, owner, position in oms.ledger.positions() if position.qty}
    working: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for order in oms.orders.all:
        working[order.origin.symbol, order.origin.side] += order.leaves_qty
    problems = []
    if risk is not None:
        exposure = risk.snapshot().exposure.symbols
        seen = {(symbol, owner): qty for symbol, row in exposure.items() for owner, qty in row.owners.items()}
        if seen != held:
            problems.append(f"risk sees positions {seen}, the ledger holds {held}")
        for symbol in suite.settings.symbols:
            row = exposure.get(symbol)
            has = (row.working_buy_qty, row.working_sell_qty) if row is not None else (ZERO, ZERO)
            wants = (working[symbol, "BUY"], working[symbol, "SELL"])
            if has != wants:
                problems.append(f"risk reserves {has} of {symbol} (buying, selling), live orders leave {wants}")
    if strategies is not None:
        for name, record in strategies.snapshot().strategies.items():
            if record.quarantine:
                problems.append(f"strategy {name} is quarantined: {record.quarantine}")
            for symbol, position in record.book.positions.items():
                if position.qty != held.get((symbol, name), ZERO):
                    problems.append(f"strategy {name} sees {position.qty} {symbol}, the ledger holds {held.get((symbol, name), ZERO)}")
            live = {order.origin.intent_id for order in oms.orders.all if order.origin.strategy_id == name}
            if set(record.book.working) != live:
                problems.append(f"strategy {name} has working orders {sorted(record.book.working)}, live are {sorted(live)}")
    return problems


def entries_are_double(records: Records) -> list[str]:
    """I15: the postings of every entry sum to zero per asset, and entries are numbered without holes."""
    problems = []
    for transaction in records.transactions:
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for posting in transaction.postings:
            sums[posting.asset] += posting.amount
        problems += [f"entry {transaction.key}: {asset} sums to {total}" for asset, total in sums.items() if total]
    numbers = sorted(int(transaction.key.partition("|")[0]) for transaction in records.transactions)
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"entries are numbered {numbers}")
    return problems
