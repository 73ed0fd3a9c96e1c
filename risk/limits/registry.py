"""Every control there is, in the order denials are listed: add one file to this folder and one row here.

A row says what a control is called, which codes it denies with, what it reads from config/limits.yaml and to which orders it
applies. The tables in docs are written from these rows, the engine judges by them, and it refuses to start when a limit of the
configuration has no control, or a control names a limit that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from core.contracts import Denial
from core.errors import ConfigError
from core.settings import LimitSettings
from risk.case import Case, OrderCase
from risk.denials import DenialCode, deny
from risk.limits import (
    addressee,
    backlog,
    closing_qty,
    duplicate_intent,
    duplicate_window_ms,
    in_doubt,
    instrument_grid,
    intent_age_ms_max,
    intent_expiry,
    kill_switch,
    mark_age_ms_max,
    open_positions_max,
    order_minimum,
    order_notional_max,
    order_qty_max,
    order_terms,
    position_notional_max,
    position_qty_max,
    replace_target,
    stopped_link,
    strategy_authority,
    trading_state,
)

__all__ = ["APPROVAL_LIMITS", "REGISTRY", "AppliesTo", "Control", "Judges", "Parameter", "Registry", "control_table", "require_enforced"]

C = TypeVar("C", bound=Case, contravariant=True)
K = TypeVar("K", bound=Case)

APPROVAL_LIMITS = frozenset({"approval_ttl_ms"})
"""Limits that bind an approval instead of judging an intent: the broker's last gate holds them."""


class AppliesTo(StrEnum):
    """EVERY_ORDER: also what reduces a position. ENTRIES: only what could add risk, so that no exit is ever held back."""

    EVERY_ORDER = "every_order"
    ENTRIES = "entries"


class Parameter(NamedTuple):
    """A number a control reads: its field of LimitSettings and its unit."""

    field: str
    unit: str

    @property
    def default(self) -> str:
        """The schema's default."""
        return str(LimitSettings.model_fields[self.field].default)


class Control(NamedTuple, Generic[C]):
    """One row. `source` names the rule it answers to, `on_missing` what happens when it cannot be evaluated."""

    name: str
    check: Callable[[C], Denial | None]
    codes: tuple[DenialCode, ...]
    source: str
    applies_to: AppliesTo
    scope: str
    on_missing: str
    parameters: tuple[Parameter, ...] = ()
    when: str = "pre-trade"


class Registry(NamedTuple):
    """The controls that judge the wish alone, then those that judge the order it names."""

    of_intent: tuple[Control[Case], ...]
    of_order: tuple[Control[OrderCase], ...]

    @property
    def rows(self) -> tuple[Control[Case] | Control[OrderCase], ...]:
        """All controls, in the order they are listed."""
        return (*self.of_intent, *self.of_order)


_EVERY, _ENTRIES = AppliesTo.EVERY_ORDER, AppliesTo.ENTRIES
_D = DenialCode
_NEVER = "always evaluated"

