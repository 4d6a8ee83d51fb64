"""The audit: checks that read back what a run wrote, over all assets at once, and stop nothing.

What would harm the next asset is checked within the asset and stops the chain. These checks hold results against each
other and are no part of a refresh: reading 90 days of a thousand bots back takes a second, and every check costs its
run three events. They run after backfills, every night, and with what is materialised in the UI.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import dagster as dg
import pandas as pd
import psycopg
from psycopg import sql

from knowdefeat_pipeline.assets.catalogue import CHAIN, markdown_table
from knowdefeat_pipeline.assets.partition_states import PartitionStates, in_words, partition_states
from knowdefeat_pipeline.assets.partitions import FIRST_DAY, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import METRICS
from knowdefeat_pipeline.postgres.connection import query
from knowdefeat_pipeline.store.results import last_computed_day, traded_days

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
SHOWN = 5
STATES = "days_are_complete"


@dataclass(frozen=True)
class Rule:
    """What holds for an asset's days first..last: `sql/queries/audits/<name>.sql` returns the rows that break it."""

    asset: str
    name: str
    severity: dg.AssetCheckSeverity
    description: str


RULES = (
    Rule("trades", "quarantine_is_empty", WARN, "No refused row waits to be released or discarded."),
    Rule(
        "bot_metrics",
        "figures_are_possible",
        ERROR,
        "No figure is infinite or NaN, there are sums exactly where there are trades, and no count exceeds its whole.",
    ),
    Rule("bot_metrics", "tickers_sum_to_the_bot", ERROR, "Counts and pnl of a bot's tickers sum to those of the bot."),
    Rule("win_streaks", "longer_streaks_are_rarer", ERROR, "Each bot has the six lengths, a longer never more often."),
    Rule("win_streaks", "streaks_agree_with_metrics", ERROR, "Streaks and metrics rest on the same trades and wins."),
    Rule("bot_rankings", "ranks_follow_the_scores", ERROR, "Ranks are 1 to n from the highest score to the lowest."),
    Rule(
        "bot_rankings",
        "ranked_or_with_a_reason",
        ERROR,
        "Each bot with metrics is in its day's ranking, with either a rank or the reason for having none.",
    ),
    Rule(
        "variable_weights", "weights_make_100", ERROR, "Each day has 17 weights of one decimal, in all exactly 100.0."
    ),
    Rule("variable_weights", "version_was_in_force", ERROR, "Each day has the weights in force at its as_of."),
)


@dg.multi_asset_check(
    specs=[
        *(dg.AssetCheckSpec(rule.name, asset=rule.asset, description=rule.description) for rule in RULES),
        *(
            dg.AssetCheckSpec(STATES, asset=asset, description="No day failed, and none is missing between others.")
            for asset in CHAIN
        ),
    ],
)
def audit_checks(context: dg.AssetCheckExecutionContext, database: Database) -> Iterator[dg.AssetCheckResult]:
    """Of the run's days, or of the last computed day where it has none; the days' states of all days."""
    with database.connect() as connection:
        days = covered_days(context) if context.op_execution_context.has_partitions else _last_day(connection)
        for rule in RULES:
            wrong, first_wrong = offenders(connection, rule.name, *days)
            yield _result(rule, days, wrong, first_wrong)
        traded = traded_days(connection)
    for states in partition_states(context.instance, CHAIN, traded):
        yield _states_result(states)


def _last_day(connection: psycopg.Connection) -> tuple[date, date]:
    day = last_computed_day(connection) or FIRST_DAY
    return day, day


def offenders(connection: psycopg.Connection, rule: str, first: date, last: date) -> tuple[int, pd.DataFrame]:
    """How many rows of the days break the rule, and the first five of them."""
    amounts = [
        sql.SQL("abs({})").format(sql.Identifier(figure.name))
        for figure in METRICS
        if figure.type == "double precision"
    ]
    broken = sql.SQL(query(f"audits/{rule}")).format(amounts=sql.SQL(", ").join(amounts))
    statement = sql.SQL("SELECT count(*) OVER () AS wrong, o.* FROM ({}) AS o LIMIT {}").format(broken, SHOWN)
    cursor = connection.execute(statement, {"first": first, "last": last})
    rows = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])
    return (int(rows["wrong"].iloc[0]) if len(rows) else 0), rows.drop(columns="wrong")


def _result(rule: Rule, days: tuple[date, date], wrong: int, first_wrong: pd.DataFrame) -> dg.AssetCheckResult:
    rows = {"first wrong": dg.MetadataValue.md(markdown_table(first_wrong))} if wrong else {}
    return dg.AssetCheckResult(
        asset_key=rule.asset,
        check_name=rule.name,
        passed=wrong == 0,
        severity=rule.severity,
        metadata={"days": f"{days[0]} to {days[1]}", "wrong": wrong, **rows},
    )


def _states_result(states: PartitionStates) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=states.asset,
        check_name=STATES,
        passed=states.complete,
        severity=WARN,
        metadata={
            "days computed": len(states.computed),
            "days failed": len(states.failed),
            "failed": in_words(states.failed),
            "days missing": len(states.missing),
            "missing": in_words(states.missing),
        },
    )
