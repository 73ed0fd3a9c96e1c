"""The version of the limits in force: a short hash of everything in the configuration that a decision depends on."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from core.money import normal
from core.settings import Settings

__all__ = ["limits_version", "told_limits"]


def told_limits(settings: Settings) -> dict[str, str]:
    """Every limit by name, in the units of its name, one spelling per number."""
    return _spelled(settings.limits.model_dump())


def limits_version(settings: Settings) -> str:
    """Twelve hex digits, equal for equal limits and instruments whatever file or spelling they came from."""
    instruments = {symbol: _spelled(row.model_dump()) for symbol, row in settings.instruments.items()}
    content = msgspec.json.encode({"limits": told_limits(settings), "instruments": instruments}, order="deterministic")
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _spelled(fields: dict[str, Any]) -> dict[str, str]:
    return {name: normal(value) if isinstance(value, Decimal) else str(value) for name, value in fields.items()}