REGISTRY = Registry(
    of_intent=(
        Control("kill_switch", kill_switch.check, (_D.KILL_SWITCH, _D.KILL_SWITCH_UNREADABLE), "RTS 6 art. 12, FIA", _EVERY, "account", "deny while unreadable"),
        Control("trading_state", trading_state.check, (_D.TRADING_HALTED, _D.REDUCING_ONLY), "RTS 6 art. 12, FIA", _EVERY, "account", _NEVER),
        Control("duplicate_intent", duplicate_intent.check, (_D.DUPLICATE_INTENT, _D.INTENT_ID_REUSED), "SEC 15c3-5 (c)(1)(ii)", _EVERY, "intent", _NEVER),
        Control("replace_target", replace_target.check, (_D.UNKNOWN_TARGET, _D.TARGET_ENDED, _D.REPLACE_PENDING), "FIX 4.4 state matrices", _EVERY, "order", "deny"),
        Control("intent_expiry", intent_expiry.check, (_D.INTENT_STALE,), "FIA", _EVERY, "intent", _NEVER),
    ),
    of_order=(
        Control("addressee", addressee.check, (_D.WRONG_ACCOUNT, _D.WRONG_VENUE), "SEC 15c3-5 (c)(2)(iii)", _EVERY, "account", _NEVER),
        Control("order_terms", order_terms.check, (_D.ILLEGAL_TERMS,), "FIX 40, 44, 99", _EVERY, "order", _NEVER),
        Control("instrument_grid", instrument_grid.check, (_D.UNKNOWN_INSTRUMENT, _D.OFF_GRID), "venue rules", _EVERY, "symbol", "deny without an instrument"),
        Control("order_minimum", order_minimum.check, (_D.BELOW_MINIMUM, _D.CANNOT_EVALUATE), "venue rules", _ENTRIES, "symbol", "deny without an instrument, or a price it needs"),
        Control("strategy_authority", strategy_authority.check, (_D.UNKNOWN_STRATEGY,), "SEC 15c3-5 (c)(2)(iii), RTS 6 art. 15(5)", _ENTRIES, "strategy", _NEVER),
        Control("stopped_link", stopped_link.check, (_D.LINK_STOPPED,), "FIA", _ENTRIES, "account", _NEVER),
        Control("backlog", backlog.check, (_D.BACKLOG,), "FIA", _ENTRIES, "account", _NEVER),
        Control("closing_qty", closing_qty.check, (_D.CLOSING_QTY,), "order lifecycle: no double sell", _EVERY, "strategy and symbol", _NEVER),
        Control("in_doubt", in_doubt.check, (_D.IN_DOUBT,), "SEC 15c3-5 (c)(1)(i)", _ENTRIES, "symbol", _NEVER),
        Control(
            "intent_age_ms_max",
            intent_age_ms_max.check,
            (_D.INTENT_STALE, _D.INTENT_FROM_FUTURE),
            "FIA",
            _ENTRIES,
            "intent",
            _NEVER,
            (Parameter("intent_age_ms_max", "ms"),),
        ),
        Control(
            "duplicate_window_ms",
            duplicate_window_ms.check,
            (_D.DUPLICATE_ORDER,),
            "SEC 15c3-5 (c)(1)(ii)",
            _ENTRIES,
            "strategy and symbol",
            _NEVER,
            (Parameter("duplicate_window_ms", "ms"),),
        ),
        Control(
            "mark_age_ms_max",
            mark_age_ms_max.check,
            (_D.NO_REFERENCE_PRICE, _D.STALE_PRICE),
            "FIA",
            _ENTRIES,
            "symbol",
            "deny without a usable price",
            (Parameter("mark_age_ms_max", "ms"),),
        ),
        Control(
            "order_qty_max",
            order_qty_max.check,
            (_D.ORDER_QTY_MAX,),
            "RTS 6 art. 15(1)(c), FIA",
            _ENTRIES,
            "order",
            _NEVER,
            (Parameter("order_qty_max", "instrument units"),),
        ),
        Control(
            "order_notional_max",
            order_notional_max.check,
            (_D.ORDER_NOTIONAL_MAX, _D.CANNOT_EVALUATE),
            "RTS 6 art. 15(1)(b)",
            _ENTRIES,
            "order",
            "deny without a usable price",
            (Parameter("order_notional_max", "account currency"),),
        ),
        Control(
            "position_qty_max",
            position_qty_max.check,
            (_D.POSITION_QTY_MAX, _D.CANNOT_EVALUATE),
            "SEC 15c3-5 (c)(1)(i), FIA",
            _ENTRIES,
            "symbol",
            "deny on a sum beyond belief",
            (Parameter("position_qty_max", "instrument units"),),
        ),
        Control(
            "position_notional_max",
            position_notional_max.check,
            (_D.POSITION_NOTIONAL_MAX, _D.CANNOT_EVALUATE),
            "SEC 15c3-5 (c)(1)(i), FIA",
            _ENTRIES,
            "symbol",
            "deny without a usable price",
            (Parameter("position_notional_max", "account currency"),),
        ),
        Control(
            "open_positions_max",
            open_positions_max.check,
            (_D.OPEN_POSITIONS_MAX,),
            "SEC 15c3-5 (c)(1)(i)",
            _ENTRIES,
            "account",
            _NEVER,
            (Parameter("open_positions_max", "symbols"),),
        ),
    ),
)


class Judges:
    """The controls as they are asked: all of them for an entry, those for every order when it only reduces.

    A control that fails to compute denies: what cannot be evaluated is never passed.
    """

    def __init__(self, registry: Registry) -> None:
        self._of_wishes = registry.of_intent
        self._of_entries: tuple[Control[OrderCase], ...] = (*registry.of_intent, *registry.of_order)
        self._of_exits = tuple(control for control in self._of_entries if control.applies_to is _EVERY)

    def judge_wish(self, case: Case) -> list[Denial]:
        """Every denial of an intent that names no order."""
        return _denials(self._of_wishes, case)

    def judge_order(self, case: OrderCase) -> list[Denial]:
        """Every denial of an intent and its order, in the order of the registry."""
        return _denials(self._of_exits if case.reduces else self._of_entries, case)


def _denials(controls: Sequence[Control[K]], case: K) -> list[Denial]:
    found = []
    for control in controls:
        try:
            denial = control.check(case)
        except ArithmeticError as error:
            denial = deny(DenialCode.CANNOT_EVALUATE, control=control.name, error=type(error).__name__)
        if denial is not None:
            found.append(denial)
    return found


def require_enforced(registry: Registry, limits: Sequence[str] = tuple(LimitSettings.model_fields)) -> None:
    """ConfigError unless every limit is read by a control that carries its name, and no control reads a limit that is not there."""
    rows = {row.name: row for row in registry.rows}
    read = {parameter.field for row in registry.rows for parameter in row.parameters}
    problems = [f"limits.{name}: no control enforces it, one of that name is required in risk/limits/registry.py" for name in limits if not _is_enforced(rows, name)]
    problems += [f"risk/limits/registry.py: a control reads limits.{name}, which is not a limit" for name in sorted(read - set(limits))]
    if problems:
        raise ConfigError(*problems)


def _is_enforced(rows: Mapping[str, Control[Case] | Control[OrderCase]], limit: str) -> bool:
    if limit in APPROVAL_LIMITS:
        return True
    return limit in rows and any(parameter.field == limit for parameter in rows[limit].parameters)


def control_table(registry: Registry = REGISTRY) -> str:
    """The controls as Markdown, for docs."""
    lines = ["| Control | Denies with | Reads | Scope | Applies to | When | Cannot be evaluated | Answers to |", "|---|---|---|---|---|---|---|---|"]
    for row in registry.rows:
        codes = " ".join(f"`{code.value}`" for code in row.codes)
        reads = ", ".join(f"`{p.field}` ({p.unit}, {p.default})" for p in row.parameters) or "-"
        lines.append(f"| `{row.name}` | {codes} | {reads} | {row.scope} | {row.applies_to.value} | {row.when} | {row.on_missing} | {row.source} |")
    return "\n".join(lines)
