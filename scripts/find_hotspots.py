"""Finds what a reviewer should look at first: errors that vanish, clocks in decisions, and the longest, most branching functions.

`swallowed-error` and `wall-clock` are findings: a caught error that leaves no trace, and a reading of the wall clock in a
folder that must not have one. Either makes this program exit 1. Size and branches are shown, not judged.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("core", "strategies", "risk", "execution", "backtest", "apps")
PURE = ("core", "strategies", "risk", "execution")

_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case, ast.comprehension, ast.BoolOp)
_CLOCK_READS = frozenset({"now", "utcnow", "today"})
_CLOCK_OWNERS = frozenset({"datetime", "date"})
_BROAD = frozenset({"Exception", "BaseException"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Size(NamedTuple):
    """A function with its lines and branches."""

    path: str
    line: int
    name: str
    lines: int
    branches: int


class Finding(NamedTuple):
    """A spot that must not be there."""

    path: str
    line: int
    rule: str


def sizes(tree: ast.AST, path: str) -> Iterator[Size]:
    """The size of every function; what a nested function adds counts for the outer one too."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            branches = sum(isinstance(inner, _BRANCHES) for inner in ast.walk(node))
            yield Size(path, node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1, branches)


def findings(tree: ast.AST, path: str) -> Iterator[Finding]:
    """Broad handlers that do nothing, anywhere; readings of the wall clock, in the pure folders."""
    is_pure = path.split("/")[0] in PURE
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _leaves_a_trace(node):
            yield Finding(path, node.lineno, "swallowed-error")
        if is_pure and isinstance(node, ast.Call) and _reads_clock(node):
            yield Finding(path, node.lineno, "wall-clock")


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(_is_broad(part) for part in caught.elts)
    return caught is None or (isinstance(caught, ast.Name) and caught.id in _BROAD)


def _leaves_a_trace(handler: ast.ExceptHandler) -> bool:
    """Whether the handler raises, or does something with the error it caught."""
    inner = [node for statement in handler.body for node in ast.walk(statement)]
    return any(isinstance(node, ast.Raise) or (isinstance(node, ast.Name) and node.id == handler.name) for node in inner)


def _reads_clock(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in _CLOCK_READS:
        return False
    owner = function.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name in _CLOCK_OWNERS


def scan(root: Path, folders: Iterable[str] = SOURCES) -> tuple[list[Size], list[Finding]]:
    """Every function and every finding below `root`, in order of path and line."""
    measured: list[Size] = []
    found: list[Finding] = []
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(), filename=str(path))
        name = path.relative_to(root).as_posix()
        measured += sizes(tree, name)
        found += findings(tree, name)
    return measured, found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("root", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--top", type=int, default=8, help="how many functions to list")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    options = parser.parse_args(arguments)
    measured, found = scan(options.root)
    largest = sorted(measured, key=lambda size: (-size.lines, size.path, size.line))[: options.top]
    busiest = sorted(measured, key=lambda size: (-size.branches, size.path, size.line))[: options.top]
    if options.json:
        print(json.dumps({"findings": [f._asdict() for f in found], "longest": [s._asdict() for s in largest], "busiest": [s._asdict() for s in busiest]}))
        return 1 if found else 0
    for title, rows in (("longest functions", largest), ("most branches", busiest)):
        print(f"{title}:")
        for row in rows:
            print(f"  {row.lines:4d} lines {row.branches:3d} branches  {row.path}:{row.line} {row.name}")
    for finding in found:
        print(f"{finding.path}:{finding.line}: {finding.rule}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
