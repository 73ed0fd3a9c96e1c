"""Indicators: from a stream they give, to the last bit, what the batch gives."""

from __future__ import annotations

from math import inf

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Bar
from strategies.indicators import SessionVwap, Sma, session_vwap_batch, sma_batch, typical_price
from tests.support.builders import NOW, a_bar

prices = st.floats(min_value=0.0001, max_value=1e9, allow_nan=False)
volumes = st.floats(min_value=0.0, max_value=1e12, allow_nan=False)


def _bar(low: float, close: float, high: float, volume: float) -> Bar:
    low, close, high = sorted((low, close, high))
    return a_bar(close, open=low, low=low, high=high, close_ns=NOW, volume=volume)


sessions = st.lists(st.builds(_bar, prices, prices, prices, volumes), max_size=12)


@given(st.lists(prices, max_size=30), st.integers(min_value=1, max_value=12))
def test_a_streamed_average_equals_the_batch(values: list[float], length: int) -> None:
    """Every value, the missing ones of the warm-up included."""
    sma = Sma(length)
    assert [sma.update(value) for value in values] == sma_batch(values, length)


@given(st.lists(prices, min_size=6, max_size=20))
def test_an_average_depends_on_its_window_alone(values: list[float]) -> None:
    """Whatever came before the window leaves no trace in the value."""
    old, fresh = Sma(5), Sma(5)
    for value in values:
        old.update(value)
    for value in values[-5:]:
        fresh.update(value)
    assert old.value == fresh.value


@given(sessions)
def test_a_streamed_vwap_equals_the_batch(session: list[Bar]) -> None:
    """Every value of a session, the missing ones before the first trade included."""
    vwap = SessionVwap()
    assert [vwap.update(1, bar) for bar in session] == session_vwap_batch(session)


@given(sessions, sessions)
def test_a_new_session_starts_from_nothing(first: list[Bar], second: list[Bar]) -> None:
    """The day before leaves no trace."""
    vwap = SessionVwap()
    for bar in first:
        vwap.update(1, bar)
    assert [vwap.update(2, bar) for bar in second] == session_vwap_batch(second)
    assert vwap.bars == len(second or first)


@given(sessions, st.integers(min_value=0, max_value=12))
def test_an_indicator_goes_on_from_a_checkpoint(session: list[Bar], cut: int) -> None:
    """After a trip through JSON the values are the same."""
    kept, sma = SessionVwap(), Sma(4)
    found = []
    for k, bar in enumerate(session):
        if k == cut:
            kept = msgspec.json.decode(msgspec.json.encode(kept), type=SessionVwap)
            sma = msgspec.json.decode(msgspec.json.encode(sma), type=Sma)
        found.append((kept.update(1, bar), sma.update(bar.close)))
    assert found == list(zip(session_vwap_batch(session), sma_batch([b.close for b in session], 4), strict=True))


def test_a_vwap_whose_sums_overflow_is_no_value() -> None:
    """An infinite average is no price."""
    vwap = SessionVwap(session=1, bars=1, price_volume=inf, volume=1.0)
    assert vwap.value is None


def test_the_typical_price_is_the_mean_of_high_low_and_close() -> None:
    """By its definition."""
    assert typical_price(a_bar(11.0, open=10.0, high=13.0, low=9.0)) == pytest.approx(11.0)
