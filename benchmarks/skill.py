"""Skill in fleets whose truth is known, beside a t-test of each bot and Benjamini and Hochberg's rule; on real bots.

    python -m benchmarks.skill [--fleets 60] [--first-seed 1] [--json]

A fleet is 50 bots of 100 to 1,000 trades (log-uniform) over 120 days, Student-t(5) noise of sd 1, each bot on a scale
of its own. Kinds: no edge; no edge and half of the variance a daily factor that all bots share; every edge below 0;
grid bots (99 % small wins, mean -.02); ten strategies whose means have an sd of .1, bots around them .02; edges dense
around 0 (sd .06), with and without the factor. Each figure is a mean over fleets with its standard error, beside what
it must be. Shares of a set (false ones, power) are ratios of sums, their errors by the jackknife over fleets.
Calibration error: the mean over ten bins of P, weighed by their bots, of |mean P - share with an edge above 0|.

Real bots: `sp500_ma_bots/trades.parquet` under KNOWDEFEAT_SHARED_DATA, judged by what closed before 2007, and what they
earned afterwards; left out where there is no such file. And the cost: 1,000 bots with 1,000,000 trades of a year.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy

from benchmarks.common import report, timed
from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.judgement import judge
from knowdefeat_pipeline.core.skill.replay import judge_trades

BOTS, DAYS, STRATEGIES = 50, 120, 10
SPLIT = pd.Timestamp("2007-01-01")


class Fleet(NamedTuple):
    """Trades sorted by bot and day; the true edge and the strategy of each bot."""

    bot: np.ndarray
    day: np.ndarray
    pnl: np.ndarray
    edge: np.ndarray
    strategy: dict[int, str]


def fleet(edge: np.ndarray, strategy: np.ndarray, factor: float, rng: np.random.Generator) -> Fleet:
    """Bots with these edges; `factor`: the share of their variance that is the day's."""
    count = np.exp(rng.uniform(np.log(100), np.log(1000), len(edge))).astype(int)
    bot = np.repeat(np.arange(len(edge)), count)
    day = rng.integers(0, DAYS, len(bot))
    order = np.lexsort((day, bot))
    common = rng.normal(size=DAYS)
    own = rng.standard_t(5, len(bot)) * np.sqrt(3 / 5)
    noise = np.sqrt(factor) * common[day] + np.sqrt(1 - factor) * own
    scale = np.exp(rng.normal(0, 0.6, len(edge)))
    pnl = scale[bot] * (edge[bot] + noise)
    names = {number: f"s{of}" for number, of in enumerate(strategy.tolist())}
    return Fleet(bot, day[order], pnl[order], edge, names)


def grid(rng: np.random.Generator) -> Fleet:
    """Bots that win 99 % of their trades and lose more in the others."""
    of = fleet(np.full(BOTS, -0.02), np.arange(BOTS) % STRATEGIES, 0.0, rng)
    lost = rng.random(len(of.bot)) < 0.01
    return of._replace(pnl=-0.02 + np.where(lost, -np.sqrt(0.99 / 0.01), np.sqrt(0.01 / 0.99)))


def by_strategy(rng: np.random.Generator) -> Fleet:
    """Bots that are as good as their strategies, nearly."""
    strategy = np.arange(BOTS) % STRATEGIES
    return fleet(rng.normal(0, 0.1, STRATEGIES)[strategy] + rng.normal(0, 0.02, BOTS), strategy, 0.0, rng)


def of_edges(draw: Callable[[np.random.Generator], np.ndarray], factor: float = 0.0) -> Callable[..., Fleet]:
    """Fleets whose edges are drawn so."""
    return lambda rng: fleet(draw(rng), np.arange(BOTS) % STRATEGIES, factor, rng)


