"""What `make check-units` says when systemd's tools are missing or say something unexpected."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import check_units


def test_check_fails_when_systemd_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A check that cannot be made has not passed."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert check_units.main() == 2
    assert "systemd-analyze is missing" in capsys.readouterr().err


def _says(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "", code: int = 0) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code, stdout, stderr))


def test_exposure_is_read_when_systemd_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of systemd's report."""
    _says(monkeypatch, "table\n→ Overall exposure level for njord-oms.service: 1.1 OK\n")
    assert check_units.exposure(Path("njord-oms.service")) == 1.1


def test_silence_is_an_error_when_there_is_no_exposure(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure is not a low figure."""
    _says(monkeypatch, "", "no such file")
    with pytest.raises(RuntimeError, match="no such file"):
        check_units.exposure(Path("njord-oms.service"))


def test_problems_are_listed_when_a_unit_is_exposed_or_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every complaint, and every unit above the bound."""
    _says(monkeypatch, "Overall exposure level for x: 3.1 OK", "njord-oms.service: Unknown key")
    found = list(check_units.problems())
    assert "verify: njord-oms.service: Unknown key" in found
    assert "njord-oms.service: exposure 3.1 is too high, at most 3.0 is allowed" in found
