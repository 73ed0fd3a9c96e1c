"""`njord arm` and `njord disarm`: a person's word to risk, and what each side makes of it."""

from __future__ import annotations

import msgspec

from apps.runtime.control_socket import ask_daemon
from apps.runtime.home import Home
from core.contracts import OperatorCommand
from core.errors import ConfigError
from core.topics import Daemon

__all__ = ["ARMING_DAEMONS", "arm_text", "tell_risk"]

ARMING_DAEMONS = (Daemon.RISK_ENGINE, Daemon.BROKER)
"""Risk gives its word, the broker needs it: `njord status` shows what both say."""


def tell_risk(home: Home, command: OperatorCommand) -> tuple[str, int]:
    """Give risk a command: its answer, and the exit code (1 when it refuses). ConfigError when risk cannot be asked."""
    try:
        reply = ask_daemon(home.socket(Daemon.RISK_ENGINE.value), {"command": msgspec.to_builtins(command)})
    except ConnectionError as error:
        raise ConfigError(f"{error}: risk_engine does not answer, so nothing has changed; a broker that does not hear from it is disarmed") from None
    text = str(reply.get("text", ""))
    return text, 0 if reply.get("ok") and not text.startswith("refused") else 1


def arm_text(home: Home, daemon: Daemon) -> str:
    """`armed: why` or `disarmed: why`, in a daemon's own words; '' when it cannot say."""
    try:
        reply = ask_daemon(home.socket(daemon.value), {"query": "arming"}, timeout_s=2.0)
    except ConnectionError:
        return ""
    if not reply.get("ok"):
        return ""
    is_armed, why = reply["result"]
    return f"{'armed' if is_armed else 'disarmed'}: {why}"
