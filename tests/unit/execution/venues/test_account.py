"""The venue's own books: cash, positions, and what the account may take on."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Side
from core.instrument import Instrument
from execution.venues.account import AccountState, VenueAccount
from tests.support.builders import an_instrument

D = Decimal
IBM, MSFT, FUTURE = an_instrument("IBM"), an_instrument("MSFT"), an_instrument("ESZ", multiplier=50)
_INSTRUMENTS = {i.symbol: i for i in (IBM, MSFT, FUTURE)}


def _account(cash: int = 10_000, **marks: int) -> VenueAccount:
    account = VenueAccount(_INSTRUMENTS, {"USD": D(cash)})
    for symbol, price in marks.items():
        account.mark(symbol, D(price))
    return account


def _trade(account: VenueAccount, side: Side, qty: int, price: int, instrument: Instrument = IBM, fee: str = "0") -> None:
    account.work(instrument.symbol, side, D(qty))
    account.fill(instrument, side, D(qty), D(price), D(fee))


def test_cash_and_position_move_when_an_order_fills() -> None:
    """A buy costs notional and fee, a sale brings notional less fee, a multiplier counts, and flat positions are not kept."""
    account = _account(IBM=100, ESZ=10)
    _trade(account, Side.BUY, 10, 100, fee="0.50")
    assert (account.balances, account.positions) == ({"USD": D("8999.50")}, {"IBM": D(10)})
    _trade(account, Side.SELL, 10, 110, fee="0.55")
    _trade(account, Side.SELL, 1, 10, FUTURE)
    assert (account.balances, account.positions) == ({"USD": D("10598.95")}, {"ESZ": D(-1)})


@pytest.mark.parametrize(
    ("held", "side", "qty", "is_carried"),
    [
        (0, Side.BUY, 100, True),
        (0, Side.BUY, 101, False),
        (0, Side.SELL, 100, True),
        (0, Side.SELL, 101, False),
        (60, Side.BUY, 40, True),
        (60, Side.BUY, 41, False),
        (60, Side.SELL, 60, True),
        (60, Side.SELL, 120, True),
        (-60, Side.BUY, 60, True),
        (-60, Side.SELL, 41, False),
    ],
)
def test_order_is_carried_when_the_worst_case_stays_within_equity(held: int, side: Side, qty: int, is_carried: bool) -> None:
    """Equity of 10,000 carries 100 shares at 100 either way; what does not raise the worst case always passes."""
    account = _account(IBM=100)
    if held:
        _trade(account, Side.BUY if held > 0 else Side.SELL, abs(held), 100)
    assert (account.lacks_funds(IBM, side, D(qty), None) == "") is is_carried


def test_working_orders_count_when_another_one_comes() -> None:
    """What works is spent already, per side in the worst case, and is free again when it ends."""
    account = _account(IBM=100, MSFT=50)
    account.work("IBM", Side.BUY, D(60))
    assert account.lacks_funds(MSFT, Side.BUY, D(80), None) == ""
    assert account.lacks_funds(MSFT, Side.BUY, D(81), None) == "exposure=6000, added=4050, equity=10000"
    assert account.lacks_funds(IBM, Side.SELL, D(100), None) == ""
    account.work("IBM", Side.BUY, D(-60))
    assert account.lacks_funds(MSFT, Side.BUY, D(200), None) == ""


def test_exit_passes_when_losses_have_eaten_the_equity() -> None:
    """An account that could take on nothing more can still close what it holds."""
    account = _account(IBM=100)
    _trade(account, Side.SELL, 100, 100)
    account.mark("IBM", D(250))
    assert account.equity("USD") == D(-5_000)
    assert account.lacks_funds(IBM, Side.BUY, D(100), None) == ""
    assert account.lacks_funds(MSFT, Side.BUY, D(1), D(1)) != ""


def test_own_price_counts_when_the_market_has_not_printed_yet() -> None:
    """Before the first print an order weighs its own price (the highest of those working), and without any it is refused."""
    account = _account()
    assert account.lacks_funds(IBM, Side.BUY, D(1), None) == "reference_price=None"
    account.work("IBM", Side.BUY, D(50), D(100))
    account.work("IBM", Side.BUY, D(10), D(90))
    assert account.exposure("USD") == D(6_000)
    assert account.lacks_funds(MSFT, Side.BUY, D(81), D(50)) != ""
    account.mark("IBM", D(80))
    assert account.exposure("USD") == D(4_800)
    assert account.snapshot().guesses == {}
    assert account.lacks_funds(MSFT, Side.BUY, D(81), D(50)) == ""


def test_currencies_are_apart_when_instruments_differ() -> None:
    """Money of one currency carries nothing in another."""
    euro = an_instrument("SAP", currency="EUR")
    account = VenueAccount({"SAP": euro, "IBM": IBM}, {"USD": D(10_000)})
    assert account.lacks_funds(euro, Side.BUY, D(1), D(1)) != ""
    assert account.lacks_funds(IBM, Side.BUY, D(1), D(1)) == ""


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("mark"), st.sampled_from(["IBM", "MSFT", "ESZ"]), st.integers(1, 500)),
        st.tuples(st.just("work"), st.sampled_from(["IBM", "MSFT", "ESZ"]), st.integers(1, 50), st.sampled_from(Side)),
        st.tuples(st.just("fill"), st.sampled_from(["IBM", "MSFT", "ESZ"]), st.integers(1, 50), st.sampled_from(Side), st.integers(1, 500)),
    ),
    max_size=40,
)


@given(_STEPS)
def test_sums_are_what_a_fresh_count_gives_when_anything_happened(steps: list[tuple[object, ...]]) -> None:
    """Exposure and worth kept by difference equal those counted afresh from a snapshot, and the snapshot survives JSON."""
    account = _account(1_000_000)
    for step in steps:
        match step:
            case ("mark", str(symbol), int(price)):
                account.mark(symbol, D(price) / 100)
            case ("work", str(symbol), int(qty), Side() as side):
                account.work(symbol, side, D(qty), D(7))
            case ("fill", str(symbol), int(qty), Side() as side, int(price)):
                account.work(symbol, side, D(qty))
                account.fill(_INSTRUMENTS[symbol], side, D(qty), D(price) / 100, D("0.01"))
                account.equity("USD")
    state = account.snapshot()
    fresh = VenueAccount(_INSTRUMENTS, {})
    fresh.restore(msgspec.json.decode(msgspec.json.encode(state), type=AccountState))
    assert fresh.snapshot() == state
    assert (fresh.equity("USD"), fresh.exposure("USD")) == (account.equity("USD"), account.exposure("USD"))


def test_snapshot_is_independent_when_the_account_goes_on() -> None:
    """A snapshot is a copy: later trades do not change it."""
    account = _account(IBM=100)
    state = account.snapshot()
    _trade(account, Side.BUY, 10, 100)
    account.mark("IBM", D(1))
    assert (state.positions, state.balances, state.marks) == ({}, {"USD": D(10_000)}, {"IBM": D(100)})
