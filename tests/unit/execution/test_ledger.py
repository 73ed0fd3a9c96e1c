"""The ledger: positions, P&L and cash are exact, and every entry has two sides."""

# Decimals are compared with plain numbers, statuses with their names.
# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Side
from core.instrument import Instrument
from core.order import Amendment, Execution
from execution.ledger import FLAT, Booking, Ledger, LedgerState, Position, Transaction, TransactionKind, decode_transaction
from tests.support.builders import NOW, an_instrument

ONE = Decimal(1)


def a_booking(
    side: Side = Side.BUY, qty: str | int = 10, price: str | int = 100, exec_id: str = "X1", *, owner: str = "trend", instrument: Instrument | None = None, **fees: Any
) -> Booking:
    """An execution of an order of `owner`."""
    execution = Execution(key=f"V1|{exec_id}", kind=Amendment.TRADE, qty=Decimal(qty), price=Decimal(price), occurred_ns=NOW, exec_id=exec_id, venue_order_id="V1", **fees)
    return Booking(owner=owner, client_order_id="c1", side=side, instrument=instrument or an_instrument(), execution=execution)


def an_open_ledger(**balances: str) -> Ledger:
    """A ledger with a thousand dollars."""
    ledger = Ledger()
    ledger.open({asset: Decimal(amount) for asset, amount in (balances or {"USD": "1000"}).items()}, NOW)
    return ledger


def after(*trades: tuple[int, int], multiplier: int = 1) -> Position:
    """The position after these trades (signed quantity, price)."""
    position = FLAT
    for qty, price in trades:
        position = position.after(Decimal(qty), Decimal(price), Decimal(multiplier))
    return position


