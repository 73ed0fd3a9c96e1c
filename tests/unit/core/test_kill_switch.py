"""The kill file: any file stops, and only two exact words say how much."""

from __future__ import annotations

import pytest

from core.contracts import KillSwitchState, KillSwitchStatus, TradingState
from core.kill_switch import format_kill_file, parse_kill_file


def tripped(trading_state: TradingState, reason: str = "", actor: str = "") -> KillSwitchState:
    """A tripped switch."""
    return KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=trading_state, reason=reason, actor=actor)


def test_the_switch_is_clear_only_when_there_is_no_file() -> None:
    """Nothing that a file can say means go on."""
    assert parse_kill_file(None).status is KillSwitchStatus.CLEAR
    for content in ("", "ACTIVE", "CLEAR", "\0", "reason: none"):
        assert parse_kill_file(content) == tripped(TradingState.HALTED, content.strip())


@pytest.mark.parametrize("content", ["reducing", "REDUCING now", "\nREDUCING", "\ufeffREDUCING", "HALTED REDUCING", "REDUCING\r\r"])
def test_everything_halts_when_the_first_line_is_not_exactly_a_state(content: str) -> None:
    """What is not understood is the strictest state; spaces around the word do not matter."""
    is_exact = content.split("\n")[0].strip() == "REDUCING"
    assert parse_kill_file(content).trading_state is (TradingState.REDUCING if is_exact else TradingState.HALTED)


@pytest.mark.parametrize("trading_state", [TradingState.REDUCING, TradingState.HALTED])
def test_what_was_written_is_read(trading_state: TradingState) -> None:
    """State, who and why."""
    content = format_kill_file(trading_state, actor="ops", at="2024-01-01T00:00:00Z", reason="fat finger: 10x")
    assert content == f"{trading_state.value}\nactor: ops\nat: 2024-01-01T00:00:00Z\nreason: fat finger: 10x\n"
    assert parse_kill_file(content) == tripped(trading_state, "fat finger: 10x", "ops")


def test_a_reason_cannot_look_like_another_field() -> None:
    """Line breaks become spaces."""
    content = format_kill_file(TradingState.HALTED, actor="a", at="t", reason="x\nactor: boss\r\n\ty")
    assert parse_kill_file(content) == tripped(TradingState.HALTED, "x actor: boss y", "a")


def test_an_active_switch_is_no_file() -> None:
    """A file that says ACTIVE would stop all the same."""
    with pytest.raises(ValueError, match="ACTIVE is not allowed in a kill file"):
        format_kill_file(TradingState.ACTIVE, actor="a", at="t", reason="r")


@pytest.mark.parametrize("content", ["x" * 10_000, "HALTED\nreason: " + "x" * 10_000])
def test_a_long_reason_is_cut(content: str) -> None:
    """A file of any size stays a small message."""
    assert len(parse_kill_file(content).reason) == 500
