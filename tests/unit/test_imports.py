"""Nothing happens at import: no file is written, nothing is connected, started or asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "strategies", "risk", "execution", "backtest", "apps", "scripts")

# Run in an interpreter of its own: an audit hook cannot be taken off again, and other tests have imported everything.
_IMPORT_ALL = """
import importlib, json, os, sys
acts = []
LOUD = {"socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen", "os.mkdir", "os.remove", "os.rename", "os.fork", "os.system", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def hook(event, arguments):
    if event in LOUD or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING and arguments[0] != "/dev/null"):
        acts.append([current, event, str(arguments[0])])

current = ""
sys.addaudithook(hook)
for current in sys.argv[1:]:
    importlib.import_module(current)
json.dump(acts, sys.stdout)
"""


def _modules() -> list[str]:
    paths = (path.relative_to(ROOT) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    names = (".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if not name.endswith("__main__")]


def _import_all(modules: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-B", "-W", "error", "-c", _IMPORT_ALL, *modules], cwd=ROOT, capture_output=True, text=True, check=False)


def test_nothing_happens_when_any_module_is_imported() -> None:
    """Importing opens no file for writing, no socket, no database and no process, warns of nothing and prints nothing."""
    done = _import_all(_modules())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert done.stderr == ""


def test_act_is_seen_when_a_module_does_something(tmp_path: Path) -> None:
    """The check above would notice."""
    (tmp_path / "busy.py").write_text(f"open({str(tmp_path / 'x')!r}, 'w').close()\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{_IMPORT_ALL}"
    done = subprocess.run([sys.executable, "-B", "-c", program, "busy"], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [["busy", "open", str(tmp_path / "x")]]
