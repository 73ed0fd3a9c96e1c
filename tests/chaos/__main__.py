"""`make chaos`: rounds of chaos until enough processes were killed; 0 when every round ended whole."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import msgspec
from rich.console import Console
from rich.table import Table

from tests.chaos.campaign import Round, run_round
from tests.chaos.misfortunes import MISFORTUNES


def main() -> int:
    """Run and print; 1 when a round was not whole, or when a kind of misfortune never struck."""
    parser = argparse.ArgumentParser(prog="make chaos", description="real processes and a real server under random misfortune, each round ended by njord verify")
    parser.add_argument("--kills", type=int, default=200, help="processes to kill in all (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first round's seed (default 0)")
    parser.add_argument("--misfortunes", type=int, default=25, help="misfortunes of a round (default 25)")
    parser.add_argument("--steps", type=int, default=400, help="days that a round trades (default 400)")
    parser.add_argument("--json", action="store_true", help="the rounds as JSON on stdout, progress on stderr")
    options = parser.parse_args()
    console = Console(stderr=options.json, highlight=False)
    rounds: list[Round] = []
    while sum(r.kills for r in rounds) < options.kills and not any(r.problems for r in rounds):
        seed = options.first + len(rounds)
        rounds.append(run_round(seed, options.misfortunes, options.steps, tell=lambda text, seed=seed: console.print(f"round {seed}: {text}", markup=False)))  # type: ignore[misc]
        latest = rounds[-1]
        console.print(
            f"round {seed}: {latest.kills} kills, {latest.intents} intents, {latest.fills} fills, {latest.seconds:.0f} s, {'; '.join(latest.problems) or 'whole'}", markup=False
        )
    if options.json:
        print(msgspec.json.encode(rounds).decode())
    else:
        _print(console, rounds)
    struck = _struck(rounds)
    missing = [m.name for m in MISFORTUNES if not struck[m.name]]
    if missing and options.kills >= 100:
        console.print(f"never struck, so nothing is proved about it: {', '.join(missing)}", markup=False)
        return 1
    return 1 if any(r.problems for r in rounds) else 0


def _struck(rounds: list[Round]) -> Counter[str]:
    struck: Counter[str] = Counter()
    for r in rounds:
        struck.update(r.struck)
    return struck


def _print(console: Console, rounds: list[Round]) -> None:
    table = Table(
        title=f"{len(rounds)} rounds, {sum(r.kills for r in rounds)} kills, {sum(r.intents for r in rounds)} intents, {sum(r.fills for r in rounds)} fills", title_justify="left"
    )
    table.add_column("misfortune")
    table.add_column("struck", justify="right")
    struck = _struck(rounds)
    for misfortune in MISFORTUNES:
        table.add_row(misfortune.name, str(struck[misfortune.name]))
    console.print(table)
    for r in rounds:
        for problem in r.problems:
            console.print(f"round {r.seed}: {problem}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
