"""How the lock is written."""

from __future__ import annotations

from scripts.lock import HEADER, LOCK, lock_command


def test_lock_is_hashed_and_silent_about_its_index_when_written() -> None:
    """The resolver is told to hash every file, to take wheels only, and to name no address."""
    command = lock_command(("--upgrade",))
    assert {"--generate-hashes", "--only-binary=:all:", "--no-emit-index-url", "--no-emit-find-links", "--all-extras", "--universal"} <= set(command)
    assert command[-1] == "--upgrade"


def test_lock_explains_itself_when_opened() -> None:
    """A reader learns where the file comes from before the first hash."""
    assert LOCK.read_text().startswith(HEADER)
