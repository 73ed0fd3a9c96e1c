"""Errors, classified by who must act.

A business outcome (a denial, a rejection) is a value, never an exception.
The execution errors below keep the names operators and tests know them by.
"""

from __future__ import annotations

__all__ = [
    "BrokerConfirmationRequiredError",
    "ConfigError",
    "DecodeError",
    "DuplicateOrderError",
    "ExecutionError",
    "InvalidTransitionError",
    "InvariantViolation",
    "JournalError",
    "KillSwitchActiveError",
    "NjordError",
    "ReconciliationError",
    "StateDisagreement",
    "TerminalStateError",
    "UnauthorizedAIActionError",
    "VenueUnavailable",
]


class NjordError(Exception):
    """Root of every error this project raises on purpose."""


class ConfigError(NjordError):
    """A human must edit something: refuse to start and list every problem at once."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DecodeError(NjordError):
    """A peer sent what we do not understand: quarantine, stop the link, halt its scope."""


class JournalError(NjordError):
    """The journal cannot be trusted or written: stop at once and never retry an fsync."""


class VenueUnavailable(NjordError):
    """The venue did not answer: the outcome is unknown, which is never the same as failed."""


class StateDisagreement(NjordError):
    """The venue and we differ in a way no ordering explains: freeze, reconcile, never guess."""


class InvariantViolation(NjordError):
    """Our own bug: crash, and on restart replay up to, not through, the input that showed it."""


class ExecutionError(NjordError):
    """Base of every refusal on the order path."""


class InvalidTransitionError(ExecutionError):
    """A command of ours asked for a change the transition table does not hold."""


class TerminalStateError(InvalidTransitionError):
    """A command of ours addressed an order that has already ended."""


class BrokerConfirmationRequiredError(InvalidTransitionError):
    """A command of ours claimed a venue's result without the venue's evidence."""


class DuplicateOrderError(ExecutionError):
    """The intent was submitted before: nothing is sent a second time."""


class ReconciliationError(ExecutionError):
    """The venue and the ledger differ beyond the thresholds, or the venue cannot be asked."""


class KillSwitchActiveError(ExecutionError):
    """The kill switch is tripped, or cannot be read, which counts as tripped."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"kill switch is active: {reason}")


class UnauthorizedAIActionError(ExecutionError):
    """A component marked AI tried to touch the order path."""
