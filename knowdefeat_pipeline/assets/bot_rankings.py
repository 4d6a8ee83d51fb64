"""`bot_rankings`: the bots in order, with what moved each."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue, pictures
from knowdefeat_pipeline.assets.partitions import covered_days, each_day
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.ranking.ranking import rank_bots
from knowdefeat_pipeline.core.schema import TABLES, VARIABLE_NAMES, VARIABLES
from knowdefeat_pipeline.store.results import active_bots, replace_days, version_in_force, weight_versions
from knowdefeat_pipeline.store.staleness import mark, marks

PREVIEW = ("rank", "bot_id", "rank_score", "eligible", "reason", "weight_version")
LINEAGE = {f"{v.name}_points": [("bot_metrics", v.measure), ("bot_metrics", "volatility")] for v in VARIABLES} | {
    "rank_score": [("bot_metrics", v.measure) for v in VARIABLES],
    "rank": [("bot_metrics", v.measure) for v in VARIABLES],
}
ROUNDING = 1e-9
CHECKS = [
    dg.AssetCheckSpec(
        "contributions_sum_to_the_score",
        asset="bot_rankings",
        blocking=True,
        description="The 17 contributions of each ranked bot sum to rank_score - 50.",
    ),
]


@catalogue.chain_asset(
    deps=["bot_metrics", "win_streaks"],
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("bot_rankings", TABLES["bot_rankings"], LINEAGE),
    description="Bots ranked by the weighted, scale-free score with the weights in force at each day's as_of.",
)
def bot_rankings(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    with database.connect() as connection:
        upstream = marks(connection, "bot_metrics", first, last)
        rows = rank_days(database, connection, first, last)
        with connection.transaction():
            table = pa.Table.from_pandas(rows, preserve_index=False, nthreads=1)
            replace_days(connection, "bot_rankings", first, last, table)
            mark(connection, "bot_rankings", upstream)
    points = rows[[f"{name}_points" for name in VARIABLE_NAMES]].sum(axis=1, skipna=False)
    off = (points - (rows["rank_score"] - 50)).abs()[rows["eligible"].astype(bool)]
    wrong = int((~(off <= ROUNDING)).sum())
    catalogue.describe(context, rows, each_day(first, last), PREVIEW)
    catalogue.show(context, last, "scores", lambda: pictures.draw_scores(rows[rows["day"] == last]))
    yield dg.MaterializeResult(
        check_results=[dg.AssetCheckResult(passed=wrong == 0, metadata={"checked": len(off), "wrong": wrong})]
    )


def rank_days(database: Database, connection: psycopg.Connection, first: date, last: date) -> pd.DataFrame:
    """The rows of the days first..last, from their metrics and the weights that `connection` sees in force at each."""
    metrics = database.read("ranking/ranking_metrics", first, last).to_pandas()
    number, instants = pd.factorize(metrics["as_of"], sort=True)
    versions, active = weight_versions(connection, instants[0] if len(instants) else None), active_bots(connection)
    in_force = [version_in_force(versions, instant) for instant in instants]
    weights = {name: np.array([v["weights"][name] for v in in_force])[number] for name in VARIABLE_NAMES}
    metrics = metrics.assign(
        weight_version=np.array([v["version"] for v in in_force], int)[number], is_active=metrics["bot_id"].map(active)
    )
    ranking = rank_bots(metrics, weights).join(metrics[["day", "weight_version", "is_active"]])
    return ranking[[figure.name for figure in TABLES["bot_rankings"]]]
