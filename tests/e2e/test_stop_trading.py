"""The kill switch end to end: paper trading as shipped, stopped by a file."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from core.contracts import OrderIntent, Verdict
from core.topics import Daemon
from tests.support.story import decisions_of
from tests.support.suite import RunningSuite

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "kill-switch"
TRADING = {
    "feed": {"speed": None, "synthetic_steps": 3000},
    "strategies": {"reversion": None, "trend": {"kind": "sma_cross", "symbols": ["ALFA", "BRVO"], "params": {"fast": 2, "slow": 5}}},
}


def _switch(suite: RunningSuite, *arguments: str) -> None:
    subprocess.run([SCRIPT, "--home", str(suite.home.root), *arguments], check=True, capture_output=True)


def _places(suite: RunningSuite) -> int:
    return int(suite.rows(Daemon.PAPER_VENUE, "select count(*) from inputs where kind = 'Command' and json_extract(data, '$.body.type') = 'Place'")[0][0])


def test_nothing_is_placed_while_the_switch_is_tripped_and_trading_goes_on_after(tmp_path: Path) -> None:
    """From the broker's first look on, no order reaches the venue, risk says why, and clearing the switch ends it."""
    with RunningSuite(tmp_path, TRADING, "paper") as suite:
        stage = "trading"
        placed = [0, 0, 0]
        until = 0.0

        def meanwhile(progress: dict[str, Any]) -> None:
            nonlocal stage, until
            if stage == "trading" and progress["step"] > 600:
                _switch(suite, "trip", "drill")
                until = time.monotonic() + 1.0
                stage = "tripping"
            elif stage == "tripping" and time.monotonic() > until:
                placed[0] = _places(suite)
                until = time.monotonic() + 2.0
                stage = "tripped"
            elif stage == "tripped" and time.monotonic() > until:
                placed[1] = _places(suite)
                _switch(suite, "clear", "drill over")
                stage = "cleared"

        suite.run_to_end(120.0, meanwhile)
        placed[2] = _places(suite)
    assert stage == "cleared"
    assert placed[0] > 0
    assert placed[1] == placed[0], "orders reached the venue while the switch was tripped"
    assert placed[2] > placed[1], "trading did not go on after the switch was cleared"
    denied = [d for d in decisions_of(suite.home) if d.verdict is Verdict.DENIED and isinstance(d.intent, OrderIntent)]
    assert any(d.denials[0].code == "KILL_SWITCH" for d in denied)
    assert suite.verify().holds
