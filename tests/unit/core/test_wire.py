"""An envelope names its cause, and becomes the message it is."""

from __future__ import annotations

from core.machine import Message, Publish, Wake
from core.wire import message_of, wrap
from tests.support.builders import NOW
from tests.support.nodes import a_wish

CAUSE = Message("in", "up", 3, NOW, a_wish(), "e:in:3", "thread")


def test_an_envelope_names_the_message_that_caused_it() -> None:
    """Causation is the message's id; correlation is handed on."""
    envelope = wrap(Publish("out", a_wish(2)), "me", 5, "mine", NOW, CAUSE)
    assert (envelope.causation_id, envelope.correlation_id) == ("e:in:3", "thread")
    assert (envelope.topic, envelope.producer, envelope.seq, envelope.epoch, envelope.ts_ns) == ("out", "me", 5, "mine", NOW)


def test_a_correlation_of_its_own_stays_when_the_cause_has_another() -> None:
    """A fill belongs to the thread of its order, whatever brought it."""
    assert wrap(Publish("out", a_wish(), "order"), "me", 5, "mine", NOW, CAUSE).correlation_id == "order"


def test_nothing_is_named_when_no_message_was_the_cause() -> None:
    """A wake has no id."""
    envelope = wrap(Publish("out", a_wish()), "me", 5, "mine", NOW, Wake(NOW))
    assert (envelope.causation_id, envelope.correlation_id) == ("", "")


def test_an_envelope_becomes_the_message_it_is() -> None:
    """With the id that follows from where it stands."""
    envelope = wrap(Publish("out", a_wish(2)), "me", 5, "mine", NOW, CAUSE)
    assert message_of(envelope) == Message("out", "me", 5, NOW, a_wish(2), "mine:out:5", "thread")
