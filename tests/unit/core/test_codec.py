"""The codec takes what was agreed on, drops what a newer minor version added, and refuses everything else in one way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.codec import Body, Codec, Envelope, type_name
from core.contracts import AccountSnapshot, CancelIntent, Contract, LedgerAdjusted, RiskDecision
from core.errors import DecodeError
from core.topics import ROSTER
from tests.support.builders import NOW, an_intent
from tests.support.samples import every_message

SAMPLES = {type(body): body for body in every_message()}
TOPICS = [(topic.pattern, body_type) for topic in ROSTER for body_type in topic.types]

# Amounts below zero that mean something: what is held, owed or rebated. Everything else counts from zero.
SIGNED = {
    "position_qty",
    "realized_pnl",
    "total",
    "fee",
    "avg_price",
    "reference_price",
    "worst_qty",
    "worst_notional",
    "order_notional",
    "last_price",
    "limit_price",
    "stop_price",
}


def wire(body: Contract) -> dict[str, Any]:
    """The JSON of a message's envelope."""
    found: dict[str, Any] = json.loads(Codec().encode(Envelope("t", "p", 1, "e", NOW, body, "corr", "cause")))  # type: ignore[arg-type]
    return found


def decode(raw: Any) -> Envelope:
    """What the codec makes of it."""
    return Codec().decode(json.dumps(raw).encode())


