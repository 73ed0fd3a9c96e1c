"""Tiers by folder, and what the unit tier may not do.

A test's tier is where it lies; a test that lies nowhere would run in no tier, so it is an error. In the unit tier nothing
reaches the network and nothing sleeps: a test that tries fails, whoever calls.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

# The same examples every time and no time limit per example: a property that fails here fails everywhere.
hypothesis.settings.register_profile("njord", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("njord")

_ROOT = Path(__file__).parent
_TIER_OF_FOLDER = {
    "unit": "unit",
    "architecture": "unit",
    "golden": "golden",
    "conformance": "integration",
    "integration": "integration",
    "e2e": "e2e",
    "simulator": "simulator",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Mark every test with the tier of its folder."""
    for item in items:
        folder = item.path.relative_to(_ROOT).parts[0]
        if folder not in _TIER_OF_FOLDER:
            raise pytest.UsageError(f"{item.nodeid}: tests/{folder} is no tier, one of {', '.join(_TIER_OF_FOLDER)} is required")
        item.add_marker(_TIER_OF_FOLDER[folder])


class UnitTierError(AssertionError):
    """A unit test did what only the slower tiers may do."""


@pytest.fixture(autouse=True)
def _unit_tier_is_closed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("unit") is None:
        return
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX:
            raise UnitTierError(f"a unit test connects to {address!r}, only Unix sockets are allowed; it belongs into tests/integration")
        connect(self, address)  # type: ignore[arg-type]

    def no_sleep(seconds: float) -> NoReturn:
        raise UnitTierError(f"a unit test sleeps {seconds} s; give it a clock, or move it to tests/integration")

    monkeypatch.setattr(socket.socket, "connect", local_only)
    monkeypatch.setattr(time, "sleep", no_sleep)
