"""Errors say who must act, and hold all there is to mend."""

from __future__ import annotations

import pytest

from core import errors


def test_all_problems_of_a_configuration_are_told_at_once() -> None:
    """One line each."""
    error = errors.ConfigError("a: wrong", "b: missing")
    assert error.problems == ("a: wrong", "b: missing")
    assert str(error) == "a: wrong\nb: missing"


def test_an_active_kill_switch_says_why() -> None:
    """The reason is kept apart from the text."""
    error = errors.KillSwitchActiveError("fat finger")
    assert (error.reason, str(error)) == ("fat finger", "kill switch is active: fat finger")


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "NjordError"])
def test_every_error_can_be_caught_as_ours(name: str) -> None:
    """And as nothing more general that Python raises by itself."""
    assert issubclass(getattr(errors, name), errors.NjordError)