def amounts(raw: Any, value: Contract | Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where in a message's JSON exact amounts stand."""
    if isinstance(value, Decimal):
        yield path
    elif isinstance(value, Contract) and isinstance(raw, dict):
        for name in sorted(raw.keys() - {"type"}):
            yield from amounts(raw[name], getattr(value, name), (*path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from amounts(raw[index], item, (*path, index))


def put(raw: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The JSON with another value at a place."""
    copy = json.loads(json.dumps(raw))
    node = copy["body"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return copy


AMOUNTS = [(body, path) for body in SAMPLES.values() for path in amounts(wire(body)["body"], body)]


def _name(case: Any) -> str:
    return type(case).__name__ if isinstance(case, Contract) else ".".join(map(str, case)) if isinstance(case, tuple) else str(case)


def test_there_is_a_sample_of_every_message() -> None:
    """What is claimed here of all messages is tested on all."""
    assert set(SAMPLES) == set(get_args(Body))


@pytest.mark.parametrize("body", SAMPLES.values(), ids=_name)
def test_a_message_is_the_same_after_a_journey(body: Contract) -> None:
    """Bytes and back, with the id that follows from where it stands."""
    codec = Codec()
    envelope = Envelope("t", "p", 7, "e", NOW, body, "corr", "cause")  # type: ignore[arg-type]
    back = codec.decode(codec.encode(envelope))
    assert back == envelope
    assert back.message_id == "e:t:7"
    assert codec.encode(back) == codec.encode(envelope)
    assert codec.unknown_fields == 0


class TestMinorVersions:
    """A newer peer may say more than we know."""

    @pytest.mark.parametrize("body", SAMPLES.values(), ids=_name)
    def test_an_unknown_field_is_dropped_and_counted(self, body: Contract) -> None:
        """In the envelope and in the body, whatever it holds."""
        raw = wire(body)
        raw["newer"] = {"fee": 5, "deep": [1, None]}
        raw["body"]["newer"] = 1
        codec = Codec()
        assert codec.decode(json.dumps(raw).encode()).body == body
        assert codec.unknown_fields == 2

    def test_unknown_fields_within_lists_and_unions_are_dropped(self) -> None:
        """Also when only one of several elements has one."""
        codec = Codec()
        for body_type, path in ((AccountSnapshot, ("balances", 1)), (LedgerAdjusted, ("position",)), (RiskDecision, ("intent",)), (RiskDecision, ("approval",))):
            raw = wire(SAMPLES[body_type])
            assert codec.decode(json.dumps(put(raw, (*path, "newer"), 1)).encode()).body == SAMPLES[body_type]
        assert codec.unknown_fields == 4

    @pytest.mark.parametrize("name", ["a`b", "x` - at `$.body", "$.body", "", "é\n"])
    def test_the_name_of_an_unknown_field_does_not_matter(self, name: str) -> None:
        """Names that look like something else are names all the same."""
        raw = wire(SAMPLES[CancelIntent])
        raw["body"][name] = 1
        assert decode(raw).body == SAMPLES[CancelIntent]

    def test_an_error_beside_an_unknown_field_is_still_an_error(self) -> None:
        """Lenience ends at the unknown field, and nothing is counted for a message that was refused."""
        raw = wire(SAMPLES[CancelIntent])
        raw["body"] |= {"newer": 1, "created_ns": "soon"}
        codec = Codec()
        with pytest.raises(DecodeError, match="created_ns"):
            codec.decode(json.dumps(raw).encode())
        assert codec.unknown_fields == 0


class TestRefused:
    """Everything else is a DecodeError that says what was wrong."""

    @pytest.mark.parametrize("body", SAMPLES.values(), ids=_name)
    def test_another_major_version_is_refused(self, body: Contract) -> None:
        """Another major version is another meaning."""
        raw = wire(body)
        raw["body"]["type"] = type_name(body).replace(".1", ".2")
        with pytest.raises(DecodeError, match=r"\.2"):
            decode(raw)

    @pytest.mark.parametrize(("body", "path"), AMOUNTS, ids=_name)
    def test_what_is_no_exact_amount_is_refused_where_one_stands(self, body: Contract, path: tuple[str | int, ...]) -> None:
        """Not finite, not believable, no number: in no field of any message."""
        raw = wire(body)
        no_amounts: tuple[Any, ...] = ("NaN", "sNaN", "Infinity", "-Infinity", "1E+99", "one", 1e99, 0.1 + 1e15, [], {})
        for value in no_amounts:
            with pytest.raises(DecodeError):
                decode(put(raw, path, value))

    @pytest.mark.parametrize(("body", "path"), [(b, p) for b, p in AMOUNTS if p[-1] not in SIGNED or isinstance(b, type(an_intent()))], ids=_name)
    def test_a_negative_amount_is_refused_where_it_has_no_meaning(self, body: Contract, path: tuple[str | int, ...]) -> None:
        """No order, no execution and no part of one is below zero."""
        with pytest.raises(DecodeError, match=str(path[-1])):
            decode(put(wire(body), path, "-1"))

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b"1",
            b'"text"',
            b"\xff\xfe",
            bytes(range(256)),
            b"[" * 100_000,
            b'{"topic":"t","producer":"p","seq":1,"epoch":"e","ts_ns":1,"body":{"type":"CancelIntent.1","intent_id":"\xff"}}',
            b'{"topic":"t","producer":"p","seq":1,"epoch":"e","ts_ns":1,"newer":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        ],
        ids=range(11),
    )
    def test_bytes_that_are_no_message_are_refused(self, data: bytes) -> None:
        """In one way, whatever they are."""
        with pytest.raises(DecodeError, match=r"^message b"):
            Codec().decode(data)

    @pytest.mark.parametrize(("pattern", "body_type"), TOPICS, ids=_name)
    def test_a_malformed_message_gives_a_decode_error_on_every_topic(self, pattern: str, body_type: type[Contract]) -> None:
        """Every field in turn missing, or of another kind, or cut off: DecodeError and nothing else, or a message that is right."""
        raw = wire(SAMPLES[body_type]) | {"topic": pattern}
        for name in raw["body"]:
            without = {key: value for key, value in raw["body"].items() if key != name}
            for body in (without, {**without, name: []}, {**without, name: {"x": 1}}, {**without, name: True}, {**without, name: "\ud800"}):
                _decodes_or_refuses(json.dumps({**raw, "body": body}).encode())
        data = json.dumps(raw).encode()
        for cut in range(0, len(data), 7):
            with pytest.raises(DecodeError):
                Codec().decode(data[:cut])


def _decodes_or_refuses(data: bytes) -> None:
    try:
        found = Codec().decode(data)
    except DecodeError:
        return
    assert type(found.body) in SAMPLES


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    """Whatever a peer sends."""
    _decodes_or_refuses(data)


@given(st.sampled_from(list(SAMPLES.values())), st.integers(0, 2_000), st.binary(max_size=3))
def test_no_damaged_message_raises_anything_else(body: Contract, at: int, noise: bytes) -> None:
    """A few bytes overwritten anywhere."""
    data = bytearray(json.dumps(wire(body)).encode())
    at %= len(data)
    data[at : at + len(noise)] = noise
    _decodes_or_refuses(bytes(data))


def test_the_type_of_a_message_is_its_name_and_version() -> None:
    """As it stands in the tag."""
    assert type_name(an_intent()) == "OrderIntent.1"
