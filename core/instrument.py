"""What can be traded, and the grid its prices and quantities live on."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.money import ceil_to, floor_to, is_on_grid, require_positive

__all__ = ["Instrument"]


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """Static facts of one symbol at one venue.

    `tick` and `lot` are the smallest price and quantity steps; `order_notional_min` is in `currency`;
    `multiplier` turns price x quantity into `currency`; `base_asset` is what a spot buy receives.
    `session` names an exchange calendar (`XNYS`) or `24/7`.
    """

    symbol: str
    tick: Decimal
    lot: Decimal
    currency: str = "USD"
    base_asset: str = ""
    multiplier: Decimal = Decimal(1)
    order_qty_min: Decimal = Decimal(0)
    order_qty_max: Decimal | None = None
    order_notional_min: Decimal = Decimal(0)
    session: str = "XNYS"

    def __post_init__(self) -> None:
        for name in ("tick", "lot", "multiplier"):
            require_positive(f"instrument {self.symbol} {name}", getattr(self, name))

    def price_at_or_below(self, price: Decimal) -> Decimal:
        """The highest legal price not above `price`."""
        return floor_to(price, self.tick)

    def price_at_or_above(self, price: Decimal) -> Decimal:
        """The lowest legal price not below `price`."""
        return ceil_to(price, self.tick)

    def qty_at_or_below(self, qty: Decimal) -> Decimal:
        """The largest legal quantity not above `qty`: quantities always round down."""
        return floor_to(qty, self.lot)

    def notional(self, qty: Decimal, price: Decimal) -> Decimal:
        """Value of `qty` at `price`, in `currency`."""
        return qty * price * self.multiplier

    def problems(self, qty: Decimal, *prices: Decimal) -> list[str]:
        """Every reason a venue would refuse these terms for, empty when they are legal."""
        return self.grid_problems(qty, *prices) + self.minimum_problems(qty)

    def grid_problems(self, qty: Decimal, *prices: Decimal) -> list[str]:
        """What is wrong with these terms whatever the order is for: off the grid, or above the largest quantity."""
        found = []
        if not is_on_grid(qty, self.lot):
            found.append(f"order_qty={qty} is not a multiple of lot={self.lot}")
        if self.order_qty_max is not None and qty > self.order_qty_max:
            found.append(f"order_qty={qty} is above order_qty_max={self.order_qty_max}")
        found.extend(f"price={price} is not a multiple of tick={self.tick}" for price in prices if not is_on_grid(price, self.tick))
        return found

    def minimum_problems(self, qty: Decimal, notional: Decimal | None = None) -> list[str]:
        """What makes an order too small for the venue; without a `notional` only its quantity is judged."""
        found = []
        if qty < self.order_qty_min:
            found.append(f"order_qty={qty} is below order_qty_min={self.order_qty_min}")
        if notional is not None and notional < self.order_notional_min:
            found.append(f"order_notional={notional} is below order_notional_min={self.order_notional_min}")
        return found
