"""The experts that the weight learner weighs: ridge regressions of differing memory and caution.

Each predicts a bot's next result (its rank, net of its group) as a weighted sum of the 19 ranked variables. The prior
of all is that past performance persists, a half as the default weights have it, with the money windows weighed by the
days they cover, since a day or less says little of a bot; and a quarter each over three months and a lifetime.
Deviations from it are cheap for a whole family of variables and dear for one variable within its family, since the
members of a family say much the same.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from knowdefeat_pipeline.core.ranking.weight_set import normalise
from knowdefeat_pipeline.core.schema.variables import (
    DEFAULT_WEIGHTS,
    SLOW_NAMES,
    STREAK_LENGTHS,
    VARIABLE_NAMES,
    VARIABLES,
)
from knowdefeat_pipeline.core.units import Floats

HALF_LIVES = (30.0, 90.0, np.inf)  # days
STRENGTHS = (1000.0, 3000.0)  # bot-days that the prior counts for
EXPERTS = tuple(product(HALF_LIVES, STRENGTHS))
SLOW_SHARE = 0.5  # of the prior's direction that the slow variables have together, alike
PRIOR_IC = 0.05  # rank IC at which the prior expects past performance to persist
WITHIN_FAMILY = 0.25  # prior variance of one variable by itself, in that of its family
RANK_VARIANCE = 1 / 12  # of ranks spread evenly over [-0.5, 0.5]

FAMILIES = (
    ("one_hour_performance", "two_hour_performance", "one_day_performance"),
    (
        "one_week_performance", "one_month_performance", "avg_win_rate", "avg_drawdown", "profit_per_second",
        *(f"win_streak_{length}" for length in STREAK_LENGTHS),
    ),
    ("price_model_score",),
    ("volume_model_score",),
    ("price_wall_score",),
    *((name,) for name in SLOW_NAMES),
)  # fmt: skip


def prior_direction() -> Floats:
    """The prior's direction: default weights, the money windows' share of them spread by default · days, and the slow
    variables' share; Σ|w| = 1."""
    default = np.array(list(DEFAULT_WEIGHTS.values()))
    money = np.array([variable.scaling == "performance" for variable in VARIABLES])
    spread = default * [variable.window_days for variable in VARIABLES]
    weights = np.where(money, spread * default[money].sum() / spread[money].sum(), default)
    slow = np.isin(VARIABLE_NAMES, SLOW_NAMES)
    out: Floats = (1 - SLOW_SHARE) * weights / np.abs(weights).sum() + SLOW_SHARE * slow / slow.sum()
    return out


RECOMMENDED: dict[str, float] = normalise(dict(zip(VARIABLE_NAMES, prior_direction().tolist(), strict=True)))
"""The prior's direction as a set of weights."""
NAMED_SETS: dict[str, dict[str, float]] = {"recommended": RECOMMENDED, "know_defeat": DEFAULT_WEIGHTS}
"""Sets that a person can put in force by name."""


def precision(direction: Floats) -> Floats:
    """The inverse of the prior's covariance up to its scale; 19 x 19."""
    covariance = WITHIN_FAMILY * np.eye(len(VARIABLE_NAMES))
    for family in FAMILIES:
        members = np.where(np.isin(VARIABLE_NAMES, family), direction, 0.0)
        members /= np.sqrt(members @ members)
        covariance += np.outer(members, members)
    return np.asarray(np.linalg.inv(covariance), np.float64)


def ridge(gram: Floats, moment: Floats, penalty: Floats, prior: Floats) -> Floats:
    """argmin_w Σ (y - w·x)² + (w - prior)' penalty (w - prior), from gram = Σ x x' and moment = Σ x y; any stack."""
    pull = moment - (gram @ prior[..., None])[..., 0]
    return prior + np.linalg.solve(gram + penalty, pull[..., None])[..., 0]


class Ridges:
    """The experts' memory: decayed sums over settled days, of a size that no history makes larger."""

    def __init__(self) -> None:
        size = len(VARIABLE_NAMES)
        self.direction = prior_direction()
        self.penalty = RANK_VARIANCE * np.multiply.outer(STRENGTHS, precision(self.direction))
        self.gram = np.zeros((len(HALF_LIVES), size, size))
        self.moment = np.zeros((len(HALF_LIVES), size))
        self.rows = np.zeros(len(HALF_LIVES))

    def learn(self, ranks: Floats, label: Floats, elapsed: float) -> None:
        """Take in a day's bots (n x 19, n) `elapsed` days after the day before it."""
        keep = 0.5 ** (elapsed / np.array(HALF_LIVES))
        self.gram = keep[:, None, None] * self.gram + ranks.T @ ranks
        self.moment = keep[:, None] * self.moment + ranks.T @ label
        self.rows = keep * self.rows + len(label)

    def weights(self) -> Floats:
        """Each expert's 19 weights, Σ|w| = 1; experts x 19. Before the first day, all hold the prior."""
        if not self.rows.any():
            return np.tile(self.direction, (len(EXPERTS), 1))
        # The regression slope at which the prior's scores have the rank IC that it expects of them.
        spread = np.einsum("i,mij,j->m", self.direction, self.gram, self.direction)
        slope = PRIOR_IC * np.sqrt(RANK_VARIANCE * self.rows / np.maximum(spread, 1e-3 * self.rows * RANK_VARIANCE))
        solved = ridge(
            self.gram[:, None], self.moment[:, None], self.penalty, (slope[:, None] * self.direction)[:, None]
        ).reshape(len(EXPERTS), -1)
        out: Floats = solved / np.abs(solved).sum(axis=1, keepdims=True)
        return out
