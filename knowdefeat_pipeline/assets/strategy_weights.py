"""`strategy_weights`: how much each strategy counts, as things stand and under each regime."""

from collections.abc import Iterator

import dagster as dg
import pandas as pd
import pyarrow as pa

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.partitions import covered_days, each_day
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.assets.strategy_beliefs import regimes_held
from knowdefeat_pipeline.core.beliefs.strategy_figures import WEIGHTS
from knowdefeat_pipeline.core.beliefs.strategy_figures import strategy_weights as weigh
from knowdefeat_pipeline.core.market.regimes import PROBABILITIES, REGIMES
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.store.results import replace_days
from knowdefeat_pipeline.store.staleness import mark, marks

PREVIEW = ("strategy_id", *WEIGHTS.values())
LINEAGE = {
    column: [("strategy_beliefs", name) for name in ("regime", "edge", "edge_sd")] for column in WEIGHTS.values()
}
CHECKS = [
    dg.AssetCheckSpec(
        "weights_sum_to_one",
        asset="strategy_weights",
        blocking=True,
        description="The weights of each day, as things stand and under each regime, are finite, not negative, and sum "
        "to exactly 1.",
    ),
]


@catalogue.belief_asset(
    deps=["strategy_beliefs"],
    kinds={"postgres", "numpy"},
    check_specs=CHECKS,
    metadata=catalogue.table("strategy_weights", TABLES["strategy_weights"], LINEAGE),
    description="How much each strategy counts, by its believed edge: as things stand and under each market regime.",
)
def strategy_weights(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult]:
    first, last = covered_days(context)
    with database.connect() as connection:
        upstream = marks(connection, "strategy_beliefs", first, last)
        rows = _weigh(
            database.read("beliefs/belief_edges", first, last).to_pandas(), regimes_held(database, first, last)
        )
        with connection.transaction():
            replace_days(connection, "strategy_weights", first, last, pa.Table.from_pandas(rows, preserve_index=False))
            mark(connection, "strategy_weights", upstream)
    shown = rows.sort_values(["day", "weight"], ascending=[True, False])
    catalogue.describe(context, rows, each_day(first, last), PREVIEW, shown=shown)
    context.add_asset_metadata({"statement": _statement(shown)}, partition_key=last.isoformat())
    yield dg.MaterializeResult(check_results=[_check(rows)])


def _weigh(edges: pd.DataFrame, now: dict) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=[figure.name for figure in TABLES["strategy_weights"]])]
    for day, figures in edges.groupby("day"):
        weights = weigh(figures, now.get(day, {})).assign(day=day, as_of=figures["as_of"].iloc[0])
        tables.append(weights[tables[0].columns])
    return pd.concat(tables, ignore_index=True)


def _statement(rows: pd.DataFrame) -> str:
    """Who counts most on the last day, and under which regimes."""
    if rows.empty:
        return "There is no strategy to weigh."
    last = rows[rows["day"] == rows["day"].max()]
    best, shares = last.iloc[0], last.iloc[0][[*PROBABILITIES]]
    held = ", ".join(f"{name} {share:.0%}" for name, share in zip(REGIMES, shares, strict=True) if share)
    return (
        f"{best['strategy_id']} counts most: {best['weight']:.1%} of {len(last):,} strategies. "
        f"Regimes that hold, by trades: {held or 'none known'}."
    )


def _check(rows: pd.DataFrame) -> dg.AssetCheckResult:
    weights = rows[["day", *WEIGHTS.values()]].astype(dict.fromkeys(WEIGHTS.values(), "float64"))
    sums = weights.groupby("day").sum()
    off = float((sums - 1).abs().max().max()) if len(sums) else 0.0
    negative = int((~(weights[[*WEIGHTS.values()]] >= 0)).sum().sum())
    return dg.AssetCheckResult(
        passed=off == 0 and negative == 0,
        metadata={"days": len(sums), "largest distance of a sum from 1": off, "negative or missing": negative},
    )
