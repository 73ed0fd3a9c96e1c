"""What is remembered of decided intents, and for how long."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.contracts import Side, Verdict
from risk.memory import ARCHIVE_KIND, DecidedIntent, Memory, MemoryState, OrderTerms, hash_of
from tests.support.builders import an_intent
from tests.support.risk_desk import a_cancel_intent

_DECIDED = DecidedIntent("hash", Verdict.ALLOWED)


def _memory(batch_max: int = 3, window_ns: int = 100) -> Memory:
    return Memory(batch_max=batch_max, duplicate_window_ns=window_ns)


def _terms(qty: str) -> OrderTerms:
    return ("trend", "IBM", Side.BUY, Decimal(qty), None, None)


def test_an_answer_is_recalled_without_the_archive_while_its_batch_may_be_under_way() -> None:
    """As many ids as a batch can hold are kept; older ones are surely committed and come from the archive."""
    memory = _memory()
    for name in "abcd":
        memory.remember(name, _DECIDED)

    assert [memory.recall(name, {}) for name in "abcd"] == [None, _DECIDED, _DECIDED, _DECIDED]
    assert memory.recall("a", {f"{ARCHIVE_KIND}/a": msgspec.json.encode(_DECIDED)}) == _DECIDED
    assert memory.recall("a", {f"{ARCHIVE_KIND}/b": msgspec.json.encode(_DECIDED)}) is None


def test_an_order_is_recalled_until_its_window_is_over() -> None:
    """Equal amounts are equal however they are spelled; what the window has passed is dropped with the next order."""
    memory = _memory()
    memory.remember_order(_terms("1"), 0)
    memory.remember_order(_terms("2"), 99)
    assert (memory.last_allowed_ns(_terms("1.0")), memory.last_allowed_ns(_terms("2"))) == (0, 99)
    memory.remember_order(_terms("3"), 100)

    assert (memory.last_allowed_ns(_terms("1")), memory.last_allowed_ns(_terms("2"))) == (None, 99)


def test_an_order_allowed_again_is_the_youngest() -> None:
    """The window counts from the last time."""
    memory = _memory()
    memory.remember_order(_terms("1"), 0)
    memory.remember_order(_terms("2"), 50)
    memory.remember_order(_terms("1"), 99)
    memory.remember_order(_terms("3"), 150)

    assert (memory.last_allowed_ns(_terms("1")), memory.last_allowed_ns(_terms("2"))) == (99, None)


def test_the_memory_survives_a_snapshot() -> None:
    """Order included: what is dropped first is the same."""
    memory = _memory()
    for name in "abc":
        memory.remember(name, _DECIDED)
    memory.remember_order(("trend", "IBM", Side.SELL, Decimal("1.50"), Decimal("2.0"), Decimal(3)), 7)
    memory.remember_order(_terms("2"), 9)
    other = _memory()
    other.restore(msgspec.json.decode(msgspec.json.encode(memory.snapshot()), type=MemoryState))
    for each in (memory, other):
        each.remember("d", _DECIDED)
        each.remember_order(_terms("4"), 108)

    assert other.snapshot() == memory.snapshot()


def test_the_hash_of_an_intent_covers_everything_it_says() -> None:
    """Any difference is another wish, of whatever kind."""
    hashes = {hash_of(i) for i in (an_intent("a"), an_intent("b"), an_intent("a", order_qty=11), an_intent("a", reason="x"), a_cancel_intent("a", "a"))}

    assert len(hashes) == 5
    assert hash_of(an_intent("a")) == hash_of(an_intent("a"))
