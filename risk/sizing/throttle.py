"""Smaller after losses, and fewer trades when markets are wild: rules that act before a limit does."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from core.money import ZERO

__all__ = ["Throttle", "ThrottleRules", "equity_curve_allows", "throttle_after", "trades_allowed"]

_FULL = Decimal(1)


class ThrottleRules(NamedTuple):
    """At `daily_share` of the daily loss limit sizes are multiplied by `daily_factor`, at `weekly_share` of the weekly one by `weekly_factor`."""

    daily_share: Decimal = Decimal("0.5")
    daily_factor: Decimal = Decimal("0.5")
    weekly_share: Decimal = Decimal("0.6")
    weekly_factor: Decimal = Decimal("0.25")


class Throttle(NamedTuple):
    """What sizes are multiplied by, and why; full size has no reason."""

    factor: Decimal = _FULL
    reason: str = ""


def throttle_after(
    loss_today: Decimal,
    loss_this_week: Decimal,
    daily_loss_max: Decimal,
    weekly_loss_max: Decimal,
    before: Throttle,
    *,
    is_new_week: bool,
    was_profitable_day: bool,
    rules: ThrottleRules,
) -> Throttle:
    """The throttle after losses (positive amounts, account currency), given the one before.

    It only tightens within a week: half size once half the daily limit is lost, a quarter once 60 % of the weekly one is. It goes
    back to full size with a new week or after a profitable day, unless the losses of the new period already ask for less. Example:
    250 lost of a daily 500 and a weekly 2,000 is half size; 1,200 lost in the week is a quarter.
    """
    if daily_loss_max <= 0 or weekly_loss_max <= 0:
        raise ValueError(f"daily_loss_max and weekly_loss_max: {daily_loss_max} and {weekly_loss_max} are not allowed, they must be above 0")
    kept = Throttle() if is_new_week or was_profitable_day else before
    asked = [kept]
    if loss_today >= rules.daily_share * daily_loss_max:
        asked.append(Throttle(rules.daily_factor, f"DAILY_LOSS: loss={loss_today}, limit={daily_loss_max}"))
    if loss_this_week >= rules.weekly_share * weekly_loss_max:
        asked.append(Throttle(rules.weekly_factor, f"WEEKLY_LOSS: loss={loss_this_week}, limit={weekly_loss_max}"))
    return min(asked, key=lambda throttle: throttle.factor)


def trades_allowed(atr: Decimal | None, atr_mean: Decimal | None, usual: int, hard_max: int) -> int:
    """How many trades the day may have: none when the average true range is above 1.5 times its own mean, up to two when it is
    below 0.8 of it, else the usual number; never more than the hard limit, and none when the market's range is not known."""
    if atr is None or atr_mean is None or atr_mean <= 0 or atr < 0:
        return 0
    ratio = atr / atr_mean
    wanted = 0 if ratio > Decimal("1.5") else max(usual, 2) if ratio < Decimal("0.8") else usual
    return min(wanted, hard_max)


def equity_curve_allows(trade_results: Sequence[Decimal], window: int = 20) -> bool:
    """Whether a strategy may go on: not once the mean of its last `window` trades has been below zero for `window` trades in a row.

    Results are profits and losses in account currency, oldest first, without those that execution errors made.
    """
    if window < 1:
        raise ValueError(f"window: {window} is not allowed, it must be at least 1")
    needed = 2 * window - 1
    if len(trade_results) < needed:
        return True
    recent = trade_results[-needed:]
    return any(sum(recent[k : k + window], ZERO) >= 0 for k in range(window))
