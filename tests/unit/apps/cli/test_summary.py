"""What a suite did, read from real journals."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from apps.cli.journals import JournalReader, open_journals
from apps.cli.summary import HopLatency, fills, latencies, orders, positions, summarize
from apps.runtime.home import open_home
from apps.runtime.journal import SqliteJournal
from core.codec import Codec
from core.contracts import AccountSnapshot, BalanceSnapshot, Contract, OrderStatus, Verdict
from core.contracts.risk import Denial
from core.journal import MESSAGE_KIND, Batch, InputRow, OutputRow
from core.machine import Publish, Wake
from core.topics import ACCOUNT_SNAPSHOT, ORDERS_ACCEPTED, ORDERS_EVENTS, RISK_DECISION, STRAT_INTENT, Daemon
from core.wire import wrap
from tests.support.builders import ACCOUNT, NOW, SYMBOL, VENUE, a_decision, a_position, a_submit_order, an_intent, an_order_event
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, JournalReader]]:
    """A suite that has traded to its end."""
    with JournaledSuite(tmp_path_factory.mktemp("suite"), trading_settings(), a_zigzag(16), 1) as suite:
        suite.run()
        readers = open_journals(suite.home, tuple(daemon.value for daemon in Daemon))
        yield readers
        for reader in readers.values():
            reader.close()


def _written(path: Path, daemon: Daemon, *said: tuple[str, Contract]) -> JournalReader:
    """A journal whose daemon said these things, one per input."""
    journal, codec, heads = SqliteJournal(path, 1), Codec(), dict[str, int]()
    batch = Batch()
    for n, (topic, body) in enumerate(said, 1):
        heads[topic] = heads.get(topic, 0) + 1
        batch.inputs.append(InputRow(n, "Wake", "", "", 0, NOW, 0, b"{}", b""))
        batch.outputs.append(OutputRow(topic, heads[topic], n, codec.encode(wrap(Publish(topic, body), daemon.value, heads[topic], "e", NOW, Wake(1)))))
    journal.commit(batch)
    journal.close()
    return JournalReader(path, daemon.value)


def test_orders_come_in_their_present_state_when_they_changed(tmp_path: Path) -> None:
    """Each once, in the order they came, with the facets that stand beside the status."""
    one, two = an_intent("one"), an_intent("two")
    events = [an_order_event(one), an_order_event(two), an_order_event(one, OrderStatus.CANCELLED, cause="TTL", facets=("disagreement",))]
    with _written(tmp_path / "oms.sqlite", Daemon.OMS, *((ORDERS_EVENTS.name(), event) for event in events)) as oms:
        rows = orders(oms)
    assert [(row.intent_id, row.status, row.cause, row.facets) for row in rows] == [("one", "CANCELLED", "TTL", ("disagreement",)), ("two", "ACCEPTED", "NEW", ())]


def test_order_is_pending_when_nothing_has_happened_to_it_yet(tmp_path: Path) -> None:
    """It has been sent to the broker and no more; its first event takes its place."""
    one, two = an_intent("one"), an_intent("two")
    said = [(ORDERS_ACCEPTED.name(venue=VENUE), a_submit_order(one)), (ORDERS_ACCEPTED.name(venue=VENUE), a_submit_order(two)), (ORDERS_EVENTS.name(), an_order_event(one))]
    with _written(tmp_path / "oms.sqlite", Daemon.OMS, *said) as oms:
        assert [(row.intent_id, row.status, row.order_qty) for row in orders(oms)] == [("one", "ACCEPTED", Decimal(10)), ("two", "PENDING", Decimal(10))]


def test_positions_come_by_owner_and_symbol_when_they_changed(tmp_path: Path) -> None:
    """The latest of each, flat ones included."""
    events = [an_order_event(position=a_position(qty, symbol=symbol)) for symbol, qty in (("IBM", 5), ("AAPL", 3), ("IBM", 0))]
    with _written(tmp_path / "oms.sqlite", Daemon.OMS, *((ORDERS_EVENTS.name(), event) for event in events)) as oms:
        assert [(p.symbol, p.position_qty) for p in positions(oms)] == [("AAPL", Decimal(3)), ("IBM", Decimal(0))]


def test_summary_counts_a_whole_run_when_it_has_ended(journals: dict[str, JournalReader]) -> None:
    """Every number of the table, against what the journals hold."""
    summary = summarize(journals, {SYMBOL: 103.0}, {SYMBOL: Decimal(2)})
    assert summary.intents == summary.allowed + sum(summary.denied.values()) > 2
    assert summary.orders["FILLED"] == summary.fills
    assert sum(summary.orders.values()) == summary.allowed
    assert summary.fills == len(fills(journals["oms"])) > 1
    held = summary.positions[0]
    assert summary.unrealized_pnl == held.position_qty * (Decimal(103) - held.avg_price) * 2
    assert summary.fees == {"USD": sum(fill.fee for fill in fills(journals["oms"]))}
    spent = held.position_qty * held.avg_price
    assert summary.balances == {"USD": 100_000 + summary.realized_pnl - spent - summary.fees["USD"]}
    assert [hop.hop for hop in summary.latencies] == ["intent → decision", "decision → order", "order → attempt", "order → venue's reply", "report → event"]
    assert all(hop.measured and 0 < hop.p50_us <= hop.p99_us for hop in summary.latencies)


def test_denials_are_counted_by_code_when_there_are_some(tmp_path: Path) -> None:
    """By the first one: it is the reason that was enough."""
    decisions = [
        a_decision(an_intent("a")),
        *(a_decision(an_intent(name), verdict=Verdict.DENIED, approval=None, denials=(Denial(code="KILL_SWITCH"), Denial(code="STALE"))) for name in "bc"),
    ]
    with _written(tmp_path / "risk_engine.sqlite", Daemon.RISK_ENGINE, *((RISK_DECISION.name(), decision) for decision in decisions)) as risk:
        summary = summarize({Daemon.RISK_ENGINE.value: risk}, {}, {})
    assert (summary.allowed, summary.denied) == (1, {"KILL_SWITCH": 2})


def test_cash_is_the_opening_when_nothing_was_traded(tmp_path: Path) -> None:
    """The account's own word, from its first snapshot on."""
    snapshots = [AccountSnapshot(account=ACCOUNT, venue=VENUE, balances=(BalanceSnapshot(ACCOUNT, "USD", Decimal(total), NOW),), as_of_ns=NOW) for total in (5, 7)]
    with _written(tmp_path / "oms.sqlite", Daemon.OMS, *((ACCOUNT_SNAPSHOT.name(), snapshot) for snapshot in snapshots)) as oms:
        assert summarize({Daemon.OMS.value: oms}, {}, {}).balances == {"USD": Decimal(7)}


