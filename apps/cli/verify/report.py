"""All checks over one cut, and what to make of them."""

from __future__ import annotations

import time

import msgspec

from apps.cli.verify.checks import CHECKS, Finding
from apps.cli.verify.cut import consistent_cut
from apps.cli.verify.evidence import gather
from apps.cli.verify.ledgers import read_ledgers
from apps.runtime.home import Home
from apps.runtime.settings_loader import LoadedSettings
from core.errors import ConfigError

__all__ = ["EXIT_BROKEN", "EXIT_PENDING", "VerifyReport", "verify_home"]

EXIT_BROKEN = 1
EXIT_PENDING = 3


class VerifyReport(msgspec.Struct, frozen=True):
    """What `njord verify --json` prints: `holds` when nothing is broken and nothing is under way.

    `in_flight` counts what is said and not handled, by where it is; `quarantined` names inputs no daemon could handle, for which
    whatever waits for them waits until a person has looked.
    """

    holds: bool
    broken: tuple[str, ...]
    pending: int
    in_flight: dict[str, int]
    quarantined: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 all hold and quiet, 1 something is broken, 3 nothing is broken yet not quiet."""
        return EXIT_BROKEN if self.broken else EXIT_PENDING if self.pending else 0


def verify_home(home: Home, loaded: LoadedSettings, wait_s: float = 0.0) -> VerifyReport:
    """Check one suite, waiting up to `wait_s` for what is under way to settle. It may be running."""
    deadline = time.monotonic() + wait_s
    while True:
        report = _verify_once(home, loaded)
        if report.broken or not report.pending or time.monotonic() >= deadline:
            return report
        time.sleep(0.2)


def _verify_once(home: Home, loaded: LoadedSettings) -> VerifyReport:
    with consistent_cut(home, tuple(d.value for d in loaded.settings.runtime.daemons)) as journals:
        if not journals:
            raise ConfigError(f"{home.state}: holds no journal, so there is nothing to verify; NJORD_HOME names the suite")
        evidence = gather(loaded.settings, journals)
        ledgers = read_ledgers(evidence, home)
        findings = tuple(check(evidence, ledgers) for check in CHECKS)
        quarantined = tuple(f"{daemon}: {row.topic} {row.seq}: {row.reason}" for daemon, reader in journals.items() for row in reader.quarantine())
    in_flight = evidence.in_flight | ({"venue events → broker": behind} if (behind := ledgers.venue_events_behind) else {})
    broken = tuple(f.invariant for f in findings if f.problem_count)
    pending = sum(f.pending for f in findings)
    return VerifyReport(not broken and not pending, broken, pending, in_flight, quarantined, findings)
