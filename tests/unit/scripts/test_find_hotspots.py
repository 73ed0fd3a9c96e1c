"""The locator of risky code."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from scripts.find_hotspots import Finding, findings, main, scan, sizes


def _findings(path: str, source: str) -> list[Finding]:
    return list(findings(ast.parse(source), path))


def _tree(root: Path, content: str) -> Path:
    (root / "core").mkdir()
    (root / "core" / "x.py").write_text(content)
    return root


@pytest.mark.parametrize("handler", ["except Exception:\n    pass", "except:\n    x = 1", "except (KeyError, BaseException) as e:\n    log('bad')"])
def test_error_is_swallowed_when_a_broad_handler_leaves_no_trace(handler: str) -> None:
    """Whatever it does instead, a handler that neither raises nor looks at the error has lost it."""
    assert [f.rule for f in _findings("apps/x.py", f"try:\n    f()\n{handler}\n")] == ["swallowed-error"]


@pytest.mark.parametrize("handler", ["except Exception:\n    raise", "except Exception as e:\n    log(e)", "except FileNotFoundError:\n    pass"])
def test_error_is_kept_when_raised_used_or_named(handler: str) -> None:
    """A narrow handler says what it expects; a broad one may pass the error on."""
    assert _findings("apps/x.py", f"try:\n    f()\n{handler}\n") == []


@pytest.mark.parametrize("call", ["datetime.now()", "datetime.datetime.utcnow()", "date.today()"])
def test_clock_is_found_when_a_pure_folder_reads_it(call: str) -> None:
    """datetime may be imported there for its arithmetic, so the import contract cannot see this."""
    assert [f.rule for f in _findings("risk/x.py", f"t = {call}")] == ["wall-clock"]
    assert _findings("apps/x.py", f"t = {call}") == []


def test_size_counts_lines_and_branches_when_measured() -> None:
    """A function's size is its own lines, and each way through it beyond the first."""
    source = "def f(a):\n    if a and a > 1:\n        return [x for x in a]\n    return None\n"
    (size,) = sizes(ast.parse(source), "core/x.py")
    assert (size.name, size.lines, size.branches) == ("f", 4, 3)


def test_report_fails_when_there_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A finding is named with file, line and rule, and ends the run with 1."""
    tree = _tree(tmp_path, "try:\n    f()\nexcept Exception:\n    pass\n")
    assert main([str(tree)]) == 1
    assert capsys.readouterr().err == "core/x.py:3: swallowed-error\n"


def test_report_is_json_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same content for another program."""
    assert main([str(_tree(tmp_path, "def f():\n    return 1\n")), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["findings"] == []
    assert report["longest"] == [{"path": "core/x.py", "line": 1, "name": "f", "lines": 2, "branches": 0}]


def test_nothing_is_found_when_the_shipped_code_is_scanned() -> None:
    """No error is swallowed and no decision reads a clock in this repository."""
    measured, found = scan(Path(__file__).resolve().parents[3])
    assert measured
    assert found == []
