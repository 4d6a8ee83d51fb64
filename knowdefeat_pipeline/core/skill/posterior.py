"""The posterior of each bot's edge, shrunk from bot to strategy to fleet by what luck alone would spread them.

How far bots of a strategy, and strategies, truly differ is not known: every pair of a grid is tried, and weighed by how
well it explains the fleet. The errors of bots that trade on the same days are added up day by day, so that luck which
they share is not taken for skill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy  # whose parts are loaded when they are first used

from knowdefeat_pipeline.core.skill.evidence import Evidence
from knowdefeat_pipeline.core.skill.luck import Luck
from knowdefeat_pipeline.core.units import Floats, Ints

BOT_SD = np.array([0.0, 0.01, 0.02, 0.035, 0.06, 0.1, 0.16])
BOT_PRIOR = np.array([0.30, 0.10, 0.10, 0.15, 0.15, 0.12, 0.08])
STRATEGY_SD = np.array([0.0, 0.02, 0.05, 0.1])
STRATEGY_PRIOR = np.array([0.40, 0.25, 0.20, 0.15])
FLEET_VARIANCE = 0.05**2
"""The prior: the sd of bots within a strategy and of strategies, in R, with probabilities; the variance of the fleet's
mean around 0."""
TAIL = 0.05  # beyond each end of the interval
NEGLIGIBLE = 1e-9  # a pair's weight that no digit shows
STEPS, CLOSE = 60, 1e-3  # a step so short, in sds, is the last
ROOT_OF_2_PI = np.sqrt(2 * np.pi)
FACTORS = 16  # of a product whose log is taken
ONE_THREAD = 250_000  # multiplications
DAYS = 50  # at once, which stay in the cache


@dataclass(frozen=True)
class Skill:
    """Of each bot: P(edge > 0), and its edge in R with the ends of the 90 % interval: the 5 % and 95 % quantiles, so
    that p_skill ≥ .95 says the same as edge_low ≥ 0.

    `p_same_edge`: the probability that neither bots nor strategies differ, so that all bots have one edge. Luck that
    they share moves it, and with it every p_skill."""

    p_skill: Floats
    edge: Floats
    edge_low: Floats
    edge_high: Floats
    p_same_edge: float


class Strategies(NamedTuple):
    """Of each sd of bots (7) and strategy: `precision` of its mean (0: no proven bot), `mean`, and its `variance` (inf)
    with luck that its bots share; and (7, bots) the `weight` of each bot, and its `share` of its strategy's."""

    share: Floats
    weight: Floats
    precision: Floats
    mean: Floats
    variance: Floats


class Fleet(NamedTuple):
    """Of each pair of sds that is not negligible: which `bot_sd` and `strategy_sd` of the grids, its `weight`, and the
    `mean` over strategies with its `variance`."""

    bot_sd: Ints
    strategy_sd: Ints
    weight: Floats
    mean: Floats
    variance: Floats


def skill(of: Evidence, strategy: Ints, luck: Luck | None = None) -> Skill:
    """The posterior of each bot's edge.

    Parameters
    ----------
    of : Evidence
        What each of n bots' results say, in R.
    strategy : ndarray of int, shape (n,)
        The strategy of each bot, any numbers.
    luck : Luck, optional
        What was added up of the same bots last time, and which of them have other results since; it is brought up to
        date. The same to the bit, and sooner.

    Returns
    -------
    Skill
        One entry per bot. A bot that is not proven has what its strategy and the fleet say; without any proven bot, the
        prior: p_skill .5, p_same_edge .12.

    Examples
    --------
    >>> from knowdefeat_pipeline.core.skill.daily_results import DailyResults
    >>> from knowdefeat_pipeline.core.skill.evidence import evidence
    >>> a, i, j = np.array([0.5, 0.3, 0.1, 0, -0.1, -0.3]), np.repeat(np.arange(6), 60), np.tile(np.arange(60), 6)
    >>> of = evidence(DailyResults.of_columns(i, j // 2, a[i] + np.sin(1 + 7 * i + 3 * j)))
    >>> skill(of, np.array([0, 0, 0, 1, 1, 1])).p_skill.round(6).tolist()
    [0.999999, 0.999074, 0.921749, 0.376315, 0.119107, 0.003206]
    """
    if len(of) == 0:
        none = np.empty(0)
        return Skill(none, none, none, none, float(BOT_PRIOR[0] * STRATEGY_PRIOR[0]))
    numbered = strategy.min() >= 0 and strategy.max() < len(of) and np.bincount(strategy).all()
    number = strategy if numbered else np.unique(strategy, return_inverse=True)[1]
    strategies = _strategies(of, number, luck or Luck())
    fleet = _fleet(of, strategies, number)
    mean, variance = _levels(of, strategies, fleet, number)
    alike = (fleet.bot_sd == 0) & (fleet.strategy_sd == 0)  # the first of each grid, which is no spread
    p_skill, edge, low, high = _mixture(fleet.weight, mean, np.sqrt(variance))
    return Skill(p_skill, edge, low, high, float(fleet.weight[alike].sum()))


