"""Skill by the trades of any history, without a database."""

from __future__ import annotations

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.judgement import judge
from knowdefeat_pipeline.core.units import Ints, day_of, micros

COLUMNS = ("bot_id", "p_skill", "edge", "edge_low", "edge_high", "verdict")


def judge_trades(trades: pd.DataFrame) -> pd.DataFrame:
    """A row per bot, by bot, with the columns COLUMNS, over all the closed trades given.

    `trades`: exit_time (instants, or numbers of days), bot_id (numbers or texts), pnl and, if known, strategy_id. A bot
    belongs to the strategy of its last trade; one without is a strategy of its own.

    >>> trades = pd.DataFrame({"exit_time": np.arange(60) / 3, "bot_id": "a", "pnl": np.tile([1.0, 2.0, -1.0], 20)})
    >>> judge_trades(trades)[["bot_id", "verdict"]].values.tolist()
    [['a', 'good']]
    """
    bot, names = pd.factorize(trades["bot_id"], sort=True)
    day = _days(trades["exit_time"])
    order = np.lexsort((trades["exit_time"].array, bot))
    pnl = trades["pnl"].to_numpy(np.float64)
    results = DailyResults.of_columns(bot[order].astype(np.int64), day[order], pnl[order])
    judged = judge(results, _strategies(trades, bot, order))
    return judged.assign(bot_id=names.take(judged["bot_id"].to_numpy()))[[*COLUMNS]]


def _days(exit_time: pd.Series) -> Ints:
    if isinstance(exit_time.dtype, pd.DatetimeTZDtype):
        return day_of(micros(exit_time))
    days: Ints = np.floor(exit_time.to_numpy(np.float64)).astype(np.int64)
    return days


def _strategies(trades: pd.DataFrame, bot: Ints, order: Ints) -> dict[int, str]:
    """By the number of the bot, in the order of its trades; bots without a strategy are not there."""
    if "strategy_id" not in trades:
        return {}
    last = dict(zip(bot[order].tolist(), trades["strategy_id"].array[order], strict=True))
    return {number: str(strategy) for number, strategy in last.items() if not pd.isna(strategy)}
