"""`trades`: what bots recorded, counted and checked day by day. The rows themselves arrive by ingestion or INSERT."""

from collections.abc import Iterator

import dagster as dg

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import TRADE_DAY
from knowdefeat_pipeline.steps.trades import CHECKS, count_trades

COLUMNS = [figure.name for figure in TRADE_DAY]


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The asset `trades`."""

    @calendar.refreshed_asset(
        group_name="ranking",
        kinds={"postgres"},
        check_specs=catalogue.check_specs(CHECKS, "trades"),
        metadata=catalogue.table("trades", TRADE_DAY),
        description="Closed trades of the bots, validated on arrival; refused rows wait in quarantine.",
    )
    def trades(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        found = count_trades(database.session, *covered_days(context))
        catalogue.describe(context, found, COLUMNS)
        context.add_asset_metadata({"held in quarantine": found.held}, partition_key=found.last.isoformat())
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(found))

    return [trades]
