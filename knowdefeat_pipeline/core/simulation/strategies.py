"""Simulated worlds of strategies whose true edge is known, by which the belief learner is judged.

In each round half of the strategies trade. A result is edge + noise of unit variance, Student-t(5), and

    edge = 0.03 + 0.10 · standard normal      standard deviations of a trade's result

so that even a perfect learner needs a hundred trades to tell two strategies apart. `stationary`: edges stay.
`switching`: all are drawn anew, every 250 rounds on average. `drifting`: each follows an Ornstein-Uhlenbeck process
with a half-life of 300 rounds. `regimes`: four regimes with edges of their own, lasting 50 rounds on average, whose
label is right in 85 % of the rounds.

FURTHER_WORLDS differ from one of these in one respect: `heavy tails` (Student-t(3)), `skewed` (92 % small wins and rare
large losses), `fast` and `slow` (half-lives of 60 and 1,500 rounds), `births` (every strategy dies once, and another
takes its place), `common` (a factor that all results share, with a correlation of 0.6), `two` and `thirty` strategies,
`noise` (edges that stay, and labels that mean nothing).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

import numpy as np
from scipy.signal import lfilter
from scipy.stats import lognorm
from scipy.stats import t as student

from knowdefeat_pipeline.core.beliefs.outcomes import Outcomes
from knowdefeat_pipeline.core.units import Bools, Floats, Ints

STRATEGIES, ROUNDS = 8, 2000
EDGE_MEAN, EDGE_SD = 0.03, 0.10
SWITCH_ROUNDS, DRIFT_HALF_LIFE = 250, 300
REGIMES, REGIME_ROUNDS, LABEL_ACCURACY = 4, 50, 0.85
T_DF = 5
WIN_SHARE, SIZE_SD = 0.92, 0.4
SWAP_EDGES, SWAP_AT, SWAP_ROUNDS = (0.3, 0.1, -0.1), 500, 2000


Edges = Literal["stationary", "switching", "drifting", "regimes"]


@dataclass(frozen=True)
class WorldLaw:
    """What a world is like. edges: how they move. half_life: of drifting ones, in rounds. tails: degrees of freedom of
    the noise, None for skewed results. common: the correlation of the noise. labels_mean: whether regimes do."""

    edges: Edges
    strategies: int = STRATEGIES
    half_life: float = DRIFT_HALF_LIFE
    tails: int | None = T_DF
    common: float = 0.0
    births: bool = False
    labels_mean: bool = True


STRATEGY_WORLDS: tuple[Edges, ...] = ("stationary", "switching", "drifting", "regimes")
FURTHER_WORLDS: dict[str, WorldLaw] = {
    "heavy tails": WorldLaw("drifting", tails=3),
    "skewed": WorldLaw("drifting", tails=None),
    "fast": WorldLaw("drifting", half_life=60),
    "slow": WorldLaw("drifting", half_life=1500),
    "births": WorldLaw("stationary", births=True),
    "common": WorldLaw("drifting", common=0.6),
    "two": WorldLaw("drifting", strategies=2),
    "thirty": WorldLaw("drifting", strategies=30),
    "noise": WorldLaw("regimes", labels_mean=False),
}
LAWS: dict[str, WorldLaw] = {name: WorldLaw(name) for name in STRATEGY_WORLDS} | FURTHER_WORLDS


@dataclass(frozen=True)
class StrategyWorld:
    """T rounds of K strategies. edge, result, p_win (true probability of a win): (T, K); active: (T, K) bool; label:
    (T,) observed regime, -1 where the world has none. alive: (T, K), those that could be held; by default all."""

    edge: Floats
    result: Floats
    p_win: Floats
    active: Bools
    label: Ints
    alive: Bools = field(default_factory=lambda: np.ones((1, 1), dtype=bool))

    def __post_init__(self) -> None:
        object.__setattr__(self, "alive", np.broadcast_to(self.alive, self.edge.shape))

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


def simulate_beliefs(name: str, seed: int, rounds: int = ROUNDS) -> StrategyWorld:
    """One world of STRATEGY_WORLDS or FURTHER_WORLDS. Raises ValueError for another name."""
    if name not in LAWS:
        raise ValueError(f"unknown world {name!r}: choose one of {', '.join(LAWS)}")
    law, number = LAWS[name], list(LAWS).index(name)
    # The number after those of the first worlds is the swap's.
    rng = np.random.default_rng([seed, number + (number >= len(STRATEGY_WORLDS))])
    count = law.strategies * (2 if law.births else 1)
    standard, label = _edges(rng, law, rounds, count)
    alive = _lives(rng, rounds, law.strategies) if law.births else np.ones((rounds, count), dtype=bool)
    order = np.where(alive, rng.random((rounds, count)).argsort(axis=1), count).argsort(axis=1).argsort(axis=1)
    return _played(rng, law, EDGE_MEAN + EDGE_SD * standard, order < law.strategies // 2, label, alive)


def _edges(rng: np.random.Generator, law: WorldLaw, rounds: int, strategies: int) -> tuple[Floats, Ints]:
    """Standardised edges (T, K), and labels (T,)."""
    label = np.full(rounds, -1)
    if law.edges == "drifting":
        return _drift(rng, rounds, strategies, law.half_life), label
    if law.edges == "regimes":
        regime = _chain(rng, rounds)
        wrong = rng.random(rounds) >= LABEL_ACCURACY
        label = np.where(wrong, (regime + rng.integers(1, REGIMES, rounds)) % REGIMES, regime)
        return rng.standard_normal((REGIMES, strategies))[regime * law.labels_mean], label
    switches = law.edges == "switching"
    epoch = np.cumsum(rng.random(rounds) < 1 / SWITCH_ROUNDS) if switches else np.zeros(rounds, dtype=int)
    return rng.standard_normal((epoch[-1] + 1, strategies))[epoch], label


def _lives(rng: np.random.Generator, rounds: int, pairs: int) -> Bools:
    """Pairs of strategies of which the second lives from the death of the first on, somewhere in the middle."""
    death = rng.integers(rounds // 5, rounds - rounds // 5, pairs)
    first = np.arange(rounds)[:, None] < death
    return np.concatenate([first, ~first], axis=1)


def simulate_swap(seed: int, edges: tuple[float, ...] = SWAP_EDGES) -> StrategyWorld:
    """Three strategies that trade in every round; before round 500 the first is best, from then on the last."""
    rng = np.random.default_rng([seed, len(STRATEGY_WORLDS)])
    edge = np.tile(np.array(edges), (SWAP_ROUNDS, 1))
    edge[SWAP_AT:] = edge[SWAP_AT:, ::-1]
    everywhere = np.ones(edge.shape, dtype=bool)
    return _played(rng, WorldLaw("stationary"), edge, everywhere, np.full(SWAP_ROUNDS, -1), everywhere)


def _drift(rng: np.random.Generator, rounds: int, strategies: int, half_life: float) -> Floats:
    keep = 0.5 ** (1 / half_life)
    shocks = rng.standard_normal((rounds, strategies))
    shocks[1:] *= sqrt(1 - keep**2)
    out: Floats = lfilter([1.0], [1.0, -keep], shocks, axis=0)
    return out


def _chain(rng: np.random.Generator, rounds: int) -> Ints:
    moves = np.where(rng.random(rounds) < 1 / REGIME_ROUNDS, rng.integers(1, REGIMES, rounds), 0)
    return (rng.integers(REGIMES) + np.cumsum(moves)) % REGIMES


def _played(
    rng: np.random.Generator, law: WorldLaw, edge: Floats, active: Bools, label: Ints, alive: Bools
) -> StrategyWorld:
    if law.tails is None:
        result, p_win = _skewed(rng, edge)
        return StrategyWorld(edge, result, p_win, active, label, alive)
    unit = sqrt((law.tails - 2) / law.tails)
    shape = edge.shape
    noise = _shared(rng, law.common, law.tails, shape) if law.common else rng.standard_t(law.tails, shape)
    return StrategyWorld(edge, edge + unit * noise, student.cdf(edge / unit, law.tails), active, label, alive)


def _shared(rng: np.random.Generator, share: float, tails: int, shape: tuple[int, ...]) -> Floats:
    """A multivariate Student-t: each result's is the same as without a common factor."""
    common, own = rng.standard_normal((shape[0], 1)), rng.standard_normal(shape)
    spread = np.sqrt(rng.chisquare(tails, (shape[0], 1)) / tails)
    out: Floats = (sqrt(share) * common + sqrt(1 - share) * own) / spread
    return out


