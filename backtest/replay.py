"""Reading a kept run: what was said, filtered, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from itertools import islice
from typing import NamedTuple

from backtest.loop import Said
from backtest.result import is_trouble
from core.contracts import Alert, CancelIntent, FillEvent, OrderIntent, OrderStateChanged, ReplaceIntent, RiskDecision
from core.errors import ConfigError

__all__ = ["Filter", "Line", "told"]


class Filter(NamedTuple):
    """What is wanted; empty means everything. `day` is a UTC day in ISO 8601."""

    symbol: str = ""
    day: str = ""
    errors_only: bool = False
    limit: int | None = None


class Line(NamedTuple):
    """One thing that was said: when (UTC), in words, and itself."""

    when: str
    text: str
    said: Said


def told(said: Iterable[Said], wanted: Filter) -> Iterator[Line]:
    """The lines that are wanted, in order. A cancel or replace is about the symbol of the order it names."""
    if wanted.day:
        try:
            date.fromisoformat(wanted.day)
        except ValueError:
            raise ConfigError(f"date: {wanted.day!r} is no day, ISO 8601 is required") from None
    return islice(_lines(said, wanted), wanted.limit)


def _lines(said: Iterable[Said], wanted: Filter) -> Iterator[Line]:
    symbols: dict[str, str] = {}
    for each in said:
        symbol = _symbol_of(each, symbols)
        when = _moment(each)
        if wanted.symbol in ("", symbol) and when.startswith(wanted.day) and (not wanted.errors_only or is_trouble(each)):
            yield Line(when, _words(each), each)


def _symbol_of(each: Said, symbols: dict[str, str]) -> str:
    match each:
        case RiskDecision(intent=OrderIntent() as intent):
            return symbols.setdefault(intent.intent_id, intent.symbol)
        case RiskDecision(intent=CancelIntent() | ReplaceIntent() as intent):
            return symbols.get(intent.target_intent_id, "")
        case OrderStateChanged() | FillEvent():
            return each.symbol
        case _:
            return ""


def _moment(each: Said) -> str:
    at_ns = each.decided_ns if isinstance(each, RiskDecision) else each.occurred_ns
    seconds, rest_ns = divmod(at_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"


def _words(each: Said) -> str:
    match each:
        case RiskDecision(intent=OrderIntent() as intent):
            price = "".join(f" {name} {value}" for name, value in (("limit", intent.limit_price), ("stop", intent.stop_price)) if value is not None)
            wish = f"{intent.side} {intent.order_qty} {intent.symbol} {intent.order_type}{price} ({intent.reason or 'no reason'})"
            return f"{each.verdict} {wish}{_denials(each)}"
        case RiskDecision(intent=CancelIntent() | ReplaceIntent() as intent):
            return f"{each.verdict} {type(intent).__name__} of {intent.target_intent_id}{_denials(each)}"
        case OrderStateChanged():
            return f"order {each.client_order_id}: {each.old_status} to {each.new_status}, {each.cause}; {each.symbol} {each.position.position_qty}"
        case FillEvent():
            return f"fill {each.side} {each.last_qty} {each.symbol} at {each.last_price}, fee {each.fee} {each.fee_asset}"
        case Alert():
            return f"alert {each.severity} {each.name}: {each.text}"
        case _:
            raise TypeError(f"{type(each).__name__} is nothing a run says")


def _denials(decision: RiskDecision) -> str:
    return f" because {'; '.join(map(str, decision.denials))}" if decision.denials else ""
