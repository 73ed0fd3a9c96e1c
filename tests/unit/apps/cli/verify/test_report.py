"""The verifier over whole suites: what it reads from the journals, and what it makes of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.cli.journals import JournalReader, open_journals
from apps.cli.verify.evidence import Evidence, gather
from apps.cli.verify.ledgers import Ledgers, read_ledgers
from apps.cli.verify.replayed import replay
from apps.cli.verify.report import VerifyReport, verify_home
from apps.runtime.home import open_home
from apps.runtime.journal import SqliteJournal
from apps.runtime.settings_loader import LoadedSettings
from core.contracts import ExecType, OrderStatus, OrderType, Side, TimeInForce
from core.errors import ConfigError
from core.journal import Batch, InputRow, QuarantineRow, encode_input
from core.machine import NOTHING_ATTACHED, ConfigLoaded, VenuePushed
from core.topics import Daemon
from core.venue import BrokerOrderUpdate, OrderUpdated
from execution.oms import Oms
from tests.support.builders import NOW, SYMBOL
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings

STEPS = 14
ORDER: dict[str, Any] = {
    "client_order_id": "o",
    "venue_order_id": "v",
    "symbol": SYMBOL,
    "side": Side.BUY,
    "order_type": OrderType.MARKET,
    "time_in_force": TimeInForce.DAY,
    "order_qty": Decimal(1),
    "cum_qty": Decimal(0),
    "leaves_qty": Decimal(0),
    "status": OrderStatus.CANCELLED,
    "updated_ns": NOW,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournaledSuite]:
    """A suite that has traded to its end. Tests only read it."""
    with JournaledSuite(tmp_path_factory.mktemp("finished"), trading_settings(), a_zigzag(STEPS), 1) as suite:
        suite.run()
        yield suite


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[JournaledSuite]:
    """A suite that a test may stop anywhere and damage."""
    with JournaledSuite(tmp_path, trading_settings(), a_zigzag(STEPS), 1) as made:
        yield made


def _gather(suite: JournaledSuite) -> tuple[Evidence, Ledgers]:
    journals = open_journals(suite.home, tuple(daemon.value for daemon in suite.settings.runtime.daemons))
    try:
        found = gather(suite.settings, journals)
        return found, read_ledgers(found, suite.home)
    finally:
        for reader in journals.values():
            reader.close()


def _verify(suite: JournaledSuite) -> VerifyReport:
    return verify_home(suite.home, suite.loaded)


def _edit(suite: JournaledSuite, daemon: Daemon, statement: str) -> None:
    with sqlite3.connect(suite.home.journal(daemon.value)) as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()


class TestReport:
    """Verdict, exit code, and how long to wait."""

    def test_everything_holds_when_a_suite_has_ended(self, finished: JournaledSuite) -> None:
        """And every promise was looked at on something."""
        report = _verify(finished)
        assert (report.holds, report.exit_code, report.in_flight, report.quarantined) == (True, 0, {}, ())
        assert all(finding.checked for finding in report.findings)

    def test_exit_code_is_three_when_something_is_under_way(self, suite: JournaledSuite) -> None:
        """What, and where, is told."""
        suite.advance(60)
        report = _verify(suite)
        assert (report.holds, report.broken, report.exit_code) == (False, (), 3)
        assert report.in_flight
        assert all(count > 0 for count in report.in_flight.values())

    def test_venue_events_are_in_flight_when_the_broker_has_not_taken_them(self, suite: JournaledSuite) -> None:
        """They travel outside the bus, and count all the same."""
        seen: set[str] = set()
        while suite.advance() and "venue events → broker" not in seen:
            if suite.handled > 90:
                seen |= set(_verify(suite).in_flight)
        assert "venue events → broker" in seen

    def test_verifier_looks_again_when_told_to_wait(self, suite: JournaledSuite, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until it is quiet, or the time is over."""
        suite.advance(60)
        moments = iter((0.0, 0.1, 0.2, 9.9))

        def sleep(seconds: float) -> None:
            suite.run()

        monkeypatch.setattr("apps.cli.verify.report.time.monotonic", lambda: next(moments))
        monkeypatch.setattr("apps.cli.verify.report.time.sleep", sleep)
        assert verify_home(suite.home, suite.loaded, 1.0).exit_code == 0

    def test_verifier_gives_up_when_the_time_is_over(self, suite: JournaledSuite, monkeypatch: pytest.MonkeyPatch) -> None:
        """A suite that stands still is not waited for."""
        suite.advance(60)
        moments = iter((0.0, 0.5, 1.5))
        monkeypatch.setattr("apps.cli.verify.report.time.monotonic", lambda: next(moments))
        monkeypatch.setattr("apps.cli.verify.report.time.sleep", lambda seconds: None)
        assert verify_home(suite.home, suite.loaded, 1.0).exit_code == 3

    def test_quarantine_is_told_when_a_daemon_could_not_handle_something(self, suite: JournaledSuite) -> None:
        """What waits behind it waits until a person has looked."""
        suite.run()
        suite.close()
        journal = SqliteJournal(suite.home.journal("oms"), 1)
        journal.commit(Batch(quarantine=[QuarantineRow("risk.decision", "risk_engine", 9, "KeyError: 'x'", b"{}")]))
        journal.close()
        assert _verify(suite).quarantined == ("oms: risk.decision 9: KeyError: 'x'",)

    def test_verifier_refuses_when_there_is_nothing_to_verify(self, tmp_path: Path) -> None:
        """Nothing checked must not look like everything holds."""
        settings = trading_settings()
        with pytest.raises(ConfigError, match="holds no journal"):
            verify_home(open_home(tmp_path), LoadedSettings(settings, "", settings.model_dump_json(), {}))

    def test_something_is_under_way_when_a_daemon_has_never_started(self, suite: JournaledSuite) -> None:
        """A consumer without a journal has handled nothing of what was said."""
        suite.advance(200)
        suite.close()
        suite.home.journal("strategy_runner").unlink()
        report = _verify(suite)
        assert "md.bars.1m.IBM → strategy_runner" in report.in_flight
        assert "I11" in report.broken, "the others have handled what it once said"


