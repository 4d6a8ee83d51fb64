"""`bot_skill`: whether each bot is good, or was lucky."""

from collections.abc import Iterator

import dagster as dg

from knowdefeat_pipeline.assets import catalogue, pictures
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import SKILL, TABLES
from knowdefeat_pipeline.steps.skill import compute_skill
from knowdefeat_pipeline.store.bots import bot_names

PREVIEW = ("bot", "time_window", "trades", "edge", "edge_low", "edge_high", "p_skill", "verdict")
LINEAGE = {f.name: [("trades", "pnl"), ("trades", "exit_time"), ("bot_metrics", "as_of")] for f in SKILL[1:]}


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The asset `bot_skill`."""

    @calendar.refreshed_asset(
        group_name="ranking",
        deps=["bot_metrics"],
        kinds={"postgres", "numpy"},
        metadata=catalogue.table("bot_skill", TABLES["bot_skill"], LINEAGE),
        description="Good, or lucky: the posterior of each bot's edge, shrunk to its strategy and the fleet, over its "
        "lifetime and the trailing 90 days.",
    )
    def bot_skill(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        judged = compute_skill(database.session, *covered_days(context))
        names = bot_names(database.session.connection)
        catalogue.describe(context, judged, PREVIEW, names=names)
        last = catalogue.with_names(judged.last_rows, names)
        catalogue.show(
            context, judged.last, "skill", lambda: pictures.draw_skill(last[last["time_window"] == "lifetime"])
        )
        yield dg.MaterializeResult[None]()

    return [bot_skill]
