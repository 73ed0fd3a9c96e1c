"""Structured logs: one NDJSON line per event, per daemon, never a secret, an e-mail address or a full-depth book."""

from __future__ import annotations

import logging
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

__all__ = ["open_log", "redact"]

_SECRET_NAME = re.compile(r"secret|password|token|api_?key|mac_?key|private|credential", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"(?i)\b(AKIA|PK|CK|AK)[A-Z0-9]{16,}\b|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.CRITICAL}


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank values whose name or shape says secret, and e-mail addresses anywhere in text."""
    for key, value in event.items():
        if _SECRET_NAME.search(key):
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = _EMAIL.sub("[redacted]", _SECRET_TEXT.sub("[redacted]", value))
    return event


def open_log(folder: Path, daemon: str, level: str) -> tuple[structlog.typing.FilteringBoundLogger, TextIO]:
    """A logger that appends to `<folder>/<daemon>.ndjson`, and the file to close when done. External rotation may move the file."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = (folder / f"{daemon}.ndjson").open("a", buffering=1)
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )
    return logger.bind(daemon=daemon), stream