def _strategies(of: Evidence, number: Ints, luck: Luck) -> Strategies:
    weight = np.where(of.proven, 1 / (of.error**2 + BOT_SD[:, None] ** 2), 0.0)
    precision, total = _by_strategy(weight, number), _by_strategy(weight * of.edge, number)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(precision > 0, total / precision, 0.0)
        own = 1 / precision
        share = np.where(of.proven, weight / precision.take(number, axis=1), 0.0)
    return Strategies(share, weight, precision, mean, np.maximum(own, _shared(of, share, number, luck)))


def _by_strategy(values: Floats, number: Ints) -> Floats:
    """The sums of values (7, bots) over the bots of each strategy."""
    return np.array([np.bincount(number, row) for row in values])


def _shared(of: Evidence, share: Floats, number: Ints, luck: Luck) -> Floats:
    """Of each sd and strategy: the variance of its mean, errors of its bots added up day by day. share (7, bots)."""
    bots = np.bincount(number[of.proven], minlength=int(number.max()) + 1)
    stale = np.zeros(len(bots), bool)
    stale[luck.stale(number)] = True
    out = np.zeros((len(BOT_SD), len(bots)))
    if not stale.all():
        out[:, ~stale] = luck.variance[:, ~stale]
    alone = np.flatnonzero(of.proven & (bots[number] == 1))
    out[:, number[alone]] = of.variance[alone]
    several = np.flatnonzero(of.proven & (bots[number] > 1) & stale[number])
    if len(several):
        those, place = np.unique(number[several], return_inverse=True)
        row = (np.arange(len(BOT_SD))[:, None] * len(those) + place).ravel()
        where = row, np.tile(np.arange(len(several)), len(BOT_SD))
        weights = scipy.sparse.csr_array((share[:, several].ravel(), where), (len(BOT_SD) * len(those), len(several)))
        of_pnl, of_trades = of.loading[several].T
        for first in range(0, len(of.daily), DAYS):
            pnl, trades = np.moveaxis(of.daily[first : first + DAYS].take(several, axis=1), 2, 0)
            added = weights @ (pnl * of_pnl + trades * of_trades).T
            out[:, those] += np.einsum("sd,sd->s", added, added).reshape(len(BOT_SD), -1)
    luck.strategy, luck.variance, luck.moved = number, out, luck.moved[:0]
    return out


def _fleet(of: Evidence, strategies: Strategies, number: Ints) -> Fleet:
    prior = np.log(BOT_PRIOR)[:, None] + np.log(STRATEGY_PRIOR)
    proven = strategies.precision[0] > 0
    if not proven.any():
        bot_sd, strategy_sd = np.nonzero(np.ones_like(prior))
        none = np.zeros(prior.size)
        return Fleet(bot_sd, strategy_sd, np.exp(prior.ravel()), none, np.full_like(none, np.inf))
    known = slice(None) if proven.all() else proven  # the former copies nothing
    precision, means, variances = (
        values[:, known] for values in (strategies.precision, strategies.mean, strategies.variance)
    )
    own = STRATEGY_SD[:, None] ** 2
    u = 1 / (variances[:, None] + own)  # (7, 4, strategies)
    powers = np.array([np.ones_like(means), means, means**2, np.sqrt(variances)])
    total, first, second, root = np.moveaxis(u @ powers.transpose(1, 2, 0), -1, 0)
    mean = first / total
    off = of.edge - strategies.mean.take(number, axis=1)
    within = _sum_of_logs(np.where(of.proven, strategies.weight, 1.0)) - (strategies.weight * off**2).sum(axis=1)
    within -= _sum_of_logs(precision)
    between = _sum_of_logs(u) - (second - first * mean) - np.log(total)
    chance = prior + 0.5 * (within[:, None] + between)
    # What strategies share of a day is laborious, and moves a pair's chance within bounds.
    least = own[:, 0] * np.einsum("bsk,bsk->bs", u, u) / total**2
    bounds = [np.maximum(1 / total, end) for end in (least, least + (root / total) ** 2)]
    worst = np.minimum(*(_chance_of_mean(mean, end) for end in bounds))
    best = _chance_of_mean(mean, np.clip(mean**2 - FLEET_VARIANCE, *bounds))
    bot_sd, strategy_sd = pairs = np.nonzero(chance + best >= (chance + worst).max() + np.log(NEGLIGIBLE))
    part = np.zeros((len(bot_sd), strategies.mean.shape[1]))
    part[:, known] = u[pairs] / total[pairs][:, None]
    shared = _daily_variance(part.take(number, axis=1) * strategies.share[bot_sd], of)
    mean, variance = mean[pairs], np.maximum(1 / total[pairs], shared + least[pairs])
    logs = chance[pairs] + _chance_of_mean(mean, variance)
    weight = np.exp(logs - logs.max())
    likely = weight > NEGLIGIBLE * weight.sum()
    return Fleet(*(values[likely] for values in (bot_sd, strategy_sd, weight / weight[likely].sum(), mean, variance)))


