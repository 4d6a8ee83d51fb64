"""`variable_weights`: the weights in force once a day was ranked; the learner adjusts them where the run says so."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pandas as pd
from pydantic import Field

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Clock, Database
from knowdefeat_pipeline.assets.weight_pictures import draw_weights
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.core.units import each_day
from knowdefeat_pipeline.steps.learning import WeightedDays, changes, compute_weights, weights_over_time

PREVIEW = ("variable", "weight", "version")
LINEAGE = {"weight": [("bot_rankings", "weight_version")]}
SHOWN_DAYS = 180  # of the picture
SHOWN_ATTEMPTS = 30  # of the table


class Adjustment(dg.Config):
    """Whether the run adjusts the weights."""

    adjust: bool = Field(
        default=False,
        description="Let the learner adjust the weights of the run's days that have ended: once a day, and never "
        "before a version that exists already.",
    )


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The asset `variable_weights`."""

    @calendar.refreshed_asset(
        group_name="ranking",
        deps=["bot_rankings"],
        kinds={"postgres", "numpy"},
        metadata=catalogue.table("variable_weights", TABLES["variable_weights"], LINEAGE),
        description="The weights in force once a day was ranked, for the days that follow: signed, one decimal, "
        "absolute sum 100.0. With `adjust` the learner first moves them toward what predicted the next day.",
    )
    def variable_weights(
        context: dg.AssetExecutionContext, config: Adjustment, database: Database, clock: Clock
    ) -> Iterator[dg.MaterializeResult[None]]:
        first, last = covered_days(context)
        now = clock.now(database.session.connection)
        weighted = compute_weights(database.session, first, last, now, adjust=config.adjust)
        catalogue.describe(context, weighted, PREVIEW)
        if config.adjust:
            context.add_asset_metadata(_adjustment(weighted), partition_key=last.isoformat())
            shown = each_day(min(first, last - timedelta(days=SHOWN_DAYS - 1)), last)
            connection = database.session.connection
            catalogue.show(
                context, last, "weights over time", lambda: draw_weights(shown, weights_over_time(connection, shown))
            )
        yield dg.MaterializeResult[None]()

    return [variable_weights]


def _adjustment(weighted: WeightedDays) -> dict[str, dg.MetadataValue]:
    """What became of each day, and why."""
    attempts = weighted.attempts
    rows = changes(attempts)
    entries: dict[str, dg.MetadataValue] = {
        "adjusted days": dg.MetadataValue.int(int(rows["version"].notna().sum())),
        "adjustment": dg.MetadataValue.md(
            catalogue.markdown_table(rows.tail(SHOWN_ATTEMPTS))
            if attempts
            else "No day of this run has ended that was not adjusted before."
        ),
    }
    evidence = attempts[-1].proposal.evidence if attempts else {}
    if "statement" in evidence:
        moved = evidence["change"]
        entries["evidence"] = dg.MetadataValue.text(evidence["statement"])
        entries["weight changes"] = dg.MetadataValue.md(
            catalogue.markdown_table(pd.DataFrame({"variable": list(moved), "points": list(moved.values())}))
        )
    return entries
