"""Where one suite keeps everything: `NJORD_HOME` (default ./var). Two homes never share a file, socket or key."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from core.errors import ConfigError

__all__ = ["Home", "open_home"]

# AF_UNIX addresses hold 108 bytes, the last one a zero.
_SOCKET_PATH_MAX = 100


class Home(NamedTuple):
    """The folders of one suite, and the names it goes by: `namespace` on the bus, `account_epoch` in its order ids."""

    root: Path
    namespace: str
    account_epoch: str

    @property
    def state(self) -> Path:
        """Journals and stores."""
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """One NDJSON file per daemon."""
        return self.root / "log" / "njord"

    @property
    def kill_file(self) -> Path:
        """The kill switch; its existence stops trading."""
        return self.root / "kill" / "KILL"

    @property
    def redis_url_file(self) -> Path:
        """Where the launcher of an embedded server says how to reach it."""
        return self.root / "run" / "redis.url"

    @property
    def settings_overlay(self) -> Path:
        """Settings of this home alone, laid over the shipped ones."""
        return self.root / "config.yaml"

    def journal(self, daemon: str) -> Path:
        """The journal of a daemon."""
        return self.state / f"{daemon}.sqlite"

    def socket(self, name: str) -> Path:
        """A Unix socket of this suite; a home with a long path gets a short private folder instead."""
        path = self.root / "run" / f"{name}.sock"
        if len(str(path).encode()) <= _SOCKET_PATH_MAX:
            return path
        digest = hashlib.blake2b(str(self.root).encode(), digest_size=8).hexdigest()
        folder = Path(tempfile.gettempdir()) / f"njord-{os.getuid()}-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise ConfigError(f"{folder}: belongs to another user, sockets cannot be kept there")
        return folder / f"{name}.sock"


def open_home(root: Path | None = None) -> Home:
    """The suite in `root` (default: NJORD_HOME, else ./var), made on first use."""
    path = (root or Path(os.environ.get("NJORD_HOME") or "var")).resolve()
    for folder in ("state", "run", "log/njord", "kill"):
        (path / folder).mkdir(parents=True, exist_ok=True)
    identity = path / "suite.json"
    if not identity.exists():
        _write_once(identity, json.dumps({"namespace": f"njord-{os.urandom(4).hex()}", "account_epoch": os.urandom(8).hex()}))
    try:
        content = json.loads(identity.read_text())
        return Home(path, content["namespace"], content["account_epoch"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{identity}: {error!r}, an object with namespace and account_epoch is required") from None


def _write_once(path: Path, text: str) -> None:
    """Create a file whole or not at all; when several processes start together the first one's content stays."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
