"""The schema refuses what it does not know, what is out of bounds and what contradicts itself, and says all of it at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pydantic
import pytest

from core.settings import Settings
from core.topics import Daemon
from tests.support.builders import SYMBOL, settings_with


def problems(**sections: Any) -> dict[str, str]:
    """What is wrong with these settings, by key."""
    with pytest.raises(pydantic.ValidationError) as caught:
        settings_with(**sections)
    return {".".join(map(str, error["loc"])): error["msg"].removeprefix("Value error, ") for error in caught.value.errors()}


def test_defaults_are_settings() -> None:
    """Nothing has to be said for the schema's sake."""
    settings = Settings()
    assert settings.runtime.daemons == tuple(Daemon)
    assert settings.symbols == ()


@pytest.mark.parametrize("section", ["account", "feed", "limits", "venue", "journal", "runtime", "strategies.trend", "instruments.default"])
def test_an_unknown_key_is_refused_in_every_section(section: str) -> None:
    """A misspelt limit is no limit."""
    name, _, inner = section.partition(".")
    base: dict[str, Any] = {"strategies": {"trend": {"kind": "k", "symbols": [SYMBOL], "typo": 1}}, "instruments": {"default": {"typo": 1}}}
    found = problems(**({name: base[name]} if inner else {name: {"typo": 1}}))
    assert list(found) == [f"{section}.typo"]


def test_an_unknown_section_is_refused() -> None:
    """At the top as well."""
    assert list(problems(limit={})) == ["limit"]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("limits", "order_qty_max", 0),
        ("limits", "order_notional_max", "-1"),
        ("limits", "position_qty_max", "NaN"),
        ("limits", "position_notional_max", "Infinity"),
        ("limits", "open_positions_max", 0),
        ("limits", "mark_age_ms_max", 0),
        ("limits", "duplicate_window_ms", 0),
        ("limits", "intent_age_ms_max", 0),
        ("limits", "approval_ttl_ms", 0),
        ("venue", "fee_rate", 0.1),
        ("venue", "fee_rate", -0.1),
        ("venue", "slippage_rate", 0.1),
        ("venue", "partial_fill_probability", 1.1),
        ("venue", "partial_fill_fraction", 0),
        ("venue", "participation_max", 0),
        ("venue", "late_arrival_ms", -1),
        ("venue", "call_timeout_ms", 0),
        ("journal", "batch_max", 0),
        ("journal", "snapshot_every", 0),
        ("journal", "rotate_inputs_max", 999),
        ("journal", "disk_free_mb_min", -1),
        ("runtime", "clock", "sundial"),
        ("runtime", "backlog_max", 0),
        ("runtime", "tail_check_ms", 1_001),
        ("runtime", "heartbeat_ms", 99),
        ("runtime", "kill_file_poll_ms", 9),
        ("runtime", "drain_timeout_ms", 99),
        ("runtime", "log_level", "loud"),
        ("feed", "kind", "psychic"),
        ("feed", "speed", 0),
        ("feed", "rows_max", 0),
        ("feed", "synthetic_steps", 0),
    ],
)
def test_a_value_out_of_bounds_is_refused(section: str, key: str, value: Any) -> None:
    """Each bound by its key."""
    assert list(problems(**{section: {key: value}})) == [f"{section}.{key}"]


@pytest.mark.parametrize("key", ["tick", "lot", "multiplier"])
def test_a_grid_without_width_is_refused(key: str) -> None:
    """A tick of zero would make every price legal and every division fail."""
    assert list(problems(instruments={"default": {key: 0}})) == [f"instruments.default.{key}"]


def test_a_negative_opening_balance_is_refused() -> None:
    """An account begins with nothing at least."""
    assert list(problems(account={"opening_balances": {"USD": "-1"}})) == ["account.opening_balances.USD"]


def test_an_unknown_daemon_is_refused() -> None:
    """Only what exists can be enabled."""
    assert list(problems(runtime={"daemons": ["oms", "butler"]})) == ["runtime.daemons.1"]


