"""`njord simulate`: seeds of the fault simulator, with what happened in them."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.progress import track

from apps.cli.render import print_table
from backtest.faults.delivery import DeliveryReport, run_delivery

__all__ = ["run_simulation"]


def run_simulation(first: int, seeds: int, as_json: bool, console: Console) -> int:
    """Run the campaign; a failing seed is printed with what broke and the command that shows it again."""
    seen: dict[str, int] = {}
    failed: list[DeliveryReport] = []
    for seed in track(range(first, first + seeds), description="seeds", console=console, transient=True):
        report = run_delivery(seed)
        for kind, count in report.seen.items():
            seen[kind] = seen.get(kind, 0) + count
        if report.problems:
            failed.append(report)
    if as_json:
        print(msgspec.json.encode({"first": first, "seeds": seeds, "seen": seen, "failed": failed}).decode())
        return 1 if failed else 0
    print_table(console, f"{seeds} seeds from {first}: {len(failed)} failed", ("what happened", "times "), ((kind, str(count)) for kind, count in sorted(seen.items())))
    for report in failed:
        console.print(f"seed {report.seed}: {report.problems[0]}\n  again: njord simulate --first {report.seed} --seeds 1", markup=False, highlight=False, soft_wrap=True)
    return 1 if failed else 0