KINDS: Mapping[str, Callable[[np.random.Generator], Fleet]] = {
    "no skill": of_edges(lambda rng: np.zeros(BOTS)),
    "no skill, factor": of_edges(lambda rng: np.zeros(BOTS), 0.5),
    "all lose": of_edges(lambda rng: -rng.uniform(0, 0.05, BOTS)),
    "grid": grid,
    "by strategy": by_strategy,
    "dense": of_edges(lambda rng: rng.normal(0, 0.06, BOTS)),
    "dense, factor": of_edges(lambda rng: rng.normal(0, 0.06, BOTS), 0.5),
}


def judged(of: Fleet) -> pd.DataFrame:
    """A row per bot: edge (true), p (skill), good, and what the two tests call good."""
    skill = judge(DailyResults.of_columns(of.bot, of.day, of.pnl), of.strategy)
    by_bot = pd.Series(of.pnl).groupby(of.bot)
    t = by_bot.mean() / (by_bot.std() / np.sqrt(by_bot.size()))
    p = scipy.stats.t.sf(t.to_numpy(), by_bot.size().to_numpy() - 1)
    return pd.DataFrame(
        {
            "edge": of.edge,
            "p": skill["p_skill"],
            "skill": (skill["verdict"] == "good"),
            "t-test": p < 0.05,
            "BH": benjamini_hochberg(p, 0.1),
            "t-test p": 1 - p,
        }
    )


def benjamini_hochberg(p: np.ndarray, rate: float) -> np.ndarray:
    """Which of these are called at that rate of false discoveries.

    >>> benjamini_hochberg(np.array([0.01, 0.5, 0.03]), 0.1).tolist()
    [True, False, True]
    """
    order = np.sort(p)
    below = np.flatnonzero(order <= rate * np.arange(1, len(p) + 1) / len(p))
    return p <= order[below[-1]] if len(below) else np.zeros(len(p), bool)


METHODS = ("skill", "t-test", "BH")


def share(fleets: list[pd.DataFrame], of: Callable[[pd.DataFrame], tuple[float, float]]) -> tuple[float, float]:
    """A ratio of sums over fleets, with its standard error by the jackknife."""
    parts = np.array([of(rows) for rows in fleets], dtype=float)
    total, n = parts.sum(axis=0), len(parts)
    value = total[0] / total[1] if total[1] else np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (total - parts)[:, 0] / (total - parts)[:, 1]
    return float(value), float(np.sqrt((n - 1) / n * np.nansum((without - np.nanmean(without)) ** 2)))


def called(method: str) -> Callable[[pd.DataFrame], tuple[float, float]]:
    """Bots called good of all bots."""
    return lambda rows: (rows[method].sum(), len(rows))


def any_called(method: str) -> Callable[[pd.DataFrame], tuple[float, float]]:
    """Fleets with a bot that is called good."""
    return lambda rows: (rows[method].any(), 1)


def power(method: str) -> Callable[[pd.DataFrame], tuple[float, float]]:
    """Bots called good of those with an edge above .05."""
    return lambda rows: (rows[method][rows["edge"] > 0.05].sum(), (rows["edge"] > 0.05).sum())


def false(method: str) -> Callable[[pd.DataFrame], tuple[float, float]]:
    """Bots without an edge above 0 of those called good."""
    return lambda rows: (rows[method][rows["edge"] <= 0].sum(), rows[method].sum())


def calibration_error(fleets: list[pd.DataFrame], p: str = "p") -> tuple[float, float]:
    """That of the fleets together, with its standard error by the jackknife."""
    bins = np.array([_bins(rows, p) for rows in fleets])  # (fleets, 3, 10)
    total, n = bins.sum(axis=0), len(bins)
    without = np.array([_error(total - one) for one in bins])
    return _error(total), float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def _bins(rows: pd.DataFrame, p: str) -> np.ndarray:
    number = np.minimum((rows[p] * 10).astype(int), 9)
    sums = (np.ones(len(rows)), rows[p], rows["edge"] > 0)
    return np.array([np.bincount(number, weights, 10) for weights in sums])


def _error(sums: np.ndarray) -> float:
    return float(np.abs(sums[1] - sums[2]).sum() / sums[0].sum())


