"""How much to hold: pure functions from evidence to sizes and weights. No evidence, no size: None, never a guess.

Sizes are quantities in instrument units before rounding to its grid, weights are fractions of the capital that sum to one. The
limits of the account cap whatever comes out of here.
"""

from __future__ import annotations

from risk.sizing.fractional import composite, fixed_fractional
from risk.sizing.kelly import kelly_fraction, kelly_fraction_of_returns, optimal_f
from risk.sizing.throttle import Throttle, ThrottleRules, equity_curve_allows, throttle_after, trades_allowed
from risk.sizing.volatility_target import volatility_target
from risk.sizing.weights import diversification_ratio, maximum_diversification_weights, risk_budget_weights, risk_contributions, risk_parity_weights

__all__ = [
    "Throttle",
    "ThrottleRules",
    "composite",
    "diversification_ratio",
    "equity_curve_allows",
    "fixed_fractional",
    "kelly_fraction",
    "kelly_fraction_of_returns",
    "maximum_diversification_weights",
    "optimal_f",
    "risk_budget_weights",
    "risk_contributions",
    "risk_parity_weights",
    "throttle_after",
    "trades_allowed",
    "volatility_target",
]
