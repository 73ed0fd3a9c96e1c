"""Live progress of a replay: a bar on a terminal, a line now and then everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

__all__ = ["Show", "shown_progress"]

Show = Callable[[int, str], None]
"""Shows how many steps are done, with a note."""

_LINES = 10


@contextmanager
def shown_progress(console: Console, total: int) -> Iterator[Show]:
    """Shows a replay of so many steps while the block runs."""
    if not console.is_terminal:
        yield _Lines(console, total)
        return
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("replay", total=total, note="starting")
        yield lambda done, note: progress.update(task, completed=done, note=escape(note))


class _Lines:
    """One line for each tenth of the way, and one whenever the note changes."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = max(1, total)
        self._began = time.monotonic()
        self._told: tuple[int, str] | None = None

    def __call__(self, done: int, note: str) -> None:
        news = (done * _LINES // self._total, note)
        if news == self._told:
            return
        self._told = news
        percent, seconds = done * 100 // self._total, time.monotonic() - self._began
        text = f"replay: {done} of {self._total} steps ({percent} %), {seconds:.0f} s{', ' + note if note else ''}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
