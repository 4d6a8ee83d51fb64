"""The fleet judged: each bot's skill as a figure and as a word."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import LEAST_OF_A_KIND, Evidence, evidence
from knowdefeat_pipeline.core.skill.posterior import skill
from knowdefeat_pipeline.core.units import Array, Floats, Texts

Window = Literal["lifetime", "90 days"]
WINDOWS: Mapping[Window, int | None] = {"lifetime": None, "90 days": 90}
"""How many UTC days back each window looks, that of the as_of among them; None: to the first trade."""

GOOD, LIKELY_GOOD, LIKELY_LOSING, LOSING = 0.95, 0.8, 0.2, 0.05
UNCERTAIN = "cannot be told from luck"


def windowed(results: DailyResults, window: Window, last_day: int) -> DailyResults:
    """The results that a window looks at which ends with that day."""
    days = WINDOWS[window]
    return results.between(np.iinfo(np.int64).min if days is None else last_day - days + 1, last_day)


def judge(results: DailyResults, strategies: Mapping[int, str]) -> pd.DataFrame:
    """A row per bot, by bot: bot_id, trades, edge, edge_low, edge_high (R), p_skill (probability), verdict.

    `strategies`: the strategy of each bot; one that is not there is a strategy of its own. Bots without results have no
    row.

    >>> day = np.arange(60) // 3
    >>> results = DailyResults.of_columns(np.full(60, 7), day, np.tile([1.0, 2.0, -1.0], 20))
    >>> judge(results, {})[["bot_id", "trades", "verdict"]].values.tolist()
    [[7, 60, 'good']]
    """
    return pd.DataFrame(judged(evidence(results), strategies))


def judged(of: Evidence, strategies: Mapping[int, str]) -> dict[str, Array]:
    """The columns of `judge`, from what the bots' results say."""
    number: dict[str | int, int] = {}
    found = skill(of, np.array([number.setdefault(strategies.get(b, b), len(number)) for b in of.bot.tolist()], int))
    return {
        "bot_id": of.bot,
        "trades": of.trades,
        "edge": found.edge,
        "edge_low": found.edge_low,
        "edge_high": found.edge_high,
        "p_skill": found.p_skill,
        "verdict": verdicts(of, found.p_skill),
    }


def verdicts(of: Evidence, p_skill: Floats) -> Texts:
    """Each bot's skill in words: good (p_skill at least .95), likely good (.8), cannot be told from luck, likely losing
    (at most .2), losing (.05); of a bot that is not proven, what it lacks.
    """
    steps = [of.proven & (p_skill >= GOOD), of.proven & (p_skill >= LIKELY_GOOD)]
    steps += [of.proven & (p_skill <= LOSING), of.proven & (p_skill <= LIKELY_LOSING)]
    words: Texts = np.select(steps, ["good", "likely good", "losing", "likely losing"], UNCERTAIN).astype(object)
    for bot in np.flatnonzero(~of.proven).tolist():
        words[bot] = _unproven(int(of.wins[bot]), int(of.losses[bot]))
    return words


def _unproven(wins: int, losses: int) -> str:
    """A bot that never closes a loss proves nothing, nor does one that never won."""
    count, kind = (losses, "loss") if losses < LEAST_OF_A_KIND else (wins, "win")
    plural = {"loss": "losses", "win": "wins"}[kind]
    return f"cannot be judged: {count} closed {kind if count == 1 else plural}"


def false_share(p_skill: Collection[float]) -> float | None:
    """The expected share of bots among these, shown as good, whose edge is not above 0: the mean of 1 - p_skill.

    None without any.

    >>> round(false_share([0.99, 0.95]), 6)
    0.03
    """
    return float(np.mean(1 - np.array([*p_skill]))) if len(p_skill) else None
