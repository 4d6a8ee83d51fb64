"""Backtests of weight sets over a panel: which of several ways to score bots predicted the next day, and by how much.

Nothing here learns or changes a weight. A contestant is one score per row of the panel, known at the row's as_of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal, get_args

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.learning.inference import bootstrap_mean, deflated_sharpe
from knowdefeat_pipeline.core.learning.learner import DEFAULT, EQUAL, learn_weights, rank_ic
from knowdefeat_pipeline.core.learning.ridge_experts import RECOMMENDED
from knowdefeat_pipeline.core.ranking.panel import Panel
from knowdefeat_pipeline.core.schema.variables import DEFAULT_WEIGHTS, VARIABLE_NAMES
from knowdefeat_pipeline.core.units import Floats, Ints

BacktestSet = Literal["default", "recommended", "equal", "know_defeat", "know_defeat_fallback", "ai"]
SETS: tuple[BacktestSet, ...] = get_args(BacktestSet)
"""The contestants that every backtest can have."""
REFERENCE: BacktestSet = "default"


def know_defeat_scores(frame: pd.DataFrame) -> Floats:
    """Know-Defeat's own score on raw figures: Σ weight · metric / 100, its drawdown term weight · (100 - avg_drawdown).

    As there, a figure that is absent counts 0.
    """
    figures = frame[list(VARIABLE_NAMES)].astype(np.float64).fillna(0.0)
    figures["avg_drawdown"] = 100 - figures["avg_drawdown"]
    return (figures * list(DEFAULT_WEIGHTS.values()) / 100).sum(axis=1).to_numpy()


def know_defeat_fallback_scores(frame: pd.DataFrame) -> Floats:
    """What Know-Defeat ranks by where it has no weights: one_hour_performance + avg_win_rate, absent ones 0."""
    return frame[["one_hour_performance", "avg_win_rate"]].astype(np.float64).fillna(0.0).sum(axis=1).to_numpy()


def contestants(panel: Panel, sets: Mapping[str, Mapping[str, float] | Floats] | None = None) -> dict[str, Floats]:
    """Scores of each of SETS (`ai`: the learner from the panel's first day on) and of any further sets by name.

    A set is 19 weights by name, or days x 19.
    """
    own = {
        REFERENCE: panel.rank_scores(DEFAULT),
        "recommended": panel.rank_scores(_array(RECOMMENDED)),
        "equal": panel.rank_scores(EQUAL),
        "know_defeat": know_defeat_scores(panel.frame),
        "know_defeat_fallback": know_defeat_fallback_scores(panel.frame),
        "ai": panel.rank_scores(learn_weights(panel).weights),
    }
    return own | {name: panel.rank_scores(_array(weights)) for name, weights in (sets or {}).items()}


def _array(weights: Mapping[str, float] | Floats) -> Floats:
    if isinstance(weights, Mapping):
        return np.array([weights.get(name, 0.0) for name in VARIABLE_NAMES])
    return weights


def backtest(panel: Panel, scores: Mapping[str, Floats], *, since: int = 0, seed: int = 0) -> pd.DataFrame:
    """Compare contestants, one of them REFERENCE, over the days from number `since` on; one row each, indexed by name.

    days: with at least two labels. rank_ic, with its stationary-bootstrap standard error `rank_ic_se`. gain: its mean
    difference to the default's, with standard error `gain_se` and 95 % interval `gain_low`, `gain_high`.
    top_quartile_pnl: mean label of a bot of the best quarter: what it earned over the next day, in its currency;
    top_quartile_result: the same in units of the bots' volatility, bots that were flat earning 0. turnover: part of
    the best quarter that is new since the day before. sharpe: mean / sd of the daily top_quartile_result, per day.
    deflated_sharpe: the probability that it is more than the best of so many contestants would reach by luck. NaN
    where a figure has too few days.
    """
    return compare(daily_figures(panel, scores, since), seed=seed)


def daily_figures(panel: Panel, scores: Mapping[str, Floats], since: int = 0) -> dict[str, pd.DataFrame]:
    """What each contestant achieved on each day: ic, pnl, result, turnover, one row a day of the panel.

    NaN on days before number `since` and on days with fewer than two labels; see `backtest` for what they mean.
    """
    return {name: _daily(panel, values, since) for name, values in scores.items()}


def compare(daily: Mapping[str, pd.DataFrame], *, seed: int = 0) -> pd.DataFrame:
    """The table of `backtest` from the contestants' daily figures."""
    sharpes = {name: _sharpe(table["result"].to_numpy()) for name, table in daily.items()}
    tried = np.array([sharpe for sharpe in sharpes.values() if not np.isnan(sharpe)])
    variance = float(tried.var(ddof=1)) if len(tried) > 1 else 0.0
    rows = {}
    for name, table in daily.items():
        ic = bootstrap_mean(table["ic"].to_numpy(), seed=seed)
        gain = asdict(bootstrap_mean((table["ic"] - daily[REFERENCE]["ic"]).to_numpy(), seed=seed))
        result = table["result"].dropna().to_numpy()
        rows[name] = {
            "days": int(table["ic"].notna().sum()),
            "rank_ic": ic.mean,
            "rank_ic_se": ic.standard_error,
            "gain": gain["mean"],
            "gain_se": gain["standard_error"],
            "gain_low": gain["low"],
            "gain_high": gain["high"],
            "top_quartile_pnl": table["pnl"].mean(),
            "top_quartile_result": table["result"].mean(),
            "turnover": table["turnover"].mean(),
            "sharpe": sharpes[name],
            "deflated_sharpe": _deflated(sharpes[name], result, len(daily), variance),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _daily(panel: Panel, scores: Floats, since: int) -> pd.DataFrame:
    bots = panel.frame["bot_id"].to_numpy()
    pnl = panel.frame["label"].to_numpy(np.float64)
    out = np.full((len(panel), 4), np.nan)
    previous: set[int] = set()
    for day in range(since, len(panel)):
        rows = panel.rows(day)
        known = ~np.isnan(panel.label[rows])
        if known.sum() < 2:
            continue
        best = _top_quartile(scores[rows])
        chosen = set(bots[rows][best].tolist())
        out[day] = (
            rank_ic(scores[rows][known, None], panel.label[rows][known])[0],
            np.nan_to_num(pnl[rows][best]).mean(),
            np.nan_to_num(panel.result[rows][best]).mean(),
            len(chosen - previous) / len(chosen) if previous else np.nan,
        )
        previous = chosen
    return pd.DataFrame(out, columns=["ic", "pnl", "result", "turnover"])


def _top_quartile(scores: Floats) -> Ints:
    """Positions of the best quarter, at least one; scores that differ by rounding alone go by position."""
    return np.argsort(-np.round(scores, 9), kind="stable")[: max(1, len(scores) // 4)]


def _sharpe(results: Floats) -> float:
    results = results[~np.isnan(results)]
    spread = results.std(ddof=1) if len(results) > 1 else 0.0
    return float(results.mean() / spread) if spread > 0 else np.nan


def _deflated(sharpe: float, results: Floats, trials: int, variance: float) -> float:
    if np.isnan(sharpe):
        return np.nan
    standard = (results - results.mean()) / results.std()
    skew, kurtosis = (float((standard**power).mean()) for power in (3, 4))
    return deflated_sharpe(sharpe, len(results), trials=trials, variance=variance, skew=skew, kurtosis=kurtosis)