class TestEvidence:
    """What is read from the journals."""

    def test_evidence_tells_the_run_when_it_has_ended(self, finished: JournaledSuite) -> None:
        """Intents, decisions, orders, requests at the venue: the same number of each, and nothing unheard."""
        found, _ = _gather(finished)
        assert len(found.intents) == len(found.order_intents) == len(found.decisions) == len(found.submitted) == len(found.sent) > 2
        assert {sent.request_id for sent in found.sent} <= found.calls
        assert found.open_calls == []
        assert found.unheard_intents | found.unheard_decisions | found.unheard_executions == set()
        assert {event.client_order_id for event in found.events} == set(found.last_events)

    def test_what_nobody_has_heard_is_named_when_consumers_are_behind(self, suite: JournaledSuite) -> None:
        """Intents for risk, decisions and executions for the OMS."""
        unheard: list[set[str]] = [set(), set(), set()]
        while suite.advance() and not all(unheard):
            if suite.handled > 90:
                found, _ = _gather(suite)
                for seen, now in zip(unheard, (found.unheard_intents, found.unheard_decisions, found.unheard_executions), strict=True):
                    seen |= now
        assert all(unheard)

    def test_venue_request_is_left_out_when_it_cannot_be_decoded(self, suite: JournaledSuite) -> None:
        """The chain check tells of it; the others go on with what makes sense."""
        suite.run()
        suite.close()
        _edit(suite, Daemon.PAPER_VENUE, "update inputs set data = cast('{\"command_id\":\"\"}' as blob) where n = (select max(n) from inputs where kind = 'Command')")
        report = _verify(suite)
        assert {"I12", "I13"} <= set(report.broken)


