"""How one bot's amount came about: the chain from its score to what it is given, in plain sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from knowdefeat_pipeline.core.funds.daily import Division, p_same_edge
from knowdefeat_pipeline.core.funds.settings import FundSettings, SkillBar
from knowdefeat_pipeline.core.funds.targets import MIDDLE_SCORE
from knowdefeat_pipeline.core.money import amount_of, shown

MEASURES = {
    "equal": "Every eligible bot has the same target",
    "inverse_variance": "Targets are in inverse proportion to the variance of daily results",
    "hrp": "Targets are by hierarchical risk parity, from daily results of 30 days",
}


def explain(division: Division, bots: pd.DataFrame, bot_id: int, settings: FundSettings) -> list[str]:
    """Sentences on the amount of a bot on the one day of `division`.

    `bots`: `FundInputs.bots` of that day. Amounts are in the bot's quote currency. Raises ValueError where it is not
    there.
    """
    rows = division.rows[division.rows["quote_currency"] == settings.quote_currency]
    if not (rows["bot_id"] == bot_id).any():
        raise ValueError(f"bot {bot_id} is not among those that were given funds in {settings.quote_currency}")
    row = rows[rows["bot_id"] == bot_id].iloc[0]
    own = bots[bots["quote_currency"] == settings.quote_currency]
    bot = own[own["bot_id"] == bot_id].iloc[0]
    # The bar is the fleet's: a bot that was not judged has no probability of its own that all have one edge.
    bar = settings.bar(p_same_edge(own))
    (day,) = division.days[division.days["quote_currency"] == settings.quote_currency].to_dict("records")
    steps = [_ranked(bot, int(rows["rank"].notna().sum())), _skilled(bot, bar)]
    if row["target"] == row["target"]:
        steps += [_aim(bot, row, settings), *_capped(row, settings)]
    else:
        steps.append(f"It gets nothing: {row['reason']}.")
    return [*steps, _left(day, settings)]


def _money(units: float, settings: FundSettings) -> str:
    return f"{shown(amount_of(round(units), settings.quote_currency), settings.quote_currency)}"


def _ranked(bot: Any, ranked: int) -> str:
    if bot["rank_score"] != bot["rank_score"]:
        return f"It has no score: {bot['unranked']}."
    return f"Its score is {bot['rank_score']:.2f}: rank {bot['rank']} of {ranked}."


def _skilled(bot: Any, bar: SkillBar | None) -> str:
    p_skill = bot.get("p_skill", np.nan)
    known = f"P(edge > 0) is {p_skill:.3f}" if p_skill == p_skill else "Its skill is not computed"
    if bar is None:
        return f"{known}; no skill is asked for (ungated)."
    verdict = "above" if p_skill > bar.least else "not above"
    return f"{known}, {verdict} the {bar.least} that is needed{bar.because}."


def _aim(bot: Any, row: Any, settings: FundSettings) -> str:
    share = (
        f"its target is {100 * row['target']:.2f} % of the funds, {_money(row['target'] * settings.funds, settings)}"
    )
    if settings.method == "rank_score":
        points = max(0.0, bot["rank_score"] - MIDDLE_SCORE)
        return (
            f"It has {points:.2f} points above {MIDDLE_SCORE:g}; in proportion to those of all eligible bots {share}."
        )
    if settings.method == "belief_edge":
        edge = max(0.0, bot["edge"])
        return f"The edge believed of its strategy is {edge:.4f}; in proportion to those of all eligible bots {share}."
    return f"{MEASURES[settings.method]}: {share}."


def _capped(row: Any, settings: FundSettings) -> list[str]:
    rules, amount, aim = settings.allocation, row["amount"], row["target"] * settings.funds
    most = f"One bot may hold {_money(int(rules.bot_cap * settings.funds + 1e-6), settings)} at most"
    if rules.ticker_cap < 1:
        most += f", all bots of {row['ticker']} {_money(int(rules.ticker_cap * settings.funds + 1e-6), settings)}"
    given = f"It gets {_money(amount, settings)} {settings.quote_currency}: {row['reason']}."
    shift = amount - aim
    if row["decision"] != "funded" or abs(shift) < 1:
        return [f"{most}.", given]
    return [
        f"{most}.",
        f"What caps keep from others moves each bot within its caps by {_money(shift, settings)}.",
        given,
    ]


def _left(day: Any, settings: FundSettings) -> str:
    whole, cash = _money(settings.funds, settings), _money(day["cash"], settings)
    return f"Of {whole} {settings.quote_currency} in all, {cash} stays cash: {day['cash_reason']}."
