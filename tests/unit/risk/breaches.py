"""For every denial code, an account under the shipped limits and an intent that earns the code."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import Any, NamedTuple

from apps.runtime.settings_loader import load_settings
from core.contracts import KillSwitchState, KillSwitchStatus, OrderIntent, OrderStatus, OrderType, RiskDecision, Side, TradingState, TripKillSwitch
from core.machine import BacklogState, LinkStopped
from core.settings import Settings
from risk.denials import DenialCode
from risk.engine import RiskEngine, rules_of
from risk.limits.registry import REGISTRY, Registry
from tests.support.builders import NOW, PREFIX, an_intent, an_order_event
from tests.support.risk_desk import RiskDesk, a_replace_intent

__all__ = ["BREACHES", "SHIPPED", "STRATEGY", "SYMBOL", "Breach", "shipped_desk", "wish"]

SHIPPED = load_settings(environment="paper").settings
STRATEGY = next(iter(SHIPPED.strategies))
SYMBOL = SHIPPED.symbols[0]
_WITHOUT_INSTRUMENTS = SHIPPED.model_copy(update={"instruments": {}})


def shipped_desk(registry: Registry = REGISTRY, settings: Settings = SHIPPED) -> RiskDesk:
    """An account under the shipped configuration, judged by these controls."""
    return RiskDesk(settings, engine=RiskEngine(settings, rules_of(settings, PREFIX), registry))


def wish(intent_id: str = "a", **changes: Any) -> OrderIntent:
    """A harmless order of the shipped strategy."""
    return an_intent(intent_id, **({"strategy_id": STRATEGY, "symbol": SYMBOL, "account": SHIPPED.account.name, "venue": SHIPPED.account.venue} | changes))


class Breach(NamedTuple):
    """The control and code an account and its intent earn."""

    control: str
    code: DenialCode
    decide: Callable[[RiskDesk], RiskDecision]
    settings: Settings = SHIPPED

    def __str__(self) -> str:
        return f"{self.control}-{self.code.value}"


def _asked(**changes: Any) -> Callable[[RiskDesk], RiskDecision]:
    return lambda desk: desk.ask(wish(**changes))


def _tripped(desk: RiskDesk) -> RiskDecision:
    desk.observe(KillSwitchState(status=KillSwitchStatus.TRIPPED, reason="drill"))
    return desk.ask(wish())


def _tripped_by_command(desk: RiskDesk) -> RiskDecision:
    desk.command(TripKillSwitch(trading_state=TradingState.REDUCING, reason="drill"))
    return desk.ask(wish())


def _unreadable(desk: RiskDesk) -> RiskDecision:
    desk.observe(KillSwitchState(status=KillSwitchStatus.UNREADABLE))
    return desk.ask(wish())


def _in_state(state: TradingState) -> Callable[[RiskDesk], RiskDecision]:
    def decide(desk: RiskDesk) -> RiskDecision:
        desk.set_state(state)
        return desk.ask(wish())

    return decide


def _repeated(desk: RiskDesk) -> RiskDecision:
    desk.ask(wish())
    return desk.ask(wish())


def _reused(desk: RiskDesk) -> RiskDecision:
    desk.ask(wish())
    return desk.ask(wish(order_qty=11))


def _replaced(target: str = "a", **changes: Any) -> Callable[[RiskDesk], RiskDecision]:
    def decide(desk: RiskDesk) -> RiskDecision:
        desk.ask(wish())
        return desk.ask(a_replace_intent(target, strategy_id=STRATEGY, order_qty=12, **changes))

    return decide


def _replaced_after_end(desk: RiskDesk) -> RiskDecision:
    desk.ask(wish())
    desk.tell(an_order_event(wish(), OrderStatus.CANCELLED))
    return desk.ask(a_replace_intent("a", strategy_id=STRATEGY, order_qty=12))


def _replaced_twice(desk: RiskDesk) -> RiskDecision:
    desk.ask(wish())
    desk.ask(a_replace_intent("a", "r1", strategy_id=STRATEGY, order_qty=12))
    return desk.ask(a_replace_intent("a", "r2", strategy_id=STRATEGY, order_qty=13))


def _stopped(desk: RiskDesk) -> RiskDecision:
    desk.observe(LinkStopped("orders.events", "oms", "poison"))
    return desk.ask(wish())


def _behind(desk: RiskDesk) -> RiskDecision:
    desk.observe(BacklogState("risk.decision", 100_001, True))
    return desk.ask(wish())


def _beside_doubt(desk: RiskDesk) -> RiskDecision:
    desk.ask(wish())
    desk.tell(an_order_event(wish(), OrderStatus.SUBMITTED, facets=("in_doubt",)))
    return desk.ask(wish("b", order_qty=11))


def _same_again(desk: RiskDesk) -> RiskDecision:
    desk.ask(wish())
    desk.later(SHIPPED.limits.duplicate_window_ms - 1)
    return desk.ask(wish("b"))


def _without_mark(desk: RiskDesk) -> RiskDecision:
    desk.marks.clear()
    return desk.ask(wish())


def _with_mark_of_nothing(desk: RiskDesk) -> RiskDecision:
    desk.mark(nan, symbol=SYMBOL)
    return desk.ask(wish())


def _with_old_mark(desk: RiskDesk) -> RiskDecision:
    desk.mark(100.0, symbol=SYMBOL, age_ms=SHIPPED.limits.mark_age_ms_max + 1)
    return desk.ask(wish())


def _late(desk: RiskDesk) -> RiskDecision:
    desk.later(1)
    return desk.ask(wish(expires_ns=NOW))


def _old(desk: RiskDesk) -> RiskDecision:
    desk.later(SHIPPED.limits.intent_age_ms_max + 1)
    return desk.ask(wish(expires_ns=NOW + 10**15))


def _sold_twice(desk: RiskDesk) -> RiskDecision:
    desk.hold(10, SYMBOL, STRATEGY)
    desk.ask(wish("stop", side=Side.SELL, order_type=OrderType.STOP, stop_price="90", protective=True))
    return desk.ask(wish("exit", side=Side.SELL, reduce_only=True))


def _above_position_qty(desk: RiskDesk) -> RiskDecision:
    desk.mark(1.0, symbol=SYMBOL)
    desk.hold(str(SHIPPED.limits.position_qty_max), SYMBOL, STRATEGY)
    return desk.ask(wish(order_qty=1))


def _above_position_notional(desk: RiskDesk) -> RiskDecision:
    desk.hold(str(SHIPPED.limits.position_notional_max / 100), SYMBOL, STRATEGY)
    return desk.ask(wish(order_qty=1))


def _above_open_positions(desk: RiskDesk) -> RiskDecision:
    for n in range(SHIPPED.limits.open_positions_max):
        desk.hold(1, f"OTHER{n}", "_external")
    return desk.ask(wish())


def _beyond_belief(desk: RiskDesk) -> RiskDecision:
    desk.hold("9E14", SYMBOL, STRATEGY)
    desk.hold("9E14", SYMBOL, "_external")
    return desk.ask(wish())


_QTY_MAX, _NOTIONAL_MAX = SHIPPED.limits.order_qty_max, SHIPPED.limits.order_notional_max


def _above_order_qty(desk: RiskDesk) -> RiskDecision:
    desk.mark(0.01, symbol=SYMBOL)
    return desk.ask(wish(order_qty=_QTY_MAX + 1))


_C = DenialCode
BREACHES: tuple[Breach, ...] = (
    Breach("kill_switch", _C.KILL_SWITCH, _tripped),
    Breach("kill_switch", _C.KILL_SWITCH, _tripped_by_command),
    Breach("kill_switch", _C.KILL_SWITCH_UNREADABLE, _unreadable),
    Breach("trading_state", _C.TRADING_HALTED, _in_state(TradingState.HALTED)),
    Breach("trading_state", _C.REDUCING_ONLY, _in_state(TradingState.REDUCING)),
    Breach("duplicate_intent", _C.DUPLICATE_INTENT, _repeated),
    Breach("duplicate_intent", _C.INTENT_ID_REUSED, _reused),
    Breach("replace_target", _C.UNKNOWN_TARGET, _replaced("nobody's")),
    Breach("replace_target", _C.TARGET_ENDED, _replaced_after_end),
    Breach("replace_target", _C.REPLACE_PENDING, _replaced_twice),
    Breach("intent_expiry", _C.INTENT_STALE, _late),
    Breach("addressee", _C.WRONG_ACCOUNT, _asked(account="other")),
    Breach("addressee", _C.WRONG_VENUE, _asked(venue="other")),
    Breach("order_terms", _C.ILLEGAL_TERMS, _replaced(limit_price=100)),
    Breach("instrument_grid", _C.UNKNOWN_INSTRUMENT, _asked(), _WITHOUT_INSTRUMENTS),
    Breach("instrument_grid", _C.OFF_GRID, _asked(order_qty="1.5")),
    Breach("instrument_grid", _C.OFF_GRID, _asked(order_type=OrderType.LIMIT, limit_price="100.001")),
    Breach("order_minimum", _C.BELOW_MINIMUM, _asked(order_qty="0.5")),
    Breach("order_minimum", _C.CANNOT_EVALUATE, _asked(), _WITHOUT_INSTRUMENTS),
    Breach("strategy_authority", _C.UNKNOWN_STRATEGY, _asked(strategy_id="nobody")),
    Breach("stopped_link", _C.LINK_STOPPED, _stopped),
    Breach("backlog", _C.BACKLOG, _behind),
    Breach("closing_qty", _C.CLOSING_QTY, _sold_twice),
    Breach("in_doubt", _C.IN_DOUBT, _beside_doubt),
    Breach("intent_age_ms_max", _C.INTENT_STALE, _old),
    Breach("intent_age_ms_max", _C.INTENT_FROM_FUTURE, _asked(created_ns=NOW + 1)),
    Breach("duplicate_window_ms", _C.DUPLICATE_ORDER, _same_again),
    Breach("mark_age_ms_max", _C.NO_REFERENCE_PRICE, _without_mark),
    Breach("mark_age_ms_max", _C.NO_REFERENCE_PRICE, _with_mark_of_nothing),
    Breach("mark_age_ms_max", _C.STALE_PRICE, _with_old_mark),
    Breach("order_qty_max", _C.ORDER_QTY_MAX, _above_order_qty),
    Breach("order_notional_max", _C.ORDER_NOTIONAL_MAX, _asked(order_qty=_NOTIONAL_MAX / 100 + 1)),
    Breach("order_notional_max", _C.CANNOT_EVALUATE, _without_mark),
    Breach("position_qty_max", _C.POSITION_QTY_MAX, _above_position_qty),
    Breach("position_qty_max", _C.CANNOT_EVALUATE, _beyond_belief),
    Breach("position_notional_max", _C.POSITION_NOTIONAL_MAX, _above_position_notional),
    Breach("position_notional_max", _C.CANNOT_EVALUATE, _without_mark),
    Breach("open_positions_max", _C.OPEN_POSITIONS_MAX, _above_open_positions),
)