class TestLedgers:
    """Our books and the venue's."""

    def test_ledgers_are_the_machines_books_when_read(self, finished: JournaledSuite) -> None:
        """Where the replayed machines stand is where the real ones do."""
        _, books = _gather(finished)
        oms = finished.machines[Daemon.OMS]
        assert isinstance(oms, Oms)
        assert books.balances == oms.ledger.balances == books.venue_balances
        assert books.opening["USD"] + books.entries["USD"] == books.balances["USD"]
        assert books.venue_cursor == books.broker_cursor > 0
        assert books.fill_transactions == set(books.venue_fills) == set(books.fill_events)

    def test_later_entries_are_left_out_when_the_journals_are_cut(self, finished: JournaledSuite) -> None:
        """The archive has no numbers of its own: the ledger's count and the venue's last event say what belongs to the cut."""
        journals = open_journals(finished.home, tuple(daemon.value for daemon in Daemon))
        whole = gather(finished.settings, journals)
        second = [event for event in whole.events if event.exec_type is ExecType.TRADE][1]
        at = next(row.n for row, envelope in journals["oms"].said("orders.events") if envelope.body == second)
        journals["oms"].cut_at(at)
        bars = [row.n for row in journals["paper_venue"].messages("md.bars")]
        journals["paper_venue"].cut_at(bars[-4])
        books = read_ledgers(gather(finished.settings, journals), finished.home)
        for reader in journals.values():
            reader.close()
        assert len(books.fill_transactions) == 2
        assert books.opening["USD"] + books.entries["USD"] == books.balances["USD"]
        assert 0 < len(books.venue_fills) < len(whole.submitted)
        assert max(fill.cursor for fill in books.venue_fills.values()) <= books.venue_cursor

    def test_early_event_is_not_counted_when_one_before_it_is_missing(self, tmp_path: Path) -> None:
        """The broker asks for it again; until then nothing after the gap has been taken."""
        home = open_home(tmp_path)
        journal = SqliteJournal(home.journal("broker"), 1)
        update = BrokerOrderUpdate(**ORDER)
        pushes = [VenuePushed(OrderUpdated(cursor=cursor, order=update)) for cursor in (1, 3)]
        journal.commit(Batch(inputs=[InputRow(n, "VenuePushed", "", "", 0, 1, 1, encode_input(push), b"") for n, push in enumerate(pushes, 1)]))
        journal.commit(Batch(inputs=[InputRow(3, "VenuePushed", "", "", 0, 1, 1, b"{}", b"")]))
        journal.close()
        settings = trading_settings()
        with JournalReader(home.journal("broker"), "broker") as broker:
            assert read_ledgers(gather(settings, {"broker": broker}), home).broker_cursor == 1

    def test_books_are_empty_when_neither_side_has_a_journal(self, tmp_path: Path) -> None:
        """Nothing is invented."""
        settings = trading_settings()
        books = read_ledgers(gather(settings, {}), open_home(tmp_path))
        assert (books.transactions, books.balances, books.positions, books.venue_fills, books.venue_balances) == ({}, {}, {}, {}, {})


class TestReplay:
    """A journal handled again from its first input."""

    @pytest.mark.parametrize("daemon", list(Daemon))
    def test_replay_is_exact_when_nothing_was_changed(self, finished: JournaledSuite, daemon: Daemon) -> None:
        """Every daemon: what was said, and the snapshot at its end."""
        with JournalReader(finished.home.journal(daemon.value), daemon.value) as journal:
            replayed = replay(daemon, journal, finished.settings, finished.home.account_epoch)
        assert replayed.problems == []
        assert replayed.inputs > 10
        assert replayed.machine.snapshot() == finished.machines[daemon].snapshot()

    @pytest.mark.parametrize(
        ("statement", "problem"),
        [
            ("update outputs set data = cast(replace(data, 'ALLOWED', 'DENIED') as blob) where id = 3", "recorded"),
            ("delete from outputs where id = 3", "recorded nothing"),
            ("update snapshots set data = cast('{}' as blob)", "is not the state that its inputs give"),
            ("update inputs set data = cast('{' as blob) where n = 5", "input 5"),
            ("delete from archive where id = 2", "the archive lacks 1 of the"),
            ("update archive set data = cast('{}' as blob) where id = 2", "is not what its inputs give"),
            ("insert into archive(kind, key, data) values('intent', 'nobody', cast('{}' as blob))", "the archive's intent nobody is not what its inputs give"),
        ],
    )
    def test_difference_is_named_when_a_journal_was_changed(self, suite: JournaledSuite, statement: str, problem: str) -> None:
        """The first one, with the input it shows at."""
        suite.run()
        suite.close()
        _edit(suite, Daemon.RISK_ENGINE, statement)
        report = _verify(suite)
        told = next(finding for finding in report.findings if finding.invariant == "I13").problems
        assert len(told) == 1
        assert told[0].startswith("risk_engine: ")
        assert problem in told[0]

    def test_state_goes_on_when_another_configuration_was_loaded(self, tmp_path: Path) -> None:
        """As the daemon itself did: the old state under the new settings."""
        before, after = trading_settings(), trading_settings(limits={"order_qty_max": "5"})
        with JournaledSuite(tmp_path, before, a_zigzag(STEPS), 1) as suite:
            suite.run()
            machine = suite.machines[Daemon.OMS]
        journal = SqliteJournal(suite.home.journal("oms"), 1)
        last = journal.load()
        loaded = ConfigLoaded("another", after.model_dump_json())
        assert list(machine.handle(loaded, NOTHING_ATTACHED, last.last_now_ns)) == []
        journal.commit(Batch(inputs=[InputRow(last.last_n + 1, "ConfigLoaded", "", "", 0, last.last_now_ns, 0, encode_input(loaded), b"")]))
        journal.close()
        with JournalReader(suite.home.journal("oms"), "oms") as reader:
            replayed = replay(Daemon.OMS, reader, before, suite.home.account_epoch)
        assert replayed.problems == []
        assert replayed.machine.snapshot() == machine.snapshot()
