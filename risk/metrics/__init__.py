"""Risk measures of returns, equity and weights. Pure functions over numbers, for reports, sizing and controls.

Returns are fractions per period (0.01 is one per cent). Losses are positive: a value at risk of 0.02 is a loss of two per cent.
What cannot be measured raises ValueError with what was given and what is required; nothing is guessed from too little.
"""

from __future__ import annotations

from risk.metrics.concentration import Concentration, concentration
from risk.metrics.drawdown import Drawdown, max_drawdown
from risk.metrics.stress import SCENARIOS, Holding, Scenario, StressLoss, stress_losses, stress_table
from risk.metrics.tail import TailRisk, conditional_value_at_risk, value_at_risk, var_cvar
from risk.metrics.volatility import beta, ewma_volatility, volatility

__all__ = [
    "SCENARIOS",
    "Concentration",
    "Drawdown",
    "Holding",
    "Scenario",
    "StressLoss",
    "TailRisk",
    "beta",
    "concentration",
    "conditional_value_at_risk",
    "ewma_volatility",
    "max_drawdown",
    "stress_losses",
    "stress_table",
    "value_at_risk",
    "var_cvar",
    "volatility",
]
