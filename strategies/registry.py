"""Which kinds of strategy exist: the built-in ones and those that installed packages offer.

A package offers a kind by an entry point in the group `njord.strategies` (`my_kind = "my_package.module:MyStrategy"`). A kind
that cannot be imported, or that was written for another interface version, is listed as LOAD FAILED and harms nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from strategies.strategy import INTERFACE_VERSION, Strategy, StrategyError

__all__ = ["BUILT_IN", "GROUP", "LoadedKind", "available_kinds", "load_strategy", "registered_kinds"]

AnyStrategy = Strategy[Any, Any]

GROUP = "njord.strategies"

BUILT_IN: Mapping[str, str] = {
    "sma_cross": "strategies.sma_cross:SmaCross",
    "vwap_reversion": "strategies.vwap_reversion:VwapReversion",
}


class LoadedKind(NamedTuple):
    """One row of `njord strategy list`: a kind, its class, or why it failed to load."""

    kind: str
    strategy: type[AnyStrategy] | None
    error: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: LOAD FAILED {self.error}" if self.error else self.kind


def load_strategy(kind: str) -> type[AnyStrategy]:
    """The class of a kind; StrategyError says why it cannot be used."""
    loaders = _loaders()
    if kind not in loaders:
        raise StrategyError(f"strategy kind {kind!r} is not known, available are {', '.join(registered_kinds())}")
    try:
        loaded = loaders[kind]()
    except Exception as error:  # Foreign code runs here: whatever it raises is its own failure and must stay its own.
        raise StrategyError(f"strategy kind {kind!r}: {type(error).__name__}: {error}") from error
    return _checked(kind, loaded)


def registered_kinds() -> tuple[str, ...]:
    """The names of all kinds, whether they load or not."""
    return tuple(sorted(_loaders()))


def available_kinds() -> tuple[LoadedKind, ...]:
    """Every kind, loaded or LOAD FAILED, by name."""
    return tuple(_loaded(kind) for kind in registered_kinds())


def _loaded(kind: str) -> LoadedKind:
    try:
        return LoadedKind(kind, load_strategy(kind))
    except StrategyError as error:
        return LoadedKind(kind, None, str(error))


@cache
def _loaders() -> dict[str, Callable[[], object]]:
    """How each kind is loaded. A built-in name cannot be taken over by a package."""
    found: dict[str, Callable[[], object]] = {point.name: point.load for point in entry_points(group=GROUP)}
    return found | {kind: _importer(path) for kind, path in BUILT_IN.items()}


def _importer(path: str) -> Callable[[], object]:
    module, _, name = path.partition(":")
    return lambda: getattr(import_module(module), name)


def _checked(kind: str, loaded: object) -> type[AnyStrategy]:
    if not (isinstance(loaded, type) and issubclass(loaded, Strategy)):
        raise StrategyError(f"strategy kind {kind!r}: {loaded!r} is not a Strategy class")
    if loaded.interface_version != INTERFACE_VERSION:
        raise StrategyError(f"strategy kind {kind!r}: interface version {loaded.interface_version} is not supported, {INTERFACE_VERSION} is required")
    return loaded
