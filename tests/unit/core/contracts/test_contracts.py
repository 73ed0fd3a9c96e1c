"""The rules every wire message shares."""

from __future__ import annotations

import re

import msgspec
import pytest

import core.contracts as contracts
from core.codec import type_name
from core.contracts import Contract
from tests.support.samples import every_message

TAGGED = [value for value in vars(contracts).values() if isinstance(value, type) and issubclass(value, Contract) and value.__struct_config__.tag is not None]


@pytest.mark.parametrize("contract", TAGGED, ids=lambda contract: contract.__name__)
def test_a_message_is_tagged_with_its_name_and_major_version(contract: type[Contract]) -> None:
    """Another major version is another tag, and an unknown field is seen."""
    config = contract.__struct_config__
    assert re.fullmatch(rf"{contract.__name__}\.[1-9]\d*", str(config.tag))
    assert (config.frozen, config.forbid_unknown_fields, config.omit_defaults) == (True, True, True)


@pytest.mark.parametrize("message", every_message(), ids=type_name)
def test_what_is_the_default_is_not_said(message: Contract) -> None:
    """So that a field added by a minor version changes no bytes of those who do not use it."""
    raw = msgspec.json.decode(msgspec.json.encode(message))
    defaults = {field.name: field.default for field in msgspec.structs.fields(message) if field.default is not msgspec.NODEFAULT}
    assert [name for name, default in defaults.items() if getattr(message, name) == default and name in raw] == []


def test_all_names_of_the_vocabulary_can_be_imported_from_one_place() -> None:
    """`from core.contracts import ...` is all anybody needs."""
    assert sorted(contracts.__all__) == sorted(set(contracts.__all__))
    assert {contract.__name__ for contract in TAGGED} <= set(contracts.__all__)
