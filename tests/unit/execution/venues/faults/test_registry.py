"""The registry: every fault has a name, words and a test; wishes become rates, and what is no fault is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.settings import FaultSettings
from execution.venues.faults.lying_venue import LyingVenue
from execution.venues.faults.registry import FAULTS, build_faults, build_served_venue, fault_table, rates_of
from tests.support.builders import settings_with

_TESTS = "\n".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")) if path.name != Path(__file__).name)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_a_test_of_its_name_when_it_is_registered(name: str) -> None:
    """A test function bears the name, or drives the fault as a parameter beside others."""
    assert re.search(rf"def test_\w*{re.escape(name)}\w*\(", _TESTS) or f'"{name}"' in _TESTS
    kind = FAULTS[name]
    assert all((kind.does, kind.duty, kind.incident))
    assert 0 < kind.shipped_rate <= 1


def test_faults_are_built_in_the_registrys_sequence_when_switched_on() -> None:
    """A rate of zero is off; the sequence of the configuration does not matter."""
    settings = FaultSettings(rates={"trade_bust": 0.5, "lot_reject": 0.0, "timeout_not_placed": 1.0})
    assert [(fault.name, fault.rate) for fault in build_faults(settings)] == [("timeout_not_placed", 1.0), ("trade_bust", 0.5)]


def test_an_unknown_fault_is_refused_when_configured() -> None:
    """A misspelt fault would be one that never strikes."""
    with pytest.raises(ConfigError, match="trade_burst: no such fault"):
        build_faults(FaultSettings(rates={"trade_burst": 0.5}))


def test_the_venue_is_honest_when_no_fault_is_switched_on() -> None:
    """Faults cost nothing where there are none."""
    assert not isinstance(build_served_venue(settings_with()), LyingVenue)
    assert isinstance(build_served_venue(settings_with(faults={"rates": {"overfill": 0.1}})), LyingVenue)


def test_faults_are_refused_when_the_environment_is_live() -> None:
    """Only a simulated venue can be told to misbehave."""
    with pytest.raises(ValueError, match="contradicts environment live"):
        settings_with(environment="live", venue={"arming": "lease"}, faults={"rates": {"overfill": 0.1}})


def test_a_wish_becomes_rates_when_it_names_faults() -> None:
    """All at their shipped rates, or some, each with a rate of its own."""
    assert rates_of("all") == {name: kind.shipped_rate for name, kind in FAULTS.items()}
    assert rates_of("overfill, trade_bust:0.5") == {"overfill": FAULTS["overfill"].shipped_rate, "trade_bust": 0.5}


@pytest.mark.parametrize("wish", ["overfil", "overfill:often", "overfill:2", "overfill:-0.1", "overfill:nan", "", "overfill,,"])
def test_a_wish_is_refused_when_it_names_no_fault_or_no_rate(wish: str) -> None:
    """With what would have been right."""
    with pytest.raises(ConfigError, match=r"no such fault|is no rate"):
        rates_of(wish)


def test_every_fault_has_a_row_when_the_table_is_written() -> None:
    """The table of the documentation is the registry."""
    rows = fault_table().splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == list(FAULTS)
