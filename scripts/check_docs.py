"""Checks the documents: every relative link leads to a file, every `make target` they name exists.

Tables that mirror code are checked by tests beside that code; this looks at what only the words promise.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\]\((?!\w+:|#)(?P<target>[^)#\s]+)(?:#[^)\s]*)?\)")
_COMMAND = re.compile(r"(?:^|&&|`|\$)[ \t]*make(?P<words>(?:[ \t]+[\w./=~'-]+)+)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def make_targets(makefile: str) -> frozenset[str]:
    """The targets a Makefile's text defines."""
    return frozenset(_TARGET.findall(makefile))


def problems(path: Path, targets: frozenset[str]) -> Iterator[str]:
    """What one document promises and does not keep."""
    text = path.read_text()
    prose = _FENCE.sub("", text)
    for link in _LINK.finditer(prose):
        if not (path.parent / link["target"]).exists():
            yield f"{path}: links to {link['target']}, which does not exist"
    code = [block.group() for block in _FENCE.finditer(text)] + _SPAN.findall(prose)
    for name in (name for piece in code for name in _named_targets(piece)):
        if name not in targets:
            yield f"{path}: names `make {name}`, which is no target of the Makefile"


def _named_targets(code: str) -> Iterator[str]:
    for command in _COMMAND.finditer(code):
        yield from (word for word in command["words"].split() if re.fullmatch(r"[a-z][a-z-]*", word))


def documents(root: Path) -> list[Path]:
    """The Markdown files git knows of, or would add."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], cwd=root, check=True, capture_output=True, text=True)
    return sorted(path for name in listed.stdout.split("\0") if name and (path := root / name).exists())


def main(root: Path = ROOT) -> int:
    """Print every problem; 1 when there is one."""
    targets = make_targets((root / "Makefile").read_text())
    found = [problem for path in documents(root) for problem in problems(path, targets)]
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
