"""How well risk itself hears and is heard: durable inputs that stand still, and consumers that are too far behind."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

__all__ = ["Health", "HealthState", "Symptom"]


class HealthState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stopped links with their reasons, and topics over their bound.

    `fresh_links` are the stopped links told since the last input of another kind: those told right before the configuration of
    a run belong to the run that begins.
    """

    stopped_links: dict[str, str] = msgspec.field(default_factory=dict)
    fresh_links: tuple[str, ...] = ()
    backlogs: tuple[str, ...] = ()


class Symptom(NamedTuple):
    """Something that began or ended: the event's name, its text, and whether a person is needed."""

    event: str
    text: str
    is_alarm: bool = True


class Health:
    """What is wrong with the inputs and outputs of risk.

    Invariants: a stopped link stays stopped until a run begins without it; a backlog lasts until it is told to be over.
    """

    def __init__(self) -> None:
        self.state = HealthState()

    def on_link_stopped(self, link: str, reason: str) -> Symptom | None:
        """A durable input stands still; None when that is known."""
        is_news = link not in self.state.stopped_links
        self.state = HealthState({**self.state.stopped_links, link: reason}, (*self.state.fresh_links, link), self.state.backlogs)
        return Symptom("LINK_STOPPED", f"{link} stands still, entries are denied: {reason}") if is_news else None

    def on_backlog(self, topic: str, behind: int) -> Symptom | None:
        """The slowest consumer of a topic passed its bound; None when that is known."""
        if topic in self.state.backlogs:
            return None
        self.state = msgspec.structs.replace(self.state, backlogs=(*self.state.backlogs, topic))
        return Symptom("BACKLOG", f"a consumer of {topic} is {behind} messages behind, entries are denied")

    def on_caught_up(self, topic: str, behind: int) -> Symptom | None:
        """The slowest consumer of a topic is within its bound; None when it was."""
        if topic not in self.state.backlogs:
            return None
        self.state = msgspec.structs.replace(self.state, backlogs=tuple(t for t in self.state.backlogs if t != topic))
        return Symptom("BACKLOG_ENDED", f"the slowest consumer of {topic} is {behind} messages behind", is_alarm=False)

    def on_other_input(self) -> None:
        """Something else happened: links told before it belong to the run under way."""
        if self.state.fresh_links:
            self.state = msgspec.structs.replace(self.state, fresh_links=())

    def begin_run(self) -> None:
        """A run begins: only links told right before it stand still, and backlogs are looked at anew."""
        stopped = self.state.stopped_links
        self.state = HealthState({link: stopped[link] for link in self.state.fresh_links})

    def restore(self, state: HealthState) -> None:
        """Become the health that had this state."""
        self.state = state
