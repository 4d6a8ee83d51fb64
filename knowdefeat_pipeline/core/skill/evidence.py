"""What a bot's own results say of its edge: the mean in units of their sd, with an error that is clustered by day."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.skill.daily_results import DailyResults, moments
from knowdefeat_pipeline.core.units import Bools, Floats, Ints

LEAST_TRADES, LEAST_OF_A_KIND = 5, 10


@dataclass(frozen=True)
class Evidence:
    """Of each of n bots: its trades, `edge` (R: mean result in the bot's own sd) corrected for skewness, and `error`.

    `proven`: whether it closed enough wins and losses to be judged by them; edge and error count only there. `series`
    (n, days): what each of `day` adds to the error of the edge, 0 for bots that are not proven.
    """

    bot: Ints
    trades: Ints
    wins: Ints
    losses: Ints
    edge: Floats
    error: Floats
    proven: Bools
    day: Ints
    series: Floats

    def __len__(self) -> int:
        return len(self.bot)


def evidence(results: DailyResults) -> Evidence:
    """What the results of each bot say of its edge.

    e = mean / sd; y = Σ over a day of (result - mean) / sd; error = √max(n - 1, Σ y² · D/(D - 1)) / n for n trades on D
    days, so that trades which win or lose together count as few; edge = e + clip(g·error²/6 + g·e²/3, ± 3 errors) for
    the skewness g. Multiplying a bot's results by a constant changes nothing.

    Parameters
    ----------
    results : DailyResults

    Returns
    -------
    Evidence
        One entry per bot, by bot. Proven: at least 10 wins, 10 losses and 5 trades; else edge 0 and error 1.

    References
    ----------
    Johnson, "Modified t tests and confidence intervals for asymmetrical populations", Journal of the American
    Statistical Association 1978.

    Examples
    --------
    Results of 2 and -1 in turn, one of each a day: no day differs from another, and only chance within days is left:

    >>> bot, day, pnl = np.zeros(40, int), np.arange(40) // 2, np.tile([2.0, -1.0], 20)
    >>> said = evidence(DailyResults.of_columns(bot, day, pnl))
    >>> said.edge.round(6).tolist(), said.error.round(6).tolist(), said.proven.tolist()
    ([0.32914], [0.156125], [True])
    """
    of = moments(results)
    wins, losses = (_by_bot(values, of.begin) for values in (results.wins, results.losses))
    proven = (np.minimum(wins, losses) >= LEAST_OF_A_KIND) & (of.count >= LEAST_TRADES)
    days = np.diff(of.begin, append=len(results))
    row = np.repeat(np.arange(len(days)), days)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = (results.pnl - results.trades * of.mean[row]) / of.sd[row]
        clustered = np.where(days > 1, _by_bot(off**2, of.begin) * days / (days - 1), 0.0)
        error = np.sqrt(np.maximum(of.count - 1, clustered)) / of.count
        raw = of.mean / of.sd
        correction = of.skewness * (error**2 / 6 + raw**2 / 3)
    edge = raw + np.clip(correction, -3 * error, 3 * error)
    column, day = pd.factorize(results.day, sort=True)
    series = np.zeros((len(days), len(day)))
    series[row, column] = np.where(proven[row], off / of.count[row], 0.0)
    return Evidence(
        of.bot, of.count, wins, losses, np.where(proven, edge, 0.0), np.where(proven, error, 1.0), proven, day, series
    )


def renewed(known: Evidence, fresh: Evidence) -> Evidence | None:
    """What is known of all bots with that of some in place of theirs; None where these have bots or days of their own.

    The same as `evidence` of all results, as a bot's evidence rests on no other bot.
    """
    if not (np.isin(fresh.bot, known.bot).all() and np.isin(fresh.day, known.day).all()):
        return None
    row, column = np.searchsorted(known.bot, fresh.bot), np.searchsorted(known.day, fresh.day)
    columns = {f.name: getattr(known, f.name).copy() for f in fields(known)}
    for name, values in columns.items():
        if name not in ("day", "series"):
            values[row] = getattr(fresh, name)
    columns["series"][row] = 0.0
    columns["series"][np.ix_(row, column)] = fresh.series
    return Evidence(**columns)


def _by_bot(values: np.ndarray, begin: Ints) -> np.ndarray:
    return np.add.reduceat(values, begin) if len(begin) else values[:0]
