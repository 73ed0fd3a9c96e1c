"""Stopped links and backlogs: how long each lasts."""

from __future__ import annotations

import msgspec

from risk.health import Health, HealthState


def test_a_stopped_link_lasts_until_a_run_begins_without_it() -> None:
    """Nothing within a run makes a link whole again."""
    health = Health()
    health.begin_run()
    assert health.on_link_stopped("orders.events of oms", "poison") is not None
    health.on_other_input()
    assert list(health.state.stopped_links) == ["orders.events of oms"]
    health.begin_run()

    assert health.state == HealthState()


def test_a_link_told_right_before_the_configuration_belongs_to_the_run_that_begins() -> None:
    """A node tells the links that are still stopped first of all; they must not be forgotten with those of the run before."""
    health = Health()
    health.begin_run()
    health.on_link_stopped("a", "poison")
    health.on_link_stopped("b", "poison")
    health.on_other_input()
    assert health.on_link_stopped("b", "poison again") is None
    health.begin_run()

    assert health.state.stopped_links == {"b": "poison again"}
    health.on_other_input()
    assert health.state.stopped_links == {"b": "poison again"}


def test_a_stopped_link_is_told_once() -> None:
    """The same link again is no news."""
    health = Health()
    first = health.on_link_stopped("a", "poison")

    assert first is not None and first.is_alarm and "poison" in first.text
    assert health.on_link_stopped("a", "poison") is None


def test_a_backlog_lasts_until_it_is_told_to_be_over() -> None:
    """Each topic has its own; beginning and end are told once, and only the beginning needs a person."""
    health = Health()
    begun = health.on_backlog("x", 7)
    assert begun is not None and begun.is_alarm
    assert health.on_backlog("x", 8) is None
    health.on_backlog("y", 9)
    ended = health.on_caught_up("x", 1)

    assert ended is not None and not ended.is_alarm
    assert health.on_caught_up("x", 1) is None
    assert health.state.backlogs == ("y",)


def test_health_survives_a_snapshot() -> None:
    """Everything, the links told last included, is in the state."""
    health = Health()
    health.on_link_stopped("a", "poison")
    health.on_backlog("x", 7)
    other = Health()
    other.restore(msgspec.json.decode(msgspec.json.encode(health.state), type=HealthState))
    other.begin_run()

    assert other.state == HealthState({"a": "poison"})
