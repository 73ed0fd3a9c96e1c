"""Writes requirements.lock from pyproject.toml: all extras, every supported Python, wheels by hash, no index address."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"

HEADER = """\
# Every package `make install` puts into .venv, with the hashes of its files. Written by `make lock` from pyproject.toml.
# Resolved once for Python 3.11 and newer: where versions must differ, lines carry environment markers and pip takes its own.
# No index is named here: pip asks whichever one it is set up for, and the hashes decide whether to believe it.
"""


def lock_command(extra: Sequence[str]) -> list[str]:
    """The resolver's command line; `extra` are its own options, such as --upgrade."""
    return [
        str(Path(sys.executable).with_name("uv")),
        "pip",
        "compile",
        "pyproject.toml",
        "--quiet",
        "--all-extras",
        "--universal",
        "--python-version=3.11",
        "--generate-hashes",
        "--only-binary=:all:",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--no-header",
        "--output-file",
        LOCK.name,
        *extra,
    ]


def main(arguments: Sequence[str]) -> int:
    """Write the lock; the resolver's exit code."""
    done = subprocess.run(lock_command(arguments), cwd=ROOT, check=False)
    if done.returncode == 0:
        body = LOCK.read_text().removeprefix(HEADER)
        LOCK.write_text(HEADER + body)
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
