"""`make sim-mutants`: plants every known bug in a copy of the tree and tells after how many seeds the simulator found it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tests.simulator.mutants.catalogue import MUTANTS
from tests.simulator.mutants.hunt import hunt

_SHOWN = 110


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt all of them, or those named; 1 when one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--seeds", type=int, default=400, help="a bug that so many seeds do not show has survived (400)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    survivors = []
    for found in hunt([m for m in MUTANTS if not options.names or m.name in options.names], options.seeds):
        told = f"{found.seeds:5d} seeds  {found.problem}" if found.seeds else "SURVIVED"
        print(f"{found.mutant.name:32s} {told[:_SHOWN]}", flush=True)
        if not found.seeds:
            survivors.append(found.mutant)
    for mutant in survivors:
        print(f"survivor: {mutant.name} in {mutant.path}: {mutant.bug}")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
