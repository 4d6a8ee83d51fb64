"""What could be known of the simulated bots at most: a Kalman filter that knows the parameters of their worlds.

The skill of a bot is a constant, a part that reverts to 0, and the effect of a regime. Bots do not know the regime; its
effect has the covariances of a constant (a third of its variance) and of a part that fades as regimes leave, which is
how the filter sees it. The noise has its true covariances, shared by bots of one ticker and direction, and in `adverse`
comes back on the next day. Filters that are linear in the results cannot do better; tails of the noise would allow a
little more.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.simulation.bots import (
    AR_HALF_LIFE_DAYS,
    AR_SD,
    BOT_WORLDS,
    CONSTANT_SD,
    FACTOR_CORRELATION,
    INFORMATIVE_SCORE,
    REGIME_MEAN_DAYS,
    REGIME_SD,
    REGIMES,
    RETURN_SD,
    SCORE_MEAN,
    SCORE_SD,
    SKILL_SD,
    Simulation,
)

KEEPS = np.array([1.0, 0.5 ** (1 / AR_HALF_LIFE_DAYS), 1 - REGIMES / (REGIMES - 1) / REGIME_MEAN_DAYS])
VARIANCES = np.array([CONSTANT_SD**2 + REGIME_SD**2 / REGIMES, AR_SD**2, REGIME_SD**2 * (1 - 1 / REGIMES)])
"""What of each part of the skill is left a day later, and the variance of each part."""
EXACT = 1e-9  # a variance for what is observed without any: noise is a state of the filter


class _Filter:
    """Mean and covariance of each bot's parts of skill on a day, and of its luck on that day and the one before."""

    def __init__(self, bots: int) -> None:
        self.bots = bots
        self.mean = np.zeros(5 * bots)
        self.covariance = np.diag(np.repeat([*VARIANCES, 0.0, 0.0], bots))
        self.skill = np.tile(np.eye(bots), (1, 3))

    def luck(self, covariance: np.ndarray) -> None:
        """The day's luck, of which nothing is known yet but its covariance."""
        today = slice(3 * self.bots, 4 * self.bots)
        self.covariance[today, today] = covariance

    def observe(self, part: np.ndarray, value: np.ndarray, variance: float) -> None:
        """Take in what a linear part of the state was seen to be, with that variance of each error."""
        seen = self.covariance @ part.T
        gain = np.linalg.solve(part @ seen + variance * np.eye(len(part)), seen.T).T
        self.mean = self.mean + gain @ (value - part @ self.mean)
        self.covariance = self.covariance - gain @ seen.T

    def next_day(self) -> None:
        """Skill fades and is renewed; the day's luck becomes that of the day before."""
        n = self.bots
        move = np.zeros((5 * n, 5 * n))
        move[: 3 * n, : 3 * n] = np.diag(np.repeat(KEEPS, n))
        move[4 * n :, 3 * n : 4 * n] = np.eye(n)
        self.mean = move @ self.mean
        self.covariance = move @ self.covariance @ move.T
        self.covariance[np.diag_indices(3 * n)] += np.repeat((1 - KEEPS**2) * VARIANCES, n)


def expected_results(simulation: Simulation, *, scores: bool) -> np.ndarray:
    """What each bot is expected to earn per trade on the day after each day, in its trades' standard deviation, by what
    it and the others had closed by then, and with `scores` by the informative score as well; days x bots."""
    law, days, bots = BOT_WORLDS[simulation.world], *simulation.skill.shape
    count, mean, group = _results(simulation)
    told = simulation.scores.pivot(index="day", columns="bot_id", values=INFORMATIVE_SCORE).to_numpy(float)
    filter_, out = _Filter(bots), np.zeros((days, bots))
    for day in range(days):
        traded = np.flatnonzero(count[day])
        size, lucky = _luck(count[day], group)
        filter_.luck(lucky)
        part = np.hstack([filter_.skill, np.diag(sqrt(1 - law.reversal**2) * size), -law.reversal * np.eye(bots)])
        filter_.observe(part[traded], mean[day, traded], EXACT)
        filter_.next_day()
        loading = law.early if day < days // 2 else law.late
        if scores and loading:
            known = np.flatnonzero(~np.isnan(told[day]))
            part = np.hstack([filter_.skill, np.zeros((bots, 2 * bots))])
            value = (told[day, known] - SCORE_MEAN) / SCORE_SD * SKILL_SD / loading
            filter_.observe(part[known], value, (1 - loading**2) / loading**2 * SKILL_SD**2)
        out[day] = filter_.skill @ filter_.mean[: 3 * bots] - law.reversal * filter_.mean[4 * bots :]
    return out


def _results(simulation: Simulation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each day and bot the closed trades and their mean result in their standard deviation; each bot's group."""
    closed = simulation.trades[simulation.trades["status"] == "closed"]
    result = closed["reported_pnl"] / (closed["notional"] * RETURN_SD)
    of = result.groupby([closed["exit_time"].dt.floor("D"), closed["bot_id"]])
    wide = [of.agg(what).unstack().reindex_like(simulation.skill) for what in ("size", "mean")]
    main = (closed["ticker"] + " " + closed["direction"]).groupby(closed["bot_id"]).agg(lambda own: own.mode()[0])
    group = pd.factorize(main.reindex(simulation.skill.columns))[0]
    return wide[0].fillna(0).to_numpy(int), wide[1].to_numpy(), group


def _luck(count: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each bot the standard deviation of the mean noise of so many trades, and the correlations of bots' noise."""
    spread = np.sqrt(np.maximum(count * (1 + (count - 1) * FACTOR_CORRELATION), 0))
    shared = FACTOR_CORRELATION * np.outer(count, count) * (group[:, None] == group)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.where(np.outer(spread, spread) > 0, shared / np.outer(spread, spread), 0.0)
        size = np.where(count > 0, spread / count, 0.0)
    np.fill_diagonal(correlation, count > 0)
    return size, correlation
