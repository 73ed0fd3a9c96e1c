"""The FIX order state change matrices, scenario by scenario, folded through core.order and compared after every row.

`tests/vectors/fix-order-state-matrices.json` holds the published tables. What the sell side sends is folded, what the buy side
sends is asked of the order. Where our convention differs from the published table, `_CONVENTIONS` and `_CORRECTIONS` say so.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from core.contracts import ExecType, OrderStatus, TimeInForce, VenueReport
from core.order import Facet, Order, Request, RequestKind, request_cancel, request_replace
from tests.support.builders import NOW
from tests.support.orders import a_new_order, said, told

_VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "fix-order-state-matrices.json").read_text())
_PRICE = Decimal(100)

_EXEC_TYPES = {
    "New": ExecType.NEW,
    "Rejected": ExecType.REJECTED,
    "Trade": ExecType.TRADE,
    "DoneForDay": ExecType.DONE_FOR_DAY,
    "PendingCancel": ExecType.PENDING_CANCEL,
    "Canceled": ExecType.CANCELLED,
    "PendingReplace": ExecType.PENDING_REPLACE,
    "Replaced": ExecType.REPLACED,
}
_REFUSALS = {RequestKind.CANCEL: ExecType.CANCEL_REJECTED, RequestKind.REPLACE: ExecType.REPLACE_REJECTED}
_PENDING = {RequestKind.CANCEL: Facet.PENDING_CANCEL, RequestKind.REPLACE: Facet.PENDING_REPLACE}

# FIX OrdStatus (39) → our status. None: FIX shows what ours is a facet of; the status under it is told by the quantities.
_CONVENTIONS: dict[str, tuple[OrderStatus | None, Facet | None]] = {
    "New": (OrderStatus.ACCEPTED, None),
    "PartiallyFilled": (OrderStatus.PARTIALLY_FILLED, None),
    "Filled": (OrderStatus.FILLED, None),
    "Canceled": (OrderStatus.CANCELLED, None),
    "Rejected": (OrderStatus.REJECTED, None),
    # FIX shows the one state of highest precedence; ours keeps status and facets apart, so a fill shows under a pending cancel.
    # A pending facet begins with our own request, one message earlier than FIX's sell side can know of it, and ends when the
    # order does; a request the venue has not yet taken up is no longer pending once everything is filled.
    "PendingCancel": (None, Facet.PENDING_CANCEL),
    "PendingReplace": (None, Facet.PENDING_REPLACE),
    "DoneForDay": (None, Facet.SUSPENDED),
}

# Rows of which we hold another view, by scenario and time.
_CORRECTIONS: dict[tuple[str, str], dict[str, Any]] = {
    # The published table shows the replace as done in a report that only says it is pending (the vectors call it an anomaly).
    ("D.2.b", "7"): {"order_qty": 10000, "leaves_qty": 9000},
    # FIX answers a cancel of an order the sell side does not know with OrdStatus Rejected. The order itself was not refused:
    # ours is one that was never sent, and stays so.
    ("B.1.f", "2"): {"ord_status": OrderStatus.PENDING},
}


class _Path(NamedTuple):
    """One way through a scenario: the main rows, or those before an alternate row and that row."""

    scenario: dict[str, Any]
    rows: list[dict[str, Any]]
    is_main: bool


def _paths() -> dict[str, _Path]:
    found = {}
    for scenario in _VECTORS["scenarios"]:
        main: list[dict[str, Any]] = []
        for row in scenario["steps"]:
            if row["branch"] == "main":
                main.append(row)
            else:
                found[f"{scenario['id']} refused at {row['t']}"] = _Path(scenario, [*main, row], False)
        found[scenario["id"]] = _Path(scenario, main, True)
    return found


_PATHS = _paths()


class _Session:
    """Both sides of one path: the order, and the requests that have no answer, as the rows tell it."""

    def __init__(self, path: _Path) -> None:
        self.scenario_id: str = path.scenario["id"]
        self.order: Order = a_new_order(path.scenario["steps"][0]["order_qty"], client_order_id="X", time_in_force=TimeInForce.DAY)
        self.kinds: dict[str, RequestKind] = {}
        self.sent = self.order
        self.asked: list[Request] = []
        self.unanswered: set[str] = set()
        self.taken_up: set[str] = set()
        self.reports: list[VenueReport] = []

    def play(self, row: dict[str, Any]) -> None:
        if row["direction"] == "buy_side->sell_side":
            self._ask(row)
            return
        report = self._report(row)
        self.reports.append(report)
        self.order = told(self.order, report)
        if row["exec_type"] in ("PendingCancel", "PendingReplace"):
            self.taken_up.add(row["cl_ord_id"])
        else:
            self.unanswered.discard(row["cl_ord_id"])
        self._compare(row | _CORRECTIONS.get((self.scenario_id, row["t"]), {}))

    def _ask(self, row: dict[str, Any]) -> None:
        if row["message"] == "NewOrderSingle":
            self.order = self.sent = told(self.order, said(ExecType.ATTEMPTED, "X", evidence="GATEWAY"))
            return
        asked = row["cl_ord_id"]
        self.unanswered.add(asked)
        if row["message"] == "OrderCancelRequest":
            self.kinds[asked] = RequestKind.CANCEL
            self.order = request_cancel(self.order, asked, "WISH", NOW)
        else:
            self.kinds[asked] = RequestKind.REPLACE
            self.order = request_replace(self.order, asked, "intent", NOW, order_qty=Decimal(row["order_qty"]), limit_price=None, stop_price=None)
        self.asked.append(self.order.requests[-1])

    def _report(self, row: dict[str, Any]) -> VenueReport:
        kind = _EXEC_TYPES[row["exec_type"]] if row["exec_type"] else _REFUSALS[self.kinds[row["cl_ord_id"]]]
        fields: dict[str, Any] = {name: row[name] for name in ("order_qty", "cum_qty", "leaves_qty", "last_qty") if row.get(name) is not None}
        if row.get("last_qty"):
            fields |= {"last_price": _PRICE, "exec_id": f"e{row['t']}"}
        return said(kind, row["cl_ord_id"], orig_client_order_id=row["orig_cl_ord_id"] or "", status=self._status_word(row), at=int(row["t"]), **fields)

    def _status_word(self, row: dict[str, Any]) -> OrderStatus | None:
        """What a gateway makes of the venue's OrdStatus: a pending or suspended state is no status of ours."""
        return _CONVENTIONS[row["ord_status"]][0]

    def _compare(self, row: dict[str, Any]) -> None:
        order = self.order
        assert order.status is self._expected_status(row)
        assert set(order.facets) == self._expected_facets(row)
        assert order.avg_price == (_PRICE if order.cum_qty else 0)
        if row.get("cum_qty") is not None:
            assert (order.order_qty, order.cum_qty, order.leaves_qty) == (row["order_qty"], row["cum_qty"], row["leaves_qty"])

    def _expected_status(self, row: dict[str, Any]) -> OrderStatus:
        word = row["ord_status"]
        if isinstance(word, OrderStatus):
            return word
        status = _CONVENTIONS[word][0]
        if status is not None:
            return status
        if row.get("cum_qty") is None:  # a refusal restates the status and names no quantity
            return OrderStatus.PARTIALLY_FILLED
        if row["cum_qty"] == row["order_qty"]:
            return OrderStatus.FILLED
        return OrderStatus.PARTIALLY_FILLED if row["cum_qty"] else OrderStatus.ACCEPTED

    def _expected_facets(self, row: dict[str, Any]) -> set[Facet]:
        word = row["ord_status"]
        if word in ("Canceled", "Rejected"):
            return set()
        facet = None if isinstance(word, OrderStatus) else _CONVENTIONS[word][1]
        is_filled = word == "Filled" or (row.get("cum_qty") is not None and row["cum_qty"] == row["order_qty"])
        still_open = self.unanswered & self.taken_up if is_filled else self.unanswered
        return {_PENDING[self.kinds[asked]] for asked in still_open} | ({facet} if facet else set())


