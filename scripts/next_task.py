"""Prints the next open task of the roadmap: the first unticked box of the first phase that has one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PHASES = Path(__file__).resolve().parents[1] / "roadmap" / "phases"

_BOX = re.compile(r"- \[(?P<tick>[ x])\] (?P<text>.+)")


class Task(NamedTuple):
    """One box of a phase's checklist."""

    phase: str
    text: str
    is_done: bool


def tasks(folder: Path) -> Iterator[Task]:
    """All boxes of all phases, in order of the files' names; ValueError for a phase without a title or without a box."""
    for path in sorted(folder.glob("phase-*.md")):
        lines = path.read_text().splitlines()
        boxes = [match for line in lines if (match := _BOX.fullmatch(line))]
        if not lines or not lines[0].startswith("# ") or not boxes:
            raise ValueError(f"{path}: a title and at least one box (`- [ ] ...`) are required")
        for box in boxes:
            yield Task(lines[0].removeprefix("# "), box["text"], box["tick"] == "x")


def next_task(folder: Path) -> Task | None:
    """The first open task, or None when everything is done."""
    return next((task for task in tasks(folder) if not task.is_done), None)


def main() -> int:
    """Print it."""
    task = next_task(PHASES)
    print("The roadmap holds no open task." if task is None else f"{task.phase}\n  {task.text}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
