"""Which misfortunes a seed may meet, and how often: every kind has a switch of its own.

A seed does not meet everything at once. Each kind is on or off by the seed's own draw and mild or rough by another, so that some
runs die all the time on a perfect wire and others lose every second push and never die: faults that always come together
hide the bugs that need one of them alone.
"""

from __future__ import annotations

import random
from collections.abc import Collection

import msgspec

from backtest.faults.host import ProcessFaults
from backtest.faults.venue_wire import VenueWireFaults
from backtest.faults.wire import WireFaults
from execution.venues.faults.registry import FAULTS

__all__ = ["FAULT_KINDS", "LIES", "FaultPlan", "no_faults", "plan_of"]

_WIRE = {"drop": 0.03, "duplicate": 0.03, "delay": 0.01, "cut": 0.003, "request_cut": 0.003, "partition": 0.001, "server_dies": 0.001, "server_dies_late": 0.001}
_VENUE = {
    "reset_before": 0.02,
    "reset_after": 0.02,
    "request_slow": 0.01,
    "reply_lost": 0.02,
    "reply_slow": 0.02,
    "push_lost": 0.04,
    "push_twice": 0.04,
    "push_late": 0.04,
}
_PROCESS = {"crash": 0.004, "torn_commit": 0.006, "recovery_crash": 0.2, "disk_error": 0.002, "pause": 0.0007}
_EVENTS = {"kill": 0.25, "death": 0.12, "zombie": 0.0, "disaster": 0.12, "lies": 0.8}

# What the venue itself gets wrong. Left out is what changes the account behind our back (overfills, busts, corrections, splits, orders
# placed by hand or replaced by the venue): the invariants here hold ours against the venue's plain ledger.
LIES: tuple[str, ...] = (
    "timeout_then_placed",
    "timeout_not_placed",
    "504_then_filled",
    "reset_after_write",
    "200_html_body",
    "200_without_id",
    "duplicate_client_id",
    "not_found_for_n_ms",
    "fill_before_ack",
    "429_with_reset",
    "418_ban",
    "lot_reject",
    "min_notional",
    "held_for_orders",
    "duplicate_fill",
    "stream_silent",
    "stream_drop_without_close",
    "reconnect_without_backfill",
    "reconnect_storm",
    "unknown_status",
    "clock_skew",
    "partial_then_cancel_race",
    "cancel_rejected_then_fill",
    "replace_race",
    "out_of_order_fills",
    "partial_fill_stall",
    "late_fill_after_cancel",
    "unsolicited_cancel",
)

FAULT_KINDS: tuple[str, ...] = (*_WIRE, *_VENUE, *_PROCESS, *_EVENTS, *LIES)
"""Every switch there is."""

_ROUGHNESS = (0.3, 1.0, 1.0, 3.0)


class FaultPlan(msgspec.Struct, frozen=True):
    """The chances of one seed. `kill` is the chance that the kill switch is tripped at some moment, `death` that a daemon dies for good,
    `zombie` that one is replaced while it is stopped, `disaster` that a journal loses history or a message becomes unreadable; `lies`
    are the rates of what the venue itself gets wrong (execution/venues/faults), none of them when it is honest."""

    wire: WireFaults
    venue: VenueWireFaults
    process: ProcessFaults
    kill: float = 0.0
    death: float = 0.0
    zombie: float = 0.0
    disaster: float = 0.0
    lies: dict[str, float] = {}


def plan_of(seed: int, without: Collection[str] = (), only: Collection[str] | None = None) -> FaultPlan:
    """The plan a seed draws; `without` switches kinds off, `only` switches all others off. KeyError names an unknown kind."""
    for kind in (*without, *(only or ())):
        if kind not in FAULT_KINDS:
            raise KeyError(f"fault kind {kind!r} is not known, available are {', '.join(FAULT_KINDS)}")
    draw = random.Random(f"{seed}/plan")
    chances: dict[str, float] = {}
    for kind, chance in (_WIRE | _VENUE | _PROCESS | _EVENTS).items():
        # Both are drawn for every kind, so that switching one off does not change another.
        is_on, roughness = draw.random() < 0.5, draw.choice(_ROUGHNESS)
        is_wanted = kind not in without and (only is None or kind in only)
        chances[kind] = chance * roughness if is_wanted and (is_on or only is not None) else 0.0
    lies = {}
    for name in LIES:
        is_on, roughness = draw.random() < 0.3, draw.choice(_ROUGHNESS)
        if is_on and chances["lies"] and name not in without and (only is None or name in only):
            lies[name] = min(1.0, FAULTS[name].shipped_rate * roughness)
    return FaultPlan(
        WireFaults(**{kind: chances[kind] for kind in _WIRE}),
        VenueWireFaults(**{kind: chances[kind] for kind in _VENUE}),
        ProcessFaults(**{kind: min(0.5, chances[kind]) for kind in _PROCESS}),
        min(1.0, chances["kill"]),
        chances["death"],
        chances["zombie"],
        chances["disaster"],
        lies,
    )


def no_faults() -> FaultPlan:
    """A world in which nothing goes wrong by itself."""
    return FaultPlan(
        WireFaults(drop=0.0, duplicate=0.0, cut=0.0),
        VenueWireFaults(),
        ProcessFaults(),
    )
