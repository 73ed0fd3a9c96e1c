"""The last gate: each refusal, and what always passes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.contracts import Approval, KillSwitchState, OrderType, Side
from core.gate import ArmState, Gate, GateFacts
from core.venue import (
    AcknowledgeEvents,
    Cancel,
    FetchFills,
    FetchOpenOrders,
    Lookup,
    NotSent,
    Place,
    Replace,
    Subscribe,
    VenueRequest,
)
from execution.arming import SELF_ARMED
from execution.gate import ALARMS, build_gate
from tests.support.builders import NOW, settings_with
from tests.support.gateway import CLEAR, HALTED, REDUCING, UNREADABLE, GatewayBench, a_submit, terms_of

ORDER = a_submit()
TERMS = terms_of(ORDER)
APPROVAL = ORDER.approval
REDUCES = msgspec.structs.replace(APPROVAL, reduces=True)


@pytest.fixture(params=["Place", "Replace"])
def request_of_order(request: pytest.FixtureRequest) -> Place | Replace:
    """Both requests that can add risk."""
    return Place(order=TERMS) if request.param == "Place" else Replace(orig_client_order_id="before", order=TERMS)


def _code(
    request: VenueRequest,
    approval: Approval | None = APPROVAL,
    kill_switch: KillSwitchState = CLEAR,
    now_ns: int = NOW,
    gate: Gate | None = None,
    *,
    is_genuine: bool = True,
    arming: ArmState = SELF_ARMED,
) -> str:
    refusal = (gate or build_gate(settings_with()))(request, approval, GateFacts(kill_switch, is_genuine, arming), now_ns)
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
def test_cancels_and_questions_leave_whatever_the_facts_say(request_: VenueRequest) -> None:
    """What cannot add risk needs no approval and no lease, and passes a switch that is tripped or cannot be read."""
    assert [_code(request_, None, state, is_genuine=False, arming=ArmState(False, "")) for state in (CLEAR, HALTED, UNREADABLE)] == ["", "", ""]


def test_order_is_refused_when_the_seal_is_not_risks(request_of_order: Place | Replace) -> None:
    """Whoever made the approval up knows its content, not the key. It is refused before anything in it is believed."""
    assert _code(request_of_order, is_genuine=False) == "APPROVAL_FORGED"
    assert _code(request_of_order, REDUCES, is_genuine=False) == "APPROVAL_FORGED"


def test_only_reductions_leave_when_the_account_is_disarmed(request_of_order: Place | Replace) -> None:
    """Absence of risk's word means stop, for what can add risk."""
    disarmed = ArmState(False, "the lease has ended")
    assert _code(request_of_order, arming=disarmed) == "DISARMED"
    assert _code(request_of_order, REDUCES, arming=disarmed) == ""


@pytest.mark.parametrize(
    ("limits", "approval", "code"),
    [
        ({"order_qty_max": 9}, APPROVAL, "ORDER_QTY_MAX"),
        ({"order_qty_max": 10}, APPROVAL, ""),
        ({"order_notional_max": "999.99"}, APPROVAL, "ORDER_NOTIONAL_MAX"),
        ({"order_notional_max": 1_000}, APPROVAL, ""),
        ({}, msgspec.structs.replace(APPROVAL, reference_price=None), "NO_REFERENCE_PRICE"),
        ({"order_qty_max": 9, "order_notional_max": 1}, REDUCES, ""),
        ({}, msgspec.structs.replace(REDUCES, reference_price=None), ""),
    ],
)
def test_entry_is_refused_when_it_is_too_large_by_the_gates_own_limits(request_of_order: Place | Replace, limits: dict[str, object], approval: Approval, code: str) -> None:
    """Ten shares at 100: controls 7 and 8 once more, whatever risk made of them; what cannot be valued is refused; exits pass."""
    gate = build_gate(settings_with(limits={"order_qty_max": 10, **limits}))
    assert _code(request_of_order, approval, gate=gate) == code


@pytest.mark.parametrize(
    ("terms", "notional"),
    [
        ({"side": Side.BUY, "order_type": OrderType.LIMIT, "limit_price": 120}, 1_200),
        ({"side": Side.BUY, "order_type": OrderType.LIMIT, "limit_price": 80}, 1_000),
        ({"side": Side.BUY, "order_type": OrderType.STOP, "stop_price": 130}, 1_300),
        ({"side": Side.SELL, "order_type": OrderType.LIMIT, "limit_price": 120}, 1_000),
    ],
)
def test_order_is_valued_at_the_dearest_it_could_cost(terms: dict[str, Any], notional: int) -> None:
    """A buy may pay up to its own price; a sell's own price only makes it smaller."""
    order = a_submit(**terms)
    for limit, code in ((notional, ""), (notional - 1, "ORDER_NOTIONAL_MAX")):
        gate = build_gate(settings_with(limits={"order_notional_max": limit}))
        assert _code(Place(order=terms_of(order)), order.approval, gate=gate) == code


def test_multiplier_counts_and_an_unknown_instrument_is_refused(request_of_order: Place | Replace) -> None:
    """A contract on ten units is worth ten times its price; without an instrument nothing can be valued."""
    many = build_gate(settings_with(instruments={"default": {"tick": "0.01", "lot": "1", "multiplier": "100"}}))
    assert _code(request_of_order, gate=many) == "ORDER_NOTIONAL_MAX"
    none = build_gate(settings_with().model_copy(update={"instruments": {}}))
    assert _code(request_of_order, gate=none) == "UNKNOWN_INSTRUMENT"
    assert _code(request_of_order, REDUCES, gate=none) == ""


def test_refusals_that_should_be_impossible_are_alarms() -> None:
    """What risk, the OMS or the configuration got wrong is not what a kill, a lease or time makes of an order."""
    assert {"APPROVAL_FORGED", "APPROVAL_MISMATCH", "NO_APPROVAL", "ORDER_NOTIONAL_MAX"} <= ALARMS
    assert not ALARMS & {"KILL_SWITCH", "KILL_SWITCH_UNREADABLE", "DISARMED", "APPROVAL_EXPIRED"}
    bench = GatewayBench().connect()
    bench.tell(ORDER)
    bench.reply(Place, NotSent(code="APPROVAL_FORGED", text="why"))
    assert bench.alerts == ["order_refused_at_exit"]