def _sum_of_logs(values: Floats) -> Floats:
    """Over the last axis: of products of a few values, which stay far from the largest float, as a log is laborious."""
    whole = values.shape[-1] // FACTORS * FACTORS
    products = values[..., :whole].reshape(*values.shape[:-1], FACTORS, -1).prod(axis=-2)
    out: Floats = np.log(products).sum(axis=-1) + np.log(values[..., whole:]).sum(axis=-1)
    return out


def _chance_of_mean(mean: Floats, variance: Floats) -> Floats:
    """The log likelihood of the mean over strategies."""
    return -0.5 * (np.log(FLEET_VARIANCE + variance) + mean**2 / (FLEET_VARIANCE + variance))


def _daily_variance(share: Floats, of: Evidence) -> Floats:
    """The sum over days of the squared sum of shares (pairs, bots) of what bots add on a day to their errors."""
    # A larger product is given to threads, which on a busy machine wait for one another longer than they compute.
    weights = (share[:, :, None] * of.loading).reshape(len(share), of.loading.size)
    daily = of.daily.reshape(len(of.daily), of.loading.size)
    out = np.zeros(len(share))
    groups = max(1, ONE_THREAD // weights.shape[1])
    for group in range(0, len(share), groups):
        some = weights[group : group + groups]
        days = max(1, ONE_THREAD // some.size)
        for first in range(0, len(daily), days):
            added = daily[first : first + days] @ some.T
            out[group : group + groups] += np.einsum("dg,dg->g", added, added)
    return out


def _levels(of: Evidence, strategies: Strategies, fleet: Fleet, number: Ints) -> tuple[Floats, Floats]:
    """Mean and variance of each bot's edge under each pair of sds, (pairs, bots)."""
    kept = FLEET_VARIANCE / (FLEET_VARIANCE + fleet.variance)
    mean, variance = (kept * fleet.mean)[:, None], (FLEET_VARIANCE * (1 - kept))[:, None]
    own = STRATEGY_SD[fleet.strategy_sd][:, None] ** 2
    q = own / (own + strategies.variance[fleet.bot_sd])
    mean = (mean + q * (strategies.mean[fleet.bot_sd] - mean)).take(number, axis=1)
    variance = ((1 - q) * own + (1 - q) ** 2 * variance).take(number, axis=1)
    of_bots = BOT_SD[fleet.bot_sd][:, None] ** 2
    h = np.where(of.proven, of_bots / (of_bots + of.error**2), 0.0)
    return mean + h * (of.edge - mean), (1 - h) * of_bots + (1 - h) ** 2 * variance


def _mixture(weight: Floats, mean: Floats, sd: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """What normal posteriors, weighed, say together: P(edge > 0), the edge, and the ends of its interval.

    weight (pairs,); mean and sd (pairs, bots).
    """
    # From the middle: exactly .5 where nothing is known, which no gate takes for skill, and never beyond certainty.
    p_skill = np.clip(0.5 + weight @ (scipy.special.ndtr(mean / sd) - 0.5), 0.0, 1.0)
    edge = weight @ mean
    z = scipy.special.ndtri([TAIL, 1 - TAIL])
    both = [np.tile(values, len(z)) for values in (mean, sd)]
    low, high = _quantiles(np.repeat(z, len(edge)), weight, *both).reshape(len(z), -1)
    return p_skill, edge, low, high


def _quantiles(z: Floats, weight: Floats, mean: Floats, sd: Floats) -> Floats:
    """The Φ(z) quantile of each of these mixtures: Halley's steps to the root of F - Φ(z), from the mean of its parts'
    quantiles.

    F is level between parts that lie far apart, and beyond them: where a step would leave the bracket, or the last one
    did not halve the distance, the bracket is halved instead.
    """
    wanted = scipy.special.ndtr(z)
    ends = mean + z * sd
    low, high = ends.min(axis=0), ends.max(axis=0)  # a mixture's quantile lies between those of its parts
    found = weight @ ends
    inverse, close = 1 / sd, CLOSE * sd.min(axis=0)
    open_, at, before = np.arange(len(z)), found, np.full(len(z), np.inf)
    for _ in range(STEPS):
        off = (at - mean) * inverse
        above = (weight @ scipy.special.ndtr(off) - wanted) * ROOT_OF_2_PI
        bell = np.exp(-0.5 * off**2) * inverse
        slope, bend = weight @ bell, -(weight @ (bell * off * inverse))
        low, high = np.where(above < 0, at, low), np.where(above > 0, at, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = at - above / (slope - 0.5 * above * bend / slope)
        trusted = (low <= step) & (step <= high) & (np.abs(above) <= np.maximum(before / 2, CLOSE**3))
        then = np.where(trusted, step, (low + high) / 2)
        # The error that is left is as the cube of a step, but as large as a bracket that is halved.
        far = np.flatnonzero(np.where(trusted, np.abs(then - at) > close, high - low > CLOSE**2 * close))
        found[open_], at, before = then, then, np.abs(above)
        if len(far) == 0:
            break
        if len(far) < len(at) / 2:
            open_ = open_[far]
            at, wanted, low, high, close, before = (of[far] for of in (at, wanted, low, high, close, before))
            mean, inverse = mean.take(far, axis=1), inverse.take(far, axis=1)
    return found
