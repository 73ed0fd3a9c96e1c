"""Decimal rules: orders, quantities, prices of orders and cash are finite Decimals on a grid, never floats."""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Decimal,
    InvalidOperation,
)
from functools import cache
from operator import attrgetter

__all__ = ["ZERO", "ceil_to", "decimal_of", "floor_to", "is_on_grid", "normal", "require_amounts", "require_finite", "require_not_negative", "require_positive", "round_to"]

ZERO = Decimal(0)

# Fifteen digits before the point and twelve after hold every price and quantity a supported venue quotes
# and stay exact in the 28 digits of the default decimal context; beyond that a number is a mistake, not an order.
_EXPONENT_MAX = 14
_EXPONENT_MIN = -12
_ABOVE = Decimal(1).scaleb(_EXPONENT_MAX + 1)
_BELOW = -_ABOVE
# A number written out in so many characters, sign and point included, has at most 12 digits before the point and 11 after.
_SHORT = 13
# Just below zero, so that one comparison tells whether an amount is negative.
_NEGATIVE = Decimal("-1E-40")


def require_amounts(holder: object, *names: str) -> None:
    """ValueError unless each of these attributes is None or a finite number of a believable size.

    For amounts that were computed, averages above all: they may have more digits after the point than a price has.
    """
    if not _all_within(_BELOW, _getter(names)(holder)):
        for name in names:
            value: Decimal | None = getattr(holder, name)
            if value is not None and not _all_within(_BELOW, (value,)):
                raise ValueError(f"{name}: {value} is not an amount, a finite number of at most 15 digits before the point is required")


def require_not_negative(holder: object, *names: str) -> None:
    """ValueError unless each of these attributes is None or a finite number of at least 0."""
    if not _all_within(_NEGATIVE, _getter(names)(holder)):
        require_amounts(holder, *names)
        for name in names:
            if (value := getattr(holder, name)) is not None and value < 0:
                raise ValueError(f"{name}: {value} is not allowed, it must be at least 0")


def _all_within(low: Decimal, values: tuple[Decimal | None, ...]) -> bool:
    """Whether every value that is there lies above `low` and below the bound. Comparing with what is no number raises, which is no."""
    try:
        for value in values:
            if value is not None and not low < value < _ABOVE:
                return False
    except InvalidOperation:
        return False
    return True


@cache
def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[Decimal | None, ...]]:
    """All of these attributes at once: every message is checked, when it is built and when it is read."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda holder: (getattr(holder, names[0]),)


def require_finite(name: str, value: Decimal) -> Decimal:
    """The value itself, or ValueError when it is NaN, infinite, or too large or fine to be a real amount."""
    if not value.is_finite():
        raise ValueError(f"{name}: {value} is not a finite number")
    # Nearly every amount is this short, and its text is had faster than its digits.
    text = str(value)
    if len(text) <= _SHORT and "E" not in text:
        return value
    if value and (value.adjusted() > _EXPONENT_MAX or int(value.as_tuple().exponent) < _EXPONENT_MIN):
        raise ValueError(f"{name}: {value} is out of range, at most 15 digits before and 12 after the point are allowed")
    return value


def require_positive(name: str, value: Decimal) -> Decimal:
    """The value itself, or ValueError when it is not a finite number above zero."""
    require_finite(name, value)
    if value <= 0:
        raise ValueError(f"{name}: {value} is not allowed, it must be greater than 0")
    return value


def decimal_of(value: str | int | float | Decimal) -> Decimal:
    """A finite Decimal of the shortest text of `value`; ValueError says what was given when it is not a number."""
    try:
        return require_finite("number", Decimal(str(value)))
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def round_to(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of `step` nearest to `value`, ties to even."""
    return (value / step).to_integral_value(ROUND_HALF_EVEN) * step


def is_on_grid(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole multiple of `step`."""
    return value % step == 0


def normal(value: Decimal) -> str:
    """One spelling per number (`1`, not `1.00` or `1E+0`), so that equal amounts hash alike."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
