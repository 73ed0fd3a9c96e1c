"""Every fault by name, which of them a configuration switches on, and the venue that has them."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import ConfigError
from core.settings import FaultSettings, Settings
from execution.venues.faults.fault import Fault
from execution.venues.faults.lying_venue import LyingVenue
from execution.venues.faults.requests import REQUEST_FAULTS
from execution.venues.faults.stream import STREAM_FAULTS
from execution.venues.faults.trading import TRADING_FAULTS
from execution.venues.simulated import SimulatedVenue, build_venue

__all__ = ["FAULTS", "build_faults", "build_served_venue", "fault_table", "rates_of"]

FAULTS: Mapping[str, type[Fault]] = {kind.name: kind for kind in (*REQUEST_FAULTS, *STREAM_FAULTS, *TRADING_FAULTS)}
"""The registry. A chance goes to the first fault of this sequence that takes it."""

ALL = "all"


def build_faults(settings: FaultSettings) -> list[Fault]:
    """The faults these settings switch on, in the registry's sequence; ConfigError for a name that is none."""
    unknown = sorted(settings.rates.keys() - FAULTS.keys())
    if unknown:
        raise ConfigError(f"faults.rates: {', '.join(unknown)}: no such fault, there are {', '.join(FAULTS)}")
    return [kind(settings, settings.rates[name]) for name, kind in FAULTS.items() if settings.rates.get(name)]


def build_served_venue(settings: Settings) -> SimulatedVenue:
    """The venue that these settings' account trades at: honest without faults, else with them."""
    faults = build_faults(settings.faults)
    if not faults:
        return build_venue(settings)
    instruments = {symbol: instrument for symbol in settings.symbols if (instrument := settings.instrument(symbol)) is not None}
    return LyingVenue(instruments, settings.account.opening_balances, settings.venue, settings.faults, faults)


def rates_of(wish: str) -> dict[str, float]:
    """The rates a person asks for: `all`, or names with commas between, each with `:rate` or at its shipped rate. ConfigError when it is neither."""
    if wish == ALL:
        return {name: kind.shipped_rate for name, kind in FAULTS.items()}
    rates: dict[str, float] = {}
    problems = []
    for part in wish.split(","):
        name, _, rate = part.strip().partition(":")
        if name not in FAULTS:
            problems.append(f"{name or part!r}: no such fault, there are {ALL}, {', '.join(FAULTS)}")
            continue
        try:
            rates[name] = float(rate) if rate else FAULTS[name].shipped_rate
        except ValueError:
            problems.append(f"{part}: {rate!r} is no rate, a number from 0 to 1 is required")
            continue
        if not 0 <= rates[name] <= 1:
            problems.append(f"{part}: {rate} is no rate, a number from 0 to 1 is required")
    if problems:
        raise ConfigError("; ".join(problems))
    return rates


def fault_table() -> str:
    """The registry as Markdown, for docs/VENUE_FAULTS.md."""
    lines = ["| Fault | Rate | The venue | The gateway | Seen |", "|---|---|---|---|---|"]
    lines += [f"| `{name}` | {kind.shipped_rate:g} | {kind.does} | {kind.duty} | {kind.incident} |" for name, kind in FAULTS.items()]
    return "\n".join(lines)
