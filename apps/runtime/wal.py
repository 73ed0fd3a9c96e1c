"""What SQLite does not tell: whether commits lie behind a damaged frame of the write-ahead log.

SQLite reads a log up to the first frame whose checksum is wrong and takes that for its end, as after a power cut. A flipped bit
early in the log thus rolls a database back without a word, `integrity_check` included. But each commit is on disk before the next
one begins, so a torn tail holds at most one: more than one behind the last good frame means that history was lost.

The layout is SQLite's own (https://www.sqlite.org/fileformat2.html#the_write_ahead_log, https://www.sqlite.org/walformat.html).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import sys
from pathlib import Path

from core.errors import JournalError

__all__ = ["commits_behind_damage", "damaged_log", "require_whole_log"]

_HEADER, _FRAME_HEADER = 32, 24
_HEADER_FIELDS = struct.Struct(">8sI4s8s8s")  # magic and version, page size, checkpoint number, salts, checksum
_FRAME_FIELDS = struct.Struct(">II8s8s")  # page number, pages after a commit (0: none ends here), salts, checksum
_LAST_GOOD = struct.Struct("<I" if sys.byteorder == "little" else ">I")
_LAST_GOOD_AT = 16


def damaged_log(path: Path) -> Path:
    """Where the damaged log of a journal is kept; while it is there, the journal is suspect and nobody takes or reads it."""
    return path.with_name(f"{path.name}-wal.damaged")


def require_whole_log(path: Path) -> None:
    """JournalError when the log beside an open database lost commits, now or before. The database must have been read.

    The log is copied first: SQLite deletes it with the last connection, and what lies behind the damage could still be saved.
    """
    kept = damaged_log(path)
    lost = commits_behind_damage(path)
    # One may be the torn tail of a power cut: never acted on, or the bus and the consumers know of it.
    if lost > 1 and not kept.exists():
        partial = kept.with_name(f"{kept.name}.partial")
        shutil.copyfile(path.with_name(f"{path.name}-wal"), partial)
        partial.rename(kept)
    if kept.exists():
        behind = f"{lost} commits lie behind a damaged frame of its log, and " if lost > 1 else ""
        raise JournalError(f"{path}: {behind}{kept.name} is kept beside it: the journal lost history; `njord journal check` says what to do")


def commits_behind_damage(path: Path) -> int:
    """How many commits of the log beside an open database lie behind its last good frame; one may be a torn tail.

    The database must have been read, so that its index file says how far SQLite got. 0 when there is no log.
    """
    count = _count_behind(path)
    # A living writer may begin its log anew between two looks at two files; damage stays.
    return count if count <= 1 else min(count, _count_behind(path), _count_behind(path))


def _count_behind(path: Path) -> int:
    try:
        before = _last_good_frame(path)
        log = path.with_name(f"{path.name}-wal").read_bytes()
        last_good = max(before, _last_good_frame(path))
    except FileNotFoundError:
        return 0
    if len(log) < _HEADER:
        return 0
    _, page_size, _, salts, _ = _HEADER_FIELDS.unpack_from(log)
    frame_size = _FRAME_HEADER + page_size
    count = 0
    for at in range(_HEADER + last_good * frame_size, len(log) - frame_size + 1, frame_size):
        _, ends_commit, frame_salts, _ = _FRAME_FIELDS.unpack_from(log, at)
        # Frames of other salts are left over from before the log was last begun anew.
        if ends_commit and frame_salts == salts:
            count += 1
    return count


def _last_good_frame(path: Path) -> int:
    """How far SQLite got, by its index file; 0 when this process has none open.

    It is read through SQLite's own descriptor: closing another one of the same file would drop the locks this process holds on it
    (fcntl's rule), and the next reader would cut the file short under its memory.
    """
    descriptor = _descriptor_of(path.with_name(f"{path.name}-shm"))
    head = b"" if descriptor is None else os.pread(descriptor, _LAST_GOOD_AT + _LAST_GOOD.size, 0)
    return int(_LAST_GOOD.unpack_from(head, _LAST_GOOD_AT)[0]) if len(head) > _LAST_GOOD_AT else 0


def _descriptor_of(path: Path) -> int | None:
    wanted = path.stat()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return int(name)
    return None
