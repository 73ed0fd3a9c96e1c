"""Instructions and what became of them."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from core.contracts import OrderStatus, OrderType, ReplaceOrder
from tests.support.builders import a_submit_order, an_intent, an_order_event


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_is_over_in_four_ways(status: OrderStatus) -> None:
    """Filled, cancelled, rejected, expired."""
    over = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
    assert status.is_terminal is (status in over)


def test_an_instruction_is_as_strict_as_the_wish() -> None:
    """What reached the broker was checked again on the way."""
    limited = an_intent(order_type=OrderType.LIMIT, limit_price=1)
    assert a_submit_order(limited).limit_price == 1
    with pytest.raises(ValueError, match="order_qty"):
        a_submit_order(order_qty=0)
    with pytest.raises(ValueError, match="limit_price: missing"):
        a_submit_order(limited, limit_price=None)


def test_a_replacement_is_as_strict_as_an_order() -> None:
    """All of its terms are the wanted ones."""
    order = a_submit_order(an_intent(order_type=OrderType.LIMIT, limit_price=1))
    terms = {name: getattr(order, name) for name in ReplaceOrder.__struct_fields__ if hasattr(order, name)}
    assert ReplaceOrder(orig_client_order_id="o", **terms).limit_price == 1
    with pytest.raises(ValueError, match="order_qty"):
        ReplaceOrder(orig_client_order_id="o", **{**terms, "order_qty": -order.order_qty})
    with pytest.raises(ValueError, match="limit_price: 1 is not allowed on a MARKET order"):
        ReplaceOrder(orig_client_order_id="o", **{**terms, "order_type": OrderType.MARKET})


@pytest.mark.parametrize("name", ["cum_qty", "last_qty", "leaves_qty"])
def test_an_orders_quantities_are_not_below_zero(name: str) -> None:
    """Whatever was booked."""
    with pytest.raises(ValueError, match=f"^{name}: -1"):
        msgspec.structs.replace(an_order_event(), **{name: Decimal(-1)})


def test_a_message_cannot_be_changed() -> None:
    """What was journaled is what everyone has."""
    with pytest.raises(AttributeError):
        an_order_event().cum_qty = 9  # type: ignore[misc,assignment]
    assert msgspec.structs.replace(an_order_event(), venue_order_id="v").venue_order_id == "v"
