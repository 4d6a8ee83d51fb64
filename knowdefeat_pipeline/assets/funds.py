"""`fund_allocations`: what each bot is given, what stays cash, and why."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from knowdefeat_pipeline.assets import catalogue
from knowdefeat_pipeline.assets.calendar import Calendar, covered_days
from knowdefeat_pipeline.assets.resources import Database
from knowdefeat_pipeline.core.schema import TABLES
from knowdefeat_pipeline.steps.funds import CHECKS, AllocatedDays, compute_allocations

PREVIEW = ("bot_id", "quote_currency", "rank", "amount", "decision", "reason")
LINEAGE = {
    "amount": [("bot_rankings", "rank_score"), ("bot_rankings", "is_active")],
    "rank": [("bot_rankings", "rank")],
    "drawdown": [("trades", "pnl")],
    "daily_loss": [("trades", "pnl")],
}


def build(calendar: Calendar) -> list[dg.AssetsDefinition]:
    """The asset `fund_allocations`."""

    @calendar.refreshed_asset(
        group_name="funds",
        deps=["bot_rankings", "strategy_beliefs"],
        kinds={"postgres", "numpy"},
        check_specs=catalogue.check_specs(CHECKS, "fund_allocations"),
        metadata=catalogue.table("fund_allocations", TABLES["fund_allocations"], LINEAGE),
        description="Funds over active, ranked bots that no risk rule halts: in proportion to what the settings aim "
        "at, within the caps, to the cent; the rest is cash.",
    )
    def fund_allocations(context: dg.AssetExecutionContext, database: Database) -> Iterator[dg.MaterializeResult[None]]:
        allocated = compute_allocations(database.session, *covered_days(context))
        shown = allocated.rows.assign(amount=allocated.rows["amount"] / 100).sort_values(
            ["day", "quote_currency", "amount", "bot_id"], ascending=[True, True, False, True]
        )
        catalogue.describe(context, allocated, PREVIEW, shown)
        context.add_asset_metadata(_summary(allocated), partition_key=allocated.last.isoformat())
        yield dg.MaterializeResult[None](check_results=catalogue.check_results(allocated))

    return [fund_allocations]


def _summary(allocated: AllocatedDays) -> dict[str, Any]:
    """The last day's totals per currency, and what to do where nothing is allocated."""
    metadata: dict[str, Any] = {
        f"no funds in {currency}": f"None are set. Next: knowdefeat funds set --currency {currency} --funds AMOUNT"
        for currency in allocated.unfunded
    }
    days = allocated.division.days
    for row in days[days["day"] == days["day"].max()].itertuples() if len(days) else ():
        metadata[f"allocated in {row.quote_currency}"] = row.allocated / 100
        metadata[f"cash in {row.quote_currency}"] = row.cash / 100
        metadata[f"why cash in {row.quote_currency}"] = row.cash_reason
    decisions = [
        (event.bot_id, event.kind, str(event.in_force_from), event.reason)
        for event in allocated.division.events[-catalogue.PREVIEW_ROWS :]
    ]
    metadata["decisions of the risk rules"] = dg.MetadataValue.md(
        catalogue.markdown_table(pd.DataFrame(decisions, columns=["bot_id", "kind", "as_of", "reason"]))
    )
    return metadata
