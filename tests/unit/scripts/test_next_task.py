"""The roadmap's next task."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.next_task import PHASES, main, next_task, tasks


def _phase(folder: Path, number: int, *boxes: str) -> None:
    (folder / f"phase-{number:02}-x.md").write_text("\n".join([f"# Phase {number}", "", *(f"- {box}" for box in boxes)]))


def test_first_open_box_is_next_when_earlier_ones_are_ticked(tmp_path: Path) -> None:
    """Phases count in the order of their numbers, boxes in the order of the file."""
    _phase(tmp_path, 2, "[ ] later")
    _phase(tmp_path, 1, "[x] done", "[ ] now", "[ ] then")
    task = next_task(tmp_path)
    assert task is not None
    assert (task.phase, task.text) == ("Phase 1", "now")


def test_nothing_is_next_when_every_box_is_ticked(tmp_path: Path) -> None:
    """A finished roadmap has no next task."""
    _phase(tmp_path, 1, "[x] done")
    assert next_task(tmp_path) is None


def test_phase_is_refused_when_it_has_no_box(tmp_path: Path) -> None:
    """A phase without a checklist would silently count as done."""
    _phase(tmp_path, 1)
    with pytest.raises(ValueError, match=r"phase-01-x\.md"):
        next_task(tmp_path)


def test_shipped_roadmap_is_readable_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """`make next` prints a phase and a task that are in the files."""
    assert len(list(tasks(PHASES))) > 50
    assert main() == 0
    printed = capsys.readouterr().out
    task = next_task(PHASES)
    assert task is None or (task.phase in printed and task.text in printed)
