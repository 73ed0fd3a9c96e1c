"""What is being tested: strategies given as a registered name, a class or an instance, brought into the form of the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from core.errors import ConfigError
from core.settings import Settings, StrategySettings
from strategies.registry import load_strategy
from strategies.strategy import Strategy, StrategyError

__all__ = ["AnyStrategy", "Leg", "StrategyLike", "Subject", "subject_of"]

AnyStrategy = Strategy[Any, Any]
StrategyLike = str | type[AnyStrategy] | AnyStrategy


class Leg(NamedTuple):
    """One of several strategies in one account: its own symbols and parameters. An instance brings both."""

    strategy: StrategyLike
    symbols: tuple[str, ...] = ()
    params: dict[str, Any] = {}  # noqa: RUF012 - a tuple's default is never written to


class Subject(NamedTuple):
    """Strategies as settings, by id, and who gives the class of each kind."""

    sections: dict[str, StrategySettings]
    load: Callable[[str], type[AnyStrategy]]
    classes: tuple[type[AnyStrategy], ...]

    @property
    def name(self) -> str:
        """What the run is called after."""
        return "+".join(self.sections)


def subject_of(strategy: StrategyLike | Sequence[Leg] | None, settings: Settings, symbols: tuple[str, ...], params: dict[str, Any]) -> Subject:
    """The strategies of a run; None takes those of the settings, with their symbols and parameters. ConfigError when there is none.

    An instance gives its class, parameters and symbols; its state begins anew, so that the same instance runs the same way twice.
    """
    if strategy is None:
        sections = {name: section for name, section in settings.strategies.items() if section.enabled}
        legs = []
    else:
        sections = {}
        legs = [Leg(strategy, symbols, params)] if isinstance(strategy, str | type | Strategy) else list(strategy)
    known: dict[str, type[AnyStrategy]] = {}
    for leg in legs:
        given = leg.strategy
        if isinstance(given, str):
            kind = wanted = given
        else:
            cls = given if isinstance(given, type) else type(given)
            kind, wanted = f"{cls.__module__}:{cls.__qualname__}", cls.__name__
            known[kind] = cls
        sections[_free_name(wanted, sections)] = _section(leg, kind)
    if not sections:
        raise ConfigError("strategy: none, a registered name, a class or an instance is required")

    def load(kind: str) -> type[AnyStrategy]:
        return known[kind] if kind in known else load_strategy(kind)

    try:
        classes = tuple(load(section.kind) for section in sections.values())
    except StrategyError as error:
        raise ConfigError(str(error)) from error
    return Subject(sections, load, classes)


def _section(leg: Leg, kind: str) -> StrategySettings:
    given = leg.strategy
    if isinstance(given, Strategy):
        return StrategySettings(kind=kind, symbols=given.symbols, params=given.params.model_dump(mode="json"))
    if not leg.symbols:
        raise ConfigError(f"strategy {kind}: has no symbols, at least one is required")
    return StrategySettings(kind=kind, symbols=leg.symbols, params=leg.params)


def _free_name(wanted: str, taken: dict[str, StrategySettings]) -> str:
    return wanted if wanted not in taken else next(name for k in range(2, len(taken) + 3) if (name := f"{wanted}{k}") not in taken)
