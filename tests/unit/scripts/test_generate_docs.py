"""The tables in the documents are the code's."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.settings import Settings
from scripts.generate_docs import TABLES, filled, stale_documents


def test_documents_are_up_to_date_when_shipped() -> None:
    """`make tables` writes them anew."""
    assert list(stale_documents()) == []


@pytest.mark.parametrize("name", list(TABLES))
def test_table_has_rows_and_a_place_when_generated(name: str) -> None:
    """Every table says something, and some document shows it."""
    assert TABLES[name]().count("\n") > 2
    root = Path(__file__).resolve().parents[3]
    assert any(f"<!-- generated: {name} -->" in path.read_text() for path in [root / "README.md", *(root / "docs").glob("*.md")])


def test_block_is_replaced_and_the_rest_kept_when_filled() -> None:
    """Only what stands between the markers changes."""
    text = "before\n<!-- generated: exit-codes -->\nold\n<!-- end -->\nafter\n"
    done = filled(text)
    assert done.startswith("before\n<!-- generated: exit-codes -->\n| Code |")
    assert done.endswith("|\n<!-- end -->\nafter\n")
    assert filled(done) == done


def test_unknown_table_is_an_error_when_named() -> None:
    """A typo in a marker must not leave an old table standing."""
    with pytest.raises(KeyError, match="weather"):
        filled("<!-- generated: weather -->\n<!-- end -->")


def test_every_setting_has_a_row_with_an_example_when_listed() -> None:
    """No key can be set that the reference does not show how to set."""
    table = TABLES["settings"]()
    for section in Settings.model_fields:
        assert f"### `{section}`" in table
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if "…" in row] == []
