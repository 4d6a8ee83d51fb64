"""How far a mean can be trusted: the stationary bootstrap, the error of a rank IC, Sharpe ratios after many trials."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.units import Floats, Ints

DRAWS = 1_000
_EULER = float(np.euler_gamma)


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and 95 % interval; all NaN where nothing was observed."""

    mean: float
    standard_error: float
    low: float
    high: float


def bootstrap_mean(values: Floats, *, seed: int, draws: int = DRAWS) -> Estimate:
    """The mean of a series whose neighbours depend on each other, by the stationary bootstrap; NaN values are left out.

    Blocks of geometric length, T^(1/3) on average, wrapped round the end. Politis & Romano, "The stationary bootstrap",
    JASA 1994.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan)
    means = values[_indices(len(values), draws, seed)].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(means.std(ddof=1)), float(low), float(high))


@lru_cache(maxsize=1)
def _indices(length: int, draws: int, seed: int) -> Ints:
    """Kept for the next series of the same length: several are compared on the same draws."""
    return stationary_indices(length, draws, np.random.default_rng(seed))


def stationary_indices(length: int, draws: int, rng: np.random.Generator) -> Ints:
    """draws x length positions in a series: runs of consecutive ones, each begun anywhere, T^(1/3) long on average."""
    begins = rng.random((draws, length)) < length ** (-1 / 3)
    begins[:, 0] = True
    begun = np.maximum.accumulate(np.where(begins, np.arange(length), 0), axis=1)
    first = rng.integers(length, size=(draws, length))
    return (np.take_along_axis(first, begun, axis=1) + np.arange(length) - begun) % length


def best_is_luck(best: Estimate, tries: int) -> bool:
    """Whether the largest of so many means may be no more than luck: not above 0 by 97.5 % after Bonferroni."""
    return not best.mean > float(scipy.special.ndtri(1 - 0.025 / tries)) * best.standard_error


def standard_error_under_null(bots: float, days: int) -> float:
    """Standard error under the null, 1/√((N - 1)·T): of the mean rank IC of scores without skill; NaN without days or
    with one bot."""
    return float(1 / np.sqrt((bots - 1) * days)) if bots > 1 and days > 0 else np.nan


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """The expected maximum of so many Sharpe ratios of that variance when none has skill; 0 for one trial."""
    if trials <= 1:
        return 0.0
    upper, deeper = scipy.special.ndtri([1 - 1 / trials, 1 - 1 / (trials * np.e)])
    return float(np.sqrt(variance) * ((1 - _EULER) * upper + _EULER * deeper))


def deflated_sharpe(
    sharpe: float, observations: int, *, trials: int, variance: float, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the true Sharpe ratio exceeds what the best of `trials` would reach by luck.

    `sharpe` and the `variance` of the trials' Sharpe ratios are per period, not annualised; kurtosis is 3 for a normal.
    NaN under two observations or for moments that no distribution has. Bailey & López de Prado, "The deflated Sharpe
    ratio", Journal of Portfolio Management 2014.
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if observations < 2 or not spread > 0:
        return np.nan
    lead = sharpe - expected_maximum_sharpe(trials, variance)
    return float(scipy.special.ndtr(lead * np.sqrt(observations - 1) / np.sqrt(spread)))
