"""Progress where there is no terminal: a line now and then. On a terminal: a bar."""

from __future__ import annotations

import io

from rich.console import Console

from apps.cli.progress import shown_progress


def _lines(total: int, *told: tuple[int, str]) -> list[str]:
    stream = io.StringIO()
    with shown_progress(Console(file=stream, width=20), total) as show:
        for done, note in told:
            show(done, note)
    return [line.rpartition(",")[0] if line.endswith(" s") else line for line in stream.getvalue().splitlines()]


def test_a_line_comes_for_each_tenth_when_there_is_no_terminal() -> None:
    """Neither a line per step nor silence, and no line is folded."""
    assert _lines(200, *((done, "") for done in range(60))) == ["replay: 0 of 200 steps (0 %)", "replay: 20 of 200 steps (10 %)", "replay: 40 of 200 steps (20 %)"]


def test_a_line_comes_at_once_when_the_note_changes() -> None:
    """A restart is news."""
    assert _lines(200, (1, ""), (2, "restarted: oms x1"), (3, "restarted: oms x1"))[1:] == ["replay: 2 of 200 steps (1 %), 0 s, restarted: oms x1"]


def test_nothing_fails_when_there_are_no_steps() -> None:
    """An empty feed has no percent."""
    assert _lines(0, (0, "")) == ["replay: 0 of 1 steps (0 %)"]


def test_a_bar_is_drawn_when_there_is_a_terminal() -> None:
    """Steps, percent, the note as it is."""
    stream = io.StringIO()
    with shown_progress(Console(file=stream, width=120, force_terminal=True, color_system=None), 4) as show:
        show(3, "restarted: [oms]")
    text = stream.getvalue()
    assert "3/4" in text
    assert "75%" in text
    assert "restarted: [oms]" in text
