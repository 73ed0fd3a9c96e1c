"""Where settings come from, who wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.runtime.settings_loader import load_settings, shipped_config
from core.errors import ConfigError

_BASE = "environment: paper\nfeed: {symbols: [IBM]}\n"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NJORD_ENV", "NJORD_REDIS_URL", "NJORD_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration folder with the four shipped files, nearly empty."""
    found = tmp_path / "config"
    found.mkdir()
    (found / "base.yaml").write_text(_BASE)
    (found / "instruments.yaml").write_text("instruments: {default: {tick: 0.01}}\n")
    (found / "limits.yaml").write_text("limits: {order_qty_max: 100}\n")
    (found / "strategies.yaml").write_text("strategies: {}\n")
    return found


def _problems(folder: Path, overlay: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_settings(overlay, folder=folder)
    return caught.value.problems


@pytest.mark.parametrize("environment", ["paper", "demo"])
def test_shipped_configuration_loads_when_an_environment_is_named(environment: str) -> None:
    """What ships is valid, and every symbol of it has an instrument."""
    settings = load_settings(environment=environment).settings
    assert settings.environment == environment
    assert settings.symbols
    assert all(settings.instrument(symbol) for symbol in settings.symbols)


def test_later_source_wins_when_several_set_a_key(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped file, profile, the home's overlay, variable: each over the one before, key by key."""
    (folder / "paper.yaml").write_text("runtime: {log_level: warning, heartbeat_ms: 500}\nlimits: {order_qty_max: 200}\n")
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("runtime: {log_level: error}\n")
    monkeypatch.setenv("NJORD_LOG_LEVEL", "debug")
    loaded = load_settings(overlay, folder=folder)
    runtime, limits = loaded.settings.runtime, loaded.settings.limits
    assert (runtime.log_level, runtime.heartbeat_ms, int(limits.order_qty_max)) == ("debug", 500, 200)
    assert loaded.provenance["runtime.log_level"] == "NJORD_LOG_LEVEL"
    assert loaded.provenance["runtime.heartbeat_ms"] == str(folder / "paper.yaml")
    assert loaded.provenance["feed.symbols"] == str(folder / "base.yaml")


def test_environment_is_the_variables_when_overlay_and_file_say_another(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller names over NJORD_ENV over the overlay over the base."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("environment: demo\n")
    assert load_settings(overlay, folder=folder).settings.environment == "demo"
    monkeypatch.setenv("NJORD_ENV", "test")
    assert load_settings(overlay, folder=folder).settings.environment == "test"
    assert load_settings(overlay, folder=folder, environment="backtest").settings.environment == "backtest"


def test_inherited_strategy_goes_when_the_overlay_says_null(folder: Path, tmp_path: Path) -> None:
    """`null` takes a section away instead of setting nothing."""
    (folder / "strategies.yaml").write_text("strategies: {old: {kind: sma_cross, symbols: [IBM]}}\n")
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("strategies: {old: null, new: {kind: sma_cross, symbols: [IBM]}}\n")
    assert list(load_settings(overlay, folder=folder).settings.strategies) == ["new"]


def test_hash_changes_when_a_value_does(folder: Path) -> None:
    """The hash names the configuration: equal for equal values, another for any other."""
    first = load_settings(folder=folder).config_hash
    assert load_settings(folder=folder).config_hash == first
    (folder / "limits.yaml").write_text("limits: {order_qty_max: 101}\n")
    assert load_settings(folder=folder).config_hash != first


def test_every_problem_is_listed_when_several_files_are_wrong(folder: Path) -> None:
    """One start shows all that must be edited, each with its file, its key and what was given."""
    (folder / "base.yaml").write_text(_BASE + "surprise: 1\naccount: {name: 5}\n")
    (folder / "limits.yaml").write_text("limits: {order_qty_max: -1, intent_age_ms_max: nan}\n")
    text = "\n".join(_problems(folder))
    assert "base.yaml surprise: is not a known key" in text
    assert "limits.yaml limits.order_qty_max: -1 is not allowed" in text
    assert "limits.intent_age_ms_max" in text
    assert "account.name" in text


def test_contradicting_limits_are_refused_when_loaded(folder: Path) -> None:
    """A limit that can never bind is a mistake, and says which two values disagree."""
    (folder / "limits.yaml").write_text("limits: {order_qty_max: 100, position_qty_max: 50}\n")
    assert _problems(folder) == (f"{folder / 'limits.yaml'} limits: order_qty_max: 100 contradicts position_qty_max 50, it may be at most equal",)


def test_not_a_number_is_refused_when_given_as_a_limit(folder: Path) -> None:
    """NaN compares false with everything, so as a limit it would allow everything."""
    (folder / "limits.yaml").write_text("limits: {order_notional_max: .nan}\n")
    assert "order_notional_max" in _problems(folder)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("limits: {order_qty_max: 1, order_qty_max: 2}\n", "'order_qty_max' stands twice"),
        ("- a\n- b\n", "list at the top, a mapping is required"),
        ("limits: [unclosed\n", "limits.yaml"),
        (b"\xff\xfe\x00", "limits.yaml"),
    ],
)
def test_unusable_file_is_refused_when_read(folder: Path, content: str | bytes, message: str) -> None:
    """A duplicate key, another shape, broken YAML or bytes that are no text: refused with the file's name."""
    (folder / "limits.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    assert message in _problems(folder)[0]


def test_missing_shipped_file_is_refused_when_read(folder: Path) -> None:
    """A missing file is not an empty one: limits must not vanish with it."""
    (folder / "limits.yaml").unlink()
    assert _problems(folder) == (f"{folder / 'limits.yaml'}: not found",)


def test_shipped_limits_name_every_limit_when_read() -> None:
    """Nobody has to know a default: each limit stands in config/limits.yaml."""
    loaded = load_settings(environment="paper")
    named = {key.partition(".")[2] for key, source in loaded.provenance.items() if key.startswith("limits.") and source == str(shipped_config() / "limits.yaml")}
    assert named == set(type(loaded.settings.limits).model_fields)
