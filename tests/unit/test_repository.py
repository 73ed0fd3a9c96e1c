"""What the repository promises beside its code: packaging, lock, Makefile, import contracts, compose file, licence, roadmap."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

_TARGETS = [
    "venv",
    "install",
    "pre-commit",
    "fmt",
    "lint",
    "type",
    "imports",
    "test",
    "check",
    "next",
    "demo",
    "run-md",
    "run-strat",
    "run-risk",
    "run-oms",
    "run-broker",
    "run-paper",
    "run-kill-trip",
    "run-kill-clear",
    "check-kill",
    "sim",
    "bench",
    "bench-pipeline",
    "up",
    "down",
    "logs",
    "status",
]
_PROMISED_PACKAGES = ("redis", "pydantic", "structlog", "ccxt", "alpaca-py", "pytest", "fakeredis", "mypy", "ruff")
_PHASE_ROW = re.compile(r"^\| (?P<number>\d+) \| \[[^]]+\]\((?P<path>[^)]+)\) \| [^|]+ \| (?P<state>\w+) \|$", re.MULTILINE)


def _read(name: str) -> str:
    return (ROOT / name).read_text()


def _pyproject() -> dict[str, Any]:
    return tomllib.loads(_read("pyproject.toml"))


def _declared() -> list[Requirement]:
    project = _pyproject()["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def _locked() -> dict[str, list[tuple[Requirement, str]]]:
    """The lock's entries by canonical name: the requirement, and the text that carries its hashes."""
    entries: dict[str, list[tuple[Requirement, str]]] = {}
    for block in re.split(r"^(?=[A-Za-z0-9])", _read("requirements.lock"), flags=re.MULTILINE)[1:]:
        requirement = Requirement(block.split("\\", 1)[0].strip())
        entries.setdefault(canonicalize_name(requirement.name), []).append((requirement, block))
    return entries


def _top_packages() -> set[str]:
    ignored = {"tests", "benchmarks", "scripts"}
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - ignored


def _make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
    return subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, env=inherited | environment, capture_output=True, text=True, check=False)


class TestPackaging:
    """pyproject.toml and the lock."""

    @pytest.mark.parametrize("extra", ["live", "console", "research", "dev"])
    def test_extra_exists_when_named(self, extra: str) -> None:
        """Each promised extra is declared and not empty."""
        assert _pyproject()["project"]["optional-dependencies"][extra]

    @pytest.mark.parametrize("package", _PROMISED_PACKAGES)
    def test_package_is_declared_when_promised(self, package: str) -> None:
        """The packages the project is known to stand on are declared, not merely pulled in by others."""
        assert package in {canonicalize_name(requirement.name) for requirement in _declared()}

    def test_every_locked_package_has_hashes_when_locked(self) -> None:
        """pip refuses an index's substitute because every entry names its files' hashes."""
        locked = _locked()
        assert len(locked) > 50
        assert [name for name, entries in locked.items() if any("--hash=sha256:" not in block for _, block in entries)] == []

    @pytest.mark.parametrize("python", ["3.11.0", "3.12.0", "3.13.0"])
    def test_lock_holds_one_fitting_version_when_declared(self, python: str) -> None:
        """For each supported Python every declared requirement finds exactly one locked version, and it satisfies the declaration."""
        environment = {"python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": "linux", "platform_machine": "x86_64"}
        locked = _locked()
        for declared in _declared():
            fitting = [entry for entry, _ in locked[canonicalize_name(declared.name)] if entry.marker is None or entry.marker.evaluate(environment)]
            assert len(fitting) == 1, declared
            assert declared.specifier.contains(next(iter(fitting[0].specifier)).version), declared

    def test_lock_is_installed_as_it_stands_when_newer_releases_exist(self) -> None:
        """Nothing is resolved anew at install: a release newer than the lock must not be looked at, and a hole in the lock is told."""
        recipe = re.search(r"^\$\(INSTALLED\):.*\n((?:\t.*\n)+)", _read("Makefile"), re.MULTILINE)
        assert recipe is not None
        assert "--no-deps --require-hashes -r requirements.lock" in recipe[1]
        assert "-m pip check" in recipe[1]

    def test_lock_names_no_address_when_shared(self) -> None:
        """No index, link or path of whoever resolved the lock is in it."""
        assert re.findall(r"https?://|file:|--(?:extra-)?index-url|--find-links|--trusted-host", _read("requirements.lock")) == []

    def test_package_is_installed_typed_and_layered_when_it_exists(self) -> None:
        """A new top-level package cannot be forgotten by the build, the type checker, or the import contracts."""
        tools = _pyproject()["tool"]
        packages = _top_packages()
        assert packages <= set(tools["setuptools"]["packages"]["find"]["include"])
        assert packages <= set(tools["mypy"]["files"])
        assert packages == set(tools["importlinter"]["root_packages"])

    def test_licence_is_apache_when_declared(self) -> None:
        """The licence file is the whole text of what pyproject.toml declares."""
        licence = _read("LICENSE")
        assert _pyproject()["project"]["license"] == "Apache-2.0"
        assert "Version 2.0, January 2004" in licence
        assert "END OF TERMS AND CONDITIONS" in licence


