"""Execution profiles: how kind the simulated venue is, as named sets of its settings.

| Profile | Says | Wrong when |
|---|---|---|
| idealistic | every order fills whole at the price that was reached, for nothing | always: no venue is like that; it is the upper bound of what an idea is worth |
| realistic | 5 bps fee, 2 bps slippage on what takes liquidity, at most a tenth of a bar's volume | orders are small beside the book of a liquid symbol (too harsh) or the spread is wide (too kind) |
| stressed | 10 bps fee, 10 bps slippage, at most a fiftieth of the volume, every third execution only half of the order | markets are calm; it is the lower bound |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ConfigError
from core.settings import VenueSettings

__all__ = ["PROFILES", "RANGE", "with_profile"]

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "idealistic": {"fee_rate": 0.0, "slippage_rate": 0.0, "partial_fill_probability": 0.0, "participation_max": None},
    "realistic": {"fee_rate": 0.0005, "slippage_rate": 0.0002, "partial_fill_probability": 0.0, "participation_max": 0.1},
    "stressed": {"fee_rate": 0.001, "slippage_rate": 0.001, "partial_fill_probability": 0.33, "partial_fill_fraction": 0.5, "participation_max": 0.02},
}
"""What each profile sets; everything else stays as it is configured."""

RANGE: Mapping[str, str] = {"pessimistic": "stressed", "neutral": "realistic", "optimistic": "idealistic"}
"""A result is a range and not a point: under which profile each end of it is had."""


def with_profile(venue: VenueSettings, profile: str) -> VenueSettings:
    """The venue under a profile ('': as it is); ConfigError when there is no such profile."""
    if not profile:
        return venue
    if profile not in PROFILES:
        raise ConfigError(f"profile: {profile!r} is unknown, allowed are {', '.join(PROFILES)}")
    return VenueSettings.model_validate(venue.model_dump() | dict(PROFILES[profile]))
