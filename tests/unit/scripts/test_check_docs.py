"""The check of the documents' links and commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.check_docs import main, make_targets, problems

_TARGETS = frozenset({"demo", "test", "run-md"})


def _problems(folder: Path, text: str) -> list[str]:
    path = folder / "page.md"
    path.write_text(text)
    return [problem.removeprefix(f"{path}: ") for problem in problems(path, _TARGETS)]


def test_link_is_a_problem_when_it_leads_nowhere(tmp_path: Path) -> None:
    """The fragment does not matter, the file does."""
    assert _problems(tmp_path, "[a](gone.md#part) [b](page.md#part)") == ["links to gone.md, which does not exist"]


@pytest.mark.parametrize("text", ["[a](https://example.org/x)", "[a](#part)", "```\n[a](gone.md)\n```"])
def test_link_is_left_alone_when_it_is_no_file_of_ours(tmp_path: Path, text: str) -> None:
    """Addresses, fragments and code are not links to files."""
    assert _problems(tmp_path, text) == []


@pytest.mark.parametrize("text", ["`make gone`", "```\nmake demo && make gone\n```", "`make PYTHON=python3 demo gone`"])
def test_command_is_a_problem_when_make_does_not_know_it(tmp_path: Path, text: str) -> None:
    """Every target named in code must exist, wherever it stands in the line."""
    assert _problems(tmp_path, text) == ["names `make gone`, which is no target of the Makefile"]


@pytest.mark.parametrize("text", ["make sure", "`make run-md ARGS=x`", "```\n$ make demo\n# make it so\n```"])
def test_command_is_left_alone_when_known_or_prose(tmp_path: Path, text: str) -> None:
    """Prose may make sure of things, and variables are not targets."""
    assert _problems(tmp_path, text) == []


def test_targets_are_read_when_the_makefile_defines_them() -> None:
    """Variables and recipes are not targets."""
    assert make_targets("X := 1\nall: a\n\techo b:\n.PHONY: c\n$(STAMP): d\n") == {"all"}


def test_shipped_documents_hold_when_checked(capsys: pytest.CaptureFixture[str]) -> None:
    """This repository's own documents keep their promises."""
    assert main() == 0, capsys.readouterr().err