def sums_of(*transactions: Transaction) -> dict[str, Decimal]:
    """What each asset sums to over all postings."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for transaction in transactions:
        for posting in transaction.postings:
            sums[posting.asset] += posting.amount
    return sums


@pytest.mark.parametrize(
    ("trades", "multiplier", "qty", "avg_price", "realized"),
    [
        pytest.param([(10, 100)], 1, 10, "100", "0", id="opens long"),
        pytest.param([(-10, 100)], 1, -10, "100", "0", id="opens short"),
        pytest.param([(10, 100), (10, 110)], 1, 20, "105", "0", id="adding to a long moves the average"),
        pytest.param([(-10, 100), (-30, 120)], 1, -40, "115", "0", id="adding to a short moves the average"),
        pytest.param([(10, 100), (-4, 110)], 1, 6, "100", "40", id="a partial close keeps the average"),
        pytest.param([(-10, 100), (4, 90)], 1, -6, "100", "40", id="a short earns when it falls"),
        pytest.param([(-10, 100), (4, 110)], 1, -6, "100", "-40", id="a short loses when it rises"),
        pytest.param([(10, 100), (-10, 90)], 1, 0, "0", "-100", id="a full close leaves no average"),
        pytest.param([(10, 100), (-15, 110)], 1, -5, "110", "100", id="crossing zero downwards realises and opens short"),
        pytest.param([(-10, 100), (15, 90)], 1, 5, "90", "100", id="crossing zero upwards realises and opens long"),
        pytest.param([(2, 4000), (-1, 4010)], 50, 1, "4000", "500", id="the multiplier counts"),
        pytest.param([(1, 1), (2, 2)], 1, 3, "1.666666666667", "0", id="the average has twelve places"),
    ],
)
def test_position_follows_its_trades_when_they_add_reduce_or_cross(trades: list[tuple[int, int]], multiplier: int, qty: int, avg_price: str, realized: str) -> None:
    """Adding averages, reducing realises with the sign of the position, crossing zero does both."""
    assert after(*trades, multiplier=multiplier) == Position(Decimal(qty), Decimal(avg_price), Decimal(realized))


@pytest.mark.parametrize(
    ("trades", "undone", "qty", "avg_price", "realized"),
    [
        pytest.param([(10, 100), (10, 110)], (10, 110), 10, "100", "0", id="what it opened leaves at its own cost"),
        pytest.param([(10, 100)], (10, 100), 0, "0", "0", id="the only trade leaves nothing"),
        pytest.param([(10, 100), (-4, 120)], (-4, 120), 10, "100", "0", id="what it closed comes back at the average"),
        pytest.param([(-10, 100), (4, 90)], (4, 90), -10, "100", "0", id="a cover comes back too"),
        pytest.param([(10, 100), (-4, 120)], (10, 100), -4, "100", "80", id="what was closed since is traded back"),
        pytest.param([(10, 100), (-10, 120)], (-10, 120), 10, "120", "200", id="a closed position is opened again at the price"),
        pytest.param([(20, 1), (5, 100), (-15, 10)], (5, 100), 5, "20.8", "234", id="a cost no average explains is traded back"),
    ],
)
def test_position_forgets_a_trade_when_it_is_undone(trades: list[tuple[int, int]], undone: tuple[int, int], qty: int, avg_price: str, realized: str) -> None:
    """Undoing a trade gives the position without it, as far as the average still knows."""
    position = after(*trades).without(Decimal(undone[0]), Decimal(undone[1]), ONE)
    assert position == Position(Decimal(qty), Decimal(avg_price), Decimal(realized))


_TRADE = st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 200))


@given(trades=st.lists(_TRADE, min_size=1, max_size=12), undone=st.sets(st.integers(0, 11)), mark=st.integers(1, 300))
def test_total_profit_is_exact_when_any_trades_are_undone_in_any_position(trades: list[tuple[int, int]], undone: set[int], mark: int) -> None:
    """Realised and open P&L together are what the remaining trades earned, whatever was undone."""
    position = after(*trades)
    left = []
    for n, (qty, price) in enumerate(trades):
        if n in undone:
            position = position.without(Decimal(qty), Decimal(price), ONE)
        else:
            left.append((qty, price))
    earned = sum(qty * (mark - price) for qty, price in left)
    assert position.qty == sum(qty for qty, _ in left)
    assert abs(position.realized_pnl + position.qty * (mark - position.avg_price) - earned) < Decimal("1E-7")


def test_balances_are_posted_once_when_the_ledger_is_opened_again() -> None:
    """A second start does not double the money."""
    ledger = Ledger()
    opened = ledger.open({"USD": Decimal(1000), "EUR": Decimal(0)}, NOW)
    assert [t.key for t in opened] == ["000000000001|opening|USD", "000000000002|opening|EUR"]
    assert ledger.open({"USD": Decimal(5)}, NOW) == []
    assert ledger.balances == {"USD": Decimal(1000), "EUR": Decimal(0)}
    assert not any(sums_of(*opened).values())


def test_cash_pays_notional_and_fee_when_a_buy_is_booked() -> None:
    """A buy moves the notional with its multiplier, and the fee, out of cash."""
    ledger = an_open_ledger(USD="100000")
    transaction = ledger.book(a_booking(qty=2, price="4000.25", fee=Decimal("1.50"), instrument=an_instrument("ES", multiplier=50)), NOW)
    assert ledger.balances == {"USD": Decimal("100000") - Decimal("400025") - Decimal("1.50")}
    assert [(p.account, p.asset, p.amount) for p in transaction.postings] == [
        ("cash:USD", "USD", Decimal("-400025")),
        ("counterparty", "USD", Decimal("400025")),
        ("position:ES:trend", "ES", Decimal(2)),
        ("counterparty", "ES", Decimal(-2)),
        ("cash:USD", "USD", Decimal("-1.50")),
        ("fees:USD", "USD", Decimal("1.50")),
    ]
    assert transaction.assets == ("USD",)
    assert not any(sums_of(transaction).values())


def test_fee_leaves_its_own_asset_when_it_is_not_the_currency() -> None:
    """A fee in another asset is a balance of that asset, also when the ledger never had any."""
    ledger = an_open_ledger()
    transaction = ledger.book(a_booking(qty=1, price=100, fee=Decimal("0.002"), fee_asset="BNB"), NOW)
    assert ledger.balances == {"USD": Decimal(900), "BNB": Decimal("-0.002")}
    assert transaction.assets == ("USD", "BNB")
    assert not any(sums_of(transaction).values())


def test_rebate_is_paid_in_when_the_fee_is_negative() -> None:
    """A maker's rebate is cash received."""
    ledger = an_open_ledger()
    ledger.book(a_booking(Side.SELL, qty=1, price=100, fee=Decimal("-0.25")), NOW)
    assert ledger.balances == {"USD": Decimal("1100.25")}


