"""What could be known of strategies' edges by a filter that knows a world's parameters and the law of its noise.

The posterior of each edge on a grid, before each round; weighed by the same rule as the learner's beliefs, without a
bound on how far weights move. Exact where edges stay or drift; where all are drawn anew, over the 40 likeliest rounds
of the last change; under regimes, each outcome counts for each regime by the regime's probability.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from knowdefeat_pipeline.core.beliefs.strategy_weights import adaptive_weights
from knowdefeat_pipeline.core.simulation.strategies import (
    DRIFT_HALF_LIFE,
    EDGE_MEAN,
    EDGE_SD,
    LABEL_ACCURACY,
    REGIME_ROUNDS,
    REGIMES,
    SWITCH_ROUNDS,
    T_DF,
    StrategyWorld,
)
from knowdefeat_pipeline.core.units import Floats

GRID = EDGE_MEAN + EDGE_SD * np.linspace(-4.5, 4.5, 61)
PRIOR = norm.pdf(GRID, EDGE_MEAN, EDGE_SD) / norm.pdf(GRID, EDGE_MEAN, EDGE_SD).sum()
CHANGES = 40


def ceiling_weights(name: str, world: StrategyWorld) -> Floats:
    """Weights before each round (T, K) of one of the four first worlds."""
    unit = np.sqrt((T_DF - 2) / T_DF)
    likelihood = student.pdf((world.result[..., None] - GRID) / unit, T_DF)
    likelihood = np.where(world.active[..., None], likelihood, 1.0)
    if name == "regimes":
        mean, square = _under_regimes(likelihood, world.label)
    else:
        mean, square = {"stationary": _staying, "drifting": _drifting, "switching": _switching}[name](likelihood)
    return adaptive_weights(mean, np.sqrt(square - mean**2))


def _moments(posterior: Floats) -> tuple[Floats, Floats]:
    """Mean and mean square (...) of posteriors (..., G)."""
    return posterior @ GRID, posterior @ GRID**2


def _staying(likelihood: Floats) -> tuple[Floats, Floats]:
    log = np.cumsum(np.log(likelihood), axis=0)
    log = np.concatenate([np.zeros_like(log[:1]), log[:-1]]) + np.log(PRIOR)
    posterior = np.exp(log - log.max(axis=-1, keepdims=True))
    return _moments(posterior / posterior.sum(axis=-1, keepdims=True))


def _drifting(likelihood: Floats) -> tuple[Floats, Floats]:
    keep = 0.5 ** (1 / DRIFT_HALF_LIFE)
    # From each edge of the grid to the next round's, integrated over cells: the step is narrower than the grid.
    half = (GRID[1] - GRID[0]) / 2
    centre, sd = EDGE_MEAN + keep * (GRID - EDGE_MEAN), EDGE_SD * np.sqrt(1 - keep**2)
    step = norm.cdf((GRID + half - centre[:, None]) / sd) - norm.cdf((GRID - half - centre[:, None]) / sd)
    step /= step.sum(axis=1, keepdims=True)
    posterior = np.tile(PRIOR, (likelihood.shape[1], 1))
    path = np.empty_like(likelihood)
    for at, seen in enumerate(likelihood):
        path[at] = posterior
        posterior = posterior * seen
        posterior = posterior / posterior.sum(axis=1, keepdims=True) @ step
    return _moments(path)


def _switching(likelihood: Floats) -> tuple[Floats, Floats]:
    hazard = 1 / SWITCH_ROUNDS
    fresh = np.tile(PRIOR, (1, likelihood.shape[1], 1))
    posterior, weight = fresh, np.ones(1)
    mean, square = np.empty(likelihood.shape[:2]), np.empty(likelihood.shape[:2])
    for at, seen in enumerate(likelihood):
        mean[at], square[at] = (np.tensordot(weight, of, axes=1) for of in _moments(posterior))
        posterior = posterior * seen
        evidence = posterior.sum(axis=-1)
        posterior = posterior / evidence[..., None]
        weight = weight * evidence.prod(axis=1)
        weight = np.append((1 - hazard) * weight / weight.sum(), hazard)
        posterior = np.concatenate([posterior, fresh])
        if len(weight) > CHANGES:  # the last change cannot be judged yet and stays
            kept = np.append(np.argsort(weight[:-1])[1:], len(weight) - 1)
            posterior, weight = posterior[kept], weight[kept] / weight[kept].sum()
    return mean, square


def _under_regimes(likelihood: Floats, label: np.ndarray) -> tuple[Floats, Floats]:
    posterior = np.tile(PRIOR, (REGIMES, likelihood.shape[1], 1))
    chance = np.full(REGIMES, 1 / REGIMES)
    move = np.full((REGIMES, REGIMES), 1 / REGIME_ROUNDS / (REGIMES - 1))
    np.fill_diagonal(move, 1 - 1 / REGIME_ROUNDS)
    mean, square = np.empty(likelihood.shape[:2]), np.empty(likelihood.shape[:2])
    for at, seen in enumerate(likelihood):
        mean[at], square[at] = (chance @ of for of in _moments(posterior))
        updated = posterior * seen
        evidence = updated.sum(axis=-1)
        told = np.where(np.arange(REGIMES) == label[at], LABEL_ACCURACY, (1 - LABEL_ACCURACY) / (REGIMES - 1))
        chance = chance * told * evidence.prod(axis=1)
        chance = chance / chance.sum()
        counts = chance[:, None, None]
        posterior = counts * updated / evidence[..., None] + (1 - counts) * posterior
        chance = chance @ move
    return mean, square
