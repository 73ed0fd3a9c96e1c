"""Intents: a wish that makes no sense cannot be made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.contracts import OrderType, ReplaceIntent, Side
from tests.support.builders import NOW, an_intent


def a_replace(**terms: Any) -> ReplaceIntent:
    """A wish to change an order."""
    return ReplaceIntent(intent_id="r", strategy_id="s", target_intent_id="i", created_ns=NOW, expires_ns=NOW, **terms)


def test_sides_undo_one_another() -> None:
    """Sign and opposite."""
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)


@pytest.mark.parametrize(
    ("order_type", "has_limit", "has_stop"),
    [(OrderType.MARKET, False, False), (OrderType.LIMIT, True, False), (OrderType.STOP, False, True), (OrderType.STOP_LIMIT, True, True)],
)
def test_an_order_carries_exactly_the_prices_its_kind_has(order_type: OrderType, has_limit: bool, has_stop: bool) -> None:
    """One too few and one too many are refused by name."""
    assert (order_type.has_limit, order_type.has_stop) == (has_limit, has_stop)
    right: dict[str, Any] = {name: 1 for name, wanted in (("limit_price", has_limit), ("stop_price", has_stop)) if wanted}
    an_intent(order_type=order_type, **right)
    for name in ("limit_price", "stop_price"):
        wrong = {key: value for key, value in right.items() if key != name} if name in right else {**right, name: 1}
        with pytest.raises(ValueError, match=f"^{name}: .*{order_type.value}"):
            an_intent(order_type=order_type, **wrong)


@pytest.mark.parametrize("name", ["intent_id", "strategy_id", "account", "venue", "symbol"])
def test_a_wish_without_a_name_is_refused(name: str) -> None:
    """Nobody could be asked about it."""
    with pytest.raises(ValueError, match=f"^{name}: empty"):
        an_intent(**({"intent_id": ""} if name == "intent_id" else {name: ""}))


@pytest.mark.parametrize("name", ["order_qty", "stop_loss", "take_profit"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity", "1E+20"])
def test_what_is_no_positive_amount_is_refused(name: str, value: str) -> None:
    """In the wish and in its plan."""
    with pytest.raises(ValueError, match=f"^{name}: "):
        an_intent(**{name: value})


@pytest.mark.parametrize("ttl_ms", [0, -1])
def test_a_life_that_is_over_is_refused(ttl_ms: int) -> None:
    """None is the way to say: by time in force."""
    with pytest.raises(ValueError, match="ttl_ms"):
        an_intent(ttl_ms=ttl_ms)
    assert an_intent(ttl_ms=1).ttl_ms == 1


@pytest.mark.parametrize("name", ["order_qty", "limit_price", "stop_price"])
def test_a_change_to_nothing_is_refused(name: str) -> None:
    """None leaves a term as it is."""
    assert getattr(a_replace(**{name: Decimal(1)}), name) == 1
    assert getattr(a_replace(), name) is None
    with pytest.raises(ValueError, match=f"^{name}: "):
        a_replace(**{name: Decimal(0)})
