"""The key that risk seals approvals and leases with, and the broker checks them with: a file nobody else may read.

It is made with the home, or named by NJORD_APPROVAL_KEY_FILE (a systemd credential, for example). It is read at start and kept in
memory alone; it goes into no journal, no message and no log.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.errors import ConfigError
from core.seal import KEY_BYTES_MIN

__all__ = ["VARIABLE", "load_approval_key"]

VARIABLE = "NJORD_APPROVAL_KEY_FILE"


def load_approval_key(default: Path) -> bytes:
    """The key in the named file, or in this one; ConfigError when it is missing, too short, or open to others."""
    path = Path(os.environ.get(VARIABLE) or default)
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            key = stream.read().strip()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}), the key that seals approvals is required; {VARIABLE} names another file") from None
    if mode & 0o077:
        raise ConfigError(f"{path}: mode {mode:04o} lets others at the key that seals approvals, 0600 or less is required")
    if len(key) < KEY_BYTES_MIN:
        raise ConfigError(f"{path}: {len(key)} bytes are no key, at least {KEY_BYTES_MIN} are required")
    return key