class TestImportContracts:
    """The walls between the folders, proved by breaching them in a copy."""

    _BREACHES = (
        ("core/planted.py", "import strategies\n", "layers"),
        ("risk/planted.py", "import execution\n", "layers"),
        ("strategies/planted.py", "import time\n", "pure"),
        ("apps/oms/planted.py", "import apps.broker\n", "daemons"),
        ("apps/runtime/planted.py", "import apps.cli\n", "daemons"),
        ("apps/broker/planted.py", "import redis\n", "bus-client"),
        ("backtest/planted.py", "import pandas\n", "vendors"),
    )

    def test_every_contract_breaks_when_it_is_breached(self, tmp_path: Path) -> None:
        """Each contract names the planted import it forbids, so none of them is satisfied by looking the other way."""
        for name, content, _ in self._BREACHES:
            self._copy_of_the_tree(tmp_path).joinpath(name).write_text(content)
        contracts = {contract["id"] for contract in _pyproject()["tool"]["importlinter"]["contracts"]}
        assert {contract for _, _, contract in self._BREACHES} == contracts
        for contract in contracts:
            done = self._lint(tmp_path, contract)
            planted = [name.removesuffix(".py").replace("/", ".") for name, _, broken in self._BREACHES if broken == contract]
            assert done.returncode == 1, done.stdout
            assert [module for module in planted if module not in re.sub(r"\s+", " ", done.stdout)] == []

    def test_command_line_passes_when_it_imports_everything(self, tmp_path: Path) -> None:
        """apps.cli alone may import across: daemons, the backtest and the shelves."""
        self._copy_of_the_tree(tmp_path).joinpath("apps/cli/planted.py").write_text("import apps.broker\nimport apps.oms\nimport backtest\nimport risk\n")
        for contract in ("layers", "daemons"):
            done = self._lint(tmp_path, contract)
            assert "apps.cli.planted" not in done.stdout

    def test_daemon_is_kept_apart_when_it_is_new(self, tmp_path: Path) -> None:
        """A folder added to apps must take its place among the daemons before the contract passes again."""
        new = self._copy_of_the_tree(tmp_path) / "apps" / "planted"
        new.mkdir()
        (new / "__init__.py").touch()
        done = self._lint(tmp_path, "daemons")
        assert done.returncode == 1
        assert "apps.planted" in done.stdout

    @staticmethod
    def _copy_of_the_tree(to: Path) -> Path:
        for package in _top_packages():
            if not (to / package).exists():
                shutil.copytree(ROOT / package, to / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", to)
        return to

    @staticmethod
    def _lint(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache", "--contract", contract]
        return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


class TestMakefile:
    """The one way to do things."""

    @pytest.mark.parametrize("target", _TARGETS)
    def test_help_lists_target_when_promised(self, target: str) -> None:
        """Each promised target exists and says what it does."""
        assert re.search(rf"^{target}:.*## \S", _read("Makefile"), re.MULTILINE)

    def test_help_is_the_default_when_no_target_is_named(self) -> None:
        """A bare `make` prints every documented target and does nothing."""
        done = _make()
        listed = re.findall(r"^  ([a-z-]+) {2,}\S", done.stdout, re.MULTILINE)
        assert done.returncode == 0, done.stderr
        assert listed == re.findall(r"^([a-z-]+):.*## ", _read("Makefile"), re.MULTILINE)

    def test_every_target_is_phony_when_documented(self) -> None:
        """A file or folder called like a target (docs, say) must not keep it from running."""
        makefile = _read("Makefile")
        phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.MULTILINE)
        assert phony
        assert set(phony[1].replace("\\", " ").split()) == set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    @pytest.mark.parametrize("name", ["Makefile", ".ci/run", ".pre-commit-config.yaml"])
    def test_no_failure_is_hidden_when_a_tool_fails(self, name: str) -> None:
        """Nothing that checks ends in an excuse."""
        assert re.findall(r"\|\| *(?:true|:)|--exit-zero|continue-on-error", _read(name)) == []

    def test_venv_names_the_problem_when_python_is_too_old(self, tmp_path: Path) -> None:
        """An interpreter that cannot run the project is refused by name, before anything is made."""
        old = tmp_path / "python-old"
        old.write_text("#!/bin/sh\nexit 1\n")
        old.chmod(0o755)
        done = _make("venv", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
        assert done.returncode != 0
        assert f"{old} is missing or older than Python 3.11" in done.stderr
        assert not (tmp_path / "venv").exists()

    @pytest.mark.parametrize("where", ["command line", "environment"])
    def test_reason_stays_what_was_typed_when_it_looks_like_a_command(self, where: str, tmp_path: Path) -> None:
        """Neither make nor the shell reads a command into it, wherever it comes from."""
        reason = f"lost $5000 $(shell touch {tmp_path}/make) $(touch {tmp_path}/shell) `id` 'q' \"x\" --reducing"
        home = {"NJORD_HOME": str(tmp_path)}
        done = _make("run-kill-trip", f"REASON={reason}", **home) if where == "command line" else _make("run-kill-trip", REASON=reason, **home)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "kill" / "KILL").read_text().splitlines()[-1] == f"reason: {reason}"
        assert not (tmp_path / "make").exists()
        assert not (tmp_path / "shell").exists()


class TestContinuousIntegration:
    """.ci/run and the commit hooks."""

    def test_ci_refuses_when_a_tier_would_be_skipped(self) -> None:
        """The variable that skips the Redis tier on a developer's machine ends the proof at once."""
        done = subprocess.run([ROOT / ".ci/run"], env={"PATH": os.environ["PATH"], "REDIS_SKIP": "1"}, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "REDIS_SKIP" in done.stderr

    def test_ci_runs_every_stage_when_started(self) -> None:
        """The stages are make's, in order; bash stops at the first failure."""
        script = _read(".ci/run")
        assert "set -euo pipefail" in script
        assert "for name in install check check-units test sim; do" in script

    def test_hooks_are_make_targets_when_git_commits(self) -> None:
        """A commit is held against the very commands people run."""
        hooks = yaml.safe_load(_read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
        assert [hook["entry"] for hook in hooks] == ["make lint", "make type", "make imports"]


def _exposed(compose: dict[str, Any]) -> list[str]:
    """The published ports that something beyond this machine could reach."""
    exposed = []
    for name, service in compose["services"].items():
        if service.get("network_mode") == "host":
            exposed.append(f"{name}: network_mode host")
        for port in service.get("ports", ()):
            host = port.get("host_ip", "") if isinstance(port, dict) else str(port).rpartition(":")[0].rpartition(":")[0]
            if host not in ("127.0.0.1", "[::1]"):
                exposed.append(f"{name}: {port}")
    return exposed


class TestComposeFile:
    """The Redis that integration tests may use."""

    def test_redis_listens_on_loopback_when_published(self) -> None:
        """Nobody else on the network can reach a test server that has no password."""
        compose = yaml.safe_load(_read("docker-compose.test.yml"))
        assert compose["services"]["redis"]["ports"]
        assert _exposed(compose) == []

    @pytest.mark.parametrize("port", ["6379:6379", "0.0.0.0:6390:6379", "[::]:6390:6379", "6379", {"target": 6379, "published": 6390}])
    def test_port_counts_as_exposed_when_not_bound_to_loopback(self, port: object) -> None:
        """The check above sees every way of writing a port that is open to others."""
        assert _exposed({"services": {"redis": {"ports": [port]}}})

    def test_redis_keeps_nothing_and_is_watched_when_it_runs(self) -> None:
        """A test never meets the data of an earlier run, and waits for a server that answers."""
        redis = yaml.safe_load(_read("docker-compose.test.yml"))["services"]["redis"]
        command = " ".join(redis["command"])
        assert "--save  --appendonly no" in command
        assert "--maxmemory-policy noeviction" in command
        assert "volumes" not in redis
        assert redis["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


class TestRoadmap:
    """ROADMAP.md and the phases it lists."""

    def test_roadmap_links_every_phase_when_listed(self) -> None:
        """Phases 0 to 16 each have a row and a file, and there is no file without a row."""
        rows = list(_PHASE_ROW.finditer(_read("ROADMAP.md")))
        assert [int(row["number"]) for row in rows] == list(range(17))
        assert [row["path"] for row in rows] == [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("roadmap/phases/*.md"))]

    def test_state_follows_the_boxes_when_they_are_ticked(self) -> None:
        """A phase is done when all its boxes are, the first other one is current, the rest are planned."""
        rows = list(_PHASE_ROW.finditer(_read("ROADMAP.md")))
        is_done = [not re.search(r"^- \[ \]", _read(row["path"]), re.MULTILINE) for row in rows]
        current = is_done.index(False)
        expected = ["current" if i == current else "done" if done else "planned" for i, done in enumerate(is_done)]
        assert [row["state"] for row in rows] == expected
        assert f"**Current Phase:** {current}\n" in _read("ROADMAP.md")

    @pytest.mark.parametrize("heading", ["Depends on: ", "## Requirements", "## Acceptance", "## Tasks"])
    def test_phase_says_what_it_needs_when_read(self, heading: str) -> None:
        """Every phase states dependencies, requirements, acceptance and tasks."""
        assert [path.name for path in ROOT.glob("roadmap/phases/*.md") if heading not in path.read_text()] == []


class TestDocuments:
    """docs/ and the changelog."""

    @pytest.mark.parametrize("part", ["**Context.**", "**Decision.**", "**Consequences.**"])
    def test_decision_is_complete_when_recorded(self, part: str) -> None:
        """A decision record says why, what, and what it costs, on at most a page."""
        records = sorted((ROOT / "docs/decisions").glob("*.md"))
        assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
        assert [path.name for path in records if part not in path.read_text() or len(path.read_text().splitlines()) > 30] == []

    def test_glossary_names_what_exists_when_it_names_code(self) -> None:
        """Every class and constant the glossary leads a reader to is a word of core."""
        ours = _read("docs/glossary.md").partition("## Names elsewhere")[0]
        named = set(re.findall(r"`([A-Z][A-Za-z]+|[A-Z][A-Z_]+)`", ours))
        words = {word for path in (ROOT / "core").rglob("*.py") for word in re.findall(r"\w+", path.read_text())} | {"Shell"}
        assert len(named) > 30
        assert named - words == set()

    def test_changelog_is_kept_when_something_changes(self) -> None:
        """Users find what is new under Unreleased."""
        assert re.search(r"^## \[Unreleased\]\n\n### (?:Added|Changed|Deprecated|Removed|Fixed|Security)\n\n- ", _read("CHANGELOG.md"), re.MULTILINE)


class TestTree:
    """All tracked files."""

    def test_no_file_names_a_machine_when_published(self) -> None:
        """No tracked file holds an absolute path of somebody's home or workspace."""
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        foreign = re.compile(r"(?<![\w.])/(?:root|work|Users|home/\w+)/\w")
        texts = ((name, (ROOT / name).read_bytes().decode("utf-8", "ignore")) for name in listed.split("\0") if name and (ROOT / name).is_file())
        assert [name for name, text in texts if foreign.search(text)] == []


class TestUnitTier:
    """tests/conftest.py, which keeps the unit tier closed."""

    def test_connection_fails_when_a_unit_test_opens_one(self) -> None:
        """The network is out of reach, loopback included."""
        with socket.socket() as open_socket, pytest.raises(AssertionError, match="tests/integration"):
            open_socket.connect(("127.0.0.1", 9))

    def test_sleep_fails_when_a_unit_test_sleeps(self) -> None:
        """Waiting is for tests of real processes."""
        with pytest.raises(AssertionError, match="sleeps"):
            time.sleep(0)

    def test_tier_is_the_folder_when_collected(self, request: pytest.FixtureRequest) -> None:
        """This file lies in tests/unit, so it is a unit test."""
        assert request.node.get_closest_marker("unit") is not None
