"""The synthetic market: the same every time, valid, in sessions, and worth trading."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from apps.md_ingest.feed import check_publishable, open_feed
from core.contracts import Bar
from core.errors import ConfigError
from core.exchange_time import SESSION_OPEN_SECOND, session_close_second, wall_clock
from core.feed import Feed
from core.settings import Settings


def _settings(**feed: Any) -> Settings:
    return Settings.model_validate({"environment": "test", "feed": {"kind": "synthetic", "timeframe": "1m", "symbols": ["ALFA", "BRVO"], **feed}})


def _bars(feed: Feed, symbol: str = "ALFA") -> list[Bar]:
    return [row.body for k in range(len(feed)) for row in feed.step(k).rows if isinstance(row.body, Bar) and row.body.symbol == symbol]


def test_bars_are_the_same_when_drawn_again() -> None:
    """Seed and symbol alone decide, not how many steps are drawn or who else is in the market."""
    bars = _bars(open_feed(_settings(synthetic_steps=900)))
    assert _bars(open_feed(_settings(synthetic_steps=400))) == bars[:400]
    assert _bars(open_feed(_settings(synthetic_steps=900, symbols=["ALFA", "CHRL", "ZULU"]))) == bars


def test_first_bars_are_these_when_the_seed_is_1() -> None:
    """The market of a seed never changes: recorded results rest on it."""
    first, second = _bars(open_feed(_settings(synthetic_steps=2)))
    assert (first.open, first.high, first.low, first.close, first.volume) == (101.97, 102.01, 101.92, 101.94, 9524.0)
    assert datetime.fromtimestamp(first.open_ns / 1e9, UTC).isoformat() == "2024-01-02T14:30:00+00:00"
    assert second.open_ns == first.close_ns


def test_bars_differ_when_the_seed_or_the_symbol_does() -> None:
    """Seeds are worlds, symbols are shares of their own."""
    closes = [bar.close for bar in _bars(open_feed(_settings(synthetic_steps=50)))]
    assert closes != [bar.close for bar in _bars(open_feed(_settings(synthetic_steps=50, seed=2)))]
    assert closes != [bar.close for bar in _bars(open_feed(_settings(synthetic_steps=50)), "BRVO")]


def test_bars_lie_in_sessions_on_weekdays_when_months_pass() -> None:
    """Trading is from 09:30 to the close in New York, across daylight saving and an early close on 3 July."""
    feed = open_feed(_settings(synthetic_steps=11_000, timeframe="5m", symbols=["ALFA"]))
    closes = set()
    for bar in _bars(feed)[::7]:
        day, second = wall_clock(bar.open_ns)
        assert datetime.fromordinal(day).weekday() < 5
        assert SESSION_OPEN_SECOND <= second < session_close_second(day)
        assert bar.close_ns - bar.open_ns == 300 * 10**9
        closes.add(session_close_second(day))
    assert len(closes) == 2


def test_prices_are_on_the_cent_grid_and_volumes_positive_when_drawn() -> None:
    """What is drawn could have been traded."""
    for bar in _bars(open_feed(_settings(synthetic_steps=5_000))):
        for price in (bar.open, bar.high, bar.low, bar.close):
            assert price == round(price * 100) / 100 >= 1
        assert bar.volume >= 1


def test_price_moves_both_ways_and_comes_back_when_days_pass() -> None:
    """There is something to trade: quiet minutes, moves beyond half a percent, and a price that stays in its region."""
    bars = _bars(open_feed(_settings(synthetic_steps=6_000)))
    moves = [after.close / before.close - 1 for before, after in pairwise(bars)]
    assert max(moves) > 0.005
    assert min(moves) < -0.005
    assert sorted(abs(move) for move in moves)[len(moves) // 2] < 0.001
    assert 0.7 < bars[-1].close / bars[0].close < 1.4


@pytest.mark.parametrize(("timeframe", "per_day"), [("1h", 7), ("4h", 2), ("1d", 1), ("30m", 13)])
def test_session_is_divided_when_bars_are_longer(timeframe: str, per_day: int) -> None:
    """A timeframe that does not divide the session ends it with a shorter bar; a day is one bar."""
    bars = _bars(open_feed(_settings(timeframe=timeframe, synthetic_steps=2 * per_day)))
    days = [wall_clock(bar.open_ns).day for bar in bars]
    assert [days.count(day) for day in sorted(set(days))] == [per_day, per_day]
    assert wall_clock(bars[-1].close_ns).second == 16 * 3600


def test_every_symbol_has_a_bar_when_a_step_is_asked_for() -> None:
    """All shares of this market trade at every step."""
    feed = open_feed(_settings(synthetic_steps=3))
    assert len(feed) == 3
    assert [row.topic for row in feed.step(2).rows] == ["md.bars.1m.ALFA", "md.bars.1m.BRVO"]


def test_settings_are_refused_when_no_market_can_be_drawn_from_them() -> None:
    """Both problems are told at once."""
    with pytest.raises(ConfigError) as caught:
        open_feed(_settings(timeframe="7m", symbols=[]))
    assert caught.value.problems == (
        "feed.timeframe: '7m' is unknown, allowed are 1s, 5s, 1m, 5m, 15m, 30m, 1h, 4h, 1d",
        "feed.symbols: empty, a synthetic market needs at least one symbol",
    )


def test_feed_is_refused_when_its_timeframe_has_no_topic() -> None:
    """Topics carry the configured timeframe: bars of another one could not be published."""
    feed = open_feed(_settings(synthetic_steps=2))
    assert check_publishable(feed, _settings()) is feed
    with pytest.raises(ConfigError, match=r"feed\.timeframe: 5m, but the bars of the feed are 1m; the two must be the same"):
        check_publishable(feed, _settings(timeframe="5m"))


def test_feed_is_refused_when_a_symbol_has_no_topic() -> None:
    """A symbol that nobody listed and no strategy trades has no topic."""
    feed = open_feed(_settings(synthetic_steps=2))
    with pytest.raises(ConfigError, match=r"feed\.symbols: BRVO in the feed belong to no strategy"):
        check_publishable(feed, _settings(symbols=["ALFA"]))
