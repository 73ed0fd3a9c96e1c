"""Hunts planted bugs: a copy of the tree with one of them in it, and the seeds of the campaign until one fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.simulator.mutants.catalogue import Mutant

__all__ = ["Hunt", "apply", "hunt", "occurrences"]

ROOT = Path(__file__).resolve().parents[3]
_TREE = ("core", "strategies", "risk", "execution", "backtest", "apps", "config")
_SEEK = """
import sys
from apps.runtime.settings_loader import load_settings
from backtest.faults.campaign import run_seeds
report = run_seeds(load_settings(environment="test").settings, range(int(sys.argv[1])), failures_max=1)
print(report.seeds, report.failed[0].problems[0] if report.failed else "")
"""


class Hunt(NamedTuple):
    """How a hunt ended: the seeds it took to find the bug (0: it survived), and what gave it away."""

    mutant: Mutant
    seeds: int
    problem: str


def occurrences(mutant: Mutant, root: Path = ROOT) -> int:
    """How often the text to be replaced is there; exactly once is required."""
    return (root / mutant.path).read_text().count(mutant.old)


def apply(mutant: Mutant, root: Path) -> None:
    """Plant the bug in a copy of the tree."""
    path = root / mutant.path
    found = occurrences(mutant, root)
    if found != 1:
        raise ValueError(f"mutant {mutant.name}: its text is in {mutant.path} {found} times, exactly once is required")
    path.write_text(path.read_text().replace(mutant.old, mutant.new))


def hunt(mutants: Iterable[Mutant], seeds_max: int) -> Iterator[Hunt]:
    """Hunt each in a process of its own, on at most so many seeds."""
    for mutant in mutants:
        with tempfile.TemporaryDirectory(prefix="njord-mutant-") as folder:
            root = Path(folder)
            for name in _TREE:
                shutil.copytree(ROOT / name, root / name)
            apply(mutant, root)
            yield _seek(mutant, root, seeds_max)


def _seek(mutant: Mutant, root: Path, seeds_max: int) -> Hunt:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NJORD_")} | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", _SEEK, str(seeds_max)], cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        # A bug that keeps the suite from being built at all is found as well.
        return Hunt(mutant, 1, done.stderr.strip().splitlines()[-1])
    seeds, _, problem = done.stdout.strip().partition(" ")
    return Hunt(mutant, int(seeds) if problem else 0, problem)