def test_reversal_takes_everything_back_when_an_execution_is_busted() -> None:
    """Fill and reversal together leave cash, fee and position as they were, and say so in their own words."""
    ledger = an_open_ledger()
    booking = a_booking(Side.SELL, qty=3, price=50, fee=Decimal("0.10"))
    fill, reversal = ledger.book(booking, NOW), ledger.reverse(booking, NOW + 1)
    assert ledger.balances == {"USD": Decimal(1000)}
    assert ledger.position("IBM", "trend").qty == 0
    assert (fill.kind, reversal.kind) == (TransactionKind.FILL, TransactionKind.REVERSAL)
    assert (reversal.side, reversal.fee) == (Side.BUY, Decimal("-0.10"))
    assert fill.key == "000000000002|fill|V1|X1"
    assert reversal.key == "000000000003|reversal|V1|X1"


def test_account_holds_the_sum_when_several_owners_hold_a_symbol() -> None:
    """The account's position is that of all owners together."""
    ledger = an_open_ledger()
    ledger.book(a_booking(qty=10), NOW)
    ledger.book(a_booking(Side.SELL, qty=4, owner="other"), NOW)
    assert ledger.account_qty("IBM") == 6
    assert ledger.account_qty("MSFT") == 0
    assert [(symbol, owner, position.qty) for symbol, owner, position in ledger.positions()] == [("IBM", "trend", 10), ("IBM", "other", -4)]
    assert ledger.position("IBM", "nobody") == FLAT


def test_transaction_tells_its_execution_when_it_is_decoded() -> None:
    """The archive row gives back the very transaction."""
    transaction = an_open_ledger().book(a_booking(fee=Decimal("0.5"), fee_asset="EUR"), NOW)
    assert decode_transaction(transaction.encode()) == transaction
    assert (transaction.exec_id, transaction.client_order_id, transaction.owner, transaction.symbol) == ("X1", "c1", "trend", "IBM")
    assert (transaction.last_qty, transaction.last_price, transaction.notional, transaction.currency, transaction.fee_asset) == (10, 100, 1000, "USD", "EUR")


def test_ledger_goes_on_alike_when_it_is_restored() -> None:
    """A restored ledger has the same books, and its own ones."""
    ledger = an_open_ledger()
    ledger.book(a_booking(), NOW)
    state = msgspec.json.decode(msgspec.json.encode(ledger.snapshot()), type=LedgerState)
    restored = Ledger()
    restored.restore(state)
    assert restored.snapshot() == ledger.snapshot()
    assert restored.reverse(a_booking(), NOW) == ledger.reverse(a_booking(), NOW)
    assert restored.snapshot() == ledger.snapshot() != state
    assert restored.open({"USD": Decimal(1)}, NOW) == []


@given(
    trades=st.lists(
        st.tuples(
            st.sampled_from(Side),
            st.decimals("0.0001", 500, places=4),
            st.decimals("0.01", 900, places=2),
            st.decimals(-1, 5, places=3),
            st.sampled_from(["", "USD", "BNB"]),
            st.sampled_from(["trend", "_suspense"]),
            st.booleans(),
        ),
        max_size=15,
    )
)
def test_every_asset_sums_to_zero_when_fills_and_busts_come_at_random(trades: list[tuple[Side, Decimal, Decimal, Decimal, str, str, bool]]) -> None:
    """Whatever is booked and taken back, the books balance and the state is the sum of its entries."""
    ledger = Ledger()
    transactions = ledger.open({"USD": Decimal(1000)}, NOW)
    for n, (side, qty, price, fee, fee_asset, owner, is_busted) in enumerate(trades):
        booking = a_booking(side, str(qty), str(price), f"X{n}", owner=owner, fee=fee, fee_asset=fee_asset)
        transactions.append(ledger.book(booking, NOW))
        if is_busted:
            transactions.append(ledger.reverse(booking, NOW))
    assert not any(sums_of(*transactions).values())
    by_account: defaultdict[str, Decimal] = defaultdict(Decimal)
    for transaction in transactions:
        for posting in transaction.postings:
            if posting.account != "counterparty":
                by_account[posting.account] += posting.amount
    assert all(by_account[f"cash:{asset}"] == total for asset, total in ledger.balances.items())
    assert all(by_account[f"position:{symbol}:{owner}"] == position.qty for symbol, owner, position in ledger.positions())
    assert [int(transaction.key[:12]) for transaction in transactions] == list(range(1, len(transactions) + 1))
