"""`strategy_beliefs`: what is believed of each strategy; `strategy_weights`: how much each counts."""

from collections.abc import Iterator

import dagster as dg

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.beliefs.strategy_figures import WEIGHTS
from knowdefeat_pipeline.core.schema import BELIEFS, TABLES
from knowdefeat_pipeline.steps.beliefs import CHECKS, compute_beliefs, compute_strategy_weights

BELIEFS_PREVIEW = (
    "strategy_id", "regime", "win_rate", "accuracy_improvement", "edge", "edge_low", "edge_high", "confidence",
)  # fmt: skip
BELIEFS_LINEAGE = {
    f.name: [("trades", column) for column in ("bot_id", "strategy_id", "exit_time", "pnl")] for f in BELIEFS[2:]
}
WEIGHTS_PREVIEW = ("strategy_id", *WEIGHTS.values(), "exposure")
WEIGHTS_LINEAGE = {
    column: [("strategy_beliefs", name) for name in ("regime", "edge", "edge_sd")]
    for column in (*WEIGHTS.values(), "exposure")
}


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The assets `strategy_beliefs` and `strategy_weights`."""

    @calendar.refreshed_asset(
        group_name="beliefs",
        deps=["trades", "bot_metrics", "market_regimes"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "strategy_beliefs"),
        metadata=catalogue.table("strategy_beliefs", TABLES["strategy_beliefs"], BELIEFS_LINEAGE),
        description="Win rate and edge of each strategy with 90 % intervals, learned from its outcomes, as things "
        "stand ('*') and under each market regime; calibration of stated confidence.",
    )
    def strategy_beliefs(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        learned = compute_beliefs(database.session, *covered_days(context))
        catalogue.describe(context, learned, BELIEFS_PREVIEW)
        context.add_asset_metadata(
            {
                "statement": learned.statement,
                "outcomes folded": learned.outcomes,
                "first folded": str(learned.since or "the first"),
            },
            partition_key=learned.last.isoformat(),
        )
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(learned))

    @calendar.refreshed_asset(
        group_name="beliefs",
        deps=["strategy_beliefs"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "strategy_weights"),
        metadata=catalogue.table("strategy_weights", TABLES["strategy_weights"], WEIGHTS_LINEAGE),
        description="How much each strategy counts by its believed edge, as things stand and under each market regime, "
        "and how much of the book should be held at all. Weights move by at most 0.2 a day unless a regime changed.",
    )
    def strategy_weights(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        weighed = compute_strategy_weights(database.session, *covered_days(context))
        shown = weighed.rows.sort_values(["day", "weight"], ascending=[True, False])
        catalogue.describe(context, weighed, WEIGHTS_PREVIEW, shown=shown)
        context.add_asset_metadata({"statement": weighed.statement}, partition_key=weighed.last.isoformat())
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(weighed))

    return [strategy_beliefs, strategy_weights]
