"""Checks the systemd units with systemd's own tools: every unit verifies without a word, and is exposed at most 3.0 (`OK`).

Needs `systemd-analyze`; without it this fails rather than passing over anything.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UNITS = ROOT / "deploy" / "systemd"
EXPOSURE_MAX = 3.0

_INSTALLED = "/opt/njord"
_EXPOSURE = re.compile(r"Overall exposure level for \S+: (?P<level>[\d.]+)")


def exposure(unit: Path) -> float:
    """The exposure level systemd computes for a unit file, 0 (none) to 10."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, check=False)
    found = _EXPOSURE.search(done.stdout)
    if found is None:
        raise RuntimeError(f"{unit.name}: systemd-analyze says no exposure level: {done.stdout}{done.stderr}")
    return float(found["level"])


def complaints(units: Path) -> str:
    """What `systemd-analyze verify` says of a folder of units, as if this checkout were installed where they expect it."""
    with tempfile.TemporaryDirectory() as folder:
        for unit in sorted(units.iterdir()):
            text = unit.read_text().replace(f"{_INSTALLED}/.venv/bin/python", sys.executable).replace(_INSTALLED, str(ROOT))
            (Path(folder) / unit.name).write_text(text)
        copies = [str(path) for path in sorted(Path(folder).iterdir())]
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True, check=False)
        return done.stderr if done.returncode or done.stderr else ""


def problems(units: Path = UNITS) -> Iterator[str]:
    """Everything that keeps the units from shipping."""
    yield from (f"verify: {line}" for line in complaints(units).splitlines())
    for unit in sorted(units.glob("*.service")):
        level = exposure(unit)
        if level > EXPOSURE_MAX:
            yield f"{unit.name}: exposure {level} is too high, at most {EXPOSURE_MAX} is allowed"


def main() -> int:
    """Print the problems, or each unit's exposure; 1 when there are problems, 2 without systemd-analyze."""
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is missing: install systemd, or run this on the trading host", file=sys.stderr)
        return 2
    found = list(problems())
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        for unit in sorted(UNITS.glob("*.service")):
            print(f"{unit.name}: exposure {exposure(unit)}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
