"""Tails: what results beyond the body of a distribution add to an edge.

A result is its body, clipped at ± 2 R, and its tail, the rest. Bodies tell strategies apart soon. A rare large loss
among them would drown the rest; clipped away, it would flatter a strategy of many small wins and rare large losses. So
tails have sums of their own, which fade by own trades and are shrunk towards those of all strategies together, as far
as strategies do not differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from knowdefeat_pipeline.core.beliefs.decayed_sums import sum_in_order
from knowdefeat_pipeline.core.units import Floats

NO_TAIL = 200.0
"""The weight of no tail in the mean of all strategies, in trades."""
ENOUGH_FOR_VARIANCE, VARIANCE_BEFORE, LEAST_VARIANCE = 20.0, 0.1, 1e-4
ENOUGH_OF_ONE, ENOUGH_STRATEGIES = 30.0, 3
LEAST_STRENGTH, MOST_STRENGTH = 50.0, 1e6
NO_SPREAD = 1e-8


@dataclass(frozen=True)
class TailEdges:
    """What tails add to the edge of each strategy (..., K), and to that of one without trades (..., 1), in R.

    mean, variance: of a strategy. prior_mean, prior_variance: of one of which nothing is known but the others.
    """

    mean: Floats
    variance: Floats
    prior_mean: Floats
    prior_variance: Floats


def tail_edges(sums: Floats) -> TailEdges:
    """The edge in the tails, from each strategy's decayed trades n, sum S and sum of squares Q of tails, (..., K, 3).

    With N, S., Q. the sums over strategies, the mean of all is m. = S./(N + 200) and the variance of a tail
    v = Q./N - (S./N)² (at least 1e-4; .1 up to N = 20). Strategies differ by b, the mean of (S/n - m.)² - v/n over
    those with n > 30 (0 where there are fewer than three). A strategy has (S + k·m.)/(n + k) ± √(v/(n + k)), k = v/b
    within 50 and 1e6.
    """
    n = sums[..., 0]
    trades, tails, squares = (sum_in_order(sums[..., column])[..., None] for column in range(3))
    mean = tails / (trades + NO_TAIL)
    counted = np.maximum(trades, 1.0)
    variance = np.maximum(squares / counted - (tails / counted) ** 2, LEAST_VARIANCE)
    variance = np.where(trades > ENOUGH_FOR_VARIANCE, variance, VARIANCE_BEFORE)
    strength = _strength(sums, mean, variance)
    shrunk = (sums[..., 1] + strength * mean) / (n + strength)
    return TailEdges(shrunk, variance / (n + strength), mean, variance / strength)


def _strength(sums: Floats, mean: Floats, variance: Floats) -> Floats:
    """k (..., 1): how many trades the mean of all strategies is worth beside those of one."""
    n = np.maximum(sums[..., 0], 1.0)
    judged = sums[..., 0] > ENOUGH_OF_ONE
    excess = np.where(judged, (sums[..., 1] / n - mean) ** 2 - variance / n, 0.0)
    count = judged.sum(axis=-1, keepdims=True)
    spread = sum_in_order(excess)[..., None] / np.maximum(count, 1)
    spread = np.where(count >= ENOUGH_STRATEGIES, spread, 0.0)
    k = np.clip(variance / np.maximum(spread, NO_SPREAD), LEAST_STRENGTH, MOST_STRENGTH)
    out: Floats = np.where(spread > NO_SPREAD, k, MOST_STRENGTH)
    return out
