"""Names for what a run hangs on: code, configuration and data, each by a hash of its content."""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from backtest.subject import AnyStrategy
from core.bars import BarFeed
from core.settings import Settings

__all__ = ["Fingerprint", "fingerprint_of"]

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("backtest", "core", "execution", "risk", "strategies")


class Fingerprint(msgspec.Struct, frozen=True):
    """`code` covers everything that decides, the strategies' own files included ('' when a strategy has no source: such a run is never
    taken from the cache), `config` the settings with all parameters, `data` every value of every bar. `git` is the checkout's commit."""

    code: str
    config: str
    data: str
    git: str = ""

    @property
    def key(self) -> str:
        """What the run is called by: equal exactly when all three are."""
        return _hash([self.code.encode(), self.config.encode(), self.data.encode()])


def fingerprint_of(classes: Iterable[type[AnyStrategy]], settings: Settings, feed: BarFeed) -> Fingerprint:
    """What a run of these strategies, under these settings, on this feed hangs on."""
    sources = [_source_of(cls) for cls in classes]
    code = "" if None in sources else _hash([_package_hash().encode(), _versions(), *(source for source in sources if source is not None)])
    return Fingerprint(code, _hash([settings.model_dump_json().encode()]), _data_hash(feed), _git_commit())


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


@cache
def _package_hash() -> str:
    files = sorted(path for package in _PACKAGES for path in (_ROOT / package).rglob("*.py"))
    return _hash(part for path in files for part in (str(path.relative_to(_ROOT)).encode(), path.read_bytes()))


def _versions() -> bytes:
    return f"{sys.version_info[:3]} msgspec {msgspec.__version__}".encode()


def _source_of(cls: type[AnyStrategy]) -> bytes | None:
    try:
        path = inspect.getsourcefile(cls)
        return None if path is None else Path(path).read_bytes()
    except (OSError, TypeError):
        return None


def _data_hash(feed: BarFeed) -> str:
    columns = feed.columns
    parts = ["\n".join(feed.symbols).encode(), feed.timeframe.encode(), "\n".join(columns.symbol).encode() if len(feed.symbols) > 1 else b""]
    return _hash([*parts, *(_bytes_of(column) for column in columns[1:])])


def _bytes_of(column: object) -> bytes:
    """The bytes of a column of numbers."""
    return column.tobytes() if hasattr(column, "tobytes") else repr(column).encode()


@cache
def _git_commit() -> str:
    """The commit of this checkout, with a plus when files differ from it; '' outside of one."""
    try:
        commit = subprocess.run(["git", "-C", str(_ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "-C", str(_ROOT), "status", "--porcelain", "--", *_PACKAGES], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}+" if changed else commit
