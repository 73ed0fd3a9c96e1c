"""Seals: what a key vouches for, and what replaying leaves out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.codec import Codec, Envelope
from core.contracts import Approval, ArmLease
from core.seal import is_sealed, sealed, unsealed
from tests.support.builders import NOW, a_clock, a_decision, a_submit_order, an_approval, an_intent

KEY, OTHER = b"k" * 32, b"o" * 32
APPROVAL = an_approval(an_intent())
LEASE = ArmLease(account="paper", boot_id="boot", valid_until_boot_ns=5)
CHANGES: list[tuple[str, Any]] = [
    ("approval_id", "another"),
    ("client_order_id", "another"),
    ("content_hash", "another"),
    ("limits_version", "another"),
    ("expires_ns", APPROVAL.expires_ns + 1),
    ("reduces", True),
    ("reference_price", Decimal(99)),
    ("reference_price", None),
    ("reference_age_ms", 1),
]


@pytest.mark.parametrize("message", [APPROVAL, LEASE], ids=lambda m: type(m).__name__)
def test_message_is_believed_when_the_key_has_sealed_it(message: Approval | ArmLease) -> None:
    """And stays what it was but for the seal, also over the wire."""
    found = sealed(KEY, message)
    assert is_sealed(KEY, found) and not is_sealed(OTHER, found) and not is_sealed(KEY, message)
    assert msgspec.structs.replace(found, mac="") == message
    assert is_sealed(KEY, msgspec.json.decode(msgspec.json.encode(found), type=type(message)))


def test_every_field_of_an_approval_is_under_the_seal() -> None:
    """The cases below are all there are."""
    assert {name for name, _ in CHANGES} | {"mac"} == set(Approval.__struct_fields__)


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_approval_is_not_believed_when_one_field_was_changed(name: str, value: Any) -> None:
    """Whoever can write to the bus can change a message, not its seal."""
    assert not is_sealed(KEY, msgspec.structs.replace(sealed(KEY, APPROVAL), **{name: value}))


def test_lease_is_not_believed_when_it_was_made_longer() -> None:
    """A lease is a promise for seconds."""
    assert not is_sealed(KEY, msgspec.structs.replace(sealed(KEY, LEASE), valid_until_boot_ns=6))


def test_seal_is_the_same_when_put_on_again() -> None:
    """Recorded bytes must come out again under the same key; a message already sealed is not sealed differently."""
    assert sealed(KEY, sealed(KEY, APPROVAL)) == sealed(KEY, APPROVAL)
    assert sealed(KEY, APPROVAL).mac != sealed(OTHER, APPROVAL).mac


def _envelope(body: Any) -> Envelope:
    return Envelope("t", "p", 1, "e", NOW, body)


def test_decision_is_as_the_machine_said_it_when_unsealed() -> None:
    """Only the seal goes."""
    said = a_decision(approval=APPROVAL)
    published = msgspec.structs.replace(said, approval=sealed(KEY, APPROVAL))
    assert unsealed(_envelope(published)) == _envelope(said) != _envelope(published)


@pytest.mark.parametrize("body", [a_clock(), a_decision(approval=None), a_submit_order(approval=sealed(KEY, APPROVAL))], ids=lambda b: type(b).__name__)
def test_nothing_else_is_touched_when_unsealed(body: Any) -> None:
    """An order passes the seal on that it came with: its producer's machine has seen it, and must say it again."""
    assert Codec().encode(unsealed(_envelope(body))) == Codec().encode(_envelope(body))
