"""Position sizes, in quote currency and never beyond the bot's cap."""

from __future__ import annotations

import numpy as np
import scipy  # whose parts are loaded when they are first used

QUANTILE = 0.25
FRACTION = 0.5


def base_size(base: float, posterior: float, prior: float, confidence: float, cap: float) -> float:
    """Scanstream's rule: base · posterior accuracy / prior accuracy · confidence / 100, at most `cap`.

    Accuracies are win rates in 0..1, the prior above 0; `confidence` is the signal's, 0..100. Raises ValueError for
    others, and for a base or cap below 0.
    """
    _require(0 <= posterior <= 1 and 0 < prior <= 1, f"accuracies lie in 0..1, got {posterior} and {prior}")
    _require(0 <= confidence <= 100, f"the confidence {confidence} does not lie in 0..100")
    _require(0 <= base < np.inf and cap >= 0, f"base {base} and cap {cap} are 0 or more")
    return min(base * posterior / prior * confidence / 100, cap)


def kelly_size(
    capital: float, edge: float, edge_sd: float, volatility: float, cap: float,
    quantile: float = QUANTILE, fraction: float = FRACTION,
) -> float:  # fmt: skip
    """Fractional Kelly on a lower quantile of the edge: capital · fraction · max(q, 0) / volatility, at most `cap`.

    A trade returns edge · volatility on its notional on average, with a standard deviation of `volatility`: Kelly
    stakes mean / variance = edge / volatility of the capital (Kelly, 1956; Thorp, 2006). `q` is the `quantile` of a
    normal around the edge, so that an edge that may not be there is not staked on. Raises ValueError for numbers that
    have no meaning.
    """
    _require(volatility > 0 and edge_sd >= 0, f"volatility {volatility} is above 0, and sd {edge_sd} not below it")
    _require(0 < quantile <= 0.5 and 0 < fraction <= 1, f"quantile {quantile} and fraction {fraction} are too bold")
    _require(capital >= 0 and cap >= 0, f"capital {capital} and cap {cap} are 0 or more")
    sure = max(edge + float(scipy.special.ndtri(quantile)) * edge_sd, 0.0)
    return min(capital * fraction * sure / volatility, cap)


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(problem)
