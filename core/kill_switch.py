"""The kill file's format: what its content means, and how it is written.

The file's existence stops trading. Anyone must be able to trip it with nothing but `touch`, so an empty file, and a file that
says something else than expected, halt; only a first line `REDUCING` lets orders that reduce positions through. After the first
line stand `key: value` lines (`actor`, `at`, `reason`); `deploy/kill-switch` writes the same format without this code.
"""

from __future__ import annotations

from core.contracts import KillSwitchState, KillSwitchStatus, TradingState

__all__ = ["format_kill_file", "parse_kill_file"]

_FIRST_LINES = {state.value: state for state in (TradingState.REDUCING, TradingState.HALTED)}
_REASON_MAX = 500


def parse_kill_file(content: str | None) -> KillSwitchState:
    """The state a kill file's content stands for; None is a file that is not there, the only one that is clear."""
    if content is None:
        return KillSwitchState(status=KillSwitchStatus.CLEAR)
    lines = content.split("\n")
    first = lines[0].strip()
    fields = dict(_field(line) for line in lines[1:])
    state = _FIRST_LINES.get(first)
    if state is None:
        # Somebody's own words: they mean stop, and they are the best reason there is.
        return KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=TradingState.HALTED, reason=content.strip()[:_REASON_MAX])
    return KillSwitchState(status=KillSwitchStatus.TRIPPED, trading_state=state, reason=fields.get("reason", ""), actor=fields.get("actor", ""))


def format_kill_file(trading_state: TradingState, *, actor: str, at: str, reason: str) -> str:
    """The content of a kill file; `at` is a UTC time for people. ValueError for ACTIVE, which is the absence of the file."""
    if trading_state is TradingState.ACTIVE:
        raise ValueError("trading_state: ACTIVE is not allowed in a kill file, REDUCING or HALTED is required")
    return f"{trading_state.value}\nactor: {_one_line(actor)}\nat: {_one_line(at)}\nreason: {_one_line(reason)}\n"


def _field(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()[:_REASON_MAX]


def _one_line(text: str) -> str:
    """A reason must not be able to look like another field."""
    return " ".join(text.split())
