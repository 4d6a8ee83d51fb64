"""Panels of the simulated worlds: what a learner may know at each day's end, what came next, and what was to be known.

The law of the worlds stands in `simulation.bots`; here their trades go through the metrics engine, day by day, as real
trades do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.metrics.capital import Capital
from knowdefeat_pipeline.core.metrics.engine import bot_metrics
from knowdefeat_pipeline.core.ranking.panel import DRAWDOWN_AMOUNT, REQUIRED
from knowdefeat_pipeline.core.ranking.ranking import MIN_TRADES
from knowdefeat_pipeline.core.schema.figure import ALL_TICKERS
from knowdefeat_pipeline.core.simulation.bots import BOT_WORLDS, CAPITAL, SCORES, Simulation, simulate
from knowdefeat_pipeline.core.trades.columns import Trades
from knowdefeat_pipeline.core.units import Floats, micros

ONE_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class WorldPanel:
    """One simulated history as a learner meets it.

    frame: a row per as_of (each day's end but the last) and bot with enough trades to be ranked: as_of, bot_id, group,
        volatility, avg_drawdown_amount, Know-Defeat's 17 variables and label, as `ranking.panel` reads them.
    skill: per row, the true skill: what it should bring on the next day in units of the bot's volatility.
    expected: the same to one who also knows the part of yesterday's luck that will be taken back (`adverse` alone).
    """

    frame: pd.DataFrame
    skill: Floats
    expected: Floats


def simulate_panel(world: str, *, bots: int, days: int, seed: int, end: datetime) -> WorldPanel:
    """The panel of a simulated history of so many days; arguments and errors as in `simulate`."""
    return panel_of(simulate(world, bots=bots, days=days, seed=seed, end=end))


def panel_of(simulation: Simulation) -> WorldPanel:
    """The panel of a simulation's closed trades and scores."""
    closed = simulation.trades[simulation.trades["status"] == "closed"].rename(columns={"reported_pnl": "pnl"})
    as_of = pd.DatetimeIndex(simulation.skill.index[:-1] + ONE_DAY)
    metrics = bot_metrics(
        Trades.from_frame(closed.assign(trade_id=np.arange(len(closed)))),
        micros(as_of),
        capital=Capital(dict.fromkeys(closed["bot_id"].tolist(), CAPITAL)),
    )
    rows = metrics[(metrics["ticker"] == ALL_TICKERS) & (metrics["trades"] >= MIN_TRADES)]
    scores = simulation.scores.assign(as_of=simulation.scores["day"] + ONE_DAY).drop(columns="day")
    rows = rows.drop(columns=list(SCORES)).merge(scores, how="left", on=["as_of", "bot_id"], validate="one_to_one")
    next_day = pd.MultiIndex.from_frame(rows[["as_of", "bot_id"]])
    earned = closed.groupby([closed["exit_time"].dt.floor("D"), "bot_id"])["pnl"].sum()
    rows = rows.assign(
        group=rows["main_ticker"] + " " + rows["main_direction"], label=earned.reindex(next_day).to_numpy()
    )
    skill, expected = (
        truth.stack().reindex(next_day).to_numpy() / rows["volatility"].to_numpy()
        for truth in (simulation.skill_pnl, simulation.expected_pnl)
    )
    return WorldPanel(rows[[*REQUIRED, DRAWDOWN_AMOUNT]], skill, expected)


def scores_of_trades(simulation: Simulation) -> pd.DataFrame:
    """The model scores of each closed trade: source_trade_id and the three scores, NaN where missing.

    A trade has its bot's scores of the day on which it closed, so that a bot's mean over its trades of the trailing 30
    days tells of the skill to come what these days' scores tell. No rows for a world in which no score tells anything.
    """
    law = BOT_WORLDS[simulation.world]
    closed = simulation.trades[simulation.trades["status"] == "closed"]
    if not (law.early or law.late):
        closed = closed.iloc[:0]
    closed = closed.assign(day=closed["exit_time"].dt.floor("D"))[["source_trade_id", "day", "bot_id"]]
    rows = closed.merge(simulation.scores, how="left", on=["day", "bot_id"], validate="many_to_one")
    return rows[["source_trade_id", *SCORES]]
