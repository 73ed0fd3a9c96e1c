"""Planted bugs: each can still be planted, and the simulator finds them. `make sim-mutants` hunts all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.mutants import __main__ as command
from tests.simulator.mutants.catalogue import MUTANTS, Mutant
from tests.simulator.mutants.hunt import apply, hunt, occurrences


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_bug_can_be_planted(mutant: Mutant) -> None:
    """Its text is in its file exactly once: a bug that cannot be planted any more is not hunted any more."""
    assert occurrences(mutant) == 1
    assert mutant.old != mutant.new


def test_there_are_enough_bugs_and_each_has_a_name() -> None:
    """At least twenty."""
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_bug_that_is_not_there_is_not_planted(tmp_path: Path) -> None:
    """An edit that changes nothing would survive every hunt, or look like a hole."""
    (tmp_path / "f.py").write_text("a = 1\na = 1\n")
    with pytest.raises(ValueError, match="2 times, exactly once is required"):
        apply(Mutant("twice", "f.py", "a = 1", "a = 2", ""), tmp_path)


def test_a_planted_bug_is_found() -> None:
    """One of the quick ones, the whole way."""
    (found,) = hunt([mutant for mutant in MUTANTS if mutant.name == "call_before_commit"], 40)
    assert found.seeds
    assert found.problem.startswith("I12: ")


def test_a_survivor_makes_the_hunt_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not found is a hole in the simulator."""
    harmless = Mutant("harmless", "core/node.py", "EXIT_HALT = 70", "EXIT_HALT = 69 + 1", "none at all")
    monkeypatch.setattr(command, "MUTANTS", (harmless,))
    assert command.main(["--seeds", "2"]) == 1
    assert "SURVIVED" in capsys.readouterr().out
