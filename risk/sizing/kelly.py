"""Sizes from an edge: Kelly's criterion and Vince's optimal f. Both are for those who have measured their edge.

The estimates are as noisy as the sample: below `trades_min` trades there is no evidence and hence no size, and a part of full
Kelly is the default, because betting twice the optimum grows as little as betting nothing (Thorp 2006, "The Kelly criterion in
blackjack, sports betting and the stock market").
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from risk.metrics.samples import samples_of

__all__ = ["kelly_fraction", "kelly_fraction_of_returns", "optimal_f"]

_TRADES_MIN = 30
_HALF = 0.5


def kelly_fraction(win_rate: float, payoff: float, *, trades: int, share: float = _HALF, trades_min: int = _TRADES_MIN) -> float | None:
    """The part of the capital to risk per trade: share x (p - (1 - p) / b), at least 0, with p the rate of winners and b the mean
    win by the mean loss (Kelly 1956).

    None below `trades_min` trades. Example: 55 % winners that win as much as losers lose give 10 % at full Kelly, 5 % at half.
    """
    if not 0 <= win_rate <= 1:
        raise ValueError(f"win_rate: {win_rate} is not allowed, it must lie between 0 and 1")
    if not payoff > 0:
        raise ValueError(f"payoff: {payoff} is not allowed, the mean win by the mean loss is above 0")
    _require_share(share)
    return None if trades < trades_min else share * max(win_rate - (1 - win_rate) / payoff, 0.0)


def kelly_fraction_of_returns(returns: npt.ArrayLike, *, share: float = _HALF, trades_min: int = _TRADES_MIN) -> float | None:
    """The leverage that grows fastest for returns per period, share x mean / variance (Thorp 2006), at least 0.

    None below `trades_min` returns, and for returns that never vary: no such edge exists.
    """
    _require_share(share)
    found = samples_of("returns", returns, 0)
    if found.size < max(trades_min, 2):
        return None
    variance = float(found.var(ddof=1))
    return share * max(float(found.mean()) / variance, 0.0) if variance > 0 else None


def optimal_f(trades: npt.ArrayLike, *, trades_min: int = _TRADES_MIN) -> float | None:
    """The fraction f of the capital that the largest loss would cost at the fastest growth of these profits and losses (Vince 1990).

    It maximises the mean of log(1 + f x trade / largest loss), which has one maximum. 0 when the trades lose on average; None below
    `trades_min` trades, and without a losing trade: then nothing says how much can be lost.
    """
    found = samples_of("trades", trades, 0)
    if found.size < trades_min or not found.size or found.min() >= 0:
        return None
    scaled = found / -float(found.min())
    if scaled.mean() <= 0:
        return 0.0
    low, high = 0.0, 1.0
    # The slope of the growth falls from above zero to minus infinity at f = 1: halve towards where it is zero.
    for _ in range(60):
        middle = (low + high) / 2
        if middle < 1 and float(np.mean(scaled / (1 + middle * scaled))) > 0:
            low = middle
        else:
            high = middle
    return low


def _require_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share: {share} is not allowed, a part of full Kelly above 0 and at most 1 is required")
