"""The registry of controls: complete, wired, and missed the moment a control is gone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.contracts import Denial, Verdict
from core.errors import ConfigError
from core.settings import LimitSettings
from risk.case import OrderCase
from risk.denials import DenialCode
from risk.limits.registry import APPROVAL_LIMITS, REGISTRY, AppliesTo, Control, Registry, control_table, require_enforced
from tests.support.risk_desk import codes
from tests.unit.risk.breaches import BREACHES, Breach, shipped_desk, wish


def _without(name: str) -> Registry:
    return Registry(tuple(c for c in REGISTRY.of_intent if c.name != name), tuple(c for c in REGISTRY.of_order if c.name != name))


def _earned(denial: Denial, breach: Breach) -> bool:
    return denial.code == breach.code and (breach.code is not DenialCode.CANNOT_EVALUATE or f"control={breach.control}," in denial.evidence)


@pytest.mark.parametrize("breach", BREACHES, ids=str)
def test_an_intent_is_denied_with_the_controls_code_when_a_shipped_limit_is_breached(breach: Breach) -> None:
    """Every code of every control is earned under the shipped configuration, with evidence, and nothing is approved."""
    decision = breach.decide(shipped_desk(settings=breach.settings))

    assert decision.verdict is Verdict.DENIED
    assert decision.approval is None
    earned = [denial for denial in decision.denials if _earned(denial, breach)]
    assert len(earned) == 1
    assert "=" in earned[0].evidence or breach.code is DenialCode.KILL_SWITCH_UNREADABLE


@pytest.mark.parametrize("breach", BREACHES, ids=str)
def test_a_breach_goes_unnoticed_when_its_control_is_removed(breach: Breach) -> None:
    """What earns a code is the control of the registry and nothing else: the test above fails without it."""
    decision = breach.decide(shipped_desk(_without(breach.control), breach.settings))

    assert not any(_earned(denial, breach) for denial in decision.denials)


def test_a_harmless_order_is_allowed_when_nothing_is_breached() -> None:
    """The breaches differ from an order that passes: the table above is not a list of accidents."""
    decision = shipped_desk().ask(wish())

    assert (decision.verdict, codes(decision)) == (Verdict.ALLOWED, [])


def test_every_code_of_every_control_has_a_breach() -> None:
    """No row of the registry, and no code of a row, is without a test that misses it."""
    wanted = {(row.name, code) for row in REGISTRY.rows for code in row.codes}

    assert {(breach.control, breach.code) for breach in BREACHES} == wanted
    assert {code for _, code in wanted} == set(DenialCode)


def test_every_limit_is_enforced_by_the_control_of_its_name() -> None:
    """The configuration and the registry name the same limits, but for those that bind the approval."""
    require_enforced(REGISTRY)
    rows = {row.name: row for row in REGISTRY.rows}
    for name in set(LimitSettings.model_fields) - APPROVAL_LIMITS:
        assert [p.field for p in rows[name].parameters] == [name]


@pytest.mark.parametrize("name", sorted(set(LimitSettings.model_fields) - APPROVAL_LIMITS))
def test_the_start_is_refused_when_a_limit_has_no_control(name: str) -> None:
    """A declared limit that nothing enforces is a start-up error that names it."""
    with pytest.raises(ConfigError, match=f"limits.{name}: no control enforces it"):
        require_enforced(_without(name))


def test_the_start_is_refused_when_a_control_reads_a_limit_that_is_not_there() -> None:
    """A control cannot be wired to a limit that nobody can configure; all problems are told at once."""
    limits = [name for name in LimitSettings.model_fields if name not in ("order_qty_max", "mark_age_ms_max")]

    with pytest.raises(ConfigError) as raised:
        require_enforced(REGISTRY, [*limits, "invented_max"])

    assert len(raised.value.problems) == 3
    assert any("limits.invented_max: no control enforces it" in problem for problem in raised.value.problems)
    assert any("limits.order_qty_max, which is not a limit" in problem for problem in raised.value.problems)


def test_an_order_is_denied_when_a_control_cannot_compute() -> None:
    """A control that fails arithmetically denies what it applies to and says so; it never passes and never raises."""

    def broken(case: OrderCase) -> Denial | None:
        raise ZeroDivisionError(case.order.order_qty / Decimal(1))

    row = Control("broken", broken, (DenialCode.CANNOT_EVALUATE,), "test", AppliesTo.ENTRIES, "order", "deny")
    decision = shipped_desk(Registry(REGISTRY.of_intent, (*REGISTRY.of_order, row))).ask(wish())

    assert [str(denial) for denial in decision.denials] == ["CANNOT_EVALUATE: control=broken, error=ZeroDivisionError"]


def test_the_table_tells_every_control_with_its_limit_and_default() -> None:
    """The documentation's table has one line per control and quotes the schema's defaults."""
    lines = control_table().splitlines()

    assert len(lines) == 2 + len(REGISTRY.rows)
    (line,) = [line for line in lines if line.startswith("| `order_notional_max`")]
    assert "`ORDER_NOTIONAL_MAX`" in line and f"(account currency, {LimitSettings().order_notional_max})" in line and "| entries |" in line
