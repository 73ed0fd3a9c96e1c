"""Structured logs: one JSON line per event, and no secret in any of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.runtime.logs import open_log, redact


def test_line_is_json_with_time_level_and_daemon_when_logged(tmp_path: Path) -> None:
    """One event, one line, in the folder that is made on first use."""
    log, stream = open_log(tmp_path / "log", "oms", "info")
    with stream:
        log.info("order", client_order_id="p-1", order_qty=5)
        log.debug("unseen")
    lines = (tmp_path / "log" / "oms.ndjson").read_text().splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    assert (line["event"], line["level"], line["daemon"], line["order_qty"]) == ("order", "info", "oms", 5)
    assert line["timestamp"].endswith("Z")


def test_lines_are_added_when_opened_again(tmp_path: Path) -> None:
    """A restart never overwrites what was logged before it."""
    for number in (1, 2):
        log, stream = open_log(tmp_path, "oms", "debug")
        with stream:
            log.debug("start", number=number)
    assert [json.loads(line)["number"] for line in (tmp_path / "oms.ndjson").read_text().splitlines()] == [1, 2]


@pytest.mark.parametrize("name", ["api_key", "apikey", "secret", "password", "mac_key", "access_token", "private_key", "credential"])
def test_value_is_blanked_when_its_name_says_secret(name: str) -> None:
    """Whoever logs it by name meant no harm."""
    assert redact(None, "info", {name: "hunter2"}) == {name: "[redacted]"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key PKABCDEFGHIJKLMNOPQR here", "key [redacted] here"),
        ("redis://user:pass@host:1/0", "redis://[redacted]@host:1/0"),
        ("from jane.doe+x@example.co.uk: hi", "from [redacted]: hi"),
        ("order p-1 of IBM", "order p-1 of IBM"),
    ],
)
def test_text_is_blanked_when_its_shape_says_secret(text: str, shown: str) -> None:
    """Keys, addresses with passwords and e-mail addresses, wherever they stand; nothing else."""
    assert redact(None, "info", {"text": text, "number": 5}) == {"text": shown, "number": 5}