def test_summary_is_empty_when_no_daemon_has_begun() -> None:
    """Nothing is no error."""
    summary = summarize({}, {}, {})
    assert (summary.intents, summary.allowed, summary.denied, summary.orders, summary.fills, summary.positions, summary.latencies) == (0, 0, {}, {}, 0, [], [])


def _hop(root: Path, waits_us: list[int]) -> HopLatency:
    """Intent to decision, where the OMS received decision k so many microseconds after risk received intent k."""
    home = open_home(root)
    risk, oms = SqliteJournal(home.journal("risk_engine"), 1), SqliteJournal(home.journal("oms"), 1)
    intent, decision = STRAT_INTENT.name(), RISK_DECISION.name()
    batch, heard = Batch(), Batch()
    for n, wait in enumerate(waits_us, 1):
        batch.inputs.append(InputRow(n, MESSAGE_KIND, intent, "strategy_runner", n, NOW, 1_000_000, b"{}", b""))
        batch.outputs.append(OutputRow(decision, n, n, b"{}"))
        heard.inputs.append(InputRow(n, MESSAGE_KIND, decision, "risk_engine", n, NOW, 1_000_000 + wait * 1000, b"{}", b""))
    risk.commit(batch)
    oms.commit(heard)
    readers = open_journals(home, ("risk_engine", "oms"))
    found = latencies(readers)[0]
    for reader in readers.values():
        reader.close()
    risk.close()
    oms.close()
    return found


@pytest.mark.parametrize(
    ("waits", "p50", "p99"),
    [([7], 7, 7), ([1, 2], 1, 2), ([5, 1, 3], 3, 5), (list(range(1, 101)), 50, 99), (list(range(1, 201)), 100, 198)],
)
def test_percentiles_are_the_nearest_rank_when_measured(tmp_path: Path, waits: list[int], p50: float, p99: float) -> None:
    """Textbook ranks: of 100 samples, the 50th and the 99th."""
    assert _hop(tmp_path, waits) == HopLatency("intent → decision", len(waits), p50, p99)


def test_hop_is_empty_when_nothing_was_measured(tmp_path: Path) -> None:
    """And a sample whose clock went backwards is none."""
    assert _hop(tmp_path, [-5]) == HopLatency("intent → decision", 0, 0.0, 0.0)
