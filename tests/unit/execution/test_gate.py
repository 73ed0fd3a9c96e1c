"""The last gate: each refusal, and what always passes."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from core.contracts import Approval, KillSwitchState
from core.node import Gate
from core.venue import (
    AcknowledgeEvents,
    Cancel,
    FetchFills,
    FetchOpenOrders,
    Lookup,
    Place,
    Replace,
    Subscribe,
    VenueRequest,
)
from execution.gate import build_gate
from tests.support.builders import NOW, settings_with
from tests.support.gateway import CLEAR, HALTED, REDUCING, UNREADABLE, a_submit, terms_of

ORDER = a_submit()
TERMS = terms_of(ORDER)
APPROVAL = ORDER.approval
REDUCES = msgspec.structs.replace(APPROVAL, reduces=True)


@pytest.fixture(params=["Place", "Replace"])
def request_of_order(request: pytest.FixtureRequest) -> Place | Replace:
    """Both requests that can add risk."""
    return Place(order=TERMS) if request.param == "Place" else Replace(orig_client_order_id="before", order=TERMS)


def _code(request: VenueRequest, approval: Approval | None = APPROVAL, kill_switch: KillSwitchState = CLEAR, now_ns: int = NOW, gate: Gate | None = None) -> str:
    refusal = (gate or build_gate(settings_with()))(request, approval, kill_switch, now_ns)
    return "" if refusal is None else refusal.code


def test_order_leaves_when_everything_is_as_approved(request_of_order: Place | Replace) -> None:
    """An approved order passes up to the very nanosecond its approval expires."""
    assert _code(request_of_order, now_ns=APPROVAL.expires_ns) == ""


def test_order_is_refused_when_it_has_no_approval(request_of_order: Place | Replace) -> None:
    """Nothing that can add risk leaves without risk's word."""
    assert _code(request_of_order, None) == "NO_APPROVAL"


def test_order_is_refused_when_the_kill_switch_is_unreadable(request_of_order: Place | Replace) -> None:
    """Not knowing counts as stop, for reducing orders too: what state it is in is just what nobody can read."""
    assert _code(request_of_order, REDUCES, UNREADABLE) == "KILL_SWITCH_UNREADABLE"


@pytest.mark.parametrize(
    ("kill_switch", "approval", "code"),
    [(HALTED, APPROVAL, "KILL_SWITCH"), (HALTED, REDUCES, "KILL_SWITCH"), (REDUCING, APPROVAL, "KILL_SWITCH"), (REDUCING, REDUCES, "")],
)
def test_only_reductions_leave_when_the_kill_switch_is_tripped(request_of_order: Place | Replace, kill_switch: KillSwitchState, approval: Approval, code: str) -> None:
    """HALTED stops everything, REDUCING lets through what risk has approved as reducing."""
    assert _code(request_of_order, approval, kill_switch) == code


@pytest.mark.parametrize("change", [{"order_qty": Decimal(11)}, {"symbol": "MSFT"}, {"limit_price": Decimal(1)}], ids=str)
def test_order_is_refused_when_its_terms_are_not_the_approved_ones(change: dict[str, object]) -> None:
    """The approval is bound to the content of exactly what is sent."""
    assert _code(Place(order=msgspec.structs.replace(TERMS, **change))) == "APPROVAL_MISMATCH"


def test_order_is_refused_when_the_approval_is_for_another_account() -> None:
    """Terms approved for one account must not leave through another's connection."""
    other = build_gate(settings_with(account={"name": "other"}))
    assert _code(Place(order=TERMS), gate=other) == "APPROVAL_MISMATCH"


def test_order_is_refused_when_the_approval_names_another_order() -> None:
    """An approval is one order's, even when the hash was made for these terms."""
    assert _code(Place(order=TERMS), msgspec.structs.replace(APPROVAL, client_order_id="another")) == "APPROVAL_MISMATCH"


def test_order_is_refused_when_its_approval_has_expired(request_of_order: Place | Replace) -> None:
    """A stale approval is no approval."""
    assert _code(request_of_order, now_ns=APPROVAL.expires_ns + 1) == "APPROVAL_EXPIRED"


@pytest.mark.parametrize(
    "request_", [Cancel(client_order_id="o"), Lookup(client_order_id="o"), FetchOpenOrders(), FetchFills(cursor=0), Subscribe(cursor=0), AcknowledgeEvents(cursor=0)]
)
def test_cancels_and_questions_leave_whatever_the_kill_switch_says(request_: VenueRequest) -> None:
    """What cannot add risk needs no approval and passes a switch that is tripped or cannot be read."""
    assert [_code(request_, None, state) for state in (CLEAR, HALTED, UNREADABLE)] == ["", "", ""]
