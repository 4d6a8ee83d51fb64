"""The fleet judged: each bot's skill as a figure and as a word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.skill.daily_results import DailyResults
from knowdefeat_pipeline.core.skill.evidence import Evidence, evidence
from knowdefeat_pipeline.core.skill.luck import Luck
from knowdefeat_pipeline.core.skill.posterior import skill
from knowdefeat_pipeline.core.skill.verdicts import WORDS, verdict_codes
from knowdefeat_pipeline.core.units import Array, Ints


def judge(results: DailyResults, strategies: Mapping[int, str]) -> pd.DataFrame:
    """A row per bot, by bot: bot_id, trades, edge, edge_low, edge_high (R), p_skill (probability), verdict.

    `strategies`: the strategy of each bot; one that is not there is a strategy of its own. Bots without results have no
    row.

    >>> day = np.arange(60) // 3
    >>> results = DailyResults.of_columns(np.full(60, 7), day, np.tile([1.0, 2.0, -1.0], 20))
    >>> judge(results, {})[["bot_id", "trades", "verdict"]].values.tolist()
    [[7, 60, 'good']]
    """
    of = evidence(results)
    table = pd.DataFrame(judged(of, strategy_numbers(of.bot, strategies)))
    return table.assign(verdict=WORDS[table["verdict"]])


def strategy_numbers(bots: Ints, strategies: Mapping[int, str]) -> Ints:
    """The strategy of each of these bots by number, in the order of the bots; one that is not there has its own."""
    return numbered(np.array([strategies.get(bot, bot) for bot in bots.tolist()], object))


def numbered_by_leaders(bots: Ints, known: Ints, leader: Ints) -> Ints:
    """The same where the bots that are `known`, ascending, have as their strategy what stands for it: one of its bots.

    >>> numbered_by_leaders(np.array([9, 2, 4, 5]), np.array([1, 2, 4, 5]), np.array([1, 1, 4, 1])).tolist()
    [0, 1, 2, 1]
    """
    place = np.searchsorted(known, bots)
    there = np.append(known, -1)[place] == bots
    return numbered(np.where(there, np.append(leader, -1)[place], bots))


def numbered(keys: Array) -> Ints:
    """Numbers from 0 on, in the order in which keys come first: bots that come later change none before."""
    number: Ints = pd.factorize(keys)[0]
    return number


def judged(of: Evidence, strategy: Ints, luck: Luck | None = None) -> dict[str, Array]:
    """The columns of `judge`, from what the bots' results say and the numbers of their strategies, the verdict as its
    code; and the fleet's `p_same_edge`, in every row. `luck`: as `skill` takes it."""
    found = skill(of, strategy, luck)
    traded = np.flatnonzero(of.trades)
    order = traded[np.argsort(of.bot[traded])]
    columns: dict[str, Array] = {
        "bot_id": of.bot,
        "trades": of.trades,
        "edge": found.edge,
        "edge_low": found.edge_low,
        "edge_high": found.edge_high,
        "p_skill": found.p_skill,
        "verdict": verdict_codes(of, found.p_skill),
        "p_same_edge": np.full(len(of), found.p_same_edge),
    }
    return {name: values[order] for name, values in columns.items()}
