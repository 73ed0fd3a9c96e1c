"""The registry: built-in kinds, kinds of packages, and what does not load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from strategies import registry
from strategies.registry import BUILT_IN, GROUP, available_kinds, load_strategy, registered_kinds
from strategies.sma_cross import SmaCross
from strategies.strategy import INTERFACE_VERSION, Strategy, StrategyError


class Point(NamedTuple):
    """An entry point of an installed package."""

    name: str
    load: Callable[[], object]


class Offered(SmaCross):
    """What a package offers."""


class Outdated(SmaCross):
    """Written for another interface."""

    interface_version = INTERFACE_VERSION + 1


def broken() -> object:
    """A package whose import fails."""
    raise SyntaxError("invalid syntax")


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = [
        Point("offered", lambda: Offered),
        Point("outdated", lambda: Outdated),
        Point("broken", broken),
        Point("no_class", lambda: 42),
        Point("no_strategy", lambda: dict),
        Point("sma_cross", lambda: Offered),
    ]

    def entry_points(*, group: str) -> list[Point]:
        return points if group == GROUP else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry._loaders.cache_clear()
    yield
    registry._loaders.cache_clear()


def test_every_built_in_kind_loads() -> None:
    """What ships is a Strategy of this interface version."""
    for kind in BUILT_IN:
        assert issubclass(load_strategy(kind), Strategy)


def test_a_package_offers_a_kind_by_its_entry_point() -> None:
    """An entry point of the group is a kind."""
    assert load_strategy("offered") is Offered


def test_a_built_in_name_cannot_be_taken_over() -> None:
    """A package that offers `sma_cross` does not get it."""
    assert load_strategy("sma_cross") is SmaCross


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("broken", "SyntaxError: invalid syntax"),
        ("outdated", f"interface version {INTERFACE_VERSION + 1} is not supported, {INTERFACE_VERSION} is required"),
        ("no_class", "42 is not a Strategy class"),
        ("no_strategy", "<class 'dict'> is not a Strategy class"),
        ("unheard_of", "is not known, available are broken, no_class, no_strategy, offered, outdated, sma_cross, vwap_reversion"),
    ],
)
def test_what_cannot_be_used_says_why(kind: str, why: str) -> None:
    """A StrategyError with the kind and the reason."""
    with pytest.raises(StrategyError, match="strategy kind") as refused:
        load_strategy(kind)
    assert kind in str(refused.value)
    assert why in str(refused.value)


def test_a_kind_that_fails_to_load_is_listed_and_harms_no_other() -> None:
    """LOAD FAILED with the reason; the rest of the list is whole."""
    rows = {row.kind: row for row in available_kinds()}
    assert tuple(rows) == registered_kinds()
    assert str(rows["offered"]) == "offered"
    assert rows["offered"].strategy is Offered
    for kind in ("broken", "outdated", "no_class", "no_strategy"):
        assert rows[kind].strategy is None
        assert str(rows[kind]).startswith(f"{kind}: LOAD FAILED strategy kind '{kind}'")
