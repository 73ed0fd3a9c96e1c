"""Nothing a venue can say is refused or lost: every execution is in an order of ours, or in suspense where it is counted.

The venue here is not honest at all: reports name any order, symbol, side and number, and come in any order. On every input the
bench checks that entries sum to zero per asset, and that balances and positions are the sums of their entries.
"""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import ExecType, OrderStatus, OrderType, Side, VenueReport
from core.money import ZERO
from core.order import Order
from core.order.executions import execution_of, tally
from execution.reconciliation.external import EXTERNAL
from execution.suspense import SUSPENSE, execution_key, is_execution
from tests.support.builders import NOW, STRATEGY, a_report, an_intent
from tests.support.oms import OmsBench, a_cancel, a_replace

_SYMBOLS = ("IBM", "MSFT")
_OURS = ("i0", "i1")
_AMOUNTS = st.sampled_from(["0", "1", "4", "0.5"])
_EXEC_IDS = st.sampled_from(["", "e1", "e2", "e3"])


class _Any(msgspec.Struct, frozen=True):
    """A report whose order is named by its number: 0 and 1 are ours, 2 is the first one's cancel or replace, others nobody's."""

    order: int
    orig: int
    report: VenueReport


_REPORTS = st.builds(
    _Any,
    st.integers(0, 4),
    st.integers(0, 5),
    st.builds(
        a_report,
        st.sampled_from([*ExecType, ExecType.TRADE, ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT]),
        symbol=st.sampled_from(_SYMBOLS),
        side=st.sampled_from([None, Side.BUY, Side.BUY, Side.SELL]),
        venue_order_id=st.sampled_from(["", "V1", "V2"]),
        exec_id=_EXEC_IDS,
        exec_ref_id=_EXEC_IDS,
        evidence=st.sampled_from(["PUSH", "QUERY"]),
        occurred_ns=st.integers(NOW, NOW + 5),
        status=st.none() | st.sampled_from(OrderStatus),
        order_qty=st.none() | st.sampled_from(["4", "10"]),
        cum_qty=st.none() | _AMOUNTS,
        last_qty=_AMOUNTS,
        last_price=st.sampled_from(["100", "101"]),
        fee=st.sampled_from(["0", "0.3", "-0.1"]),
        fee_asset=st.sampled_from(["USD", "BNB"]),
    ),
)


def _desk() -> tuple[OmsBench, list[str]]:
    """Two orders of ours at the venue, a replace and a cancel of the first asked for, and every name a report may go by."""
    bench = OmsBench()
    intents = [an_intent(name, order_type=OrderType.LIMIT, limit_price=100, side=side) for name, side in zip(_OURS, (Side.BUY, Side.SELL), strict=True)]
    names = [bench.working(intent) for intent in intents]
    bench.decide(a_replace(intents[0], order_qty=12))
    bench.decide(a_cancel(_OURS[0]))
    return bench, [*names, bench.instructions[-1].client_order_id, "nobody", "", bench.instructions[-2].client_order_id]


@settings(max_examples=50)
@given(st.lists(_REPORTS, min_size=1, max_size=14))
def test_execution_is_folded_or_suspended_and_counted_when_a_venue_says_anything(said: list[_Any]) -> None:
    """No report raises; every execution is found in an order or in the archive of suspense; our orders' position is what stands of theirs."""
    bench, names = _desk()
    for number, item in enumerate(said):
        report = msgspec.structs.replace(item.report, client_order_id=names[item.order], orig_client_order_id=names[item.orig])
        bench.report_as(report)
        if is_execution(report):
            assert _is_kept(bench, report), f"report {number} is nowhere"
    for symbol in _SYMBOLS:
        ours = [order for order in _latest(bench) if (order.origin.symbol, order.origin.strategy_id) == (symbol, STRATEGY)]
        standing = sum((order.origin.side.sign * tally(order.executions.values()).cum_qty for order in ours), ZERO)
        assert bench.position_qty(STRATEGY, symbol) == standing
        # What is held in suspense may have found its order since, so the reserved owners are only counted together.
        assert bench.oms.ledger.account_qty(symbol) == sum((bench.position_qty(owner, symbol) for owner in (STRATEGY, SUSPENSE, EXTERNAL)), ZERO)
    assert bench.alerts.count("Suspense") + bench.alerts.count("SuspenseWithoutSide") == sum(kind == "exec" for kind, _ in bench.archive)


def _is_kept(bench: OmsBench, report: VenueReport) -> bool:
    key = execution_of(report).key
    if ("exec", execution_key(report)) in bench.archive:
        return True
    if report.exec_type is not ExecType.TRADE and not execution_of(report).ref:
        return any(order.disagreement for order in _latest(bench))  # an amendment of nothing counts for nothing, and is shown
    return any(key in order.executions for order in _latest(bench))


def _latest(bench: OmsBench) -> list[Order]:
    """The newest self of every order: live ones are newer than what the archive holds of them."""
    rows = {key: msgspec.json.decode(data, type=Order) for (kind, key), data in bench.archive.items() if kind in ("order", "suspense")}
    found = {o.client_order_id if not o.origin.external else key: o for key, o in rows.items()}
    return list((found | {o.client_order_id: o for o in bench.oms.orders.all}).values())
