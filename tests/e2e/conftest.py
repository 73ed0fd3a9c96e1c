"""What the end-to-end tests share: one undisturbed replay of the shipped demo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.suite import RunningSuite

STEPS = 400
SHIPPED = {"feed": {"rows_max": STEPS * 5}}
"""The shipped demo, cut to so many days of its five symbols."""


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """The shipped demo, run to its end and stopped, with nothing going wrong."""
    suite = RunningSuite(tmp_path_factory.mktemp("undisturbed"), SHIPPED)
    with suite:
        suite.run_to_end(120.0)
    yield suite
