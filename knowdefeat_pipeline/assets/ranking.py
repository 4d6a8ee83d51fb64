"""`bot_rankings`: the bots in order, with what moved each."""

from collections.abc import Iterator

import dagster as dg

from knowdefeat_pipeline.assets import catalogue, pictures
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import TABLES, VARIABLES
from knowdefeat_pipeline.steps.ranking import CHECKS, compute_rankings
from knowdefeat_pipeline.store.bots import bot_names

PREVIEW = ("rank", "bot", "rank_score", "eligible", "reason", "weight_version")
LINEAGE = {f"{v.name}_points": [("bot_metrics", v.measure), ("bot_metrics", "volatility")] for v in VARIABLES} | {
    "rank_score": [("bot_metrics", v.measure) for v in VARIABLES],
    "rank": [("bot_metrics", v.measure) for v in VARIABLES],
}


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The asset `bot_rankings`."""

    @calendar.refreshed_asset(
        group_name="ranking",
        deps=["bot_metrics", "win_streaks"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "bot_rankings"),
        metadata=catalogue.table("bot_rankings", TABLES["bot_rankings"], LINEAGE),
        description="Bots ranked by the weighted, scale-free score with the weights in force at each day's as_of.",
    )
    def bot_rankings(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        ranked = compute_rankings(database.session, *covered_days(context))
        names = bot_names(database.session.connection)
        catalogue.describe(context, ranked, PREVIEW, names=names)
        last = catalogue.with_names(ranked.last_rows, names)
        catalogue.show(context, ranked.last, "scores", lambda: pictures.draw_scores(last))
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(ranked))

    return [bot_rankings]