# Kind, figure, its sums, whether it needs a method; what it must be.
FIGURES = (
    ("no skill", "called good", called, "≤ .01"),
    ("no skill", "fleets with any", any_called, "≤ 12 %"),
    ("no skill, factor", "called good", called, "≤ .01"),
    ("no skill, factor", "fleets with any", any_called, "≤ 8 %"),
    ("all lose", "called good", called, "0"),
    ("grid", "called good", called, "≤ .02"),
    ("by strategy", "power on edges > .05", power, "≥ .65"),
    ("by strategy", "share of false", false, "≤ .02"),
)
CALIBRATION = (("dense", "≤ .06"), ("by strategy", "≤ .04"), ("dense, factor", "≤ .16"))


def real() -> dict[str, float] | None:
    """Of real bots judged before 2007: those that are good, and how many of them earned afterwards."""
    path = Path(os.environ.get("KNOWDEFEAT_SHARED_DATA", "")) / "sp500_ma_bots" / "trades.parquet"
    if not path.is_file():
        return None
    trades = pd.read_parquet(path).query("trade_status == 'closed'")
    trades = trades.rename(columns={"trade_pnl": "pnl", "algo_id": "strategy_id"})
    before = trades["exit_time"] < SPLIT
    skill = judge_trades(trades[before].assign(exit_time=trades["exit_time"].dt.tz_localize("UTC"))).set_index("bot_id")
    later = trades[~before].groupby("bot_id")["pnl"].mean().reindex(skill.index)
    good, losing = (later[skill["verdict"] == word] > 0 for word in ("good", "losing"))
    return {
        "bots": len(skill),
        "good": len(good),
        "good, later above 0": float(good.mean()),
        "losing": len(losing),
        "losing, later above 0": float(losing.mean()),
        "all, later above 0": float((later > 0).mean()),
    }


def cost() -> dict[str, float]:
    """Seconds to judge 1,000 bots by the 1,000,000 trades of a year."""
    rng = np.random.default_rng(1)
    bot = np.repeat(np.arange(1000), 1000)
    day = np.sort(rng.integers(0, 365, (1000, 1000)), axis=1).ravel()
    pnl = rng.standard_t(5, len(bot))
    strategy = {number: f"s{number % 30}" for number in range(1000)}
    return timed(lambda: judge(DailyResults.of_columns(bot, day, pnl), strategy), 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.fleets)
    fleets = {name: [judged(make(np.random.default_rng(seed))) for seed in seeds] for name, make in KINDS.items()}
    found: dict[str, dict] = {}
    rows = []
    for kind, name, of, must in FIGURES:
        figures = {method: share(fleets[kind], of(method)) for method in METHODS}
        found[f"{kind}: {name}"] = figures
        rows.append((f"{kind}: {name}", f"{_cells(figures)}   must {must}"))
    for kind, must in CALIBRATION:
        figures = {"skill": calibration_error(fleets[kind]), "t-test": calibration_error(fleets[kind], "t-test p")}
        found[f"{kind}: calibration error"] = figures
        rows.append((f"{kind}: calibration error", f"{_cells(figures)}   must {must}"))
    if known := real():
        said = [
            f"{known[word]} {word}, later edge above 0 for {known[f'{word}, later above 0']:.1%} of them"
            for word in ("good", "losing")
            if known[word]
        ]
        said.append(f"of all {known['bots']} for {known['all, later above 0']:.1%}")
        rows.append(("real bots before 2007", f"{'; '.join(said)}   must: of the good ≥ 85 %"))
    seconds = cost()
    rows.append(("1,000 bots, 1 M trades", f"{seconds['cpu']:.3f} CPU-s   must ≤ 1"))
    title = f"Skill: {chosen.fleets} fleets a kind, {BOTS} bots"
    report(title, rows, {"figures": found, "real": known, "cost": seconds}, chosen.json)


def _cells(figures: Mapping[str, tuple[float, float]]) -> str:
    return "   ".join(f"{name} {value:.3f} ± {se:.3f}".ljust(23) for name, (value, se) in figures.items())


if __name__ == "__main__":
    main()
