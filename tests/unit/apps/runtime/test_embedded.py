"""Which server is taken, and how it is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.runtime.embedded import find_server, redis_url, server_arguments, server_command
from apps.runtime.home import Home, open_home
from core.errors import ConfigError

BUNDLED = Path("/bundled/valkey-server")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    return open_home(tmp_path / "home")


@pytest.mark.parametrize(
    ("on_path", "bundled", "taken"),
    [
        ({"redis-server": "/usr/bin/redis-server", "valkey-server": "/usr/bin/valkey-server"}, BUNDLED, "/usr/bin/redis-server"),
        ({"valkey-server": "/usr/bin/valkey-server"}, BUNDLED, "/usr/bin/valkey-server"),
        ({}, BUNDLED, str(BUNDLED)),
    ],
)
def test_first_server_is_taken_when_several_exist(on_path: dict[str, str], bundled: Path, taken: str) -> None:
    """The host's own before the bundled one."""
    assert find_server(on_path.get, lambda: bundled) == Path(taken)


def test_missing_server_is_named_when_there_is_none() -> None:
    """With what to do about it."""
    with pytest.raises(ConfigError, match=r"redis-server nor valkey-server is on PATH.*install one, or set runtime\.redis_url"):
        find_server(lambda name: None, lambda: None)


def test_bundled_server_can_be_run_when_nothing_is_on_path() -> None:
    """The package that is installed brings a program that exists."""
    assert find_server(lambda name: None).is_file()


def test_configured_address_wins_when_the_home_has_a_server_too(home: Home) -> None:
    """The file is not even looked at."""
    home.redis_url_file.write_text("unix:///run/own.sock\n")
    assert redis_url(home, "redis://elsewhere") == "redis://elsewhere"
    assert redis_url(home, "") == "unix:///run/own.sock"


def test_server_counts_as_not_there_yet_when_never_started(home: Home) -> None:
    """That is a reason to wait, not to stop."""
    with pytest.raises(ConnectionError, match="no server yet"):
        redis_url(home, "")


def test_server_is_closed_to_the_network_and_keeps_nothing_when_started(home: Home) -> None:
    """One socket below the home, no port, nothing on disk, no eviction."""
    program, *arguments = server_arguments(BUNDLED, home)
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert program == str(BUNDLED)
    assert options["--port"] == "0"
    assert options["--unixsocket"] == str(home.socket("redis"))
    assert (options["--save"], options["--appendonly"], options["--maxmemory-policy"]) == ("", "no", "noeviction")
    assert options["--dir"] == str(home.root / "redis")


def test_supervisor_names_the_home_when_it_starts_the_server(home: Home) -> None:
    """The command depends on nothing but the home."""
    assert server_command(home)[1:] == ["-m", "apps.runtime.embedded", str(home.root)]
