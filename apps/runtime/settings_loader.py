"""Reads config/: shipped files, the environment's file, the home's overlay, `NJORD_*` variables, in that order.

Later sources win key by key, and every value remembers where it came from (`njord config show`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import yaml

from core.errors import ConfigError
from core.settings import Settings

__all__ = ["LoadedSettings", "load_settings", "shipped_config"]

_SHIPPED = ("base", "instruments", "limits", "strategies")
_VARIABLES = {"NJORD_ENV": "environment", "NJORD_REDIS_URL": "runtime.redis_url", "NJORD_LOG_LEVEL": "runtime.log_level"}


class LoadedSettings(NamedTuple):
    """Settings with the hash that names them and the source of every value (`limits.order_qty_max` -> file)."""

    settings: Settings
    config_hash: str
    content: str
    provenance: dict[str, str]


def shipped_config() -> Path:
    """The folder of the shipped configuration."""
    return Path(__file__).resolve().parents[2] / "config"


def load_settings(overlay: Path | None = None, *, folder: Path | None = None, environment: str | None = None) -> LoadedSettings:
    """The settings of a suite; ConfigError lists every problem of every file at once."""
    folder = folder or shipped_config()
    merged: dict[str, Any] = {}
    provenance: dict[str, str] = {}
    for name in _SHIPPED:
        _merge(merged, _read(folder / f"{name}.yaml"), str(folder / f"{name}.yaml"), provenance)
    overlaid = _read(overlay) if overlay is not None and overlay.exists() else {}
    chosen = environment or os.environ.get("NJORD_ENV") or overlaid.get("environment") or merged.get("environment", "paper")
    profile = folder / f"{chosen}.yaml"
    if profile.exists():
        _merge(merged, _read(profile), str(profile), provenance)
    if overlaid:
        _merge(merged, overlaid, str(overlay), provenance)
    _merge(merged, {"environment": chosen}, "environment", provenance)
    for variable, key in _VARIABLES.items():
        # An environment that the caller names is not overruled by one that happens to be set.
        if (value := os.environ.get(variable)) and not (environment and key == "environment"):
            section, _, leaf = key.rpartition(".")
            _merge(merged, {section: {leaf: value}} if section else {leaf: value}, variable, provenance)
    return _validated(merged, provenance)


def _validated(merged: dict[str, Any], provenance: dict[str, str]) -> LoadedSettings:
    try:
        settings = Settings.model_validate(merged)
    except pydantic.ValidationError as error:
        raise ConfigError(*(_problem(item, provenance) for item in error.errors())) from None
    content = settings.model_dump_json()
    return LoadedSettings(settings, hashlib.blake2b(content.encode(), digest_size=8).hexdigest(), content, provenance)


def _problem(item: Any, provenance: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    source = _source(key, message, provenance)
    if item["type"] == "extra_forbidden":
        return f"{source} {key}: is not a known key"
    if item["type"] == "value_error":
        return f"{source} {key}{': ' if key else ''}{message}"
    return f"{source} {key}: {item['input']!r} is not allowed: {message}"


def _source(key: str, message: str, provenance: Mapping[str, str]) -> str:
    """Where the value came from; for a contradiction between values of a section, where those it names came from."""
    known = next((provenance[k] for k in (key, key.rpartition(".")[0]) if k in provenance), None)
    if known is not None:
        return known
    named = (source for leaf, source in provenance.items() if leaf.startswith(f"{key}.") and leaf.rpartition(".")[2] in message)
    return ", ".join(dict.fromkeys(named)) or "settings"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), _StrictLoader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: not found") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {type(content).__name__} at the top, a mapping is required")
    return content


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where plain YAML lets the last one win, and keeps 1.10 as text until typed."""


def _no_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _no_duplicates)


def _merge(into: dict[str, Any], source: Mapping[str, Any], name: str, provenance: dict[str, str], prefix: str = "") -> None:
    for key, value in source.items():
        path = f"{prefix}{key}"
        if value is None and isinstance(into.get(key), dict):
            # `null` takes an inherited section away, so that an overlay can drop a strategy and not only change it.
            del into[key]
            continue
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value, name, provenance, f"{path}.")
            continue
        into[key] = dict(value) if isinstance(value, Mapping) else value
        for leaf in _leaves(value, path):
            provenance[leaf] = name


def _leaves(value: Any, path: str) -> list[str]:
    if not isinstance(value, Mapping) or not value:
        return [path]
    return [leaf for key, inner in value.items() for leaf in _leaves(inner, f"{path}.{key}")]