class TestContradictions:
    """Values that are right alone and wrong together."""

    def test_an_order_may_not_be_larger_than_a_position(self) -> None:
        """Both the quantity and the notional are named."""
        (text,) = problems(limits={"order_qty_max": 2, "position_qty_max": 1, "order_notional_max": 4, "position_notional_max": 3}).values()
        assert text == (
            "order_qty_max: 2 contradicts position_qty_max 1, it may be at most equal; order_notional_max: 4 contradicts position_notional_max 3, it may be at most equal"
        )

    def test_an_intent_must_outlive_the_window_for_duplicates(self) -> None:
        """Else a duplicate could be told from a stale wish by luck only."""
        assert problems(limits={"intent_age_ms_max": 1, "duplicate_window_ms": 2}) == {
            "limits": "intent_age_ms_max: 1 contradicts duplicate_window_ms 2, it must be at least equal"
        }

    def test_a_symbol_has_one_owner(self) -> None:
        """Two strategies on one symbol would trade against each other's position; a switched-off one owns nothing."""
        other = {"kind": "k", "symbols": [SYMBOL]}
        assert problems(strategies={"other": other}) == {"": "strategies.other.symbols: IBM is already owned by trend, one strategy owns a symbol at a time"}
        assert settings_with(strategies={"other": {**other, "enabled": False}}).strategies["other"].enabled is False

    def test_a_strategy_trades_what_the_feed_carries(self) -> None:
        """Else it would wait for ever."""
        assert problems(feed={"symbols": ["AAPL"]}) == {"": "strategies.trend.symbols: IBM is not among feed.symbols AAPL"}

    def test_a_strategy_has_symbols(self) -> None:
        """At least one."""
        assert problems(strategies={"trend": {"kind": "k", "symbols": []}}) == {"strategies.trend": "symbols: empty, at least one is required"}

    def test_a_symbol_stands_once_in_the_feed(self) -> None:
        """Twice would be two streams of one name."""
        assert problems(feed={"symbols": [SYMBOL, SYMBOL]}) == {"": "feed.symbols: IBM stands twice"}

    @pytest.mark.parametrize(
        ("sections", "text"),
        [
            ({"account": {"venue": "a.b"}}, "account.venue: 'a.b' cannot be part of a topic, a name without dot, bar or space is required"),
            ({"feed": {"timeframe": "1 m"}}, "feed.timeframe: '1 m' cannot be part of a topic, a name without dot, bar or space is required"),
            ({"feed": {"symbols": [SYMBOL, "A|B"]}}, "feed.symbols: 'A|B' cannot be part of a topic, a name without bar or space is required"),
            ({"feed": {"symbols": [SYMBOL, ""]}}, "feed.symbols: '' cannot be part of a topic, a name without bar or space is required"),
        ],
    )
    def test_a_name_that_no_topic_can_hold_is_refused(self, sections: dict[str, Any], text: str) -> None:
        """Its messages could not be told from others'."""
        assert problems(**sections) == {"": text}


def test_all_problems_are_told_at_once() -> None:
    """Unknown keys, bounds and contradictions, of one section and between sections: one reading, one round of mending."""
    found = problems(
        feed={"typo": 1, "speed": 0},
        venue={"fee_rate": 9},
        limits={"order_qty_max": 2, "position_qty_max": 1},
        strategies={"other": {"kind": "k", "symbols": [SYMBOL]}, "none": {"kind": "k", "symbols": []}},
    )
    assert set(found) == {"feed.typo", "feed.speed", "venue.fee_rate", "limits", "strategies.none", ""}
    assert "already owned" in found[""]


@pytest.mark.parametrize("data", [[], None, "paper", {"limits": 5, "feed": {"symbols": 3}}])
def test_what_is_no_configuration_is_refused(data: Any) -> None:
    """Whatever stands in its place."""
    with pytest.raises(pydantic.ValidationError):
        Settings.model_validate(data)


def test_a_symbol_has_its_own_grid_or_the_default_or_none() -> None:
    """Without an instrument nothing may trade."""
    settings = settings_with(instruments={"default": {"tick": "0.01"}, "BTC": {"tick": "0.5", "lot": "0.001", "session": "24/7"}})
    bitcoin, stock = settings.instrument("BTC"), settings.instrument("IBM")
    assert bitcoin is not None and stock is not None
    assert (bitcoin.symbol, bitcoin.tick, bitcoin.lot, bitcoin.session) == ("BTC", Decimal("0.5"), Decimal("0.001"), "24/7")
    assert (stock.symbol, stock.tick) == ("IBM", Decimal("0.01"))
    assert Settings().instrument("IBM") is None


def test_the_symbols_are_the_feeds_or_the_strategies() -> None:
    """Sorted when nobody gave an order."""
    assert settings_with(feed={"symbols": ["X", SYMBOL]}).symbols == ("X", SYMBOL)
    assert settings_with(feed={"symbols": []}, strategies={"b": {"kind": "k", "symbols": ["A"]}}).symbols == ("A", SYMBOL)


def test_settings_cannot_be_changed() -> None:
    """What was hashed at the start is what runs."""
    with pytest.raises(pydantic.ValidationError):
        Settings().limits.order_qty_max = Decimal(9)
