"""Simulated worlds of strategies whose true edge is known, by which the belief learner is judged.

In each round half of the strategies trade. A result is edge + noise of unit variance, Student-t(5), and

    edge = 0.03 + 0.10 · standard normal      standard deviations of a trade's result

so that even a perfect learner needs a hundred trades to tell two strategies apart. `stationary`: edges stay.
`switching`: all are drawn anew, every 250 rounds on average. `drifting`: each follows an Ornstein-Uhlenbeck process
with a half-life of 300 rounds. `regimes`: four regimes with edges of their own, lasting 50 rounds on average, whose
label is right in 85 % of the rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.signal import lfilter
from scipy.stats import t as student

from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.units import Bools, Floats, Ints

STRATEGY_WORLDS = ("stationary", "switching", "drifting", "regimes")
STRATEGIES, ROUNDS = 8, 2000
EDGE_MEAN, EDGE_SD = 0.03, 0.10
SWITCH_ROUNDS, DRIFT_HALF_LIFE = 250, 300
REGIMES, REGIME_ROUNDS, LABEL_ACCURACY = 4, 50, 0.85
T_DF = 5
SWAP_EDGES, SWAP_AT, SWAP_ROUNDS = (0.3, 0.1, -0.1), 500, 2000


@dataclass(frozen=True)
class StrategyWorld:
    """T rounds of K strategies. edge, result, p_win (true probability of a win): (T, K); active: (T, K) bool; label:
    (T,) observed regime, -1 where the world has none."""

    edge: Floats
    result: Floats
    p_win: Floats
    active: Bools
    label: Ints

    @property
    def outcomes(self) -> Outcomes:
        """The results of the active strategies, round by round; the time is the round's number."""
        time, strategy = np.nonzero(self.active)
        return Outcomes(
            strategies=tuple(f"s{number:03}" for number in range(self.edge.shape[1])),
            regimes=tuple(f"r{number}" for number in range(self.label.max() + 1)),
            time=time.astype(float),
            strategy=strategy,
            regime=self.label[time],
            result=self.result[time, strategy],
            weight=np.ones(len(time)),
        )


def simulate_beliefs(name: str, seed: int, rounds: int = ROUNDS, strategies: int = STRATEGIES) -> StrategyWorld:
    """One world of STRATEGY_WORLDS. Raises ValueError for another name."""
    if name not in STRATEGY_WORLDS:
        raise ValueError(f"unknown world {name!r}: choose one of {', '.join(STRATEGY_WORLDS)}")
    rng = np.random.default_rng([seed, STRATEGY_WORLDS.index(name)])
    label = np.full(rounds, -1)
    if name == "drifting":
        standard = _drift(rng, rounds, strategies)
    elif name == "regimes":
        regime = _chain(rng, rounds)
        wrong = rng.random(rounds) >= LABEL_ACCURACY
        label = np.where(wrong, (regime + rng.integers(1, REGIMES, rounds)) % REGIMES, regime)
        standard = rng.standard_normal((REGIMES, strategies))[regime]
    else:
        epoch = (
            np.cumsum(rng.random(rounds) < 1 / SWITCH_ROUNDS) if name == "switching" else np.zeros(rounds, dtype=int)
        )
        standard = rng.standard_normal((epoch[-1] + 1, strategies))[epoch]
    order = rng.random((rounds, strategies)).argsort(axis=1)
    return _played(rng, EDGE_MEAN + EDGE_SD * standard, order < strategies // 2, label)


def simulate_swap(seed: int, edges: tuple[float, ...] = SWAP_EDGES) -> StrategyWorld:
    """Three strategies that trade in every round; before round 500 the first is best, from then on the last."""
    rng = np.random.default_rng([seed, len(STRATEGY_WORLDS)])
    edge = np.tile(np.array(edges), (SWAP_ROUNDS, 1))
    edge[SWAP_AT:] = edge[SWAP_AT:, ::-1]
    return _played(rng, edge, np.ones(edge.shape, dtype=bool), np.full(SWAP_ROUNDS, -1))


def _drift(rng: np.random.Generator, rounds: int, strategies: int) -> Floats:
    keep = 0.5 ** (1 / DRIFT_HALF_LIFE)
    shocks = rng.standard_normal((rounds, strategies))
    shocks[1:] *= sqrt(1 - keep**2)
    out: Floats = lfilter([1.0], [1.0, -keep], shocks, axis=0)
    return out


def _chain(rng: np.random.Generator, rounds: int) -> Ints:
    moves = np.where(rng.random(rounds) < 1 / REGIME_ROUNDS, rng.integers(1, REGIMES, rounds), 0)
    return (rng.integers(REGIMES) + np.cumsum(moves)) % REGIMES


def _played(rng: np.random.Generator, edge: Floats, active: Bools, label: Ints) -> StrategyWorld:
    unit = sqrt((T_DF - 2) / T_DF)
    result = edge + unit * rng.standard_t(T_DF, edge.shape)
    return StrategyWorld(edge, result, student.cdf(edge / unit, T_DF), active, label)


def among_active(weights: Floats, active: Bools) -> Floats:
    """Weights (T, K) of the active strategies, which sum to 1 in each round."""
    counted = np.where(active, weights, 0.0)
    out: Floats = counted / counted.sum(axis=1, keepdims=True)
    return out


def regret(world: StrategyWorld, weights: Floats) -> float:
    """Mean over the rounds of the best active edge less that of the book held in the active strategies."""
    best = np.where(world.active, world.edge, -np.inf).max(axis=1)
    return float((best - (among_active(weights, world.active) * world.edge).sum(axis=1)).mean())


def book_sharpe(world: StrategyWorld, weights: Floats) -> float:
    """Mean / standard deviation over the rounds of the results of the book held in the active strategies."""
    results = (among_active(weights, world.active) * world.result).sum(axis=1)
    return float(results.mean() / results.std(ddof=1))


def true_weights(world: StrategyWorld) -> Floats:
    """What a book with the true edges holds: in proportion to max(edge, 0)."""
    return np.maximum(world.edge, 0.0) + 1e-9


def recovery(weights: Floats) -> int:
    """Rounds after the swap until the new best (the last column) has the largest weight; all that are left if never."""
    leads = weights[SWAP_AT:, -1] > weights[SWAP_AT:, :-1].max(axis=1)
    return int(leads.argmax()) if leads.any() else len(leads)
