"""An account that agrees with its venue is never found to differ, however its messages interleave and whatever the venue's wire does.

Comparing while orders are sent, filled and cancelled is where a comparison would see a fill on one side only. Every process runs ahead of
the others in one half; the venue loses, delays and repeats what it says in the other.
"""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.cli.journals import JournalReader
from core.contracts import BreakKind, OrderType, ReconciliationReport, Side, VenueStatement
from core.topics import RECON_REPORT, Daemon
from execution.reconciliation.questions import Questions
from tests.support.builders import settings_with
from tests.support.faulty_floor import FaultyFloor
from tests.support.gateway import SECOND
from tests.support.journaled_suite import JournaledSuite, a_zigzag, trading_settings

HONEST_ABOUT_ORDERS = {
    "timeout_then_placed": 0.2,
    "timeout_not_placed": 0.2,
    "reset_after_write": 0.1,
    "duplicate_fill": 0.3,
    "out_of_order_fills": 0.3,
    "stream_silent": 0.1,
    "stream_drop_without_close": 0.1,
    "reconnect_without_backfill": 0.2,
    "reconnect_storm": 0.1,
    "late_fill_after_cancel": 0.3,
    "fill_before_ack": 0.3,
    "partial_then_cancel_race": 0.3,
    "trade_bust": 0.2,
    "trade_correct": 0.2,
    "overfill": 0.1,
}
"""Faults of the wire and of the books: none of them shows an order list that is wrong."""

HOLDINGS = {BreakKind.MISSING_LOCAL, BreakKind.MISSING_BROKER, BreakKind.QUANTITY_MISMATCH, BreakKind.CASH_MISMATCH}


def _reports(suite: JournaledSuite) -> list[ReconciliationReport]:
    with JournalReader(suite.home.journal(Daemon.OMS.value), Daemon.OMS.value) as oms:
        return [envelope.body for _, envelope in oms.said(RECON_REPORT.name()) if isinstance(envelope.body, ReconciliationReport)]


@given(st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_processes_that_run_ahead_of_one_another_differ_in_nothing(seed: int) -> None:
    """A minute's bars, a comparison every few seconds of feed time, each input in an order drawn anew."""
    wanted = trading_settings(reconciliation={"orders_ms": 20_000, "holdings_ms": 20_000}, venue={"partial_fill_probability": 0.5})
    with TemporaryDirectory() as root, JournaledSuite(Path(root), wanted, a_zigzag(20), seed) as suite:
        suite.run()
        suite.close()
        found = _reports(suite)
    assert len(found) > 15
    assert [str(b) for report in found for b in report.breaks] == []


def _day(seed: int) -> FaultyFloor:
    """A day of orders, bars and cancels at a venue with these faults, compared every two seconds."""
    draw = random.Random(seed)
    floor = FaultyFloor(HONEST_ABOUT_ORDERS, seed=seed, strikes_max=None, compares=True, silence_ms=5_000)
    intents = []
    for number in range(1, 15):
        side, kind = draw.choice(list(Side)), draw.choice([OrderType.MARKET, OrderType.LIMIT])
        intents.append(floor.submit(number, side=side, order_type=kind, limit_price=100 if kind is OrderType.LIMIT else None))
        if draw.random() < 0.3:
            floor.cancel(draw.choice(intents))
        floor.run_for(draw.choice([0, 700, 30_000]))
        floor.bar(draw.choice([99.0, 100.0, 101.0]))
    return floor


@given(st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_faults_of_the_wire_make_no_difference(seed: int) -> None:
    """What is late, lost and comes twice is told before what contains it, or the comparison waits for it."""
    floor = _day(seed)
    reports = [body for body in floor.said if isinstance(body, ReconciliationReport)]
    assert len(reports) > 10
    assert [str(b) for report in reports for b in report.breaks if b.kind in HOLDINGS] == []
    assert all(report.is_reconciled for report in reports)


def test_there_would_be_differences_if_a_statement_were_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without waiting for the event an answer shows, the same days are full of them."""

    def at_once(questions: Questions) -> None:
        if questions.state.held is not None:
            questions._state_it(questions.state.held)

    monkeypatch.setattr(Questions, "on_event", at_once)
    found = [b.kind for seed in range(6) for body in _day(seed).said if isinstance(body, ReconciliationReport) for b in body.breaks]
    assert HOLDINGS & set(found)


def test_statements_are_made_while_orders_are_under_way() -> None:
    """The property is about something: some lists show open orders, some holdings are not flat."""
    floor = _day(1)
    said = [body for body in floor.said if isinstance(body, VenueStatement)]
    assert any(s.orders for s in said)
    assert any(s.positions for s in said)
    assert settings_with().reconciliation.orders_ms == 30 * SECOND // 10**6