def _played(path: _Path) -> _Session:
    session = _Session(path)
    for row in path.rows:
        session.play(row)
    return session


@pytest.mark.parametrize("name", _PATHS)
def test_order_stands_where_fix_says_when_a_scenario_is_played(name: str) -> None:
    """After every row of a published scenario, status, quantities and facets are what FIX shows, and nothing disagrees."""
    path = _PATHS[name]
    order = _played(path).order
    final = path.scenario.get("expected_final")
    if path.is_main and final is not None:
        assert order.status is (_CONVENTIONS[final["ord_status"]][0] or OrderStatus.PARTIALLY_FILLED)
        assert (order.order_qty, order.cum_qty, order.leaves_qty) == (final["order_qty"], final["cum_qty"], final["leaves_qty"])
        assert sum(execution.qty for execution in order.executions.values()) == final["net_executed_from_reports"]
    assert not order.is_disagreeing


@pytest.mark.parametrize("name", [name for name, path in _PATHS.items() if path.scenario["steps"][0]["message"] == "NewOrderSingle"])
def test_order_ends_the_same_when_a_scenario_arrives_backwards_and_twice(name: str) -> None:
    """The sell side's reports of a scenario, youngest first and each repeated, lead to the same order."""
    session = _played(_PATHS[name])
    start = msgspec.structs.replace(session.sent, requests=tuple(session.asked))
    again = told(start, *(report for report in reversed(session.reports) for _ in range(2)))
    assert _outcome(again) == _outcome(session.order)


def _outcome(order: Order) -> tuple[Any, ...]:
    # Whether a fill came late is a matter of arrival, and the one thing that may differ.
    facets = set(order.facets) - {Facet.LATE_FILL}
    return order.status, order.terms, order.cum_qty, order.leaves_qty, order.avg_price, set(order.executions), facets


def test_cancelled_order_can_still_be_sent_when_a_cancel_of_the_unknown_order_was_refused() -> None:
    """B.1.f: the refusal of a cancel for an order the venue never had does not use up the order's id."""
    order = told(_played(_PATHS["B.1.f"]).order, said(ExecType.ATTEMPTED, "X"), said(ExecType.NEW, "X"))
    assert order.status is OrderStatus.ACCEPTED


def test_every_published_scenario_is_played() -> None:
    """No scenario of the vectors is left out, and each of their conventions is used by one of them."""
    assert {path.scenario["id"] for path in _PATHS.values()} == {scenario["id"] for scenario in _VECTORS["scenarios"]}
    assert {row["ord_status"] for path in _PATHS.values() for row in path.rows if "ord_status" in row} == set(_CONVENTIONS)
