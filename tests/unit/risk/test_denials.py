"""The vocabulary of denials."""

from __future__ import annotations

import msgspec

from core.contracts import Denial
from risk.denials import DenialCode, denial_table, deny


def test_a_code_is_its_own_name_and_has_one_sentence() -> None:
    """Codes are the words in the messages; each is explained in one sentence."""
    for code in DenialCode:
        assert code.value == code.name == str(code)
        assert code.meaning.endswith(".") and code.meaning[0].isupper() and "\n" not in code.meaning


def test_a_denial_reads_code_then_evidence() -> None:
    """Evidence is key=value in the order given, and the code on the wire is plain text."""
    denial = deny(DenialCode.ORDER_QTY_MAX, order_qty=11, order_qty_max=10)

    assert str(denial) == "ORDER_QTY_MAX: order_qty=11, order_qty_max=10"
    assert type(denial.code) is str
    assert msgspec.json.decode(msgspec.json.encode(denial), type=Denial) == denial


def test_the_table_has_a_row_for_every_code() -> None:
    """Documentation is complete by construction."""
    table = denial_table()

    assert len(table.splitlines()) == 2 + len(DenialCode)
    assert all(f"| `{code.value}` | {code.meaning} |" in table for code in DenialCode)
