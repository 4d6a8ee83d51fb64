"""The audit: results read back and held against each other, over all assets at once. It writes nothing.

What would harm the next asset is checked within its step and stops the chain. These rules are no part of a refresh:
reading 90 days of a thousand bots back takes a second. They hold after backfills, every night, and whenever asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import pandas as pd
import psycopg
from psycopg import sql

from knowdefeat_pipeline.core.schema import METRICS, OPEN_POSITIONS
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.steps.outcome import CheckResult, Figures

SHOWN = 5


@dataclass(frozen=True)
class Rule:
    """What holds for an asset's days first..last: `sql/queries/audits/<query>.sql` returns the rows that break it."""

    asset: str
    name: str
    description: str
    severity: Literal["ERROR", "WARN"] = "ERROR"
    query: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def rests_on(asset: str, upstream: str) -> Rule:
    """No day of the asset holds results computed from an older version of what it rests on."""
    return Rule(
        asset,
        f"rests_on_current_{upstream}",
        f"Each day was computed from the {upstream} that are there, not from an earlier computation of them.",
        query="rests_on",
        parameters={"asset": asset, "upstream": upstream},
    )


RULES = (
    Rule("trades", "quarantine_is_empty", "No refused row waits to be released or discarded.", severity="WARN"),
    Rule(
        "trades",
        "suspected_twins",
        "No trades with ids of their own are alike in all else. They may be real: one signal, several positions.",
        severity="WARN",
    ),
    Rule(
        "trades",
        "writers_state_their_pnl",
        "What bots state as the net pnl of trades that they write themselves is what prices, size and costs give.",
        severity="WARN",
    ),
    Rule(
        "bot_metrics",
        "figures_are_possible",
        "No figure is infinite or NaN, there are sums exactly where there are trades, and no count exceeds its whole.",
    ),
    Rule("bot_metrics", "tickers_sum_to_the_bot", "Counts and pnl of a bot's tickers sum to those of the bot."),
    Rule("win_streaks", "longer_streaks_are_rarer", "Each bot has the six lengths, a longer never more often."),
    Rule("win_streaks", "streaks_agree_with_metrics", "Streaks and metrics rest on the same trades and wins."),
    rests_on("win_streaks", "bot_metrics"),
    Rule("bot_rankings", "ranks_follow_the_scores", "Ranks are 1 to n from the highest score to the lowest."),
    Rule(
        "bot_rankings",
        "ranked_or_with_a_reason",
        "Each bot with metrics is in its day's ranking, with either a rank or the reason for having none.",
    ),
    Rule(
        "bot_rankings",
        "ranked_with_an_earlier_version",
        "Each day is ranked with the last version of the weights from strictly before its as_of.",
    ),
    rests_on("bot_rankings", "bot_metrics"),
    rests_on("bot_skill", "bot_metrics"),
    Rule("variable_weights", "weights_make_100", "Each day has all weights, of one decimal, in all exactly 100.0."),
    Rule("variable_weights", "version_was_in_force", "Each day has the weights in force once it was ranked."),
    rests_on("variable_weights", "bot_rankings"),
    Rule(
        "fund_allocations",
        "allocations_follow_the_ranking",
        "Each bot's allocation was made from the rank that it has in the day's ranking.",
    ),
    rests_on("fund_allocations", "bot_rankings"),
    rests_on("fund_allocations", "bot_skill"),
    rests_on("fund_allocations", "strategy_beliefs"),
    rests_on("strategy_beliefs", "bot_metrics"),
    rests_on("strategy_weights", "strategy_beliefs"),
)


def offenders(connection: psycopg.Connection, rule: Rule, first: date, last: date) -> tuple[int, pd.DataFrame]:
    """How many rows of the days break the rule, and the first few of them."""
    amounts = [
        sql.SQL("abs({})").format(sql.Identifier(figure.name))
        for figure in (*METRICS, *OPEN_POSITIONS)
        if figure.type == "double precision"
    ]
    broken = sql.SQL(query(f"audits/{rule.query or rule.name}")).format(amounts=sql.SQL(", ").join(amounts))
    statement = sql.SQL("SELECT count(*) OVER () AS wrong, o.* FROM ({}) AS o LIMIT {}").format(broken, SHOWN)
    cursor = connection.execute(statement, {"first": first, "last": last, **rule.parameters})
    rows = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])
    return (int(rows["wrong"].iloc[0]) if len(rows) else 0), rows.drop(columns="wrong")


def audit_days(connection: psycopg.Connection, first: date, last: date) -> list[tuple[Rule, CheckResult]]:
    """What every rule finds in the days first..last."""
    found = []
    for rule in RULES:
        wrong, examples = offenders(connection, rule, first, last)
        figures: Figures = {"days": f"{first} to {last}", "wrong": wrong}
        shown = examples if wrong else None
        found.append((rule, CheckResult(rule.name, wrong == 0, figures, severity=rule.severity, examples=shown)))
    return found
