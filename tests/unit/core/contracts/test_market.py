"""Market data: what is no price, no size or no bar cannot be made."""

from __future__ import annotations

from typing import Any

import pytest

from core.contracts import BookLevel, Ticker, Trade
from tests.support.builders import NOW, SYMBOL, a_bar

NO_PRICES = [0.0, -1.0, float("nan"), float("inf")]
NO_SIZES = [-1.0, float("nan"), float("inf")]


@pytest.mark.parametrize("value", NO_PRICES)
@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
def test_a_bar_is_made_of_prices(name: str, value: float) -> None:
    """Finite and above zero, all four."""
    values: dict[str, Any] = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0}
    with pytest.raises(ValueError, match=f"^{name}: .* is not a price"):
        type(a_bar())(symbol=SYMBOL, timeframe="1m", open_ns=0, close_ns=NOW, volume=0.0, **(values | {name: value}))


@pytest.mark.parametrize("value", NO_SIZES)
def test_a_volume_is_a_size(value: float) -> None:
    """Zero is one."""
    assert a_bar(volume=0.0).volume == 0
    with pytest.raises(ValueError, match=r"^volume: .* is not a size"):
        a_bar(volume=value)


@pytest.mark.parametrize(("name", "value"), [("open", 3.0), ("open", 0.5), ("close", 3.0), ("close", 0.5)])
def test_a_bar_holds_together(name: str, value: float) -> None:
    """Open and close lie within low and high."""
    values: dict[str, Any] = {"open": 1.0, "high": 2.0, "low": 1.0, "close": 1.0} | {name: value}
    with pytest.raises(ValueError, match=r"must lie within low 1\.0 and high 2\.0"):
        type(a_bar())(symbol=SYMBOL, timeframe="1m", open_ns=0, close_ns=NOW, volume=0.0, **values)


def test_a_bar_lasts() -> None:
    """And may be known when it is over."""
    with pytest.raises(ValueError, match="must come after open_ns"):
        a_bar(minutes=0)
    assert a_bar(close_ns=NOW).visible_ns == NOW


@pytest.mark.parametrize("value", NO_PRICES)
def test_prints_quotes_and_levels_are_made_of_prices(value: float) -> None:
    """Every one of them."""
    for make in (
        lambda: Trade(symbol=SYMBOL, price=value, size=1.0, exchange_ns=NOW),
        lambda: Ticker(symbol=SYMBOL, bid_price=value, ask_price=1.0, bid_size=1.0, ask_size=1.0, exchange_ns=NOW),
        lambda: Ticker(symbol=SYMBOL, bid_price=1.0, ask_price=value, bid_size=1.0, ask_size=1.0, exchange_ns=NOW),
        lambda: BookLevel(price=value, size=1.0),
    ):
        with pytest.raises(ValueError, match="is not a price"):
            make()


@pytest.mark.parametrize("value", NO_SIZES)
def test_prints_quotes_and_levels_are_made_of_sizes(value: float) -> None:
    """A level of size zero is a deletion."""
    assert BookLevel(price=1.0, size=0.0).size == 0
    for make in (
        lambda: Trade(symbol=SYMBOL, price=1.0, size=value, exchange_ns=NOW),
        lambda: Ticker(symbol=SYMBOL, bid_price=1.0, ask_price=1.0, bid_size=value, ask_size=1.0, exchange_ns=NOW),
        lambda: Ticker(symbol=SYMBOL, bid_price=1.0, ask_price=1.0, bid_size=1.0, ask_size=value, exchange_ns=NOW),
        lambda: BookLevel(price=1.0, size=value),
    ):
        with pytest.raises(ValueError, match="is not a size"):
            make()