def _skewed(rng: np.random.Generator, edge: Floats) -> tuple[Floats, Floats]:
    """Results of many small wins and rare large losses, with mean 0 before the edge, and the probability of a win."""
    win, loss = sqrt((1 - WIN_SHARE) / WIN_SHARE), sqrt(WIN_SHARE / (1 - WIN_SHARE))
    size = np.exp(SIZE_SD * rng.standard_normal(edge.shape) - SIZE_SD**2 / 2)
    result = edge + np.where(rng.random(edge.shape) < WIN_SHARE, win, -loss) * size
    law = lognorm(SIZE_SD, scale=np.exp(-(SIZE_SD**2) / 2))
    p_win = WIN_SHARE * law.sf(-edge / win) + (1 - WIN_SHARE) * law.cdf(edge / loss)
    return result, p_win


def among(weights: Floats, some: Bools) -> Floats:
    """Weights (T, K) of some strategies, which sum to 1 in each round."""
    counted = np.where(some, weights, 0.0)
    out: Floats = counted / counted.sum(axis=1, keepdims=True)
    return out


def regret(world: StrategyWorld, weights: Floats, some: Bools | None = None) -> float:
    """Mean over the rounds of the best edge less that of the book held in `some` strategies: by default the active."""
    some = world.active if some is None else some
    best = np.where(some, world.edge, -np.inf).max(axis=1)
    return float((best - (among(weights, some) * world.edge).sum(axis=1)).mean())


def book_sharpe(world: StrategyWorld, weights: Floats, some: Bools | None = None) -> float:
    """Mean / standard deviation over the rounds of the results of the book held in `some` strategies: by default the
    active."""
    results = (among(weights, world.active if some is None else some) * world.result).sum(axis=1)
    return float(results.mean() / results.std(ddof=1))


def true_weights(world: StrategyWorld) -> Floats:
    """What a book with the true edges holds: in proportion to max(edge, 0)."""
    return np.maximum(world.edge, 0.0) + 1e-9


def recovery(weights: Floats) -> int:
    """Rounds after the swap until the new best (the last column) has the largest weight; all that are left if never."""
    leads = weights[SWAP_AT:, -1] > weights[SWAP_AT:, :-1].max(axis=1)
    return int(leads.argmax()) if leads.any() else len(leads)
